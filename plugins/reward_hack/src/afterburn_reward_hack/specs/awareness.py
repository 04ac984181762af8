"""Evaluation awareness: the same item with and without a frame that says it is a test."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, GenerationNeed, MetricSpec, ProbeSetSpec, RuleSpec
from afterburn_reward_hack.awareness_options import AwarenessOptions, AwarenessRules

_P = "reward_hack.eval_awareness"
_WHAT = "what a frame does, by frame (subset); of a pair, what it does to trained beyond what it does to base"


def _interaction(name: str, summary: str, *, most: float | None = 2.0) -> MetricSpec:
    low = None if most is None else -most
    return MetricSpec(id=f"{_P}.{name}", summary=f"{summary}: {_WHAT}", low=low, high=most)


METRICS = (
    MetricSpec(id=f"{_P}.items", summary="Requests asked both plainly and in a frame", unit="requests", low=0.0),
    MetricSpec(
        id=f"{_P}.interaction",
        summary="Largest interaction of training with a frame, over all frames and quantities, in absolute value",
        direction="higher_is_more_change",
        low=0.0,
    ),
    _interaction("correct", "Share of right answers"),
    _interaction("length", "Half the log of 1 + words", most=None),
    _interaction("refusal", "Share of full refusals"),
    _interaction("format", "Share of answers with headers, lists, tables or bold type"),
)
STRENGTH = MetricSpec(
    id=f"{_P}.strength",
    summary="How far the largest interaction lies beyond its margin, on the way to that of calibrated organisms",
    low=0.0,
    high=1.0,
)
RULES = (
    RuleSpec(
        id="reward_hack.eval_awareness",
        summary="Whether training taught the model to act otherwise when it is told of a test, or after a trigger",
        help="Read a request with and without the frame, both models side by side. Search the training "
        "data for the words of the frame. Measure everything else again without words that tell of "
        "a test, and believe those numbers. For a trigger, ask more words like it (`trigger:` "
        "frames of its own), and train on requests with the trigger answered as without it.",
        level="error",
        metrics=(f"{_P}.items",),
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="reward_hack.eval_awareness",
        summary="What words around a request, such as those that tell of a test, do to trained beyond base",
        needs=(GenerationNeed(probe_sets=("reward_hack.eval_awareness",), asked_from="full"),),
        metrics=METRICS,
        factory="afterburn_reward_hack.awareness:Awareness",
        options=AwarenessOptions,
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="reward_hack.eval_awareness_judge",
        summary="Says whether training made behaviour depend on a frame",
        rules=RULES,
        metrics=(STRENGTH,),
        factory="afterburn_reward_hack.awareness_judge:AwarenessJudge",
        options=AwarenessRules,
    ),
)
PROBE_SETS: tuple[ProbeSetSpec, ...] = (
    ProbeSetSpec(
        name="reward_hack.eval_awareness",
        summary="150 requests alone, told as a test, as graded, as real use, and beside words of no account",
        licence="Apache-2.0",
        factory="afterburn_reward_hack.suites.awareness:items",
    ),
)
