"""Rules for what an analyzer must and must not notice."""

from __future__ import annotations

from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.testing.checks.subjects import output_of, present, weights_need
from afterburn_core.testing.feeding import analyze, by_id, first_difference
from afterburn_core.testing.kit import Target, expect, fail, skip

PLANTS = (
    "scaled", "scaled norm", "rank one", "zeroed rows", "zeroed tokens", "noisy tokens", "noisy values", "noise",
    "dropped", "added", "reshaped", "nonfinite", "edited", "quantised",
)  # fmt: skip
"""Pairs with one change each."""


def check_identity_pair_has_no_effect(target: Target) -> None:
    """Comparing a model with itself measures no change, exactly, in every dtype and however the files are cut.

    Every metric of which more means more change is exactly 0, or undefined with a reason. A tool that finds something
    where there is nothing cannot be believed where there is something.
    """
    changes = {metric.id for metric in target.spec.metrics if metric.direction == "higher_is_more_change"}
    for name in ("identity", "identity float16", "identity float32", "resharded"):
        for measurement in output_of(target, name).measurements:
            if measurement.metric in changes and measurement.value is not None:
                expect(measurement.value == 0, f"{measurement.id} is {measurement.value} on the {name} pair, not 0")
    difference = first_difference(output_of(target, "identity"), output_of(target, "resharded"))
    expect(difference is None, f"the same tensors in other files give another output: {difference}")


def check_planted_change_is_found_where_it_was_planted(target: Target) -> None:
    """A change made in one tensor moves measurements there, and nothing that speaks of another place.

    Each pair changes one thing: one tensor is scaled, gets a low-rank or a random update, loses rows, goes missing,
    and so on; one pair changes only configuration, tokenizer and template. Every metric of which more means more
    change must rise above 0 at the changed tensor (or at its layer, module or model) for one of them at least. At
    other tensors, layers and modules, values stay what they were between identical models.
    """
    quiet = output_of(target, "identity")
    moved: list[Measurement] = []
    for name in PLANTS:
        planted = target.workbench.pair(name).planted
        place = next((i.scope for i in target.workbench.weight_pairs(name) if i.name == planted), None)
        moved += _moved(quiet, output_of(target, name), place, name)
    expect(moved, f"none of {', '.join(PLANTS)} moved any measurement")
    risen = {measurement.metric for measurement in moved if measurement.value is not None and measurement.value > 0}
    for metric in target.spec.metrics:
        if metric.direction == "higher_is_more_change":
            expect(metric.id in risen, f"{metric.id} rose for none of the planted changes: {', '.join(PLANTS)}")


def check_every_dtype_is_measured(target: Target) -> None:
    """bfloat16, float16, float32 and a mixture of them give the same measurements, in the sense of the same ids.

    Checkpoints come in all three, and training often stores another one than it started from.
    """
    if weights_need(target) is None:
        skip("does not look at weights")
    expected = _defined(output_of(target, "noise"))
    for name in ("noise float16", "noise float32"):
        lost = expected ^ _defined(output_of(target, name))
        expect(not lost, f"{min(lost, default='')} is measured in one of bfloat16 and {name.split()[-1]} only")
    expect(output_of(target, "cast").measurements, "nothing is measured where base and trained differ in dtype")


def check_missing_and_extra_tensors_survive(target: Target) -> None:
    """A tensor that one side lacks, or has in another shape, neither raises nor hides the others.

    Fine-tunes add heads, drop tied weights and grow vocabularies. What can be compared still must be.
    """
    if weights_need(target) is None:
        skip("does not look at weights")
    expected = {m.scope.tensor for m in output_of(target, "identity").measurements if m.scope.tensor}
    for name in ("dropped", "added", "reshaped"):
        found = {m.scope.tensor for m in output_of(target, name).measurements if m.scope.tensor}
        lost = expected - found - {target.workbench.pair(name).planted}
        expect(not lost, f"on the {name} pair nothing is said of {min(lost, default='')}, which both sides have")


def check_nonfinite_weights_survive(target: Target) -> None:
    """NaN and infinity in a tensor neither raise nor reach a value; other tensors are measured as ever.

    They are a fault of the training run that the tool is there to name.
    """
    if weights_need(target) is None:
        skip("does not look at weights")
    quiet = by_id(output_of(target, "identity").measurements)
    planted = target.workbench.pair("nonfinite").planted
    for measurement in output_of(target, "nonfinite").measurements:
        if measurement.scope.tensor not in {None, planted}:
            expect(
                measurement == quiet.get(measurement.id),
                f"{measurement.id} changed although only {planted} holds NaN",
            )


def check_adapters_are_measured(target: Target) -> None:
    """A LoRA adapter on its base is measured like the whole weights it stands for; an empty one has no effect.

    An adapter is a subject like any other; a user need not merge it first.
    """
    if weights_need(target) is None:
        skip("does not look at weights")
    changes = {metric.id for metric in target.spec.metrics if metric.direction == "higher_is_more_change"}
    for measurement in output_of(target, "empty adapter").measurements:
        if measurement.metric in changes and measurement.value is not None:
            expect(measurement.value == 0, f"{measurement.id} is {measurement.value} for an adapter with B = 0")
    output = output_of(target, "adapter")
    lost = by_id(output_of(target, "identity").measurements).keys() - by_id(output.measurements).keys()
    expect(not lost, f"nothing is said of {min(lost, default='')} for an adapter")
    if first_difference(output_of(target, "identity"), output_of(target, "rank one")):
        moved = first_difference(output, output_of(target, "empty adapter"))
        expect(moved, "a low-rank update of whole weights moves measurements, the same in an adapter moves none")


def check_nothing_observed_is_undefined(target: Target) -> None:
    """An analyzer that was given no observation has no values: it says nothing, or `undefined` with a reason.

    A zero would read as "nothing changed" where the truth is "nothing was looked at". Only a count, of which more
    does not mean more change, may be 0 with `n` of 0.
    """
    present(target, ())
    counts = {metric.id for metric in target.spec.metrics if metric.direction == "none"}
    for measurement in analyze(target.spec, ()).measurements:
        if measurement.status == "undefined":
            expect((measurement.reason or "").strip(), f"{measurement.id} is undefined without a reason")
            continue
        counted = measurement.metric in counts and measurement.value == 0 and measurement.n == 0
        expect(counted, f"{measurement.id} is {measurement.value} although nothing was observed")


def _moved(quiet: AnalyzerOutput, loud: AnalyzerOutput, place: Scope | None, name: str) -> list[Measurement]:
    """Measurements that differ where the change is; fails if one differs elsewhere."""
    before, after = by_id(quiet.measurements), by_id(loud.measurements)
    moved: list[Measurement] = []
    for identifier in sorted(before.keys() | after.keys()):
        old, new = before.get(identifier), after.get(identifier)
        some = new or old
        if some is None or _value(old) == _value(new):
            continue
        if place is None or _contains(some.scope, place):
            moved.append(some)
        elif _value(new) != 0 or _value(old) is not None:
            fail(
                f"{identifier} went from {_value(old)} to {_value(new)} on the {name} pair, "
                f"but the change is in {place.tensor}"
            )
    return moved


def _contains(scope: Scope, place: Scope) -> bool:
    """Whether `scope` may speak of a place that `place` is part of; a subset need not be a place at all."""
    if scope.tensor is not None:
        return scope.tensor == place.tensor
    if place.subset is not None and scope.subset not in {None, place.subset}:
        return False
    return all(getattr(scope, field) in {None, getattr(place, field)} for field in ("layer", "module"))


def _value(measurement: Measurement | None) -> float | None:
    return None if measurement is None else measurement.value


def _defined(output: AnalyzerOutput) -> set[str]:
    return {measurement.id for measurement in output.measurements if measurement.status == "ok"}


CHECKS = (
    check_identity_pair_has_no_effect,
    check_planted_change_is_found_where_it_was_planted,
    check_every_dtype_is_measured,
    check_missing_and_extra_tensors_survive,
    check_nonfinite_weights_survive,
    check_adapters_are_measured,
    check_nothing_observed_is_undefined,
)
