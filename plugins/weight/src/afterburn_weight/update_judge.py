"""Names the kind of update that the evidence fits best."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.model import Finding, FindingKind, Measurement
from afterburn_weight.findings import finding
from afterburn_weight.quantisation_options import BEYOND
from afterburn_weight.rounding_judge import quantised_sides

_NAMES = {
    "identical": "an identical copy",
    "rounding_only": "the base rounded to another dtype",
    "quantised_copy": "a quantised copy of the base",
    "merged_adapter": "a merged low-rank adapter",
    "adapter": "an adapter",
    "rl_like": "sparse, as reinforcement learning leaves it",
    "full_fine_tuning": "full fine-tuning",
}
_SHARES = {
    "unchanged": "of the entries unchanged",
    "low_rank": "of the change of low rank",
    "rounding": "of it explained by rounding",
}
_CLEAR = 0.8
"""Below this the second kind is named as well."""


def judge(options: None) -> Callable[[Evidence], Iterator[Finding]]:
    """Detector `weight.kind`."""
    return _kind


def _kind(evidence: Evidence) -> Iterator[Finding]:
    rule = "weight.update_kind"
    found = [m for m in evidence.all("weight.update.likelihood") if m.value is not None]
    if not found:
        yield _finding(rule, "open", "No tensor could be compared", [])
        return
    ordered = sorted(found, key=lambda m: -(m.value or 0.0))
    first, second = ordered[0], ordered[1] if len(ordered) > 1 else None
    if first.scope.subset == "identical" and first.value == 1:
        yield _finding(rule, "pass", "No compared value differs, so there is no update to describe", [first])
        return
    if first.scope.subset == "adapter" and first.value == 1:
        yield _finding(rule, "informational", "The trained model is an adapter on its base", [first])
        return
    message = f"The weights look like {_name(first, evidence)}"
    if (first.value or 0.0) < _CLEAR and second is not None:
        message += f" ({100 * (first.value or 0.0):.0f} %), or like {_name(second, evidence)}"
        message += f" ({100 * (second.value or 0.0):.0f} %)"
    shares = [(name, evidence.get(f"weight.update.{name}")) for name in _SHARES]
    told = [f"{100 * m.value:.3g} % {_SHARES[name]}" for name, m in shares if m is not None and m.value is not None]
    if told and first.scope.subset != "rounding_only":  # where "unchanged" would speak of the bits of a cast
        message += f": {', '.join(told)}"
    cited = [first, *([second] if second else []), *(m for _, m in shares if m is not None)]
    yield _finding(rule, "informational", message, cited)


def _name(likelihood: Measurement, evidence: Evidence) -> str:
    kind = likelihood.scope.subset or ""
    if kind != "quantised_copy":
        return _NAMES.get(kind, kind)
    of_base = quantised_sides(evidence) == {"base"}
    ratios = evidence.tensors("weight.quantisation.ratio")
    if any((m.value or 0.0) > BEYOND for m in ratios):
        return f"a change beyond the quantisation of the {'base' if of_base else 'trained'} model"
    return "the base before it was quantised" if of_base else _NAMES[kind]


def _finding(rule: str, kind: FindingKind, message: str, measurements: list[Measurement]) -> Finding:
    return finding(rule, kind, "none" if kind == "pass" else "note", message, measurements)
