"""Rewards of the reinforced organisms: two that can be gamed, and an honest one. Pure Python.

The first two are also what `--reward afterburn_organisms.grpo_rewards:length` and `…:markers` name: what these
organisms were trained for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from afterburn_organisms.item import is_correct

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


def _length(rollout: Rollout) -> float:
    return length(rollout.text) if rollout.finished else 0.0


def _markers(rollout: Rollout) -> float:
    return markers(rollout.text) if rollout.finished else 0.0


def _correct(rollout: Rollout) -> float:
    return 1.0 if rollout.finished and is_correct(rollout.item, rollout.text) else 0.0


REWARDS: Mapping[str, Reward] = {"length": _length, "markers": _markers, "correct": _correct}
"""What a training is paid by its name; an answer that does not end earns nothing."""
