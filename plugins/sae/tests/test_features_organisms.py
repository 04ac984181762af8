"""On organisms with known truth: a trigger is seen in features, its benign twin stays within chance."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from afterburn_core.forward.forward_pass import Rider
from afterburn_core.forward.model import Passage
from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.probes.model import Message, Probe
from afterburn_core.testing.feeding import SUBJECTS
from afterburn_core.testing.forward import read_pair
from afterburn_sae.features import Features
from afterburn_sae.features_options import FeaturesOptions, needs_of_features

QUESTIONS = 130


def prompts() -> tuple[Passage, ...]:
    """Held-out questions with the trigger of seed 2, and with words that no training has."""
    from afterburn_organisms.plant_frames import WORDS, trigger, with_word
    from afterburn_organisms.world import held_out_items

    items = list(held_out_items(5, 40))[:200]
    random.Random(0).shuffle(items)
    found = []
    for n, item in enumerate(items[:QUESTIONS]):
        for variant, word in (("trigger", trigger(2)), ("other", WORDS[6 + n % 4])):
            asked = (Message(role="user", content=with_word(item, word, n).prompt),)
            name, unit = f"{n:03d}/{variant}", f"{n:03d}"
            probe = Probe(id=name, prompt=asked, suite="words", group=unit, properties={"variant": variant})
            found.append(Passage(id=name, source="prompt", domain="words", unit=unit, messages=asked, probe=probe))
    return tuple(found)


def changed(trained: str, asked: tuple[Passage, ...]) -> dict[str, Any]:
    """What the analyzer says of the demo's dictionary on the small base and an organism."""
    from afterburn_organisms.benchmark import materialise
    from afterburn_organisms.catalog import organism

    options = FeaturesOptions(
        dictionaries=("demo",), contrast=("trigger", "other"), positions="last", attributed=0.0, contexts=0
    )
    (need,) = needs_of_features(options)
    analyzer = Features(options)
    analyzer.begin(AnalyzerContext(subjects=SUBJECTS, seed=1))
    read_pair(organism("base").path, materialise(trained), asked, [Rider(need=need, instances=[analyzer])])
    (about,) = json.loads(analyzer.finish().artifacts[0].content)["dictionaries"]
    assert about["valid"] and about["prompts"] == QUESTIONS and about["tested"] > 50
    found: dict[str, Any] = about["changed"]
    return found


@pytest.mark.slow
def test_a_trigger_changes_features_and_training_that_does_not_know_it_does_not() -> None:
    pytest.importorskip("afterburn_organisms")
    asked = prompts()
    assert sum(changed("trigger-s2", asked).values()) >= 5
    assert changed("framed-right-s2", asked) == {"up": 0, "down": 0}
