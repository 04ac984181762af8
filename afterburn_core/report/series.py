"""Several models beside one base, laid out for reports: checkpoints of a run over its steps, candidates in pairs.

Only what the document says of layers, kinds of module and the whole model is taken; the document keeps the tensors.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import attrs

from afterburn_core.report import numbers, presentation
from afterburn_core.report.cards import Card
from afterburn_core.report.evidence import SERIES, Evidence
from afterburn_core.report.grids import MODULES
from afterburn_core.result.model import Measurement, Result, Scope, Subject
from afterburn_core.run.directory import artifact_reader

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

TRAJECTORY, CANDIDATES = SERIES
LOG = "weight.training_log"
LOGGED = 4000
"""Rows of a training log that are drawn; a longer one is thinned evenly."""
MATRICES = ("cosine", "sign_agreement", "subspace_left", "subspace_right")
_BARS = "▁▂▃▄▅▆▇█"

Values = list[float | None]


@attrs.frozen(kw_only=True)
class Place:
    """What a series measures at one place."""

    name: str
    scope: Scope
    lines: Mapping[str, Values] = attrs.field(factory=dict)
    """By metric, one value for each model in its order."""
    facts: Mapping[str, float | None] = attrs.field(factory=dict)
    """By metric, what is said of the whole way."""
    pairs: Mapping[str, list[Values]] = attrs.field(factory=dict)
    """By metric, a symmetric matrix over the models."""


@attrs.frozen(kw_only=True)
class Series:
    """A series ready to be drawn."""

    kind: Literal["trajectory", "candidates"]
    subjects: tuple[Subject, ...]
    """The models in their order, without the base."""
    steps: tuple[float, ...]
    """Training steps of a trajectory; the models' numbers otherwise."""
    places: tuple[Place, ...]
    """The whole model first, then kinds of module, then layers."""
    log: tuple[Mapping[str, float], ...] = ()
    coverage: float | None = None

    @property
    def whole(self) -> Place:
        """What is said of the whole model."""
        return self.places[0]

    @property
    def layers(self) -> tuple[Place, ...]:
        return tuple(place for place in self.places if place.scope.layer is not None)

    @property
    def labels(self) -> tuple[str, ...]:
        """What to call the models."""
        return tuple(subject.id.partition(":")[2] or subject.label for subject in self.subjects)

    def figure(self) -> dict[str, Any]:
        """Plain lists for the page's charts."""
        return {
            "kind": self.kind,
            "labels": list(self.labels),
            "steps": list(self.steps),
            "log": [dict(row) for row in self.log],
            "places": [
                {"name": p.name, "layer": p.scope.layer is not None, **p.lines, **p.facts, **p.pairs}
                for p in self.places
            ],
        }


def series_of(view: ResultView, evidence: Evidence) -> Series | None:
    """The series of a document, or `None` where it compares a pair."""
    if not evidence.series:
        return None
    result = view.result
    prefix = TRAJECTORY if evidence.series[0].metric.startswith(TRAJECTORY) else CANDIDATES
    role = "checkpoint" if prefix == TRAJECTORY else "trained"
    subjects = tuple(subject for subject in result.subjects if subject.role == role)
    found = {(item.metric.removeprefix(prefix), item.subjects, item.scope): item for item in evidence.series}
    scopes = {item.scope for item in evidence.series if item.metric == f"{prefix}norm"}
    if Scope() not in scopes:
        return None
    make = _steps if prefix == TRAJECTORY else _pairs
    steps = [
        float(s.properties.get("step", i + 1)) if role == "checkpoint" else i + 1.0 for i, s in enumerate(subjects)
    ]
    coverage = found.get(("coverage", ("base",), Scope()))
    return Series(
        kind="trajectory" if prefix == TRAJECTORY else "candidates",
        subjects=subjects,
        steps=tuple(steps),
        places=tuple(make(found, subjects, scope) for scope in sorted(scopes, key=_order)),
        log=_log(view, result),
        coverage=coverage.value if coverage else None,
    )


_Found = Mapping[tuple[str, tuple[str, ...], Scope], Measurement]


def _value(found: _Found, metric: str, subjects: Sequence[str], scope: Scope) -> float | None:
    item = found.get((metric, tuple(subjects), scope))
    return None if item is None else item.value


def _steps(found: _Found, subjects: Sequence[Subject], scope: Scope) -> Place:
    ids = ["base", *(subject.id for subject in subjects)]
    lines: dict[str, Values] = {
        name: [_value(found, name, ("base", one), scope) for one in ids[1:]]
        for name in ("norm", "relative", "changed_fraction", "cosine_to_final")
    }
    lines["step_norm"] = [_value(found, "step_norm", pair, scope) for pair in itertools.pairwise(ids)]
    turns = [_value(found, "step_cosine", ids[i : i + 3], scope) for i in range(len(ids) - 2)]
    lines["step_cosine"] = [*turns, None]  # at the checkpoint where the way turns; none turns at the last
    if scope == Scope():
        for name in ("loss", "eval_loss", "learning_rate"):
            lines[name] = [_value(found, name, (one,), scope) for one in ids[1:]]
    facts = {
        name: _value(found, name, ("base", ids[-1]), scope)
        for name in ("path_length", "straightness", "onset_step", "change_point")
    }
    return Place(name=presentation.place(scope), scope=scope, lines=lines, facts=facts)


def _pairs(found: _Found, subjects: Sequence[Subject], scope: Scope) -> Place:
    ids = [subject.id for subject in subjects]
    lines: dict[str, Values] = {
        name: [_value(found, name, ("base", one), scope) for one in ids]
        for name in ("norm", "relative", "changed_fraction")
    }
    pairs = {}
    for name in (*MATRICES, "subspace_left_random", "subspace_right_random"):
        # a change of nothing has no direction that it could share with itself
        own = [None if name.endswith("_random") or norm == 0 else 1.0 for norm in lines["norm"]]
        pairs[name] = [
            [
                own[i] if i == j else _value(found, name, (ids[min(i, j)], ids[max(i, j)]), scope)
                for j in range(len(ids))
            ]
            for i in range(len(ids))
        ]
    facts = {"cosine_random": _value(found, "cosine_random", ("base",), scope)}
    return Place(name=presentation.place(scope), scope=scope, lines=lines, facts=facts, pairs=pairs)


def _order(scope: Scope) -> tuple[bool, bool, str, int, int, str]:
    known = MODULES.index(scope.module) if scope.module in MODULES else len(MODULES)
    layer = -1 if scope.layer is None else scope.layer
    return scope != Scope(), scope.layer is not None, scope.subset or "", layer, known, scope.module or ""


def _log(view: ResultView, result: Result) -> tuple[Mapping[str, float], ...]:
    if view.directory is None:
        return ()
    content = artifact_reader(view.directory, result.artifacts)(LOG)
    rows = content.get("log") if content is not None else None
    if not isinstance(rows, list):
        return ()
    known = [
        {key: float(value) for key, value in row.items() if type(value) in (int, float)}
        for row in rows
        if isinstance(row, dict) and type(row.get("step")) in (int, float)
    ]
    return tuple(known[:: max(1, -(-len(known) // LOGGED))])


def series_cards(series: Series) -> tuple[Card, ...]:
    """The key figures of a series."""
    count = Card(
        label="Models",
        value=f"{len(series.subjects)} {'checkpoints' if series.kind == 'trajectory' else 'candidates'}",
        note=f"steps {numbers.number(series.steps[0])} to {numbers.number(series.steps[-1])}"
        if series.kind == "trajectory"
        else "compared with one base and one another",
    )
    known = series.coverage is not None
    coverage = Card(
        label="Coverage",
        value=numbers.percent(series.coverage) if series.coverage is not None else "Not measured",
        note="of all parameters were compared in every model",
        known=known,
    )
    return (count, *(_way(series) if series.kind == "trajectory" else _relations(series)), coverage)


def _way(series: Series) -> Iterable[Card]:
    whole = series.whole
    yield _card("Final change", _percent(whole.lines["relative"][-1]), "norm of the change over norm of the base")
    yield _card("Straightness", _number(whole.facts["straightness"]), "final change over the length of the path")
    turns = [(value, i) for i, value in enumerate(whole.lines["step_cosine"]) if value is not None]
    if turns:
        value, where = min(turns)
        yield _card("Sharpest turn", _number(value), f"cosine of the steps before and after {series.labels[where]}")


def _relations(series: Series) -> Iterable[Card]:
    matrix = series.whole.pairs["cosine"]
    known = [(value, i, j) for i, line in enumerate(matrix) for j, value in enumerate(line[:i]) if value is not None]
    for label, pick in (("Most alike", max), ("Least alike", min)):
        if known:
            value, i, j = pick(known)
            yield _card(label, _number(value), f"cosine of {series.labels[j]} and {series.labels[i]}")


def _card(label: str, value: str | None, note: str) -> Card:
    return Card(label=label, value=value or "Undefined", note=note, known=value is not None)


def sparkline(values: Sequence[float | None]) -> str:
    """Values as bars from the lowest to the highest, a space where there is none; flat ones in the middle."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    size = high - low
    steps = [
        " " if value is None else _BARS[round((value - low) / size * (len(_BARS) - 1)) if size else len(_BARS) // 2]
        for value in values
    ]
    return "".join(steps)


Rows = list[tuple[str, ...]]


def table_of(series: Series) -> tuple[tuple[str, ...], Rows]:
    """Heads and rows of the figures for the whole model, for every format."""
    lines = series.whole.lines
    if series.kind == "candidates":
        columns, heads = ["relative", "norm", "changed_fraction"], ["Change", "Norm", "Entries"]
        names = [f"{i + 1} {label}" for i, label in enumerate(series.labels)]
        first = "Candidate"
    else:
        columns = ["relative", "step_norm", "step_cosine", "cosine_to_final", "loss", "eval_loss"]
        heads = ["Change", "Way", "Turn", "To final", "Loss", "Eval loss"]
        names, first = [numbers.number(step) for step in series.steps], "Step"
    kept = [k for k, name in enumerate(columns) if k < 4 or any(value is not None for value in lines[name])]
    rows: Rows = [(name, *(_cell(columns[k], lines[columns[k]][i]) for k in kept)) for i, name in enumerate(names)]
    return (first, *(heads[k] for k in kept)), rows


def pair_table(series: Series) -> tuple[tuple[str, ...], Rows]:
    """Heads and rows of the pairs of candidates for the whole model, most alike first."""
    pairs = series.whole.pairs
    order = sorted(
        itertools.combinations(range(len(series.subjects)), 2),
        key=lambda pair: -(pairs["cosine"][pair[0]][pair[1]] or 0.0),
    )
    rows: Rows = []
    for i, j in order:
        sides = [
            f"{_cell(name, pairs[name][i][j])} ({_cell(name, pairs[f'{name}_random'][i][j])})"
            for name in ("subspace_left", "subspace_right")
        ]
        signs = _cell("sign_agreement", pairs["sign_agreement"][i][j])
        rows.append((f"{i + 1}–{j + 1}", _cell("cosine", pairs["cosine"][i][j]), signs, *sides))
    return ("Pair", "Cosine", "Signs", "Left (random)", "Right (random)"), rows


def labelled_tables(series: Series) -> tuple[tuple[tuple[str, ...], Rows, str], ...]:
    """Heads, rows and heading of every table of a series."""
    if series.kind == "trajectory":
        return ((*table_of(series), "The whole model, checkpoint by checkpoint"),)
    return ((*table_of(series), "The candidates"), (*pair_table(series), "Pairs, most alike first"))


def _cell(metric: str, value: float | None) -> str:
    return (_percent(value) if metric in ("relative", "changed_fraction") else _number(value)) or "–"


def _number(value: float | None) -> str | None:
    return None if value is None else numbers.number(float(f"{value:.3g}"))


def _percent(value: float | None) -> str | None:
    return None if value is None else numbers.percent(value)
