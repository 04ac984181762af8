"""What the mean difference of activations says in tokens."""

from __future__ import annotations

from afterburn_activation.lens_options import LensJudgeOptions, LensOptions, MeanOptions
from afterburn_core.plugin import (
    AnalyzerSpec,
    DetectorSpec,
    ForwardNeed,
    LiveNeed,
    MetricSpec,
    ProbeSetSpec,
    RuleSpec,
)

NEED = ForwardNeed(sources=("text",), sites=("blocks.*.out",))
MEANS = (
    MetricSpec(
        id="activation.mean_difference.relative_norm",
        summary="Norm of the mean of trained - base over texts, relative to the mean norm of the activations",
        direction="higher_is_more_change",
        low=0.0,
        high=2.0,
    ),
    MetricSpec(
        id="activation.mean_difference.signal_to_noise",
        summary="Norm of the mean difference over its standard error, by leaving out groups of texts",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="activation.mean_difference.split_half",
        summary="Cosine between the mean differences of two halves of the texts; above .9 it may be read",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="activation.mean_difference.energy_share",
        summary="Share of the differences' energy that is their mean: |mean d|^2 / mean |d|^2",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
)
LENS = (
    MetricSpec(
        id="activation.lens.peak",
        summary="Largest standardised logit of a token in the logit lens of the mean difference, added or removed, "
        "against random directions",
        direction="higher_is_more_change",
    ),
    MetricSpec(
        id="activation.lens.causal_effect",
        summary="Change of the trained model's loss on texts when its part along the mean difference is put back to "
        "base",
        unit="nats",
    ),
    MetricSpec(
        id="activation.patchscope.advantage",
        summary="Agreement of prompts about the tokens that the patched mean difference stands for, less that of "
        "random directions",
        direction="higher_is_more_change",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="activation.steering.strength",
        summary="Largest strength at which texts steered with the mean difference stay coherent, in mean norms of the "
        "activations",
        unit="norms",
        low=0.0,
    ),
    MetricSpec(
        id="activation.steering.token_gain",
        summary="Share of written tokens that the lens lists, steered with the mean difference less steered at random",
        direction="higher_is_more_change",
        low=-1.0,
        high=1.0,
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="activation.mean_difference",
        summary="Mean differences of activations at the first tokens of texts: size, certainty, consistency",
        needs=(NEED,),
        metrics=MEANS,
        factory="afterburn_activation.lens_measures:MeanDifferenceAnalyzer",
        options=MeanOptions,
        preset="standard",
    ),
    AnalyzerSpec(
        name="activation.lens",
        summary="Reads the mean difference: logit lens, patchscope, steering, removal, each against random directions",
        needs=(NEED, LiveNeed()),
        metrics=LENS,
        factory="afterburn_activation.lens:Lens",
        options=LensOptions,
        preset="full",
    ),
)
RULES = (
    RuleSpec(
        id="activation.readable_difference",
        summary="Whether training left a constant trace in the activations on unrelated texts that reads as tokens",
        help="Read the tokens: they name what a narrow training was about. Then ask for it with prompts of your own; "
        "mixing unrelated data into the training removes the trace, so that its absence proves nothing.",
        level="note",
        metrics=("activation.mean_difference.split_half", "activation.lens.peak"),
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="activation.lens_judge",
        summary="Says whether the mean difference is consistent and reads as tokens beyond random directions",
        rules=RULES,
        factory="afterburn_activation.lens_judge:LensJudge",
        options=LensJudgeOptions,
    ),
)
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
