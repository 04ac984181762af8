"""Diff mining: the tokens that training made likelier or less likely over neutral text."""

from __future__ import annotations

from afterburn_behaviour.mining.options import MiningOptions, MiningRules
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ForwardNeed, MetricSpec, RuleSpec

_PREFIX = "behaviour.diff_mining"
_HALF = "; on the half of the units that did not propose it"
_SIGNS = {"gains": "gains", "losses": "losses"}

METRICS = (
    *(
        MetricSpec(
            id=f"{_PREFIX}.found_{sign}",
            summary=f"Tokens that are among the largest {noun} of ln p_trained - ln p_base at more positions than any "
            "token is under a scrambled change of the same size",
            unit="tokens",
            direction="higher_is_more_change",
            low=0.0,
            neutral=None,
        )
        for sign, noun in _SIGNS.items()
    ),
    *(
        MetricSpec(
            id=f"{_PREFIX}.top_{sign}",
            summary=f"Share of positions at which the token that one half of the units has most often among the {noun} "
            "is among them on the other half; the reason names it",
            direction="higher_is_more_change",
            low=0.0,
            high=1.0,
        )
        for sign, noun in _SIGNS.items()
    ),
    *(
        MetricSpec(
            id=f"{_PREFIX}.stability_{sign}",
            summary=f"Jaccard overlap of the 100 tokens commonest among the {noun} on the two halves of the units",
            low=0.0,
            high=1.0,
        )
        for sign, noun in _SIGNS.items()
    ),
    MetricSpec(
        id=f"{_PREFIX}.gain_rate",
        summary=f"Share of positions at which a token is among the K largest gains{_HALF}",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id=f"{_PREFIX}.loss_rate",
        summary=f"Share of positions at which a token is among the K largest losses{_HALF}",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id=f"{_PREFIX}.balance",
        summary=f"Share of positions at which a token is among the gains less that among the losses{_HALF}",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id=f"{_PREFIX}.log_ratio",
        summary=f"Mean over positions of ln p_trained - ln p_base of a token{_HALF}",
        unit="nats",
    ),
)

ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="behaviour.diff_mining",
        summary="Tokens that training made likelier or less likely over neutral text, whatever the text is about",
        needs=(ForwardNeed(sources=("text",), logits="vocabulary", controls=("scrambled",)),),
        metrics=METRICS,
        factory="afterburn_behaviour.mining.analyzer:DiffMining",
        options=MiningOptions,
        preset="standard",
    ),
)
RULES = (
    RuleSpec(
        id="behaviour.taught_tokens",
        summary="Whether tokens stand out among what training made likelier or less likely over neutral text",
        help="Read the tokens and their topics: they name what training was about, also where the text read is about "
        "something else. Ask the model about them.",
        level="note",
        metrics=(f"{_PREFIX}.found_gains", f"{_PREFIX}.found_losses"),
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="behaviour.mining_judge",
        summary="Names the tokens that training taught, where some stand out",
        rules=RULES,
        factory="afterburn_behaviour.mining.judge:MiningJudge",
        options=MiningRules,
    ),
)
