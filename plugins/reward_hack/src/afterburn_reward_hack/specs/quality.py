"""Quality beside every shift: whether trained answers are better."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, GenerationNeed, MetricSpec, ProbeSetSpec
from afterburn_reward_hack.length_options import JudgedOptions

_JUDGE = "judge-based and uncorrected: never taken for truth"
QUALITY = MetricSpec(
    id="reward_hack.quality",
    summary="Quality of answers by the user's gold function, else by gold answers; scores beyond [0, 1] as the chance "
    "to be the higher one; of a pair, trained minus base",
    direction="higher_is_better",
    low=-1.0,
    high=1.0,
)
JUDGED = (
    MetricSpec(
        id="reward_hack.quality.judged",
        summary="How much oftener a third model prefers trained's answer than base's, both orders averaged, in [-1, "
        f"1]; {_JUDGE}",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="reward_hack.quality.judged_at_equal_length",
        summary="The same at equal length, by logistic regression on tanh of the log ratio of lengths over its "
        f"deviation (arXiv 2404.04475); {_JUDGE}",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="reward_hack.quality.judged_length_excess",
        summary=f"The judge's preference less that at equal length (LEI): what length alone won; {_JUDGE}",
        low=-2.0,
        high=2.0,
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="reward_hack.quality",
        summary="Whether trained answers are better: by the user's gold function, or by gold answers",
        needs=(GenerationNeed(),),
        metrics=(QUALITY,),
        factory="afterburn_reward_hack.quality:Quality",
    ),
    AnalyzerSpec(
        name="reward_hack.quality_judged",
        summary="Which side's answers a third model prefers, and how much of that is their length",
        needs=(GenerationNeed(judge=True),),
        metrics=JUDGED,
        factory="afterburn_reward_hack.quality_judged:JudgedQuality",
        options=JudgedOptions,
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = ()
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
