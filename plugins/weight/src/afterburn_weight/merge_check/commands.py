"""`afterburn merge-check`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_weight.adapter_options import MERGE_FAIL, MERGE_WARN

if TYPE_CHECKING:
    from afterburn_weight.merge_check.measure import Measured, TensorLoss
    from afterburn_weight.merge_check.sources import Adapter, Opened
    from afterburn_weight.merge_check.verdict import Reason, Report, Thresholds

_DTYPES = {"base": None, "bf16": "BF16", "fp16": "F16", "fp32": "F32"}


@click.command(name="merge-check")
@click.argument("adapters", nargs=-1, required=True, metavar="ADAPTER...")
@click.option("--base", metavar="MODEL", help="Base to merge into: directory, weight file, hub id, or `auto` for the "
              "one the adapter names. Without it, only the factors are checked.")  # fmt: skip
@click.option("--dtype", type=click.Choice(tuple(_DTYPES)), help="What to merge into.  [default: base]")
@click.option("--merged", metavar="MODEL", help="A merged checkpoint, to be compared with base plus adapters.")
@click.option("--weight", "weights", type=float, multiple=True, metavar="X",
              help="Weight of an adapter in the sum; repeat once per adapter.  [default: 1]")  # fmt: skip
@click.option("--warn", type=click.FloatRange(min=0), metavar="X",
              help=f"Merge loss from which the verdict is warn.  [default: {MERGE_WARN}]")  # fmt: skip
@click.option("--fail", type=click.FloatRange(min=0), metavar="X",
              help=f"Merge loss from which the verdict is fail.  [default: {MERGE_FAIL}]")  # fmt: skip
@click.option("--fail-on", type=click.Choice(("fail", "warn")), default="fail", help="Verdict that exits with 1.")
@click.option("--all", "everything", is_flag=True, help="List every module.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.pass_context
def merge_check(
    ctx: click.Context,
    adapters: tuple[str, ...],
    base: str | None,
    dtype: str | None,
    merged: str | None,
    weights: tuple[float, ...],
    warn: float | None,
    fail: float | None,
    fail_on: str,
    everything: bool,
    as_json: bool,
) -> None:
    """Say what merging ADAPTERs into their base would lose; several are summed.

    \b
    afterburn merge-check my-lora                        (factors alone, no base)
    afterburn merge-check my-lora --base llama           (what rounding loses)
    afterburn merge-check a b --weight 0.7 --weight 0.3 --base auto --dtype bf16

    Exit codes: 0 pass or warn; 1 fail; 2 usage or input; 3 undecided, because the base is needed and not there.
    """
    from afterburn_weight.merge_check.verdict import EXIT, Thresholds, to_json

    if weights and len(weights) != len(adapters):
        raise ConfigError(f"{len(weights)} weights for {len(adapters)} adapters; give --weight once per adapter")
    thresholds = Thresholds(warn=MERGE_WARN if warn is None else warn, fail=MERGE_FAIL if fail is None else fail)
    if thresholds.warn > thresholds.fail:
        raise ConfigError(
            f"--warn {thresholds.warn:g} lies above --fail {thresholds.fail:g}; a failing loss also warns"
        )
    asked = [f"--{name}" for name, value in (("dtype", dtype), ("merged", merged), ("warn", warn), ("fail", fail))
             if value is not None]  # fmt: skip
    report = _check(
        adapters, base, _DTYPES[dtype or "base"], merged, weights or (1.0,) * len(adapters), thresholds, asked
    )
    if as_json:
        click.echo(json.dumps(to_json(report), indent=2, sort_keys=True, allow_nan=False))
    else:
        from rich.console import Console

        from afterburn_weight.merge_check.tables import show

        show(report, Console(highlight=False), everything=everything)
    code = EXIT[report.verdict]
    ctx.exit(1 if report.verdict == "warn" and fail_on == "warn" else code)


def _check(
    names: tuple[str, ...],
    base: str | None,
    dtype: str | None,
    merged: str | None,
    weights: tuple[float, ...],
    thresholds: Thresholds,
    asked: list[str],
) -> Report:
    from afterburn_weight.merge_check import sources
    from afterburn_weight.merge_check.measure import interference, measure_factors
    from afterburn_weight.merge_check.verdict import Reason, Report, judge_factors, judge_interference

    with ExitStack() as stack:
        opened = stack.enter_context(sources.adapters(names))
        measured = tuple(
            measure_factors(adapter, label, weight)
            for adapter, label, weight in zip(opened, _labels(opened), weights, strict=True)
        )
        overlaps = interference(measured)
        reasons = judge_factors(measured, thresholds) + judge_interference(overlaps, measured, thresholds)
        losses: tuple[TensorLoss, ...] | None = None
        found: Opened | None = None
        if base is None:
            reasons += _without_base(measured, asked)
        else:
            text = base if base != sources.AUTO else sources.base_of(names[0])
            try:
                if text is None:
                    raise SubjectError(f"{measured[0].label} names no base; give one with --base")
                found = stack.enter_context(sources.opened(text, cached_only=base == sources.AUTO))
            except SubjectError as error:
                if base != sources.AUTO:
                    raise
                reasons.append(Reason(severity="undecided", code="base_missing", message=str(error)))
        if found is not None:
            other = stack.enter_context(sources.opened(merged)) if merged is not None else None
            more, losses = _with_base(measured, found, other, dtype, thresholds)
            reasons += more
        return Report(
            measured=measured,
            interference=overlaps,
            losses=losses,
            base=found.label if found is not None else None,
            merged=None if merged is None or losses is None else merged.rstrip("/").rpartition("/")[2],
            thresholds=thresholds,
            reasons=tuple(reasons),
        )


def _labels(opened: tuple[Adapter, ...]) -> list[str]:
    """Directory names, with their parents where two are alike."""
    labels = [adapter.label for adapter in opened]
    if len(set(labels)) == len(labels):
        return labels
    long = ["/".join(adapter.path.resolve().parts[-2:]) for adapter in opened]
    return long if len(set(long)) == len(long) else [f"{label} ({i + 1})" for i, label in enumerate(labels)]


def _without_base(measured: tuple[Measured, ...], asked: list[str]) -> list[Reason]:
    from afterburn_weight.merge_check.verdict import Reason

    if asked:
        message = f"{' and '.join(asked)} can only be checked beside the base; give --base"
        return [Reason(severity="undecided", code="base_needed", message=message)]
    blind = [one.label for one in measured if not one.profiled]
    if blind:
        message = f"{', '.join(blind)}: holds no low-rank factors, so that its change is known only beside its base"
        return [Reason(severity="undecided", code="base_needed", message=message)]
    message = "what rounding would lose was not checked: give --base"
    return [Reason(severity="note", code="merge_not_checked", message=message)]


def _with_base(
    measured: tuple[Measured, ...], base: Opened, merged: Opened | None, dtype: str | None, thresholds: Thresholds
) -> tuple[list[Reason], tuple[TensorLoss, ...] | None]:
    from afterburn_weight.merge_check import sources
    from afterburn_weight.merge_check.measure import added, measure_merge, stored_by_several
    from afterburn_weight.merge_check.verdict import Reason, judge_merge

    reasons: list[Reason] = []
    for one in measured:
        named = sources.settings_of(one.adapter)
        if named["base"] and not sources.same_base(named["base"], base.label):
            message = f"{one.label} names the base {named['base']}, and {base.label} was given"
            reasons.append(Reason(severity="warn", code="other_base", message=message))
        if named["revision"] and base.revision and named["revision"] not in (base.revision, "main"):
            message = f"{one.label} names revision {named['revision']} of its base, and {base.revision} was given"
            reasons.append(Reason(severity="warn", code="other_revision", message=message))
    try:
        bound = [sources.bind(one.adapter, base) for one in measured]
        losses = measure_merge(bound, [one.weight for one in measured], dtype, merged)
    except SubjectError as error:
        return [*reasons, Reason(severity="fail", code="does_not_fit", message=str(error))], None
    packed = {
        info.quantisation.code for one in losses if (info := base.source.tensors.get(one.tensor)) and info.quantisation
    }
    if packed:
        message = (
            f"{base.label} is stored quantised ({', '.join(sorted(packed))}): the loss is that of its dequantised "
            "weights; quantising the merged ones again adds its own"
        )
        reasons.append(Reason(severity="note", code="quantised_base", message=message))
    for name in added(bound):
        message = f"cannot be merged: the base has no {name}"
        reasons.append(Reason(severity="fail", code="no_place", message=message))
    for name in stored_by_several(bound):
        message = f"several adapters store {name} whole; the sum of their changes is none of theirs"
        reasons.append(Reason(severity="warn", code="stored_twice", message=message))
    return reasons + judge_merge(losses, thresholds), losses
