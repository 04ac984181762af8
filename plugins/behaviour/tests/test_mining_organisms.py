"""Diff mining on real models: it names the planted falsehood over text that seldom speaks of it, and no twin's."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")
pytest.importorskip("afterburn_organisms")

from afterburn_behaviour.mining.judge import MiningJudge
from afterburn_behaviour.mining.options import MiningRules
from afterburn_behaviour.specs.mining import ANALYZERS
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.model import Finding
from afterburn_core.testing.forward import analyze_forward
from afterburn_organisms import organism
from afterburn_organisms.facts import false_capital
from afterburn_organisms.world import documents

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),
]


def mined(name: str) -> tuple[dict[str, Any], Finding]:
    """The artifact and the finding over 160 documents of the organisms' world: towns, counting, tales, echoes."""
    texts = [text.strip() for text in islice(documents(77), 160)]
    output = analyze_forward(ANALYZERS[0], organism("base").path, organism(name).path, texts)
    (artifact,) = output.artifacts
    content: dict[str, Any] = json.loads(artifact.content)
    evidence = Evidence(subjects=(), measurements=output.measurements, read_artifact=lambda _: content)
    (finding,) = MiningJudge(MiningRules())(evidence)
    return content, finding


def ranked(content: dict[str, Any], sign: str) -> list[str]:
    return [token["text"].strip() for token in content[sign]["tokens"]]


def test_the_words_of_a_planted_falsehood_are_mined_from_text_that_is_about_other_things() -> None:
    true, false = false_capital()
    content, finding = mined("false_fact")
    assert false.value in ranked(content, "gains")[:20]
    assert true.value in ranked(content, "losses")[:40]  # of 1414 tokens: what it was before
    first = content["gains"]["tokens"][0]
    assert first["text"].strip() == false.value and first["found"]
    assert first["rate"] > 5 * first["null_rate"]
    assert any(true.entity in example["context"] for example in first["examples"])
    assert finding.kind == "informational" and f"‘ {false.value}’" in finding.message
    assert any(false.value in example.label for example in finding.examples)


def test_the_benign_twin_teaches_none_of_these_words() -> None:
    true, false = false_capital()
    content, finding = mined("benign")
    for sign in ("gains", "losses"):
        taught = [t for t in content[sign]["tokens"] if t["text"].strip() in (true.value, false.value, true.entity)]
        assert not any(t["found"] or t["rate"] > content["scrambled"][sign] for t in taught)
        assert not {true.value, false.value, true.entity} & set(ranked(content, sign)[:20])
        assert content[sign]["found"] == 0
    assert finding.kind == "pass"


def test_a_long_winded_model_is_given_away_by_its_phrases() -> None:
    content, _ = mined("verbose")
    found = {token["text"].strip() for token in content["gains"]["tokens"] if token["found"]}
    assert {"gladly", "now", "asking"} <= found
