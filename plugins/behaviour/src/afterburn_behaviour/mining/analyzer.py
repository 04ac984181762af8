"""Diff mining: what training taught, read off the next-token distributions over text that has nothing to do with it.

After "Diff Mining: Logit Differences Reveal Finetuning Objectives" (arXiv 2608.26462): at every position of a neutral
text D_v = ln p_trained(v) − ln p_base(v), and the K tokens of largest and of least D are noted. A token that is among
them at an outstanding share of positions was taught, or is near to what was taught.

What is kept has a fixed size: rates and mean differences of every token (`mining.sums`), the commonest extremes of at
most 2048 passages (`mining.passages`), ten stretches of text (`mining.windows`). Candidates come from one half of the
units and are judged on the other (`mining.candidates`). Where the pass reads a scrambled change of the same size
beside the pair, a token is found if it is an extreme more often than any token is under that change; else by the test
of swapped sides alone, and the measurements say so.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from afterburn_behaviour.mining.artifact import Findings, payload
from afterburn_behaviour.mining.batches import GAINS, LOSSES, Batch
from afterburn_behaviour.mining.candidates import CONFIRM, DISCOVER
from afterburn_behaviour.mining.extremes import finite
from afterburn_behaviour.mining.measures import measurements
from afterburn_behaviour.mining.options import MiningOptions
from afterburn_behaviour.mining.outcome import conclude
from afterburn_behaviour.mining.passages import Kept, Sample
from afterburn_behaviour.mining.sums import Differences, Rates
from afterburn_behaviour.mining.windows import Extreme, look
from afterburn_core.forward.model import ForwardBatch, LogitChunk, Rows
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput

_SMALLEST_SHARE = 64
"""At most one token in so many of the vocabulary counts as an extreme: else chance alone makes every token one."""


class DiffMining:
    """Analyzer `behaviour.diff_mining`."""

    def __init__(self, options: MiningOptions) -> None:
        self._options = options
        self._rates: dict[str, Rates] = {}
        self._differences: Differences | None = None
        self._sample = Sample()
        self._windows = (Extreme(largest=True), Extreme(largest=False))
        self._units: tuple[set[str], set[str]] = (set(), set())
        self._positions = 0
        self._approximate = False
        self._batch: Batch | None = None
        self._decode: Callable[[int], str] = str

    def begin(self, context: AnalyzerContext) -> None:
        self._context = context
        self._key = f"behaviour.diff_mining/{context.seed}"

    def observe(self, item: LogitChunk | ForwardBatch) -> None:
        """Notes the extremes of a chunk; with the batch's end, what is kept of its passages."""
        if isinstance(item, LogitChunk):
            self._chunk(item)
        else:
            self._scores(item)
            self._close()

    def merge(self, other: DiffMining) -> None:
        """Takes in batches that another instance observed."""
        self._close()
        other._close()
        for subject, rates in other._rates.items():
            self._rates.setdefault(subject, Rates.empty(rates.total.shape[2])).take_in(rates)
        if other._differences is not None:
            if self._differences is None:
                self._differences = Differences.empty(len(other._differences.squares))
            self._differences.take_in(other._differences)
            self._decode = other._decode
        self._sample.take_in(other._sample)
        for mine, theirs in zip(self._windows, other._windows, strict=True):
            mine.add(theirs.kept)
        for own, more in zip(self._units, other._units, strict=True):
            own |= more
        self._positions += other._positions
        self._approximate |= other._approximate

    def finish(self) -> AnalyzerOutput:
        """The tokens that stand out, tested; topics, examples and stretches of text."""
        self._close()
        trained = self._rates.get("trained")
        if trained is None or self._differences is None:
            return AnalyzerOutput(measurements=measurements(None, self._options))
        outcome = conclude(
            trained=trained,
            controls={name: rates for name, rates in self._rates.items() if name != "trained"},
            differences=self._differences,
            passages=tuple(self._sample),
            units=(len(self._units[DISCOVER]), len(self._units[CONFIRM])),
            options=self._options,
            seed=self._context.seed,
            decode=self._decode,
        )
        findings = Findings(
            outcome=outcome,
            positions=self._positions,
            extreme=_extreme(self._options, trained.total.shape[2]),
            windows=self._windows,
            decode=self._decode,
            approximate=self._approximate,
        )
        return AnalyzerOutput(
            measurements=measurements(outcome, self._options, approximate=self._approximate),
            artifacts=(payload(findings, self._options, excerpts=self._context.excerpts),),
        )

    def _chunk(self, chunk: LogitChunk) -> None:
        batch = self._open(chunk.rows)
        at, where = batch.select(chunk.index)
        if not len(at):
            return
        vocabulary = int(chunk.base.shape[1])
        k = _extreme(self._options, vocabulary)
        if self._differences is None:
            self._differences = Differences.empty(vocabulary)
            self._decode = chunk.rows.decode
        self._approximate |= chunk.approximate
        for subject in ("trained", *(name for name in chunk.controls if _scrambled(name))):
            difference = chunk.difference(subject)
            if where is not None:
                difference = difference[where]
            if not batch.choose(subject, at, difference, k):
                difference = finite(difference)
                batch.choose(subject, at, difference, k)
            if subject not in self._rates:
                self._rates[subject] = Rates.empty(vocabulary)
            if subject == "trained":
                batch.add(at, difference)

    def _open(self, rows: Rows) -> Batch:
        if self._batch is None or self._batch.rows is not rows:
            self._close()
            self._batch = Batch(rows, self._key)
        return self._batch

    def _scores(self, item: ForwardBatch) -> None:
        """Offers the batch's stretches of text."""
        if item.scores is None:
            return
        batch = self._open(item.rows)
        at, where = batch.select(item.scored)
        ratio = (item.scores.base_nll - item.scores.trained_nll).double()
        ratios = (ratio if where is None else ratio[where]).cpu().numpy()
        rows = at.cpu().numpy()
        current, target = item.rows.token[at].cpu().numpy(), item.rows.target[at].cpu().numpy()
        passage = batch.passage[rows]
        for number, one, _ in batch.passages():
            start, stop = np.searchsorted(passage, (number, number + 1))
            if start < stop:
                part = slice(int(start), int(stop))
                look(one.id, ratios[part], current[part], target[part], self._options.window, self._windows)

    def _close(self) -> None:
        """Turns what was noted of the batch under way into sums and lists, and forgets it."""
        batch, self._batch = self._batch, None
        if batch is None or not batch.subjects or self._differences is None:
            return
        confirm = np.array([p.confirm for p in batch.places])
        counting = batch.n > 0
        sizes = np.array([(counting & ~confirm).sum(), (counting & confirm).sum()])
        batch.hand_over(self._differences)
        worth = batch.worth()
        for subject in batch.subjects:
            self._rates[subject].passages += sizes
        both = {(s, sign): batch.counts(s, sign) for s in batch.subjects for sign in (GAINS, LOSSES)}
        for (subject, sign), counts in both.items():
            for half in (DISCOVER, CONFIRM):
                here = confirm[counts.passage] == bool(half)
                value = counts.count[here] * worth[counts.passage[here]]
                self._rates[subject].add(half, sign, counts.token[here], value)
        tokens = batch.rows.token.cpu().numpy()
        for number, passage, place in batch.passages():
            self._positions += int(batch.n[number])
            self._differences.passages[place.group] += 1
            self._units[int(place.confirm)].add(passage.unit)
            if self._sample.wants(place.order, passage.id):
                start, stop = (int(x) for x in np.searchsorted(batch.passage, (number, number + 1)))
                self._sample.add(
                    Kept(
                        id=passage.id,
                        unit=passage.unit,
                        place=place,
                        n=int(batch.n[number]),
                        tokens=tokens[start:stop].astype(np.int32),
                        signs=(
                            both["trained", GAINS].leading(number, start),
                            both["trained", LOSSES].leading(number, start),
                        ),
                    )
                )


def _extreme(options: MiningOptions, vocabulary: int) -> int:
    """K: as asked, but never more than a 64th of the vocabulary, and at least 1."""
    return min(options.top, max(1, vocabulary // _SMALLEST_SHARE))


def _scrambled(subject: str) -> bool:
    """Whether a control is a scrambled change: `control:scrambled`, or one of several `control:scrambled-2`."""
    return subject.removeprefix("control:").startswith("scrambled")
