"""Halving toward the smallest set of cells that carries an effect alone.

From all cells on, the current set is divided ever more finely (`cells.partitions`: halves of the layers, parts,
quarters, …, single cells). Of the blocks of a division that carry the stated share alone, with the lower bound of their
interval, the one that carries most is kept and divided again from the start. Where no block does, blocks together may:
ranked by the larger of what they carry alone and what is lost without them, the fewest leading ones that carry the
share are kept, found by bisection, at most three quarters: shaving off what is missed least would make any effect look
placed. (Ever finer blocks and their complements: delta debugging, Zeller and Hildebrandt, Simplifying and Isolating
Failure-Inducing Input, 2002.) The set that no division can shrink is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from afterburn_core.trace.cells import Cells, Partition, label, names_of, partitions, union
from afterburn_core.trace.controls import like_sets
from afterburn_core.trace.model import Block, Control, Step, Table
from afterburn_core.trace.shares import Replicates, Share, share

_LARGEST = 0.75
Measure = Callable[[frozenset[str], str], Replicates]
"""The metric of base against base with these places trained, and what the evaluation is called."""


class BudgetSpent(Exception):
    """The most evaluations were made; what was found until then stands."""


class Recording(Protocol):
    """Hears of every step as soon as it is made, so that an interruption loses none."""

    def step(self, step: Step) -> None: ...


class Shares:
    """What sets of cells carry and are missed for, each blend evaluated once."""

    def __init__(self, measure: Measure, cells: Cells, none: Replicates, whole: Replicates, *, most: int) -> None:
        self.cells = cells
        self._measure = measure
        self._all = names_of(cells)
        self._none, self._effect = none, whole.minus(none)
        self._known: dict[frozenset[str], Replicates] = {frozenset(): none, self._all: whole}
        self._left = most

    @property
    def evaluations(self) -> int:
        return len(self._known) - 1

    def allow(self, more: int) -> None:
        """So many further evaluations may be made."""
        self._left += more

    def alone(self, cells: Cells) -> Share:
        """What base shows of the effect with these cells trained."""
        return self.of_places(names_of(cells), f"{self._label(cells)} alone")

    def lost(self, cells: Cells) -> Share:
        """What the trained model loses of the effect with these cells put back."""
        rest = self._replicates(self._all - names_of(cells), f"{self._label(cells)} put back")
        return self._share(self._effect.minus(rest.minus(self._none)))

    def of_places(self, names: frozenset[str], called: str) -> Share:
        """What base shows of the effect with these places trained."""
        return self._share(self._replicates(names, called).minus(self._none))

    def block(self, cells: Cells, *, alone: bool = True, lost: bool = True) -> Block:
        """A set with its size and its shares."""
        places, parameters, energy = self._sizes(cells)
        _, every, total = self._sizes(self.cells)
        return Block(
            label=self._label(cells),
            places=places,
            parameters=parameters / every,
            energy=energy / total if total else 0.0,
            alone=self.alone(cells) if alone else None,
            lost=self.lost(cells) if lost else None,
        )

    def _label(self, cells: Cells) -> str:
        return label(cells, self.cells)

    def _replicates(self, names: frozenset[str], called: str) -> Replicates:
        if names not in self._known:
            if self._left <= 0:
                raise BudgetSpent
            self._left -= 1
            self._known[names] = self._measure(names, called)
        return self._known[names]

    def _share(self, change: Replicates) -> Share:
        found = share(change, self._effect)
        if found is None:
            raise ValueError("there is no effect to share out; ask for its interval first")
        return found

    @staticmethod
    def _sizes(cells: Cells) -> tuple[int, int, float]:
        places = sum(len(cell.places) for cell in cells)
        return places, sum(cell.parameters for cell in cells), sum(cell.energy for cell in cells)


def halve(shares: Shares, *, least: float, controls: int, seed: int, record: Recording) -> None:
    """Divides until no part of what is left carries `least` of the effect alone; tells every step to `record`.

    Args:
        shares: of the sets.
        least: share that a set has to carry, with the lower bound of its interval.
        controls: random sets of places beside every set that is kept.
        seed: of the random sets.
        record: hears of every step.

    Raises:
        BudgetSpent: the most evaluations were made.
    """
    current, smaller = shares.cells, True
    while smaller:
        smaller = False
        for called, partition in partitions(current):
            blocks = tuple(shares.block(cells) for cells in partition)
            kept = _best(partition, blocks, least) or _together(partition, blocks, shares, least)
            if kept is None:
                record.step(Step(division=called, blocks=blocks, kept=None))
                continue
            control = control_of(kept, shares, controls, seed)
            record.step(Step(division=called, blocks=blocks, kept=shares.block(kept), control=control))
            current, smaller = kept, True
            break


def control_of(cells: Cells, shares: Shares, count: int, seed: int) -> Control | None:
    """Random sets of about the same size; `None` where there are none besides the set."""
    drawn = like_sets(cells, shares.cells, count=count, seed=seed)
    if not drawn.sets:
        return None
    own = shares.alone(cells)
    values = tuple(
        shares.of_places(names, f"random set {number} of {len(drawn.sets)}").value
        for number, names in enumerate(drawn.sets, start=1)
    )
    above = sum(value >= own.value for value in values)
    return Control(
        matched=drawn.matched,
        alone=values,
        p_value=(1 + above) / (1 + len(values)),
        exceeded=own.interval.low > max(values),
    )


def table_of(rows: Sequence[tuple[str, Cells]], columns: Sequence[tuple[str, str]], shares: Shares) -> Table:
    """Every band by every part.

    Args:
        rows: name and cells of each band.
        columns: key (`Cell.column`) and name of each part.
        shares: of the sets.
    """

    def cell(cells: Cells, column: str) -> Block | None:
        chosen = tuple(one for one in cells if one.column == column)
        return shares.block(chosen) if chosen else None

    return Table(
        rows=tuple(name for name, _ in rows),
        columns=tuple(name for _, name in columns),
        cells=tuple(tuple(cell(cells, key) for key, _ in columns) for _, cells in rows),
    )


def carries(found: Share | None, least: float) -> bool:
    """Whether a set carries the share with the lower bound of its interval."""
    return found is not None and found.interval.low >= least


def _best(partition: Partition, blocks: Sequence[Block], least: float) -> Cells | None:
    """The block that carries most, if it carries enough."""
    passing = [
        (block.alone.value, -place) for place, block in enumerate(blocks) if block.alone and carries(block.alone, least)
    ]
    return partition[-max(passing)[1]] if passing else None


def _together(partition: Partition, blocks: Sequence[Block], shares: Shares, least: float) -> Cells | None:
    """The fewest leading blocks that carry enough together, of three quarters of them at most."""

    def weight(place: int) -> float:
        return max(s.value for s in (blocks[place].alone, blocks[place].lost) if s is not None)

    ranked = sorted(range(len(blocks)), key=lambda place: (-weight(place), place))

    def leading(count: int) -> Cells | None:
        chosen = union(partition[place] for place in ranked[:count])
        return chosen if carries(shares.alone(chosen), least) else None

    low, high = 1, int(len(blocks) * _LARGEST)  # `low` blocks do not carry it
    best = leading(high) if high > low else None
    while best is not None and high - low > 1:
        middle = (low + high) // 2
        fewer = leading(middle)
        if fewer is None:
            low = middle
        else:
            best, high = fewer, middle
    return best


@attrs.define
class Path:
    """Keeps the steps of a search."""

    steps: list[Step] = attrs.field(factory=list)

    def step(self, step: Step) -> None:
        self.steps.append(step)
