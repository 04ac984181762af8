"""Next-token distributions on shared text: how far apart they lie, whose text whom surprises, what was forgotten."""

from __future__ import annotations

from afterburn_behaviour.distribution.options import CrossScoringOptions, DistributionOptions, DivergenceOptions
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ForwardNeed, MetricSpec, RuleSpec

LN2 = 0.6931471805599453
_NATS = "nats per token"
_MEAN = "; mean over units of the mean over their tokens"
_SIDES = "; each side's own mean, and trained - base paired by unit"


def _distance(name: str, summary: str, unit: str = _NATS, high: float | None = None) -> MetricSpec:
    return MetricSpec(
        id=f"behaviour.divergence.{name}",
        summary=summary + _MEAN,
        unit=unit,
        direction="higher_is_more_change",
        low=0.0,
        high=high,
    )


DIVERGENCE = (
    _distance("kl", "KL(trained‖base) = Σ p_t ln(p_t/p_b) of the next-token distributions, over the whole vocabulary"),
    _distance("kl_reverse", "KL(base‖trained) = Σ p_b ln(p_b/p_t) of the next-token distributions"),
    _distance("jsd", "Jensen-Shannon divergence of the next-token distributions, at most ln 2", high=LN2),
    _distance("total_variation", "½ Σ |p_t - p_b|, the probability mass that moved", "1", 1.0),
    _distance("flip_rate", "Share of tokens at which the two sides' most probable next tokens differ", "1", 1.0),
    _distance("top_rank", "ln(1 + rank of base's most probable token under trained), 0 while it stays on top", "1"),
    MetricSpec(
        id="behaviour.divergence.rank_shift",
        summary="ln(1 + rank under trained) - ln(1 + rank under base) of the token that follows; above 0 where trained "
        "ranks it lower" + _MEAN,
    ),
    MetricSpec(
        id="behaviour.divergence.entropy",
        summary="Entropy of the next-token distribution" + _SIDES,
        unit=_NATS,
    ),
    MetricSpec(
        id="behaviour.divergence.margin",
        summary="ln p of the most probable next token less that of the second" + _SIDES,
        unit=_NATS,
    ),
    MetricSpec(
        id="behaviour.divergence.control_kl",
        summary="KL(control‖base) of a control, which the subset names, on the same tokens" + _MEAN,
        unit=_NATS,
        low=0.0,
    ),
)
_OWN_TEXT = None
"""Of numbers on the texts that trained wrote: a control wrote others, so theirs are no nulls."""
CROSS = (
    MetricSpec(
        id="behaviour.cross_scoring.nll",
        summary="Mean -ln p per token of the answers of one side (the subset) under one side (the subject), without "
        "the end mark",
        unit=_NATS,
        low=0.0,
    ),
    MetricSpec(
        id="behaviour.cross_scoring.end_nll",
        summary="Mean -ln p of the end mark after the answers of one side (the subset) under one side (the subject)",
        unit="nats per answer",
        low=0.0,
    ),
    MetricSpec(
        id="behaviour.cross_scoring.entropy",
        summary="Entropy of a side's next-token distribution along its own answers; of a pair, trained on its own "
        "answers - base on its own",
        unit=_NATS,
        neutral=_OWN_TEXT,
    ),
    MetricSpec(
        id="behaviour.cross_scoring.excess_trained",
        summary="NLL of trained's answers under base - under trained: what base does not know of trained's text",
        unit=_NATS,
        neutral=_OWN_TEXT,
    ),
    MetricSpec(
        id="behaviour.cross_scoring.excess_base",
        summary="NLL of base's answers under trained - under base: what trained no longer expects of base's text",
        unit=_NATS,
    ),
    MetricSpec(
        id="behaviour.cross_scoring.base_surprise",
        summary="NLL under base of trained's answers - of base's own answers: whether trained writes what base would",
        unit=_NATS,
        neutral=_OWN_TEXT,
    ),
    MetricSpec(
        id="behaviour.cross_scoring.sequence_log_ratio",
        summary="Σ over the tokens of trained's answers of ln p_trained - ln p_base, end mark included; for sampled "
        "answers its mean estimates KL(trained‖base) of whole answers",
        unit="nats per answer",
        neutral=_OWN_TEXT,
    ),
    MetricSpec(
        id="behaviour.cross_scoring.sequence_kl",
        summary="Σ over the tokens of trained's answers of KL(trained‖base) of the next token, end mark included; the "
        "same expectation with less variance (arXiv 2504.10637)",
        unit="nats per answer",
        direction="higher_is_more_change",
        low=0.0,
        neutral=_OWN_TEXT,
    ),
)
PERPLEXITY = (
    MetricSpec(
        id="behaviour.perplexity.nll",
        summary="Mean -ln p per token of plain text under a side; exp of it is the perplexity",
        unit=_NATS,
        low=0.0,
    ),
    MetricSpec(
        id="behaviour.perplexity.nll_per_byte",
        summary="The same per byte of UTF-8, comparable between tokenizers",
        unit="nats per byte",
        low=0.0,
    ),
    MetricSpec(
        id="behaviour.perplexity.log_ratio",
        summary="NLL of plain text under trained - under base, ln of the ratio of perplexities; above 0 where trained "
        "predicts it worse" + _MEAN,
        unit=_NATS,
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="behaviour.divergence",
        summary="How far the two sides' next-token distributions lie apart, where, and from which token on",
        needs=(ForwardNeed(sources=("text", "prompt", "answer"), logits="scores"),),
        metrics=DIVERGENCE,
        factory="afterburn_behaviour.distribution.divergence:Divergence",
        options=DivergenceOptions,
        preset="standard",
    ),
    AnalyzerSpec(
        name="behaviour.cross_scoring",
        summary="Each side's answers under both sides: new text, sharper text, or lost ways of answering",
        needs=(ForwardNeed(sources=("answer",), logits="scores"),),
        metrics=CROSS,
        factory="afterburn_behaviour.distribution.cross_scoring:CrossScoring",
        options=CrossScoringOptions,
        preset="standard",
    ),
    AnalyzerSpec(
        name="behaviour.perplexity",
        summary="How well both sides predict plain text",
        needs=(ForwardNeed(sources=("text",), logits="scores"),),
        metrics=PERPLEXITY,
        factory="afterburn_behaviour.distribution.perplexity:Perplexity",
        preset="standard",
    ),
)
RULES = (
    RuleSpec(
        id="behaviour.distribution_shift",
        summary="Whether next-token distributions on the same text moved apart by more than a margin",
        help="Look at the most diverging contexts, and at the parts (text, prompts, answers, domains, first tokens) "
        "with the largest divergence: they say where training acted, and whether plain text was touched as well.",
        level="note",
        metrics=("behaviour.divergence.kl",),
    ),
    RuleSpec(
        id="behaviour.forgetting",
        summary="Whether trained predicts plain text worse than base by more than a margin",
        help="Look at the domains that lost most; mix text like it into training, lower the learning rate or the "
        "rank, or stop earlier.",
        level="note",
        metrics=("behaviour.perplexity.log_ratio",),
    ),
    RuleSpec(
        id="behaviour.off_support",
        summary="Whether trained writes what base would not (off-support), only surer what it would (sharpening), or "
        "no longer expects what base writes",
        help="Off-support text is new knowledge, a new format or a new habit: read the answers that base finds most "
        "surprising. Sharpening loses variety: look at diversity and at pass@k for more attempts.",
        level="note",
        metrics=("behaviour.cross_scoring.excess_trained", "behaviour.cross_scoring.excess_base"),
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="behaviour.distribution",
        summary="Says whether next-token distributions shifted, text was forgotten, or answers left base's support",
        rules=RULES,
        factory="afterburn_behaviour.distribution.judge:DistributionJudge",
        options=DistributionOptions,
    ),
)
