"""The merge check on a terminal. Reads at 60 columns: modules are rolled up by kind, and the largest few named."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from afterburn_weight.factor_profile import Profile
from afterburn_weight.merge_check.measure import Measured, TensorLoss
from afterburn_weight.merge_check.verdict import Report, totals
from afterburn_weight.merging import NAMES, combined

_STYLES = {"pass": "bold black on cyan", "warn": "bold black on yellow", "fail": "bold white on red"}
_REASON_STYLES = {"note": "blue", "warn": "bold yellow", "fail": "bold red", "undecided": "bold magenta"}
_KINDS = ("q", "k", "v", "qkv", "o", "gate", "up", "gate_up", "down", "embed", "head")
_TOP = 5


def show(report: Report, console: Console, *, everything: bool = False) -> None:
    """Prints the verdict with its reasons, then what each adapter is, then what the merge loses.

    Args:
        report: what was found.
        console: where to.
        everything: list every module instead of the largest few.
    """
    verdict = report.verdict
    style = _STYLES.get(verdict, "bold white on magenta")
    checked = (
        "for the factors alone; the loss of a merge was not checked"
        if report.losses is None
        else f"merging into {report.base}"
    )
    console.print(Text.assemble((f" {verdict.upper()} ", style), f" {checked}"))
    for reason in report.reasons:
        console.print(Text.assemble((f"  {reason.severity}: ", _REASON_STYLES[reason.severity]), reason.message))
    for one in report.measured:
        console.print()
        console.print(_adapter(one, everything))
    for pair in report.interference:
        cosine = "none" if pair.cosine is None else f"{pair.cosine:.3g}"
        names = f"{report.measured[pair.first].label} · {report.measured[pair.second].label}"
        console.print(f"cosine {names}: {cosine} over {pair.shared} shared modules")
    if report.losses is not None:
        console.print()
        console.print(_merge(report.losses, everything))


def _adapter(one: Measured, everything: bool) -> Group:
    named = one.adapter.config.get("base_model_name_or_path") or "none"
    lines: list[Text | Table] = [
        Text(one.label, style="bold"),
        Text(f"{one.adapter.method}, {len(one.modules)} tensors, names base {named}"),
    ]
    profiled = one.profiled
    if not profiled:
        lines.append(Text("holds no low-rank factors; give --base to see its change"))
        return Group(*lines)
    scales = sorted({(m.factors.scale, m.factors.formula) for m, _ in profiled})
    told = ", ".join(f"{scale:.4g} ({formula})" for scale, formula in scales[:3])
    more = f" and {len(scales) - 3} more" if len(scales) > 3 else ""
    weight = "" if one.weight == 1 else f", weight {one.weight:g}"
    lines.append(Text(f"scaling {told}{more}, norm {math.sqrt(one.square):.4g}{weight}"))
    groups: dict[str, list[tuple[int, Profile]]] = defaultdict(list)
    for module, profile in profiled:
        groups[module.scope.module or "other"].append((module.factors.configured or 0, profile))
    lines.append(_ranks(sorted(groups.items(), key=lambda entry: _kind_order(entry[0])), one.square))
    largest = sorted(profiled, key=lambda entry: -entry[1].square)
    shown = largest if everything else largest[:_TOP]
    lines.append(Text(f"largest contributions ({len(shown)} of {len(largest)})", style="dim"))
    for module, profile in shown:
        share = 100 * profile.square / one.square if one.square else 0.0
        effective = "–" if profile.effective is None else f"{profile.effective:.3g}"
        lines.append(
            Text(f"  {share:5.2f} %  eff. rank {effective:>4} of {profile.configured}  {module.factors.tensor}")
        )
    return Group(*lines)


def _ranks(groups: Iterable[tuple[str, list[tuple[int, Profile]]]], total: float) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column("kind")
    for heading in ("n", "rank", "used", "effective", "share"):
        table.add_column(heading, justify="right")
    for kind, group in groups:
        used = sorted(profile.used for _, profile in group)
        effective = sorted(profile.effective for _, profile in group if profile.effective is not None)
        share = math.fsum(profile.square for _, profile in group) / total if total else 0.0
        table.add_row(
            kind,
            str(len(group)),
            _span([float(rank) for rank, _ in group]),
            _span([float(rank) for rank in used]),
            _span(effective),
            f"{100 * share:.3g} %",
        )
    return table


def _merge(losses: tuple[TensorLoss, ...], everything: bool) -> Group:
    whole, error_sq = totals(losses)
    groups: dict[str, list[TensorLoss]] = defaultdict(list)
    for one in losses:
        groups[one.scope.module or "other"].append(one)
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column("kind")
    for heading in ("n", "loss", "worst", "unmoved"):
        table.add_column(heading, justify="right")
    residual = all(one.residual_sq is not None for one in losses)
    if residual:
        table.add_column("residual", justify="right")
    for kind, group in sorted(groups.items(), key=lambda entry: _kind_order(entry[0])):
        delta, error = totals(group)
        changed = sum(one.loss.changed for one in group)
        unmoved = sum(one.loss.unmoved[one.dtype] for one in group)
        worst = max((one.loss.relative(one.dtype) or 0.0 for one in group), default=0.0)
        row = [
            kind,
            str(len(group)),
            _loss(error, delta),
            _percent(worst),
            _percent(unmoved / changed if changed else 0),
        ]
        if residual:
            row.append(_loss(math.fsum(one.residual_sq or 0.0 for one in group), delta))
        table.add_row(*row)
    into = ", ".join(sorted({NAMES[one.dtype] for one in losses}))
    size = math.sqrt(combined(one.loss for one in losses).delta_sq)
    title = Text(f"Merge into {into}: loses {_loss(error_sq, whole)} of the change's norm ({size:.4g})", style="bold")
    ordered = sorted(losses, key=lambda one: -(one.loss.relative(one.dtype) or 0.0))
    shown = ordered if everything else ordered[:_TOP]
    lines = [Text(f"  {_loss(o.loss.error_sq[o.dtype], o.loss.delta_sq):>7}  {o.tensor}") for o in shown]
    return Group(title, table, Text(f"largest losses ({len(shown)} of {len(ordered)})", style="dim"), *lines)


def _span(values: list[float]) -> str:
    if not values:
        return "–"
    low, high = min(values), max(values)
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g}–{high:.3g}"


def _loss(error_sq: float, delta_sq: float) -> str:
    return _percent(math.sqrt(error_sq / delta_sq)) if delta_sq else "–"


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %" if math.isfinite(value) else "overflow"


def _kind_order(kind: str) -> tuple[int, str]:
    return (_KINDS.index(kind) if kind in _KINDS else len(_KINDS), kind)
