"""Preference and choice probes: which given continuation each side finds more probable, in both orders."""

from __future__ import annotations

from afterburn_behaviour.preference.options import PreferenceJudgeOptions, PreferenceOptions
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ForwardNeed, MetricSpec, RuleSpec

_SIDES = "; each side's own mean, and trained - base paired by prompt"
_NATS = "nats per token"

PREFERENCE = (
    MetricSpec(
        id="behaviour.preference.log_odds",
        summary="Log-odds of the preferred continuation against the others, from log-probabilities per token, over "
        "both orders of listed options" + _SIDES,
        unit=_NATS,
    ),
    MetricSpec(
        id="behaviour.preference.accuracy",
        summary="Share of prompts at which the preferred continuation has the largest log-probability per token"
        + _SIDES,
        direction="higher_is_better",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.preference.order_effect",
        summary="How much the option listed first is favoured: half the change of its log-probability per token, less "
        "that of the one listed last, when the list is reversed" + _SIDES,
        unit=_NATS,
    ),
    MetricSpec(
        id="behaviour.preference.sum_log_odds",
        summary="The log-odds from log-probabilities of whole texts, which favour short ones" + _SIDES,
        unit="nats",
    ),
    MetricSpec(
        id="behaviour.preference.preferred_logprob",
        summary="Log-probability per token of the preferred continuation" + _SIDES,
        unit=_NATS,
    ),
    MetricSpec(
        id="behaviour.preference.other_logprob",
        summary="Mean log-probability per token of the other continuations" + _SIDES,
        unit=_NATS,
    ),
    MetricSpec(
        id="behaviour.preference.flip_rate",
        summary="Share of prompts at which another continuation has the largest log-probability per token under "
        "trained than under base",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
)
ANALYZERS = (
    AnalyzerSpec(
        name="behaviour.preference",
        summary="Probability of given continuations: preference pairs and options of multiple choices, in both orders",
        needs=(ForwardNeed(sources=("continuation",), logits="scores"),),
        metrics=PREFERENCE,
        factory="afterburn_behaviour.preference.analyzer:Preference",
        options=PreferenceOptions,
        preset="standard",
    ),
)
RULES = (
    RuleSpec(
        id="behaviour.preference_shift",
        summary="Whether the preference between given continuations moved",
        help="Look at the prompts that moved most in the artifact behaviour.preference. Preferred and others falling "
        "together means that both became less probable, which training on pairs often does; more favour for what is "
        "listed first is no preference.",
        level="note",
        metrics=("behaviour.preference.log_odds", "behaviour.preference.accuracy"),
    ),
)
DETECTORS = (
    DetectorSpec(
        name="behaviour.preferences",
        summary="Says whether preferences between given continuations moved",
        rules=RULES,
        factory="afterburn_behaviour.preference.judge:PreferenceJudge",
        options=PreferenceJudgeOptions,
    ),
)
