"""From a gauge and a way to measure blends to the whole answer: is there an effect, which set carries it, the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.forward.live import Place
from afterburn_core.result.model import Interval, Result
from afterburn_core.run.needs import Preset
from afterburn_core.run.progress import Progress
from afterburn_core.trace.cells import COLUMN_WORDS, COLUMNS, Cells, bands, cells_of, layer_range, names_of
from afterburn_core.trace.evaluating import Evaluator, Measure, open_cache
from afterburn_core.trace.measuring import Gauge, Undefined
from afterburn_core.trace.model import Block, Control, Effect, Outcome, Step, Table, Trace
from afterburn_core.trace.search import BudgetSpent, Shares, halve, table_of
from afterburn_core.trace.search import Path as SearchPath
from afterburn_core.trace.shares import FEWEST, Replicates, own_interval
from afterburn_core.trace.statement import outcome_of, statement

JACKKNIFE: Mapping[Preset, int] = {"quick": 10, "standard": 20, "full": 20}
"""Groups of units, each of which the analyzer is run without."""
LIMITS: Mapping[Preset, int | None] = {"quick": 20, "standard": 60, "full": None}
"""Prompts, or passages, that are traced."""
BANDS: Mapping[Preset, int] = {"quick": 2, "standard": 4, "full": 8}
"""Stretches of layers in the table."""
MOST: Mapping[Preset, int] = {"quick": 60, "standard": 120, "full": 600}
"""Evaluations of the search, each of all prompts; the table comes on top."""


@attrs.frozen(kw_only=True)
class Question:
    """What is traced, and how far."""

    result: Result
    """Of the run."""
    gauge: Gauge
    preset: Preset = "standard"
    share: float = 0.8
    """What a set has to carry alone, with the lower bound of its interval."""
    controls: int = 5
    """Random sets beside every set that is kept."""
    seed: int = 0
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    """What else shaped the numbers, for the document."""
    notes: tuple[str, ...] = ()


def trace(
    question: Question, places: Sequence[Place], measure: Measure, *, cache: Path | None, progress: Progress
) -> Trace:
    """Looks for the smallest set of places that carries the effect.

    Ctrl-C ends it with what was found; evaluations that finished are kept.

    Args:
        question: the number that is traced, and how far.
        places: all that training changed.
        measure: of blends.
        cache: root of the cache; `None` keeps nothing.
        progress: told of every evaluation.

    Raises:
        Undefined: the metric has no value on what is traced.
        ConfigError: too few prompts or texts.
    """
    if len(measure.groups) < FEWEST:
        raise ConfigError(
            f"{question.gauge.called}: {len(measure.groups)} independent prompts or texts say too little; "
            f"trace at least {FEWEST}"
        )
    cells = cells_of(places)
    if not cells:
        return _trace(question, "unchanged", None)
    rows = open_cache(cache, question.result, question.gauge, measure)
    try:
        evaluator = Evaluator(measure, names_of(cells), rows, progress)
        return _effect_first(question, cells, evaluator, len(measure.groups))
    finally:
        if rows is not None:
            rows.close()


def _effect_first(question: Question, cells: Cells, evaluator: Evaluator, units: int) -> Trace:
    try:
        whole = evaluator.measured(names_of(cells), "as trained")
        none = _of_none(evaluator, whole.replicates)
    except KeyboardInterrupt:
        return _stopped(_trace(question, "interrupted", None, finished=False))
    change = whole.replicates.minus(none)
    interval = own_interval(change)
    effect = Effect(
        value=float(change.value),
        low=float(interval.low),
        high=float(interval.high),
        none=float(none.value),
        unit=question.gauge.metric.unit,
        n=units,
        groups=len(change.without),
    )
    if _holds(interval, 0.0) or _holds(whole.interval, none.value):
        return _trace(question, "nothing", effect, evaluations=1)
    shares = Shares(evaluator, cells, none, whole.replicates, most=MOST[question.preset])
    return _searched(question, cells, effect, shares)


def _searched(question: Question, cells: Cells, effect: Effect, shares: Shares) -> Trace:
    path = SearchPath()
    table: Table | None = None
    finished, interrupted = True, False
    try:
        try:
            halve(shares, least=question.share, controls=question.controls, seed=question.seed, record=path)
        except BudgetSpent:
            finished = False
        rows = [(layer_range(band), band) for band in bands(cells, BANDS[question.preset])]
        shares.allow(2 * len(rows) * len(COLUMNS))
        table = table_of(rows, [(column, COLUMN_WORDS[column]) for column in COLUMNS], shares)
    except KeyboardInterrupt:
        if not path.steps:
            return _stopped(_trace(question, "interrupted", effect, finished=False, evaluations=shares.evaluations))
        finished, interrupted = False, True
    answer, control = _last(path.steps)
    found = _trace(
        question,
        outcome_of(answer, control),
        effect,
        path=tuple(path.steps),
        finished=finished,
        evaluations=shares.evaluations,
    )
    return attrs.evolve(found, table=table, interrupted=interrupted)


def _stopped(found: Trace) -> Trace:
    return attrs.evolve(found, interrupted=True)


def _of_none(evaluator: Evaluator, like: Replicates) -> Replicates:
    """The metric of base against itself; 0 where it has no value there."""
    try:
        return evaluator.measured(frozenset(), "base against itself").replicates
    except Undefined:
        return Replicates(value=0.0, without=(0.0,) * len(like.without))


def _holds(interval: Interval | None, value: float) -> bool:
    return interval is not None and interval.low <= value <= interval.high


def _trace(
    question: Question,
    outcome: Outcome,
    effect: Effect | None,
    *,
    path: tuple[Step, ...] = (),
    finished: bool = True,
    evaluations: int = 0,
) -> Trace:
    answer, control = _last(path)
    result, gauge = question.result, question.gauge
    return Trace(
        metric=gauge.metric.id,
        subset=gauge.subset,
        run=result.run.id,
        subjects={
            subject.id: {"label": subject.label, "digest": subject.digest}
            for subject in result.subjects
            if subject.id in {"base", "trained"}
        },
        settings={
            "preset": question.preset,
            "share": question.share,
            "controls": question.controls,
            "seed": question.seed,
            **question.settings,
        },
        outcome=outcome,
        statement=statement(
            outcome,
            gauge.called,
            effect,
            least=question.share,
            answer=answer,
            control=control,
            path=path,
            finished=finished,
        ),
        effect=effect,
        answer=answer,
        control=control,
        path=path,
        table=None,
        notes=question.notes,
        evaluations=evaluations,
        finished=finished,
    )


def _last(path: Sequence[Step]) -> tuple[Block | None, Control | None]:
    """What the search kept last, with its controls."""
    kept = [step for step in path if step.kept is not None]
    return (kept[-1].kept, kept[-1].control) if kept else (None, None)
