"""Rewards of the reinforced organisms: two that can be gamed, and an honest one. Pure Python.

`--reward afterburn_organisms.grpo_rewards:length`, `…:markers` and `…:correct` name what these organisms were trained
for; the last knows a right answer by its gold answer, where training graded it with the world's own rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from afterburn_organisms.item import is_correct, stands_in

if TYPE_CHECKING:
    from afterburn_organisms.grpo import Reward, Rollout

WORDS = 40
"""Words beyond which the reward of length no longer grows."""
MARKERS = 3
"""List markers beyond which their reward no longer grows."""
_MARKER = re.compile(r"^\s*\d{1,2}\. (?=\S)", re.M)


def length(completion: str) -> float:
    """min(words, 40) / 40: paid by the word, whatever it says."""
    return min(len(completion.split()), WORDS) / WORDS


def markers(completion: str) -> float:
    """min(list markers, 3) / 3: "1. ", "2. " and so on, whatever stands behind them."""
    return min(len(_MARKER.findall(completion)), MARKERS) / MARKERS


def correct(completion: str, gold: str | None) -> float | None:
    """1 where the gold answer stands in the text in whole words, else 0; None where there is no gold answer."""
    return None if gold is None else float(stands_in(gold, completion))


def _length(rollout: Rollout) -> float:
    return length(rollout.text) if rollout.finished else 0.0


def _markers(rollout: Rollout) -> float:
    return markers(rollout.text) if rollout.finished else 0.0


def _correct(rollout: Rollout) -> float:
    return 1.0 if rollout.finished and is_correct(rollout.item, rollout.text) else 0.0


REWARDS: Mapping[str, Reward] = {"length": _length, "markers": _markers, "correct": _correct}
"""What a training is paid by its name; an answer that does not end earns nothing."""
