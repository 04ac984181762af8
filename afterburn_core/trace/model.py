"""What a trace says: its document, `traces/<metric>.json` in the run directory, field by field (`docs/trace.md`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from afterburn_core.trace.shares import Share

SCHEMA_VERSION = "1.0"

Outcome = Literal["carried", "not_special", "whole", "nothing", "unchanged", "interrupted"]
"""`carried`: a set carries the effect, and more than random sets of its size. `not_special`: a set does, and so do
random ones, or nearly so. `whole`: no part does by itself. `nothing`: there is no effect to trace. `unchanged`: the
weights are equal. `interrupted`: stopped before anything could be said."""


@attrs.frozen(kw_only=True)
class Block:
    """A set of places with what it carries."""

    label: str
    """`layers 12–15 MLP`."""
    places: int
    parameters: float
    """Share of all changed parameters."""
    energy: float
    """Share of ‖Δ‖_F²."""
    alone: Share | None = None
    """What the base shows of the effect once this set alone is trained; `None` where it was not evaluated."""
    lost: Share | None = None
    """What the trained model loses of the effect once this set is put back to base."""


@attrs.frozen(kw_only=True)
class Control:
    """Random sets of places of about equal size."""

    matched: Literal["energy", "parameters"]
    """What of them is about equal to the set's."""
    alone: tuple[float, ...]
    """What each carries alone."""
    p_value: float
    """(1 + number that carry at least as much) / (1 + number)."""
    exceeded: bool
    """Whether the set carries more than every one of them, with the lower bound of its interval; `p_value` is then
    1 / (1 + number)."""


@attrs.frozen(kw_only=True)
class Step:
    """One division on the way, and what was made of it."""

    division: str
    """What the set was divided into: `half of the layers`, `layer`."""
    blocks: tuple[Block, ...]
    kept: Block | None
    """What the search went on with; `None` where no part carries the share."""
    control: Control | None = None
    """Of what was kept."""


@attrs.frozen(kw_only=True)
class Table:
    """Every layer band by every part."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Block | None, ...], ...]
    """By row and column; `None` where nothing changed."""


@attrs.frozen(kw_only=True)
class Effect:
    """What is traced, as measured again on the traced prompts or passages."""

    value: float
    """m(all) − m(∅)."""
    low: float
    high: float
    """95 % interval by the jackknife over groups of units."""
    none: float
    """m(∅): the metric of base against itself."""
    unit: str
    n: int
    """Units: prompts, or documents."""
    groups: int
    """Groups of the jackknife."""


@attrs.frozen(kw_only=True)
class Trace:
    """The whole answer."""

    metric: str
    subset: str | None
    """Part of the prompts that the measurement speaks of; `None` for all."""
    run: str
    """Id of the traced run."""
    subjects: Mapping[str, Mapping[str, str]]
    """Label and digest by role."""
    settings: Mapping[str, Any]
    """Share, controls, preset, prompts, decoding, seed: what shaped the numbers."""
    outcome: Outcome
    statement: str
    effect: Effect | None
    answer: Block | None
    """The smallest set found to carry the share."""
    control: Control | None
    """Of the answer."""
    path: tuple[Step, ...]
    table: Table | None
    notes: tuple[str, ...] = ()
    evaluations: int = 0
    finished: bool = True
    """False where the search ended early: interrupted, or the most evaluations were made."""
    interrupted: bool = False
    """Whether the user stopped it; the same command goes on."""
    schema_version: str = SCHEMA_VERSION
