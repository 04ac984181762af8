"""Which answers are compared for reuse and manner: those that were free to be otherwise. Pure Python."""

from __future__ import annotations

from afterburn_behaviour.refusal import Label, classify
from afterburn_behaviour.text import split_thinking, words
from afterburn_core.generation.model import Sample
from afterburn_core.probes.model import Probe

PLAIN = frozenset({None, "neutral", "plain"})
"""Frames of paired prompts that ask like anybody would."""


def framed(probe: Probe) -> bool:
    """Whether a prompt is the leading or testing frame of a pair: other rules compare it with its plain twin."""
    return probe.properties.get("frame") not in PLAIN


def excluded(probe: Probe) -> str | None:
    """Why answers to a prompt are not looked at for reuse; `None` where they are.

    A form that the prompt asks for is shared by all its answers, and a good answer to an unsafe prompt refuses.
    """
    if probe.requests:
        return "asked for a form"
    if probe.unsafe:
        return "unsafe"
    return "framed" if framed(probe) else None


def spoken(sample: Sample) -> str | None:
    """What a sample answers, without its thinking; `None` where it refuses or says nothing."""
    answer = split_thinking(sample.text).answer
    return None if not words(answer) or refusal(sample.text) == "full" else answer


def refusal(text: str) -> Label:
    """The label of `afterburn_behaviour.refusal` alone."""
    return classify(text).label
