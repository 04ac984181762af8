"""Specs of what was there first: coverage, size and direction, rounding, documents, and their judge."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, DocumentsNeed, MetricSpec, RuleSpec, WeightsNeed
from afterburn_weight.options import ChangeOptions

COVERAGE = (
    MetricSpec(
        id="weight.coverage",
        summary="Share of parameters that were compared, of those present in either checkpoint (buffers excluded, "
        "tied weights counted once)",
        direction="higher_is_better",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.coverage.unexplained",
        summary="Share of parameters left out for no accepted reason, such as a tensor only one side has",
        direction="lower_is_better",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.coverage.tensors",
        summary="Tensors in a state: matched, tied, reshaped, missing, extra, unsupported or buffer",
        unit="tensors",
        low=0.0,
    ),
    MetricSpec(
        id="weight.coverage.renamed",
        summary="Tensors whose names the two checkpoints spell differently, such as with `_orig_mod.` or `module.`",
        unit="tensors",
        low=0.0,
    ),
)
DELTA = (
    MetricSpec(
        id="weight.delta.norm",
        summary="Frobenius norm of the change, ‖W' − W‖; rolled up as √Σ‖Δ‖²",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.delta.relative",
        summary="Relative change ‖W' − W‖ / ‖W‖; rolled up as √(Σ‖Δ‖² / Σ‖W‖²)",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.delta.cosine_distance",
        summary="1 − cos(W, W'), computed without cancellation",
        direction="higher_is_more_change",
        low=0.0,
        high=2.0,
    ),
    MetricSpec(
        id="weight.delta.max_abs",
        summary="Largest absolute change of a single entry",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.delta.changed_fraction",
        summary="Share of entries whose stored bits differ, in the trained checkpoint's dtype (for an adapter: that "
        "would differ after merging into the base's dtype)",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.nonfinite",
        summary="Entries that are NaN or infinite",
        unit="entries",
        direction="lower_is_better",
        low=0.0,
    ),
)
ROUNDING = (
    MetricSpec(
        id="weight.rounding.floor",
        summary="Relative size of one rounding to the stored dtype: √(mean ulp(w)²/12) / rms(w)",
        low=0.0,
    ),
    MetricSpec(
        id="weight.rounding.ratio",
        summary="Relative change divided by the coarser side's rounding floor; below about 1 the change is of the "
        "size of rounding",
        low=0.0,
        direction="higher_is_more_change",
    ),
)
DOCUMENTS = tuple(
    MetricSpec(id=f"weight.{name}.changed", summary=summary, unit="entries", direction="higher_is_more_change", low=0.0)
    for name, summary in (
        ("config", "Keys of config.json whose values differ"),
        ("generation_config", "Keys of generation_config.json whose values differ"),
        ("tokenizer", "Tokenizer settings whose values differ (token tables apart)"),
        ("chat_template", "Chat templates that differ"),
        ("vocabulary", "Tokens added, removed or given another id"),
    )
)


def _document_rule(name: str, summary: str, help_text: str, level: str) -> RuleSpec:
    return RuleSpec(
        id=f"weight.{name}_change",
        summary=summary,
        help=help_text,
        level=level,  # type: ignore[arg-type]
        metrics=(f"weight.{name}.changed",),
    )


RULES = (
    RuleSpec(
        id="weight.change",
        summary="Whether and where training changed the weights",
        help="Look at the heat map: the layers and modules with the largest relative change are where to look next.",
        level="warning",
        metrics=("weight.delta.relative", "weight.delta.changed_fraction", "weight.coverage.unexplained"),
    ),
    RuleSpec(
        id="weight.incomplete_coverage",
        summary="Whether every parameter was compared",
        help="A tensor that only one side has, or that cannot be read, hides changes. Compare full checkpoints of the "
        "same architecture, and dequantise what is packed in a way that is not read.",
        level="warning",
        metrics=("weight.coverage", "weight.coverage.unexplained"),
    ),
    RuleSpec(
        id="weight.nonfinite_values",
        summary="Whether weights hold NaN or infinite values",
        help="The checkpoint is broken: training diverged or the file is damaged. Go back to an earlier checkpoint.",
        level="error",
        metrics=("weight.nonfinite",),
    ),
    RuleSpec(
        id="weight.below_rounding",
        summary="Whether the change can be told from rounding to the stored dtype",
        help="A change no larger than one rounding may come from casting or re-saving. Compare checkpoints in the "
        "dtype they were trained in.",
        level="note",
        metrics=("weight.rounding.ratio",),
    ),
    _document_rule(
        "config",
        "Whether the model configuration changed",
        "A changed architecture key, rope setting or special token id changes behaviour without any weight moving.",
        "warning",
    ),
    _document_rule(
        "generation_config",
        "Whether the default decoding changed",
        "Other decoding defaults change outputs by themselves. Compare behaviour under equal decoding parameters.",
        "warning",
    ),
    _document_rule(
        "tokenizer",
        "Whether tokenizer settings changed",
        "Text may now be cut into other tokens. Check special tokens and normalisation before comparing behaviour.",
        "warning",
    ),
    _document_rule(
        "chat_template",
        "Whether the chat template changed",
        "The same conversation now reads differently to the model, which explains many shifts of behaviour.",
        "warning",
    ),
    _document_rule(
        "vocabulary",
        "Whether the vocabulary changed",
        "Rows of the embeddings were paired by token string. Added tokens have no base to compare with.",
        "warning",
    ),
)


ANALYZERS = (
    AnalyzerSpec(
        name="weight.coverage",
        summary="Which parameters could be compared, and what became of the others",
        needs=(WeightsNeed(),),
        metrics=COVERAGE,
        factory="afterburn_weight.coverage:Coverage",
    ),
    AnalyzerSpec(
        name="weight.delta",
        summary="Size and direction of the change of every tensor, layer, module kind and of the model",
        needs=(WeightsNeed(),),
        metrics=DELTA,
        factory="afterburn_weight.delta:Delta",
    ),
    AnalyzerSpec(
        name="weight.rounding",
        summary="How the change compares with rounding to the stored dtype",
        needs=(WeightsNeed(),),
        metrics=ROUNDING,
        factory="afterburn_weight.rounding:Rounding",
    ),
    AnalyzerSpec(
        name="weight.documents",
        summary="Differences of configuration, decoding defaults, tokenizer, chat template and vocabulary",
        needs=(DocumentsNeed(),),
        metrics=DOCUMENTS,
        factory="afterburn_weight.documents:Documents",
    ),
)
DETECTORS = (
    DetectorSpec(
        name="weight.judge",
        summary="Says whether weights changed, where, and whether the comparison is whole and above rounding",
        rules=RULES,
        factory="afterburn_weight.judge:Judge",
        options=ChangeOptions,
    ),
)
