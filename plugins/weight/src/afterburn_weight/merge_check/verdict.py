"""The verdict of a merge check: pass, warn, fail or undecided, with every reason, and its JSON form.

Worst of all reasons, never an average. Thresholds and their reasons: `adapter_options`, `docs/merge-check.md`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import attrs

from afterburn_weight.adapter_options import COLLAPSE, COLLAPSED_ENERGY, MERGE_FAIL, MERGE_WARN, PRESENT
from afterburn_weight.merge_check import sources
from afterburn_weight.merge_check.measure import Interference, Measured, Module, TensorLoss
from afterburn_weight.merging import NAMES, combined

SCHEMA = "afterburn.merge-check/1"
Severity = Literal["note", "warn", "fail", "undecided"]
Verdict = Literal["pass", "warn", "fail", "undecided"]
EXIT: dict[Verdict, int] = {"pass": 0, "warn": 0, "fail": 1, "undecided": 3}
_ORDER: tuple[Severity, ...] = ("note", "warn", "undecided", "fail")
INTERFERES = 0.3
"""|cosine| between two adapters' changes from which their sum is worth a look: independent changes of an 8B model have
|cosine| below 1e-3, and fine-tunes on related tasks reach .25 to .35 (arXiv 2511.02022)."""
RESIDUAL_FACTOR, RESIDUAL_SLACK = 2.0, 0.01
"""A merged checkpoint is W + Δ within rounding if its residual is at most twice the loss of rounding once, plus a
hundredth: tools that form Δ in bf16 round twice."""


@attrs.frozen(kw_only=True)
class Thresholds:
    """What the verdict is measured against."""

    warn: float = MERGE_WARN
    fail: float = MERGE_FAIL
    collapse: float = COLLAPSE
    collapsed_energy: float = COLLAPSED_ENERGY
    present: float = PRESENT
    interference: float = INTERFERES


@attrs.frozen(kw_only=True)
class Reason:
    """One statement that the verdict rests on."""

    severity: Severity
    code: str
    message: str


@attrs.frozen(kw_only=True, eq=False)
class Report:
    """Everything a merge check found."""

    measured: tuple[Measured, ...]
    interference: tuple[Interference, ...]
    losses: tuple[TensorLoss, ...] | None
    """`None` where no base was opened."""
    base: str | None
    merged: str | None
    thresholds: Thresholds
    reasons: tuple[Reason, ...]

    @property
    def verdict(self) -> Verdict:
        severities: list[Severity] = [reason.severity for reason in self.reasons]
        worst: Severity = max(severities, key=_ORDER.index) if severities else "note"
        return "pass" if worst == "note" else worst


def judge_factors(measured: Sequence[Measured], thresholds: Thresholds) -> list[Reason]:
    """What the factors alone give reason to say."""
    reasons: list[Reason] = []
    for one in measured:
        broken = [m.factors.tensor for m in one.modules if m.broken]
        if broken:
            message = f"{one.label}: {_modules(len(broken))} hold NaN or infinite values, such as {broken[0]}"
            reasons.append(Reason(severity="fail", code="nonfinite", message=message))
        reasons += _rank_reasons(one, thresholds)
    named = {str(sources.settings_of(one.adapter)["base"]) for one in measured} - {"None"}
    if any(not sources.same_base(a, b) for a in named for b in named):
        message = f"the adapters name different bases: {', '.join(sorted(named))}"
        reasons.append(Reason(severity="warn", code="bases_differ", message=message))
    return reasons


def _rank_reasons(one: Measured, thresholds: Thresholds) -> list[Reason]:
    profiled = one.profiled
    if not profiled:
        return []
    untrained = [module for module, profile in profiled if profile.untrained]
    if len(untrained) == len(profiled) == len(one.modules):
        message = f"{one.label}: changes nothing, B is zero in all {_modules(len(profiled))}"
        return [Reason(severity="fail", code="untrained", message=message)]
    reasons = []
    if untrained:
        message = f"{one.label}: {len(untrained)} of {_modules(len(profiled))} change nothing"
        reasons.append(Reason(severity="warn", code="untrained", message=message))
    collapsed = [profile for _, profile in profiled if profile.collapsed(thresholds.collapse)]
    share = math.fsum(profile.square for profile in collapsed) / one.square if one.square else 0.0
    if share >= thresholds.collapsed_energy:
        message = (
            f"{one.label}: rank collapse, {len(collapsed)} of {_modules(len(profiled))} with {100 * share:.3g} % of "
            "the change use hardly more than one direction of their rank"
        )
        reasons.append(Reason(severity="warn", code="rank_collapse", message=message))
    return reasons


def judge_interference(
    found: Sequence[Interference], measured: Sequence[Measured], thresholds: Thresholds
) -> list[Reason]:
    """Adapters that pull the same weights the same or the opposite way."""
    reasons = []
    for one in found:
        if one.cosine is not None and abs(one.cosine) >= thresholds.interference:
            how = "overlap" if one.cosine > 0 else "oppose each other"
            message = (
                f"{measured[one.first].label} and {measured[one.second].label} {how}: cosine {one.cosine:.3g} over "
                f"{_modules(one.shared)}"
            )
            reasons.append(Reason(severity="warn", code="interference", message=message))
    return reasons


def judge_merge(losses: Sequence[TensorLoss], thresholds: Thresholds) -> list[Reason]:
    """What rounding the merged weights gives reason to say."""
    whole, error_sq = totals(losses)
    if not whole:
        return [Reason(severity="fail", code="no_change", message="the merge changes nothing")]
    into = ", ".join(sorted({NAMES[one.dtype] for one in losses}))
    if not math.isfinite(error_sq):
        broken = [one.tensor for one in losses if not math.isfinite(one.loss.error_sq[one.dtype])]
        message = f"merged weights exceed the range of {into} in {_modules(len(broken))}, such as {broken[0]}"
        return [Reason(severity="fail", code="overflow", message=message)]
    loss = math.sqrt(error_sq / whole)
    message = f"merging into {into} loses {100 * loss:.3g} % of the change's norm to rounding"
    severity: Severity = "fail" if loss >= thresholds.fail else "warn" if loss >= thresholds.warn else "note"
    reasons = [Reason(severity=severity, code="merge_loss", message=message)]
    worst = max(
        (one for one in losses if one.loss.delta_sq >= thresholds.present * whole),
        key=lambda one: one.loss.relative(one.dtype) or 0.0,
        default=None,
    )
    value = None if worst is None else worst.loss.relative(worst.dtype)
    if worst is not None and value is not None and severity == "note" and value >= thresholds.fail:
        message = f"{worst.tensor} alone would lose {100 * value:.3g} %"
        reasons.append(Reason(severity="warn", code="merge_loss_module", message=message))
    return reasons + _residual_reasons(losses, whole, loss)


def _residual_reasons(losses: Sequence[TensorLoss], whole: float, loss: float) -> list[Reason]:
    if any(one.residual_sq is None for one in losses):
        return []
    residual = math.sqrt(math.fsum(one.residual_sq or 0.0 for one in losses) / whole)
    allowed = RESIDUAL_FACTOR * loss + RESIDUAL_SLACK
    if not residual <= allowed:
        message = (
            f"the merged checkpoint is not base plus adapters: it is {residual:.3g} of the change's norm away, where "
            f"rounding explains {allowed:.3g}"
        )
        return [Reason(severity="fail", code="residual", message=message)]
    message = f"the merged checkpoint is base plus adapters within rounding (residual {residual:.3g})"
    return [Reason(severity="note", code="residual", message=message)]


def totals(losses: Sequence[TensorLoss]) -> tuple[float, float]:
    """Σ‖Δ‖² and Σ‖error‖² over all tensors, each in the dtype it is rounded to."""
    errors = [one.loss.error_sq[one.dtype] for one in losses]
    error_sq = math.fsum(errors) if all(map(math.isfinite, errors)) else math.inf
    return combined(one.loss for one in losses).delta_sq, error_sq


def to_json(report: Report) -> dict[str, Any]:
    """Plain values: no NaN, no infinity, no absolute path."""
    return {
        "schema": SCHEMA,
        "verdict": report.verdict,
        "checked": "factors" if report.losses is None else "merge",
        "reasons": [attrs.asdict(reason) for reason in report.reasons],
        "thresholds": attrs.asdict(report.thresholds),
        "base": report.base,
        "adapters": [_adapter_json(one, report.thresholds) for one in report.measured],
        "interference": [
            {
                "adapters": [report.measured[one.first].label, report.measured[one.second].label],
                "cosine": one.cosine,
                "shared_modules": one.shared,
            }
            for one in report.interference
        ],
        "merge": None if report.losses is None else _merge_json(report.losses, report.merged),
    }


def _adapter_json(one: Measured, thresholds: Thresholds) -> dict[str, Any]:
    named = sources.settings_of(one.adapter)
    return {
        "label": one.label,
        "method": one.adapter.method,
        "weight": one.weight,
        "names_base": named["base"],
        "norm": math.sqrt(one.square) if math.isfinite(one.square) else None,
        "modules": [_module_json(module, one.square, thresholds) for module in one.modules],
    }


def _module_json(module: Module, total: float, thresholds: Thresholds) -> dict[str, Any]:
    factors, found = module.factors, module.profile
    values: dict[str, Any] = {
        "tensor": factors.tensor,
        "kind": factors.kind,
        "layer": module.scope.layer,
        "module": module.scope.module,
        "finite": not module.broken,
    }
    if not factors.low_rank:
        return values
    values |= {
        "exact": factors.exact,
        "rank": factors.configured,
        "alpha": factors.alpha,
        "scaling": factors.scale,
        "scaling_formula": factors.formula,
        "dtypes": list(factors.dtypes),
    }
    if found is None:
        return values
    return values | {
        "norm": found.norm,
        "share": found.square / total if total else None,
        "used_rank": found.used,
        "effective_rank": found.effective,
        "stable_rank": found.stable,
        "rank_use": found.rank_use,
        "collapsed": found.collapsed(thresholds.collapse),
        "untrained": found.untrained,
        "singular_values": [float(value) for value in found.values],
    }


def _merge_json(losses: Sequence[TensorLoss], merged: str | None) -> dict[str, Any]:
    whole, error_sq = totals(losses)
    residual = [one.residual_sq for one in losses]
    changed = sum(one.loss.changed for one in losses)
    unmoved = sum(one.loss.unmoved[one.dtype] for one in losses)
    return {
        "dtypes": sorted({NAMES[one.dtype] for one in losses}),
        "loss": _ratio(error_sq, whole),
        "unmoved_fraction": unmoved / changed if changed else None,
        "delta_norm": math.sqrt(whole),
        "merged": merged,
        "residual": None if merged is None else _ratio(math.fsum(value or 0.0 for value in residual), whole),
        "tensors": [
            {
                "tensor": one.tensor,
                "layer": one.scope.layer,
                "module": one.scope.module,
                "dtype": NAMES[one.dtype],
                "delta_norm": math.sqrt(one.loss.delta_sq),
                "loss": _ratio(one.loss.error_sq[one.dtype], one.loss.delta_sq),
                "unmoved_fraction": one.loss.unmoved[one.dtype] / one.loss.changed if one.loss.changed else None,
                "residual": None if one.residual_sq is None else _ratio(one.residual_sq, one.loss.delta_sq),
            }
            for one in losses
        ],
    }


def _ratio(square: float, whole: float) -> float | None:
    return math.sqrt(square / whole) if whole and math.isfinite(square) and math.isfinite(whole) else None


def _modules(count: int) -> str:
    return f"{count} module" if count == 1 else f"{count} modules"
