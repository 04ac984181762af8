"""Units of behavioural statistics: samples are averaged inside their prompt, prompts are paired across the sides.

For prompt i with samples k on a side: s_i = mean_k s_ik, and d_i = s_trained,i − s_base,i. Prompts with one source (a
conversation, a template) stay rows of their own and share a cluster (`Probe.unit`). A prompt that one side alone
answered, or for which a quantity is undefined on a side, is left out of that contrast and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.generation.model import Responses, Sample
from afterburn_core.probes.model import Probe
from afterburn_core.result.model import Scope

if TYPE_CHECKING:
    from typing import Self

Side = Literal["base", "trained"]
Floats = NDArray[np.float64]
SIDES: tuple[Side, Side] = ("base", "trained")
FEWEST = 5
"""A category with fewer paired prompts is not reported on its own."""
MOST_SUBSETS = 40
RESERVED = frozenset({"safe", "unsafe", "requested", "unrequested"})
"""Names of parts that analyzers make themselves; a category of that name is called `suite/category`."""


@attrs.frozen(kw_only=True)
class Answered:
    """One side's samples of a prompt: texts, and a value per sample for each key; `None` where undefined."""

    texts: tuple[str, ...]
    values: Mapping[str, tuple[float | None, ...]]

    def mean(self, key: str) -> float:
        """Mean over the samples for which `key` is defined; NaN where it is for none."""
        defined = [v for v in self.values.get(key, ()) if v is not None]
        return float(sum(defined) / len(defined)) if defined else float("nan")


@attrs.frozen(kw_only=True)
class Row:
    """One prompt with both sides' answers; an empty side did not answer."""

    probe: Probe
    base: Answered
    trained: Answered

    @property
    def paired(self) -> bool:
        return bool(self.base.texts) and bool(self.trained.texts)

    def side(self, name: Side) -> Answered:
        return self.base if name == "base" else self.trained


@attrs.frozen(kw_only=True)
class Paired:
    """Aligned means of the prompts for which a key is defined on both sides, in the order of their ids."""

    probes: tuple[str, ...]
    base: Floats  # (n,)
    trained: Floats  # (n,)
    clusters: tuple[str, ...] | None
    """Unit of each prompt; `None` where every prompt is its own."""

    @property
    def difference(self) -> Floats:
        """trained − base, shape (n,)."""
        return self.trained - self.base


@attrs.frozen(kw_only=True)
class OneSide:
    """One side's means of the prompts for which a key is defined there."""

    probes: tuple[str, ...]
    values: Floats  # (n,)
    clusters: tuple[str, ...] | None


@attrs.frozen(kw_only=True)
class Answers:
    """How many prompts each side answered."""

    paired: int
    base_only: int
    trained_only: int

    @property
    def note(self) -> str | None:
        """What to say of prompts that were left out; `None` where there are none."""
        alone = ((self.base_only, "base"), (self.trained_only, "trained"))
        lost = [f"{n} answered by {side} alone" for n, side in alone if n]
        return f"left out: {', '.join(lost)}" if lost else None


class UnitTable:
    """Rows by prompt. Filled by `observe`, put together by `merge`; the order of observation never matters."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows = {row.probe.id: row for row in rows}

    def observe(self, responses: Responses, values: Callable[[Sample], Mapping[str, float | None]]) -> None:
        """Takes in one prompt; `values` gives the numbers of one sample by key, `None` where undefined."""
        sides: dict[str, Answered] = {}
        for name, samples in responses.sides():
            measured = [values(sample) for sample in samples]
            keys = dict.fromkeys(key for of_sample in measured for key in of_sample)
            sides[name] = Answered(
                texts=tuple(sample.text for sample in samples),
                values={key: tuple(of_sample.get(key) for of_sample in measured) for key in keys},
            )
        self._rows[responses.probe.id] = Row(probe=responses.probe, base=sides["base"], trained=sides["trained"])

    def merge(self, other: UnitTable) -> None:
        """Takes in the prompts that another table observed."""
        self._rows.update(other._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> tuple[Row, ...]:
        """Every prompt, sorted by id."""
        return tuple(self._rows[name] for name in sorted(self._rows))

    def row(self, probe: str) -> Row:
        return self._rows[probe]

    def where(self, keep: Callable[[Row], bool]) -> Self:
        """The table of the rows that `keep` accepts."""
        return type(self)(row for row in self.rows() if keep(row))

    def answers(self) -> Answers:
        """Counts of prompts by who answered."""
        rows = self.rows()
        return Answers(
            paired=sum(row.paired for row in rows),
            base_only=sum(bool(row.base.texts) and not row.trained.texts for row in rows),
            trained_only=sum(bool(row.trained.texts) and not row.base.texts for row in rows),
        )

    @property
    def identical(self) -> bool:
        """Whether both sides wrote the same texts to every prompt that both answered, and there is such a prompt."""
        paired = [row for row in self.rows() if row.paired]
        return bool(paired) and all(row.base.texts == row.trained.texts for row in paired)

    def paired(self, key: str) -> Paired:
        """Both sides' prompt means of `key`, aligned."""
        rows = self.rows()
        base = np.array([row.base.mean(key) for row in rows], dtype=np.float64)
        trained = np.array([row.trained.mean(key) for row in rows], dtype=np.float64)
        kept = np.flatnonzero(np.isfinite(base) & np.isfinite(trained))
        chosen = [rows[i].probe for i in kept]
        return Paired(
            probes=tuple(probe.id for probe in chosen),
            base=base[kept],
            trained=trained[kept],
            clusters=clusters(chosen),
        )

    def one_side(self, key: str, side: Side) -> OneSide:
        """One side's prompt means of `key`, over the prompts that this side answered."""
        rows = self.rows()
        values = np.array([row.side(side).mean(key) for row in rows], dtype=np.float64)
        kept = np.flatnonzero(np.isfinite(values))
        chosen = [rows[i].probe for i in kept]
        return OneSide(probes=tuple(p.id for p in chosen), values=values[kept], clusters=clusters(chosen))

    def samples(self, key: str, side: Side) -> Floats:
        """Every defined sample value of a side, for descriptions of its distribution; never the n of a test."""
        values = [v for row in self.rows() for v in row.side(side).values.get(key, ()) if v is not None]
        return np.array(values, dtype=np.float64)

    def subsets(self) -> Iterator[tuple[Scope, UnitTable]]:
        """The whole first, then each suite where there are several, then each category, all by name.

        A category is called by its name alone where one suite has it, else `suite/category`. Categories with fewer
        than `FEWEST` paired prompts are passed over, and so is everything beyond the `MOST_SUBSETS` largest.
        """
        yield Scope(), self
        rows = self.rows()
        suites = {row.probe.suite for row in rows}
        homes: dict[str, set[str]] = {}
        for row in rows:
            if row.probe.category is not None:
                homes.setdefault(row.probe.category, set()).add(row.probe.suite)
        groups: dict[str, list[Row]] = {}
        for row in rows:
            names = [row.probe.suite] if len(suites) > 1 else []
            category = row.probe.category
            if category is not None:
                lone = len(homes[category]) == 1 and category not in suites | RESERVED
                names.append(category if lone else f"{row.probe.suite}/{category}")
            for name in names:
                groups.setdefault(name, []).append(row)
        parts = {name: of_part for name, of_part in groups.items() if sum(r.paired for r in of_part) >= FEWEST}
        parts = {name: of_part for name, of_part in parts.items() if len(of_part) < len(rows)}
        largest = sorted(parts, key=lambda name: (-len(parts[name]), name))[:MOST_SUBSETS]
        for name in sorted(largest):
            yield Scope(subset=name), UnitTable(parts[name])


def clusters(probes: Sequence[Probe]) -> tuple[str, ...] | None:
    """The unit of each prompt, or `None` where no two prompts share one."""
    units = tuple(probe.unit for probe in probes)
    return units if len(set(units)) < len(units) else None


def describe(values: Any) -> dict[str, float]:
    """Mean, median and the deciles of reports; empty where there is no value."""
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        return {}
    p10, p25, median, p75, p90 = np.percentile(array, [10, 25, 50, 75, 90])
    return {
        "mean": float(array.mean()),
        "median": float(median),
        "p10": float(p10),
        "p25": float(p25),
        "p75": float(p75),
        "p90": float(p90),
    }
