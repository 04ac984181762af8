"""Sums by passage, from which every mean of this package is made: token → passage mean → unit mean → estimate.

For passage p and a set S of tokens, x̄_p = Σ_{t∈S} x_t / |S ∩ p|; for unit u with the passages that hold such tokens,
x̄_u = mean_p x̄_p. Estimates are means over units, and n counts units. A passage keeps one sum per quantity for each
class of token and each band of positions, whatever its length, so memory grows with passages and not with tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_behaviour.distribution.names import AUTHORS, SOURCES, part
from afterburn_behaviour.distribution.scored import BAND_ENDS, BANDS, BEFORE, CELLS, CLASSES, NO_TARGET, Scored
from afterburn_behaviour.units import FEWEST
from afterburn_core.forward.model import TOKEN_CLASSES, Passage, TokenScores
from afterburn_core.result.model import Scope

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
MOST_DOMAINS = 40
_class_of = np.repeat(np.arange(CLASSES), BANDS)
_band_of = np.tile(np.arange(BANDS), CLASSES)
ALL_CELLS: Mask = np.ones(CELLS, dtype=bool)


@attrs.frozen(kw_only=True)
class Facts:
    """What is kept of a passage: where it comes from, and none of its text."""

    id: str
    source: str
    domain: str
    unit: str
    author: str | None

    @classmethod
    def of(cls, passage: Passage) -> Facts:
        return cls(
            id=passage.id, source=passage.source, domain=passage.domain, unit=passage.unit, author=passage.author
        )


class Ledger:
    """Sums of quantities by passage and cell. Filled by `observe`, put together by `merge`."""

    def __init__(self, quantities: Sequence[str]) -> None:
        self.quantities = tuple(quantities)
        self._rows: dict[str, tuple[Facts, Floats, Floats]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def observe(self, tokens: Scored, scores: TokenScores) -> None:
        """Takes in the tokens of one batch."""
        self.add(tokens, tokens.values(scores, self.quantities))

    def add(self, tokens: Scored, values: Floats) -> None:
        """Takes in values (m, q) of tokens; NaN where a quantity is undefined."""
        count = len(tokens.passages)
        place = tokens.passage * CELLS + tokens.cell
        shape = (count, CELLS, len(self.quantities))
        sums, counts = np.empty(shape), np.empty(shape)
        for column in range(len(self.quantities)):
            known = ~np.isnan(values[:, column])
            weights = np.where(known, values[:, column], 0.0)
            sums[..., column] = np.bincount(place, weights, count * CELLS).reshape(count, CELLS)
            counts[..., column] = np.bincount(place, known, count * CELLS).reshape(count, CELLS)
        for number, passage in enumerate(tokens.passages):
            if counts[number].any():
                self._rows[passage.id] = (Facts.of(passage), sums[number], counts[number])

    def merge(self, other: Ledger) -> None:
        """Takes in passages that another instance observed."""
        self._rows.update(other._rows)

    def table(self) -> Table:
        """All passages, sorted by id."""
        rows = [self._rows[name] for name in sorted(self._rows)]
        empty = np.zeros((0, CELLS, len(self.quantities)))
        return Table(
            quantities=self.quantities,
            facts=tuple(facts for facts, _, _ in rows),
            sums=np.stack([sums for _, sums, _ in rows]) if rows else empty,
            counts=np.stack([counts for _, _, counts in rows]) if rows else empty,
        )


@attrs.frozen(kw_only=True, eq=False)
class Part:
    """Some of the tokens: of some passages, in some cells."""

    scope: Scope
    passages: Mask  # (P)
    cells: Mask = attrs.field(default=ALL_CELLS)  # (CELLS)


@attrs.frozen(kw_only=True, eq=False)
class Table:
    """The passages of a run with their sums; P of them."""

    quantities: tuple[str, ...]
    facts: tuple[Facts, ...]
    sums: Floats  # (P, CELLS, q)
    counts: Floats  # (P, CELLS, q)
    units: tuple[str, ...] = attrs.field(init=False)
    """Names of all units, sorted; U of them."""
    _unit: NDArray[np.intp] = attrs.field(init=False, repr=False)  # (P)

    def __attrs_post_init__(self) -> None:
        names = sorted({facts.unit for facts in self.facts})
        number = {name: i for i, name in enumerate(names)}
        object.__setattr__(self, "units", tuple(names))
        object.__setattr__(self, "_unit", np.array([number[facts.unit] for facts in self.facts], dtype=np.intp))

    def where(self, keep: Callable[[Facts], bool]) -> Mask:
        """The passages that `keep` accepts, (P)."""
        return np.array([keep(facts) for facts in self.facts], dtype=bool)

    @property
    def everything(self) -> Part:
        """All tokens."""
        return Part(scope=Scope(), passages=np.ones(len(self.facts), dtype=bool))

    def totals(self, quantity: str, of: Part) -> tuple[Floats, Floats]:
        """Sums and numbers of tokens by passage, (P) each; 0 outside the part."""
        column = self.quantities.index(quantity)
        sums = self.sums[:, of.cells, column].sum(axis=1)
        counts = self.counts[:, of.cells, column].sum(axis=1)
        return np.where(of.passages, sums, 0.0), np.where(of.passages, counts, 0.0)

    def tokens(self, quantity: str, of: Part) -> int:
        """How many tokens of a part the quantity is defined for."""
        return int(self.totals(quantity, of)[1].sum())

    def means(self, quantity: str, of: Part) -> Floats:
        """x̄_p, (P); NaN where a passage has no such token."""
        return _ratio(*self.totals(quantity, of))

    def unit_means(self, quantity: str, of: Part) -> Floats:
        """x̄_u, (U); NaN where a unit has no such token."""
        return self.over_units(self.means(quantity, of))

    def over_units(self, values: Floats) -> Floats:
        """Means over the passages of each unit, (U), of values (P), passages that are NaN left out."""
        known = ~np.isnan(values)
        sums, counts = np.zeros(len(self.units)), np.zeros(len(self.units))
        np.add.at(sums, self._unit[known], values[known])
        np.add.at(counts, self._unit[known], 1.0)
        return _ratio(sums, counts)

    def parts(self, quantity: str) -> Iterator[Part]:
        """The whole first, then parts by source, author, class, position and domain with enough units.

        A part of fewer than `FEWEST` units is passed over, one that holds every token as well, and of domains
        everything beyond the `MOST_DOMAINS` largest.
        """
        whole = self.everything
        yield whole
        all_tokens = self.tokens(quantity, whole)
        for candidate in self._candidates(quantity):
            values = self.unit_means(quantity, candidate)
            enough = np.count_nonzero(~np.isnan(values)) >= FEWEST
            if enough and self.tokens(quantity, candidate) < all_tokens:
                yield candidate

    def domains(self, quantity: str) -> Iterator[Part]:
        """The parts by domain alone; none where there is one domain, or too few units in each."""
        named = {facts.domain for facts in self.facts}
        if len(named) < 2:
            return
        found = []
        for name in sorted(named):
            of = Part(scope=part(domain=name), passages=self.where(lambda facts, name=name: facts.domain == name))  # type: ignore[misc]
            units = int(np.count_nonzero(~np.isnan(self.unit_means(quantity, of))))
            if units >= FEWEST:
                found.append((units, of))
        largest = sorted(found, key=lambda entry: -entry[0])[:MOST_DOMAINS]
        yield from sorted((of for _, of in largest), key=lambda of: str(of.scope.subset))

    def _candidates(self, quantity: str) -> Iterator[Part]:
        for source in SOURCES:
            passages = self.where(lambda facts, source=source: facts.source == source)  # type: ignore[misc]
            yield Part(scope=part(source=source), passages=passages)
            if source == "answer":
                for author in AUTHORS:
                    own = passages & self.where(lambda facts, author=author: facts.author == author)  # type: ignore[misc]
                    yield Part(scope=part(source=source, author=author), passages=own)
            if source == "prompt":
                start = part(source=source, at="answer_start")
                yield Part(scope=start, passages=passages, cells=of_classes(NO_TARGET))
            else:
                for end in BAND_ENDS:
                    yield Part(scope=part(source=source, first=str(end)), passages=passages, cells=up_to(end))
                last = BAND_ENDS[-1]
                yield Part(scope=part(source=source, after=str(last)), passages=passages, cells=beyond(last))
        for number, name in enumerate(TOKEN_CLASSES):
            yield Part(scope=part(**{"class": name}), passages=self.everything.passages, cells=_class_of == number)
        yield from self.domains(quantity)


def up_to(end: int) -> Mask:
    """Cells of the first tokens of a text or an answer, up to the `end`-th."""
    band = 1 + BAND_ENDS.index(end)
    return np.asarray((_band_of > BEFORE) & (_band_of <= band))


def beyond(end: int) -> Mask:
    """Cells of the tokens after the `end`-th."""
    return np.asarray(_band_of > 1 + BAND_ENDS.index(end))


def of_classes(*numbers: int) -> Mask:
    """Cells of these classes of tokens."""
    return np.isin(_class_of, numbers)


def _ratio(sums: Floats, counts: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, sums / np.where(counts > 0, counts, 1.0), np.nan)
