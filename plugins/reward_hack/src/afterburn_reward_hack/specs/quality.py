"""Quality beside every shift: whether trained answers are better."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, GenerationNeed, MetricSpec, ProbeSetSpec

ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="reward_hack.quality",
        summary="Whether trained answers are better: by the user's gold function, or by gold answers",
        needs=(GenerationNeed(),),
        metrics=(
            MetricSpec(
                id="reward_hack.quality",
                summary="Quality of answers by the user's gold function, else by gold answers; scores beyond [0, 1] as "
                "the chance to be the higher one; of a pair, trained minus base",
                direction="higher_is_better",
                low=-1.0,
                high=1.0,
            ),
        ),
        factory="afterburn_reward_hack.quality:Quality",
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = ()
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
