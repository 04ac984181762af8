"""Whether trained answers are better: one contrast that every rule of the plugin reads beside its shift.

Of one sample, q is the score of the user's gold function (`Sample.scores["gold"]`) where there is one, else 1 or 0 as
the gold answer says (`afterburn_behaviour.gold`). Samples are averaged inside their prompt first:

    quality = mean_i [mean_k q_trained,ik − mean_k q_base,ik]        in [−1, 1]

A prompt on which any sample has a score is measured by scores alone. Scores that all lie in [0, 1] are taken as they
are. Others have no natural unit, and are compared by rank: with F the distribution of all scores, each prompt and side
weighing the same, F(s) = P(S < s) + ½ P(S = s),

    v = 2 F(s) − ½,        mean v_trained − mean v_base = P(trained > base) − P(trained < base)

for answers to any two prompts (Cliff's δ), and mean v of a side is its chance to be the higher one. It does not change
with any growing transformation of the scores, no outlier shrinks it, and for scores of 0 and 1 it is the difference of
the means. Swapping the sides of a prompt negates its difference, so the sign-flip test is exact.
"""

from __future__ import annotations

import math
from collections import Counter

import attrs
import numpy as np

from afterburn_behaviour.contrasts import Asked, Family, measure_families
from afterburn_behaviour.gold import mark
from afterburn_behaviour.units import SIDES, Answered, Row, UnitTable
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.probes.model import Probe
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Measurement
from afterburn_reward_hack.judging import QUALITY

GOLD = "gold"
"""Key of `Sample.scores`."""
_BY_SCORE, _BY_ANSWER = "by the user's gold function", "by gold answers"


def quality(probe: Probe, sample: Sample) -> float | None:
    """How good one answer is: the gold function's score, else 1 for right and 0 for wrong; `None` where unknown."""
    score = gold_score(sample)
    if score is not None:
        return score
    right = mark(probe, sample).right
    return None if right is None else float(right)


def gold_score(sample: Sample) -> float | None:
    """What the user's gold function says of an answer; `None` where it was not asked or gave no number."""
    score = sample.scores.get(GOLD)
    return None if score is None or not math.isfinite(score) else float(score)


class Quality:
    """Analyzer `reward_hack.quality`."""

    def __init__(self, options: None = None) -> None:
        self._table = UnitTable()
        self._reasons: Counter[str] = Counter()

    def begin(self, context: AnalyzerContext) -> None:
        self._seed = context.seed

    def observe(self, item: Responses) -> None:
        """Marks each sample of the prompt."""

        def values(sample: Sample) -> dict[str, float | None]:
            marked = mark(item.probe, sample)
            if marked.right is None and marked.reason:
                self._reasons[marked.reason] += 1
            return {"score": gold_score(sample), "right": None if marked.right is None else float(marked.right)}

        self._table.observe(item, values)

    def merge(self, other: Quality) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)
        self._reasons.update(other._reasons)

    def finish(self) -> AnalyzerOutput:
        """Each side's quality and the contrast, overall and by category."""
        known = graded(self._table)
        if not len(known):
            return AnalyzerOutput(measurements=(undefined(QUALITY, self._why(), n=0),))
        ranked = needs_ranks(known)
        parts = tuple((scope, by_rank(part) if ranked else part) for scope, part in known.subsets())
        asked = Asked(
            key="quality", metric=QUALITY, scale="mean" if ranked else "rate", note=source(known, ranked=ranked)
        )
        # the whole is the one question asked beforehand; its parts are looked at afterwards, together
        families = [
            Family(name=name, asked=(asked,), parts=some)
            for name, some in ((QUALITY, parts[:1]), (f"{QUALITY} by part", parts[1:]))
        ]
        return AnalyzerOutput(measurements=tuple(map(_bounded, measure_families(families, seed=self._seed))))

    def _why(self) -> str:
        if not len(self._table):
            return "no prompt was answered"
        common = f"; {self._reasons.most_common(1)[0][0]}" if self._reasons else ""
        return f"nothing tells good answers from bad ones{common}: ask prompts with gold answers, or give --gold"


def graded(table: UnitTable) -> UnitTable:
    """The paired prompts whose quality is known on both sides by the same means, with `quality` among their values.

    Args:
        table: with the values `score` and `right` of each sample; the one that was not used is left out.
    """
    rows: list[Row] = []
    for row in table.rows():
        if not row.paired:
            continue
        sides = (row.base, row.trained)
        scored = any(value is not None for side in sides for value in side.values["score"])
        key = "score" if scored else "right"
        if all(any(value is not None for value in side.values[key]) for side in sides):
            base, trained = (attrs.evolve(side, values=_kept(side, key)) for side in sides)
            rows.append(attrs.evolve(row, base=base, trained=trained))
    return UnitTable(rows)


def _kept(side: Answered, key: str) -> dict[str, tuple[float | None, ...]]:
    others = {name: values for name, values in side.values.items() if name not in ("score", "right")}
    return others | {"quality": side.values[key], key: side.values[key]}


def needs_ranks(table: UnitTable) -> bool:
    """Whether a graded table has scores beyond [0, 1]."""
    values = np.concatenate([table.samples("quality", side) for side in SIDES])
    return bool(values.size) and not (values.min() >= 0 and values.max() <= 1)


def by_rank(table: UnitTable) -> UnitTable:
    """A graded table with v = 2 F(score) − ½ in the place of its scores."""
    rows = table.rows()
    known = [[v for v in side.values["quality"] if v is not None] for row in rows for side in (row.base, row.trained)]
    values = np.array([v for of_side in known for v in of_side], dtype=np.float64)
    weights = np.array([1 / len(of_side) for of_side in known for _ in of_side])
    levels, places = np.unique(values, return_inverse=True)
    mass = np.bincount(places, weights=weights) / len(known)
    rank = dict(zip(levels.tolist(), (2 * (np.cumsum(mass) - mass / 2) - 0.5).tolist(), strict=True))

    def ranked(side: Answered) -> Answered:
        moved = tuple(None if v is None else rank[v] for v in side.values["quality"])
        return attrs.evolve(side, values={**side.values, "quality": moved})

    return UnitTable(attrs.evolve(row, base=ranked(row.base), trained=ranked(row.trained)) for row in rows)


def source(table: UnitTable, *, ranked: bool) -> str:
    """What told good answers of a graded table from bad ones."""
    counts = {key: sum(key in row.base.values for row in table.rows()) for key in ("score", "right")}
    told = _BY_ANSWER if not counts["score"] else _BY_SCORE
    if all(counts.values()):
        told = f"{_BY_SCORE} on {counts['score']} prompts and {_BY_ANSWER} on {counts['right']}"
    if not ranked:
        return told
    scores = np.concatenate([table.samples("score", side) for side in SIDES])
    return (
        f"{told}; scores from {scores.min():.4g} to {scores.max():.4g} are compared by rank: the chance that trained's "
        "is the higher one, less the chance that base's is"
    )


def _bounded(measurement: Measurement) -> Measurement:
    """Without what lies beyond the possible values: ranks move with the answers, and their intervals do not know."""
    low = -1.0 if len(measurement.subjects) == 2 else 0.0
    if measurement.value is None or measurement.interval is None:
        return measurement
    ends = (max(low, measurement.interval.low), min(1.0, measurement.interval.high))
    return attrs.evolve(measurement, interval=attrs.evolve(measurement.interval, low=ends[0], high=ends[1]))
