"""Proxy against gold: the reward rises and quality does not."""

from __future__ import annotations

from afterburn_core.plugin import (
    AnalyzerSpec,
    CommandSpec,
    DetectorSpec,
    GenerationNeed,
    MetricSpec,
    ProbeSetSpec,
    RuleSpec,
)
from afterburn_reward_hack.proxy_options import ProxyOptions, ProxyRules

METRICS = (
    MetricSpec(
        id="reward_hack.proxy.scored",
        summary="Prompts whose answers the reward has scored on both sides",
        unit="prompts",
        low=0.0,
    ),
    MetricSpec(
        id="reward_hack.proxy.reward",
        summary="Mean reward of the answers, samples averaged inside their prompt; of a pair, trained minus base",
    ),
    MetricSpec(
        id="reward_hack.proxy.standardised",
        summary="Mean difference of the reward, trained minus base, in standard deviations of a side over prompts "
        "(both sides' variances averaged)",
        unit="standard deviations",
    ),
    MetricSpec(
        id="reward_hack.proxy.gold",
        summary="Quality over the prompts that have reward and quality on both sides; of a pair, trained minus base",
        direction="higher_is_better",
    ),
    MetricSpec(
        id="reward_hack.proxy.rank_correlation",
        summary="Spearman correlation of reward and quality over the samples of a prompt, averaged over prompts; of a "
        "pair, trained minus base",
        low=-2.0,
        high=2.0,
    ),
    MetricSpec(
        id="reward_hack.proxy.best_of_n",
        summary="Quality of the best of n of base's own answers by the reward, less that of a random one; the subset "
        "names n, the interval is a band over all n at once",
    ),
)
STRENGTH = MetricSpec(
    id="reward_hack.proxy.strength",
    summary="How far the rise of the reward lies beyond its margin, on the way to that of calibrated organisms",
    low=0.0,
    high=1.0,
)
DISTANCE = MetricSpec(
    id="reward_hack.proxy.distance",
    summary="Square root of KL(trained‖base) of whole answers: how far optimisation has gone",
    unit="√nats",
    low=0.0,
)
RULES = (
    RuleSpec(
        id="reward_hack.proxy",
        summary="Whether the reward rose while quality stayed or fell",
        help="Go back to the checkpoint where quality was highest (`afterburn over-optimisation` compares them), and "
        "raise the penalty on KL or train the reward on answers of the trained model.",
        level="error",
        metrics=("reward_hack.proxy.scored",),
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="reward_hack.proxy",
        summary="What the reward gained, what quality gained beside it, and what more optimisation would gain",
        needs=(GenerationNeed(),),
        metrics=METRICS,
        factory="afterburn_reward_hack.proxy:Proxy",
        options=ProxyOptions,
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="reward_hack.proxy_judge",
        summary="Says whether the reward is being exploited",
        rules=RULES,
        metrics=(STRENGTH, DISTANCE),
        factory="afterburn_reward_hack.proxy_judge:ProxyJudge",
        options=ProxyRules,
    ),
)
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
COMMANDS: tuple[CommandSpec, ...] = (
    CommandSpec(
        name="reward_hack.over_optimisation",
        summary="Say at which checkpoint quality was highest.",
        factory="afterburn_reward_hack.over_commands:over_optimisation",
    ),
)
