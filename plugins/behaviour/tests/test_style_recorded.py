"""The documented directions of the recorded sets, as findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from afterburn_behaviour.style.decoding import DecodingIdentity
from afterburn_behaviour.style.formats import Format
from afterburn_behaviour.style.judge import StyleJudge
from afterburn_behaviour.style.length import Length
from afterburn_behaviour.style.options import LengthOptions, StyleOptions
from afterburn_core.generation.model import GenerationFacts, Responses
from afterburn_core.result.model import Finding

Recorded = Callable[[str], list[Responses]]
MAKERS: dict[str, Callable[[], Any]] = {
    "length": lambda: Length(LengthOptions()),
    "format": Format,
    "decoding": DecodingIdentity,
}


def _findings(items: list[Responses], analyze: Any, judged: Any, *names: str) -> dict[str, Finding]:
    found: dict[str, Finding] = judged(StyleJudge(StyleOptions()), *(analyze(MAKERS[name], items) for name in names))
    return found


@pytest.mark.slow
def test_a_genuine_gain_changes_neither_length_nor_format(recorded: Recorded, analyze: Any, judged: Any) -> None:
    found = _findings(recorded("gsm8k_6b_verifier"), analyze, judged, "length", "format")
    assert found["behaviour.length_shift"].kind == found["behaviour.format_shift"].kind == "pass"


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("gsm8k_175b_verifier", 1),
        ("sycon_false_presupposition_qwen25_7b", 1),
        ("sycon_false_presupposition_qwen25_14b", 1),
        ("zeroeval_crux_phi3_phi35", 1),
        ("arenahard_gpt4_0314_0613", -1),
    ],
)
def test_lengths_go_the_documented_way(
    name: str, sign: int, recorded: Recorded, analyze: Any, judged: Any, value_of: Any
) -> None:
    output = analyze(MAKERS["length"], recorded(name))
    ratio = value_of(output, "behaviour.length.log_ratio")
    assert judged(StyleJudge(StyleOptions()), output)["behaviour.length_shift"].kind == "informational"
    assert sign * ratio.value > 0 and ratio.test.p_value < 0.001
    if name.startswith("sycon"):
        assert ratio.n == 200  # conversations, not turns


def test_two_hosts_are_named_and_training_is_not_blamed(recorded: Recorded, analyze: Any, judged: Any) -> None:
    facts = {
        side: GenerationFacts(engine=engine, decoding={"temperature": 0.0, "max_tokens": 2048})
        for side, engine in (("base", "openai"), ("trained", "together"))
    }
    items = [attrs.evolve(item, facts=facts) for item in recorded("zeroeval_gsm_same_model_two_hosts")]
    found = _findings(items, analyze, judged, "length", "decoding")
    length, decoding = found["behaviour.length_shift"], found["behaviour.decoding_mismatch"]
    assert length.kind == "informational" and "must not be put down to training" in length.message
    assert (decoding.kind, decoding.level) == ("review", "warning") and "engine openai and together" in decoding.message


def test_other_token_limits_are_a_mismatch(recorded: Recorded, analyze: Any, judged: Any) -> None:
    facts = {
        side: GenerationFacts(engine="recorded", decoding={"temperature": 0.7, "min_p": 0.1, "max_tokens": limit})
        for side, limit in (("base", 8096), ("trained", 2200))
    }
    items = [attrs.evolve(item, facts=facts) for item in recorded("slopscore_gemma3_27b_antislop")]
    found = _findings(items, analyze, judged, "decoding")["behaviour.decoding_mismatch"]
    assert found.kind == "review" and "max_new_tokens 8096 and 2200" in found.message


def test_halves_of_the_same_samples_show_nothing(recorded: Recorded, analyze: Any, judged: Any) -> None:
    found = _findings(recorded("noveltybench_null_split"), analyze, judged, "length", "format")
    assert {found[f"behaviour.{name}_shift"].kind for name in ("length", "format")} <= {"pass", "open"}
