"""The output-distribution analyzers on the real forward pass over tiny models with changes planted at known places."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from afterburn_behaviour.specs import distribution
from afterburn_core.forward.forward_pass import Rider
from afterburn_core.forward.model import Passage
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.probes.model import Message
from afterburn_core.result.model import Measurement
from afterburn_core.testing.feeding import make_analyzer
from afterburn_core.testing.forward import analyze_forward, passages_of, read_pair
from afterburn_core.testing.pairs import Pair, adapter_pair, changed_pair, identity_pair

SPECS = {spec.name.removeprefix("behaviour."): spec for spec in distribution.ANALYZERS}
TOKEN, BOOST = 9, 3.0
WORDS = [" ".join(f"word{(7 * i + k * k) % 45}" for k in range(3 + i % 11)) for i in range(24)]


def passages() -> tuple[Passage, ...]:
    """Texts of two domains, prompts, and answers of both sides."""
    found = list(passages_of(WORDS[:12], "one") + passages_of(WORDS[12:], "two"))
    for i in range(6):
        asked: dict[str, Any] = {
            "domain": "asked",
            "unit": f"p{i}",
            "messages": (Message(role="user", content=WORDS[i]),),
        }
        found.append(Passage(id=f"p{i}", source="prompt", **asked))
        found += [
            Passage(
                id=f"p{i}/{author}/0",
                source="answer",
                author=author,  # type: ignore[arg-type]
                text=WORDS[i + k + 7],
                ended=True,
                **asked,
            )
            for k, author in enumerate(("base", "trained"))
        ]
    return tuple(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def boosted(folder: Path) -> Pair:
    """One row of the head is longer: the logit of one token changes by what the final state says, no other does."""

    def boost(head: torch.Tensor) -> torch.Tensor:
        changed = head.clone()
        changed[TOKEN] *= BOOST
        return changed

    return changed_pair(folder / "boosted", "lm_head.weight", boost, dtype="float32")


def only(output: AnalyzerOutput, metric: str, subset: str | None = None, side: str | None = None) -> Measurement:
    subjects = ("base", "trained") if side is None else (side,)
    (found,) = [m for m in output.measurements if (m.metric, m.scope.subset, m.subjects) == (metric, subset, subjects)]
    return found


def test_a_boosted_row_of_the_head_has_the_kl_that_follows_from_it(boosted: Pair) -> None:
    """With u_v = c on one token alone, KL(q‖p) = q_v c − ln(1 + p_v (e^c − 1))."""
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    texts = passages_of(WORDS)
    found = only(analyze_forward(SPECS["divergence"], boosted.base, boosted.trained, texts), "behaviour.divergence.kl")
    model = AutoModelForCausalLM.from_pretrained(boosted.base, dtype=torch.float64).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(boosted.base)
    means = []
    for text in WORDS:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        lead = int(ids[0, 0] == 1)
        with torch.inference_mode():
            logits = model(ids).logits[0, lead:-1]
        c = (BOOST - 1) * logits[:, TOKEN]
        p = logits.softmax(-1)[:, TOKEN]
        z = 1 + p * torch.expm1(c)
        means.append(float((p * c.exp() / z * c - z.log()).mean()))
    assert float(np.mean(means)) > 1e-4
    assert found.value == pytest.approx(float(np.mean(means)), rel=2e-3)
    assert found.n == len(WORDS)


CHANGE = "behaviour.cross_scoring.entropy"


def outputs(pair: Pair, read: Sequence[Passage], devices: tuple[str, ...] = ("cpu",)) -> dict[str, AnalyzerOutput]:
    """What all three analyzers find in one pass."""
    riders = [
        Rider(need=spec.needs[0], instances=[make_analyzer(spec) for _ in devices])  # type: ignore[arg-type]
        for spec in SPECS.values()
    ]
    read_pair(pair.base, pair.trained, read, riders, devices=devices, batch_tokens=60)
    found = {}
    for name, rider in zip(SPECS, riders, strict=True):
        first, *others = rider.instances
        for other in others:
            first.merge(other)  # type: ignore[attr-defined]
        found[name] = first.finish()  # type: ignore[attr-defined]
    return found


def test_a_model_beside_its_copy_gives_exact_zeros(folder: Path) -> None:
    for output in outputs(identity_pair(folder / "same"), passages()).values():
        compared = [m for m in output.measurements if m.subjects == ("base", "trained")]
        # base's surprise and the change of entropy compare answers, which differ here
        compared = [m for m in compared if m.metric not in ("behaviour.cross_scoring.base_surprise", CHANGE)]
        assert compared
        assert all(m.value == 0 and m.interval is not None and m.interval.method == "identical" for m in compared)
        assert all(m.test is None or m.test.p_value == 1.0 for m in compared)
        shown = {a.id for a in output.artifacts}
        assert not shown & {"behaviour.divergence_contexts", "behaviour.perplexity_difference"}


def test_two_readers_give_the_numbers_of_one(boosted: Pair) -> None:
    one = outputs(boosted, passages())
    two = outputs(boosted, passages()[::-1], ("cpu", "cpu"))
    for name in SPECS:
        assert [m.id for m in one[name].measurements] == [m.id for m in two[name].measurements]
        for left, right in zip(one[name].measurements, two[name].measurements, strict=True):
            assert left.value == pytest.approx(right.value, rel=1e-12, abs=1e-15), left.id
        assert [a.id for a in one[name].artifacts] == [a.id for a in two[name].artifacts]


def test_contexts_point_at_where_the_boosted_token_is_likely(boosted: Pair) -> None:
    output = analyze_forward(SPECS["divergence"], boosted.base, boosted.trained, passages())
    contexts = json.loads(next(a.content for a in output.artifacts if a.id == "behaviour.divergence_contexts"))
    first = contexts["contexts"][0]
    assert len(first["tokens"]) == len(first["kl"]) == len(first["flipped"]) == len(first["classes"])
    assert first["total"] == pytest.approx(math.fsum(first["kl"]), rel=1e-3)
    assert all("word" in token or token is None or token.startswith("<") for token in first["tokens"])


def test_a_scrambled_adapter_stands_beside_the_divergence_as_its_control(folder: Path) -> None:
    pair = adapter_pair(folder / "adapted", alpha=64.0)
    spec = SPECS["divergence"]
    need = attrs.evolve(spec.needs[0], controls=("scrambled",))
    output = analyze_forward(attrs.evolve(spec, needs=(need,)), pair.base, pair.trained, passages_of(WORDS))
    found = only(output, "behaviour.divergence.kl")
    (control,) = [m for m in output.measurements if m.metric == "behaviour.divergence.control_kl"]
    assert control.scope.subset == "control=scrambled" and control.value is not None and control.value > 0
    assert found.null is not None and (found.null.control, found.null.n) == ("scrambled", 1)
    assert found.null.p_value == (0.5 if (found.value or 0) > control.value else 1.0)
