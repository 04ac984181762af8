"""Rules for analyzers of the forward pass: put to what the real pass hands out over tiny models."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from afterburn_core.forward.model import ForwardBatch
from afterburn_core.plugin.registry import load_factory
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.run.needs import DocumentsNeed, ForwardNeed
from afterburn_core.testing.checks.analyzer_output import check_value
from afterburn_core.testing.guards import network_blocked, watched_globals
from afterburn_core.testing.kit import Target, expect, skip
from afterburn_core.testing.reading import Bundle, analyze_bundles, bundles_of, restricted, unlike

PAIRS = ("identity", "noise", "scaled")


def check_identity_pair_has_no_effect(target: Target) -> None:
    """Reading with a model and with itself measures no change, exactly.

    Every metric of which more means more change is exactly 0, or undefined with a reason.
    """
    changes = {metric.id for metric in target.spec.metrics if metric.direction == "higher_is_more_change"}
    for measurement in _output(target, "identity").measurements:
        if measurement.metric in changes and measurement.value is not None:
            expect(measurement.value == 0, f"{measurement.id} is {measurement.value} between equal models, not 0")


def check_a_change_is_noticed(target: Target) -> None:
    """Noise in one matrix of a model moves some measurement away from what it is between equal models."""
    quiet = _output(target, "identity")
    for name in PAIRS[1:]:
        if unlike(quiet, _output(target, name)) is not None:
            return
    expect(False, f"the output on {' and '.join(PAIRS[1:])} is that on equal models")


def check_measurements_are_well_formed(target: Target) -> None:
    """Metrics are declared, no id occurs twice, and a value is finite and has an `n`, or is absent with a reason."""
    declared = {metric.id for metric in target.spec.metrics}
    for name in PAIRS:
        output = _output(target, name)
        seen: set[str] = set()
        for measurement in output.measurements:
            where = f"on the {name} pair {measurement.id}"
            expect(measurement.metric in declared, f"{where}: not declared in the spec")
            expect(measurement.id not in seen, f"{where}: measured twice")
            seen.add(measurement.id)
            check_value(measurement, where)


def check_order_does_not_matter(target: Target) -> None:
    """The output is the same, up to rounding, whatever order the batches come in."""
    bundles = _bundles(target, "noise")
    expected = _output(target, "noise")
    difference = unlike(expected, _analyze(target, [bundles[::-1]]))
    expect(difference is None, f"batches in order and in reverse: {difference}")


def check_merge_equals_single_pass(target: Target) -> None:
    """Analyzers that saw parts of the batches and were merged give what one gives that saw them all.

    This is what lets a pass run on several GPUs or machines. Parts may have any size, also none.
    """
    bundles = _bundles(target, "noise")
    expected = _output(target, "noise")
    middle = len(bundles) // 2
    for division, parts in {
        "in two halves": [bundles[:middle], bundles[middle:]],
        "in turn over three": [bundles[2::3], bundles[0::3], bundles[1::3]],
        "with one that saw nothing": [(), bundles],
    }.items():
        difference = unlike(expected, _analyze(target, parts))
        expect(difference is None, f"whole and {division}: {difference}")


def check_inputs_stay_untouched(target: Target) -> None:
    """Tensors hold after the analysis what they held before, and neither global state nor the network is touched.

    All analyzers of a pass are handed the same tensors; one that computes in place spoils the others' numbers.
    """
    bundles = _bundles(target, "noise")
    before = [_picture(bundle) for bundle in bundles]
    with network_blocked() as attempts, watched_globals() as changed:
        _analyze(target, [bundles])
    expect(not attempts, f"tried {attempts[0] if attempts else ''}")
    expect(not changed, f"changed {', '.join(changed)}")
    expect(before == [_picture(bundle) for bundle in bundles], "a tensor of a batch was written into")


def check_nothing_to_read_is_no_error(target: Target) -> None:
    """An analyzer that observed no batch finishes, with no measurements or undefined ones."""
    for measurement in _analyze(target, [()]).measurements:
        expect(
            measurement.value is None or measurement.value == 0, f"{measurement.id} is {measurement.value} of nothing"
        )


CHECKS = (
    check_identity_pair_has_no_effect,
    check_a_change_is_noticed,
    check_measurements_are_well_formed,
    check_order_does_not_matter,
    check_merge_equals_single_pass,
    check_inputs_stay_untouched,
    check_nothing_to_read_is_no_error,
)


def _bundles(target: Target, name: str) -> tuple[Bundle, ...]:
    need, *others = sorted(target.spec.needs, key=lambda need: not isinstance(need, ForwardNeed))
    foreign = [other for other in others if not isinstance(other, DocumentsNeed)]
    if foreign:
        skip(f"the kit makes no observations for {type(foreign[0]).__name__} yet")
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            skip(f"needs {package}; install afterburn-core[run]")
    found: tuple[Bundle, ...] = target.workbench.keep(
        ("forward", need, name),
        lambda: restricted(bundles_of(target.workbench.pair(name), need, target.registry), need),
    )
    return found


def _output(target: Target, name: str) -> AnalyzerOutput:
    bundles = _bundles(target, name)
    output: AnalyzerOutput = target.workbench.keep(("output", target.name, name), lambda: _analyze(target, [bundles]))
    return output


def _analyze(target: Target, parts: Sequence[Sequence[Bundle]]) -> AnalyzerOutput:
    return analyze_bundles(target.spec, parts, options=_options(target))


def _options(target: Target) -> Mapping[str, Any] | None:
    """Those that the spec's example gives, for an analyzer that does nothing without."""
    example = target.spec.example
    if example is None:
        return None

    def write() -> Mapping[str, Any]:
        folder = target.workbench.directory / f"example-{target.name}"
        folder.mkdir(parents=True, exist_ok=True)
        options: Mapping[str, Any] = load_factory(example)(folder, target.workbench.pair("identity").base)
        return options

    found: Mapping[str, Any] = target.workbench.keep(("example", target.name), write)
    return found


def _picture(bundle: Sequence[object]) -> list[float]:
    """Sums that change when a tensor does."""
    batch = bundle[-1]
    if not isinstance(batch, ForwardBatch):
        return []
    tensors = [*batch.base.sites.values(), *batch.trained.sites.values()]
    if batch.scores is not None:
        tensors += [batch.scores.kl, batch.scores.jsd, batch.scores.base_entropy]
    for chunk in bundle[:-1]:
        tensors += [chunk.base, chunk.trained, chunk.difference()]  # type: ignore[attr-defined]
    return [float(tensor.double().abs().sum()) for tensor in tensors]
