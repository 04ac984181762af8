"""How the weights moved over the checkpoints of one training run.

With θ_0 the base, θ_1 … θ_T the checkpoints, D_t = θ_t − θ_{t−1} and Δ_t = θ_t − θ_0, at every place:

    norm, relative     ‖Δ_t‖,  ‖Δ_t‖ / ‖θ_0‖
    step_norm          ‖D_t‖
    step_cosine        ⟨D_t, D_{t+1}⟩ / (‖D_t‖ ‖D_{t+1}‖)
    cosine_to_final    ⟨Δ_t, Δ_T⟩ / (‖Δ_t‖ ‖Δ_T‖)
    path_length        Σ_t ‖D_t‖
    straightness       ‖Δ_T‖ / Σ_t ‖D_t‖
    onset_step         step of the first t with ‖Δ_t‖² ≥ ‖Δ_T‖² / 10
    change_point       step of t* + 1,  t* = argmax_t |Σ_{s≤t} (x_s − x̄)|,  x = log‖Δ‖    (Page's cumulative sums)

A sharp turn of the direction of change coincides with the onset of emergent misalignment in rank-1 adapters (Model
Organisms for Emergent Misalignment, arXiv 2506.11613); weights alone say when and where, not what.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Notification, Subject
from afterburn_core.run.observations import WeightSeries
from afterburn_weight.series.places import Collected, Place, broken, cosine, coverage, sizes

_PREFIX = "weight.trajectory"
ONSET = 0.1
"""Share of the final energy that counts as having begun."""
_ENOUGH = 4
"""Checkpoints with a change below which no change point is looked for."""
LOGGED = ("loss", "eval_loss", "learning_rate")
"""What is taken over from a trainer's log."""


class Trajectory:
    """Analyzer `weight.trajectory`."""

    def __init__(self, options: None = None) -> None:
        self._found = Collected()
        self._subjects: tuple[Subject, ...] = ()
        self._steps: list[float] = []
        self._log: list[dict[str, float]] = []

    def begin(self, context: AnalyzerContext) -> None:
        """Takes the steps from the subjects, and the log from the last checkpoint's trainer state."""
        self._subjects = tuple(subject for subject in context.subjects if subject.role == "checkpoint")
        self._steps = [float(subject.properties.get("step", i + 1)) for i, subject in enumerate(self._subjects)]
        for subject in reversed(self._subjects):
            state = context.documents(subject.id, "trainer_state")
            if state is not None:
                self._log = read_log(state)
                return

    def observe(self, item: WeightSeries) -> None:
        """Keeps the tensor's sums."""
        self._found.add(item)

    def merge(self, other: Trajectory) -> None:
        """Takes in tensors that another instance observed."""
        self._found.merge(other._found)

    def finish(self) -> AnalyzerOutput:
        """Measurements per tensor, then per roll-up, then what the trainer logged."""
        if not self._subjects or not self._found.items:
            return AnalyzerOutput()
        found: list[Measurement] = []
        for place in self._found.places():
            found += sizes(_PREFIX, self._subjects, place)
            found += self._path(place)
            if place.kind in {"model", "layer", "module"}:
                found += self._steps_of(place)
            if place.kind != "cell":
                found += self._to_final(place)
        found += broken(_PREFIX, self._subjects, self._found.compared)
        found += coverage(_PREFIX, self._subjects, self._found.items)
        found += self._logged()
        payloads = (self._payload(),) if self._log else ()
        return AnalyzerOutput(measurements=tuple(found), artifacts=payloads, notifications=tuple(self._notes()))

    def _path(self, place: Place) -> Iterator[Measurement]:
        sums, scope = place.sums, place.scope
        ends = ("base", self._subjects[-1].id)
        lengths = [math.sqrt(float(sums.steps[t, t])) for t in range(len(self._subjects))]
        length = math.fsum(lengths)
        final = math.sqrt(float(sums.tasks[-1, -1]))
        yield measure(f"{_PREFIX}.path_length", length, subjects=ends, scope=scope, n=sums.n)
        if length:
            straight = min(1.0, final / length)
            yield measure(f"{_PREFIX}.straightness", straight, subjects=ends, scope=scope, n=sums.n)
        else:
            reason = "nothing moved"
            yield undefined(f"{_PREFIX}.straightness", reason, subjects=ends, scope=scope, n=sums.n)
        onset = onset_of([float(sums.tasks[t, t]) for t in range(len(self._subjects))])
        if onset is None:
            reason = "the final change is zero"
            yield undefined(f"{_PREFIX}.onset_step", reason, subjects=ends, scope=scope, n=sums.n)
        else:
            yield measure(f"{_PREFIX}.onset_step", self._steps[onset], subjects=ends, scope=scope, n=sums.n)
        if place.kind in {"model", "layer", "module"}:
            yield self._change_point(place, ends)

    def _change_point(self, place: Place, ends: tuple[str, ...]) -> Measurement:
        squares = [float(place.sums.tasks[t, t]) for t in range(len(self._subjects))]
        moved = [t for t, square in enumerate(squares) if square > 0]
        name = f"{_PREFIX}.change_point"
        if len(moved) < _ENOUGH:
            reason = f"needs at least {_ENOUGH} checkpoints with a change, has {len(moved)}"
            return undefined(name, reason, subjects=ends, scope=place.scope, n=len(moved))
        place_of = change_point([math.log(squares[t]) / 2 for t in moved])
        if place_of is None:
            return undefined(name, "the level does not vary", subjects=ends, scope=place.scope, n=len(moved))
        return measure(name, self._steps[moved[place_of]], subjects=ends, scope=place.scope, n=len(moved))

    def _steps_of(self, place: Place) -> Iterator[Measurement]:
        sums, scope = place.sums, place.scope
        ids = ["base", *(subject.id for subject in self._subjects)]
        for t in range(len(self._subjects)):
            length = math.sqrt(float(sums.steps[t, t]))
            yield measure(f"{_PREFIX}.step_norm", length, subjects=(ids[t], ids[t + 1]), scope=scope, n=sums.n)
            if t:
                yield _cosine("step_cosine", cosine(sums.steps, t - 1, t), tuple(ids[t - 1 : t + 2]), place)

    def _to_final(self, place: Place) -> Iterator[Measurement]:
        last = len(self._subjects) - 1
        for t, subject in enumerate(self._subjects):
            yield _cosine("cosine_to_final", cosine(place.sums.tasks, t, last), ("base", subject.id), place)

    def _logged(self) -> Iterator[Measurement]:
        """What the trainer logged last at or before each checkpoint's step; context, not judged."""
        for subject, step in zip(self._subjects, self._steps, strict=True):
            known = {name: subject.properties[name] for name in LOGGED if name in subject.properties}
            for row in self._log:
                if row["step"] <= step:
                    known |= {name: row[name] for name in LOGGED if name in row}
            for name, value in known.items():
                if math.isfinite(value) and (name != "learning_rate" or value >= 0):
                    yield measure(f"{_PREFIX}.{name}", value, subjects=(subject.id,))

    def _payload(self) -> ArtifactPayload:
        content = json.dumps({"log": self._log}, sort_keys=True, allow_nan=False).encode()
        return ArtifactPayload(
            id="weight.training_log",
            suffix=".json",
            media_type="application/json",
            summary="Loss, evaluation loss and learning rate by step, as the trainer logged them",
            content=content,
        )

    def _notes(self) -> Iterator[Notification]:
        left_out = len(self._found.compared) - len(self._found.finite)
        if left_out:
            message = f"left out of every roll-up: {left_out} tensors, whose sums are not finite in some checkpoint"
            yield Notification(level="warning", message=message)


def read_log(state: Mapping[str, Any]) -> list[dict[str, float]]:
    """Rows of `log_history` with a step and any of `LOGGED`, by step; what is no finite number is passed over."""
    history = state.get("log_history")
    rows = []
    for entry in history if isinstance(history, Sequence) and not isinstance(history, str) else ():
        if not isinstance(entry, Mapping) or not _is_number(entry.get("step")):
            continue
        row = {name: float(entry[name]) for name in LOGGED if _is_number(entry.get(name))}
        if row:
            rows.append({"step": float(entry["step"]), **row})
    return sorted(rows, key=lambda row: row["step"])


def onset_of(squares: Sequence[float]) -> int | None:
    """Index of the first ‖Δ_t‖² ≥ ‖Δ_T‖²/10; `None` where the final change is zero."""
    if not squares or squares[-1] == 0:
        return None
    return next(t for t, square in enumerate(squares) if square >= ONSET * squares[-1])


def change_point(levels: Sequence[float]) -> int | None:
    """Index of the first value after the largest |cumulative sum of deviations from the mean|; `None` if all are equal.

    Page, Continuous Inspection Schemes, Biometrika 41 (1954); Taylor, Change-Point Analysis (2000).
    """
    mean = math.fsum(levels) / len(levels)
    total, sums = 0.0, []
    for level in levels[:-1]:
        total += level - mean
        sums.append(abs(total))
    spread = max(levels) - min(levels)
    if spread <= 1e-12 * max(1.0, abs(mean)):
        return None
    return sums.index(max(sums)) + 1


def _cosine(name: str, value: float | None, subjects: tuple[str, ...], place: Place) -> Measurement:
    metric = f"{_PREFIX}.{name}"
    if value is None:
        return undefined(metric, "one of the two is zero", subjects=subjects, scope=place.scope, n=place.sums.n)
    return measure(metric, value, subjects=subjects, scope=place.scope, n=place.sums.n)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
