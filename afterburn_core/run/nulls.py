"""Nulls of measurements: where a contrast of trained with base lies among the same contrasts of controls.

For a value T of a metric at a place and the values T_k that its shadows measured for K controls of one kind,

    p = (1 + #{k : T_k ≥ T})/(K + 1)

by size for metrics that grow with change (direction `higher_is_more_change`), else by distance from the value that says
"no change" (`MetricSpec.neutral`). A control without such a value counts as extreme. Controls that all have one value
are degenerate: no null. Of several kinds of controls the first named that says something gives the null. A null that an
analyzer set itself stays, unless it is of a kind that a user can ask for.

The artifact `core.controls` keeps `controls` (`id`, `kind`, `label`) and `values`: by measurement and kind what the
controls measured, in their order, with `quantile` and `p_value`, or the `reason` why there are none.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.plugin.registry import Registered
from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.plugin.specs import MetricSpec
from afterburn_core.result.model import Execution, Measurement, Notification, Null, Produced
from afterburn_core.run.controls import GENERATED, Kind, words
from afterburn_core.stats.controls import among, degenerate, least_p_value

if TYPE_CHECKING:
    from afterburn_core.run.shadows import Shadow

PAIR = ("base", "trained")
Values = Mapping[str, float | None]
"""By id of the measurement."""


@attrs.frozen(kw_only=True)
class Compared:
    """What came of the controls."""

    measurements: tuple[Measurement, ...]
    payload: ArtifactPayload
    execution: Execution


@attrs.frozen(kw_only=True)
class _Peer:
    """A control that was measured, or why it was not."""

    id: str
    kind: Kind
    label: str
    analyzers: frozenset[str]
    values: Values


def compare(
    measurements: Iterable[Measurement],
    shadows: Sequence[Shadow],
    specs: Mapping[str, Registered],
    component: str,
) -> Compared:
    """Finishes the shadows and sets every contrast among the controls.

    Args:
        measurements: of the real analyzers.
        shadows: fed with all that the passes had for them.
        specs: the analyzers by name.
        component: whose execution tells of it.
    """
    started = time.perf_counter()
    notes: list[Notification] = []
    peers = [_finished(shadow, notes) for shadow in shadows]
    metrics = {metric.id: (name, metric) for name, one in specs.items() for metric in one.spec.metrics}
    table: dict[str, dict[str, Any]] = {}
    told = [_with_null(m, peers, metrics, table) for m in measurements]
    for kind in dict.fromkeys(peer.kind for peer in peers):
        own = [peer for peer in peers if peer.kind == kind and peer.analyzers]
        if own:
            least = f"{least_p_value(len(own)):.3g}"
            message = f"{words(kind, len(own))}: no p value below {least} is possible"
            flat = sum("reason" in entry[kind] for entry in table.values() if kind in entry)
            if flat:
                message += f"; {numbered(flat)} no null, because the controls all have one value (degenerate control)"
            notes.append(Notification(level="note", message=message))
    listed = [{"id": peer.id, "kind": peer.kind, "label": peer.label} for peer in peers]
    payload = ArtifactPayload(
        id="core.controls",
        suffix=".json",
        media_type="application/json",
        summary="Every contrast's value for each control, by measurement and kind of control",
        content=json.dumps({"controls": listed, "values": table}, sort_keys=True, allow_nan=False).encode(),
    )
    execution = Execution(
        component=component,
        kind="analyzer",
        plugin="core",
        status="ok",
        seconds=round(time.perf_counter() - started, 3),
        produced=Produced(artifacts=1),
        counters={
            "controls": len(peers),
            "contrasts": len(table),
            **Counter(peer.kind for peer in peers if peer.analyzers),  # what a policy that asks for controls counts
        },
        notifications=tuple(notes),
    )
    return Compared(measurements=tuple(told), payload=payload, execution=execution)


def _finished(shadow: Shadow, notes: list[Notification]) -> _Peer:
    """Takes what the instances of a shadow measured, and notes what went wrong in them."""
    companion = shadow.companion
    values: dict[str, float | None] = {}
    finished: set[str] = set()
    if shadow.dropped is not None:
        notes.append(Notification(level="warning", message=f"{companion.id}: {shadow.dropped}"))
    for name, instances in shadow.instances.items() if shadow.dropped is None else ():
        merged = instances[0]
        for other in instances[1:]:
            merged.merge(other)
        output = merged.finish()
        if merged.error is not None:
            notes.append(Notification(level="warning", message=f"{companion.id}: {name} failed ({merged.error})"))
            continue
        finished.add(name)
        values.update({m.id: m.value for m in output.measurements if m.subjects == PAIR})
    control = companion.beside.control
    return _Peer(
        id=companion.id, kind=control.kind, label=control.label, analyzers=frozenset(finished), values=values
    )  # fmt: skip


def _with_null(
    measurement: Measurement,
    peers: Sequence[_Peer],
    metrics: Mapping[str, tuple[str, MetricSpec]],
    table: dict[str, dict[str, Any]],
) -> Measurement:
    """The measurement with its null; what all kinds of controls say of it is added to the table."""
    if measurement.subjects != PAIR or measurement.value is None or measurement.metric not in metrics:
        return measurement
    analyzer, metric = metrics[measurement.metric]
    if metric.neutral is None:
        return measurement
    nulls: dict[Kind, Null | None] = {}
    for kind, own in _by_kind(peers, analyzer):
        values = [peer.values.get(measurement.id) for peer in own]
        if all(value is None for value in values):
            continue
        nulls[kind] = found = among(
            measurement.value,
            values,
            control=kind,
            sense="greater" if metric.direction == "higher_is_more_change" else "distance",
            neutral=metric.neutral,
        )
        entry: dict[str, Any] = {"values": values}
        if found is not None:
            entry |= {"quantile": found.quantile, "p_value": found.p_value}
        elif degenerate(values):
            entry["reason"] = "degenerate control: several controls without spread"
        table.setdefault(measurement.id, {})[kind] = entry
    if not nulls or not (measurement.null is None or _replaceable(measurement.null)):
        return measurement
    return attrs.evolve(measurement, null=next((null for null in nulls.values() if null is not None), None))


def _by_kind(peers: Sequence[_Peer], analyzer: str) -> Iterator[tuple[Kind, list[_Peer]]]:
    """The controls that an analyzer looked at, by kind, in the order in which they were named."""
    for kind in dict.fromkeys(peer.kind for peer in peers):
        own = [peer for peer in peers if peer.kind == kind and analyzer in peer.analyzers]
        if own:
            yield kind, own


def _replaceable(null: Null) -> bool:
    """Whether an analyzer's own null is of controls that a user can ask for, so that better ones may take its place."""
    return set(null.control.split("+")) <= set(GENERATED)


def numbered(contrasts: int) -> str:
    return "1 contrast has" if contrasts == 1 else f"{contrasts} contrasts have"


def interrupted(component: str, reason: str) -> Execution:
    """The record of controls that were not compared because the run ended early."""
    return Execution(
        component=component, kind="analyzer", plugin="core", status="interrupted", seconds=0.0, reason=reason
    )
