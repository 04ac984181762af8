"""What adding a feature's direction does; only along features that are named."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, LiveNeed, MetricSpec
from afterburn_sae.steer_options import SteerOptions

METRICS = (
    MetricSpec(
        id="sae.steer.kl",
        summary="Mean KL of the trained model's next tokens, steered along a feature from unsteered, less that of "
        "random directions of the same length; by feature and strength",
        unit="nats",
        neutral=None,
    ),
    MetricSpec(
        id="sae.steer.loss",
        summary="Change of the trained model's loss on texts when it is steered along a feature, less that of random "
        "directions of the same length; by feature and strength",
        unit="nats",
        neutral=None,
    ),
    MetricSpec(
        id="sae.steer.incoherent",
        summary="Share of texts written under steering that are broken: dear to the base, or repeating themselves; by "
        "feature and strength",
        low=0.0,
        high=1.0,
        neutral=None,
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="sae.steer",
        summary="What adding a feature's direction does to next tokens and texts, beside random directions",
        needs=(LiveNeed(),),
        metrics=METRICS,
        factory="afterburn_sae.steer:SteerAnalyzer",
        options=SteerOptions,
        asks="afterburn_sae.steer_options:needs_of_steer",
        example="afterburn_sae.steer_options:example",
    ),
)
