"""Length of responses.

Per sample: tokens up to the end mark (where recorded), words, sentences, characters. The contrast, with samples k of
prompt i averaged inside the prompt first:

    log_ratio = mean_i [mean_k log(1 + T_ik) − mean_k log(1 + B_ik)]        exp of it is the ratio of lengths

in tokens where both sides recorded them for every sample, else in words; the unit is stated in the measurement's
reason. Where more than 5 % of a side's answers were cut, lengths are censored: the contrast says so, and the restricted
one compares min(length, c) at the common cap c.
"""

from __future__ import annotations

import json
import math
from typing import Any

import attrs
import numpy as np

from afterburn_behaviour.contrasts import Asked, Family, measure_families, nothing
from afterburn_behaviour.examples import artifact, best
from afterburn_behaviour.style.options import LengthOptions
from afterburn_behaviour.text import sentences, words
from afterburn_behaviour.units import SIDES, UnitTable, describe
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import measure
from afterburn_core.result.model import Measurement, Scope

UNITS = ("tokens", "words", "sentences", "characters")
STATISTICS = ("median", "p10", "p25", "p75", "p90", "sd", "skewness", "kurtosis")
_BINS = 30


class Length:
    """Analyzer `behaviour.length`."""

    def __init__(self, options: LengthOptions) -> None:
        self._options = options
        self._table = UnitTable()
        self._caps: set[int] = set()

    def begin(self, context: AnalyzerContext) -> None:
        self._context = context

    def observe(self, item: Responses) -> None:
        """Keeps the lengths of every sample, and the token limits that were in force."""
        self._table.observe(item, lengths)
        for name in SIDES:
            facts = item.facts.get(name)
            cap = None if facts is None or facts.decoding is None else facts.decoding.get("max_new_tokens")
            if isinstance(cap, int) and cap > 0:
                self._caps.add(cap)

    def merge(self, other: Length) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)
        self._caps |= other._caps

    def finish(self) -> AnalyzerOutput:
        """Lengths of each side, their contrasts, and the distributions behind them."""
        table = self._table
        if not len(table):
            return AnalyzerOutput(measurements=tuple(nothing(["behaviour.length.log_ratio"])))
        unit = "tokens" if counted(table) else "words"
        note, cut = self._note(table, unit)
        parts = tuple(table.subsets())
        whole = parts[:1]
        main = Asked(key=f"log_{unit}", metric="behaviour.length.log_ratio", scale="mean", sides=False, note=note)
        families = [Family(name="behaviour.length", asked=(main,), parts=parts)]
        if unit == "tokens":
            other = Asked(key="log_words", metric="behaviour.length.words_log_ratio", scale="mean", sides=False)
            families.append(Family(name="behaviour.length.words", asked=(other,), parts=whole))
        if cut:
            table, cap = restricted_to_cap(table, unit, self._caps)
            restricted = Asked(
                key="log_restricted",
                metric="behaviour.length.restricted_log_ratio",
                scale="mean",
                sides=False,
                note=f"of min(length, {cap}) in {unit}",
            )
            families.append(Family(name="behaviour.length.restricted", asked=(restricted,), parts=((Scope(), table),)))
        sides = tuple(
            Asked(key=name, metric=f"behaviour.length.{name}", scale="mean", contrast=False)
            for name in UNITS
            if name != "tokens" or any(self._table.samples("tokens", side).size for side in SIDES)
        )
        families.append(Family(name="behaviour.length.sides", asked=sides, parts=parts))
        found = measure_families(families, seed=self._context.seed)
        found = [m for m in found if m.value is not None or m.metric.endswith("log_ratio")]
        found += _distributions(self._table)
        note = f"{unit}: {{base}} and {{trained}}"
        examples = best(self._table, f"log_{unit}", note=note, about="length", told=unit)
        return AnalyzerOutput(
            measurements=tuple(found),
            artifacts=(
                _distribution(self._table, unit, self._options.pairs),
                *artifact("length", examples, excerpts=self._context.excerpts),
            ),
        )

    def _note(self, table: UnitTable, unit: str) -> tuple[str, bool]:
        """What the contrast has to say of its unit, and whether lengths are censored."""
        note = f"in {unit}" if unit == "tokens" else "in words: tokens were not recorded for every answer of both sides"
        shares = {side: table.samples("truncated", side) for side in SIDES}
        cut = {side: float(values.mean()) for side, values in shares.items() if values.size}
        if max(cut.values(), default=0.0) <= self._options.censored:
            return note, False
        told = " and ".join(f"{100 * share:.1f} % of {side}" for side, share in cut.items())
        return f"{note}; censored: {told} answers were cut at a token limit", True


def lengths(sample: Sample) -> dict[str, float | None]:
    """The lengths of one sample by name, and whether it was cut."""
    n = len(words(sample.text))
    return {
        "tokens": None if sample.tokens is None else float(sample.tokens),
        "words": float(n),
        "sentences": float(len(sentences(sample.text))),
        "characters": float(len(sample.text)),
        "log_tokens": None if sample.tokens is None else math.log1p(sample.tokens),
        "log_words": math.log1p(n),
        "truncated": None if sample.finish is None else float(sample.finish == "length"),
    }


def counted(table: UnitTable) -> bool:
    """Whether every sample of the paired prompts has a number of tokens."""
    rows = [row for row in table.rows() if row.paired]
    return bool(rows) and all(
        value is not None for row in rows for side in SIDES for value in row.side(side).values["tokens"]
    )


def restricted_to_cap(table: UnitTable, unit: str, caps: set[int]) -> tuple[UnitTable, int]:
    """The table with `log_restricted`, and the common cap: the smaller token limit, else the shortest cut answer."""
    shortest = [
        length
        for row in table.rows()
        for side in SIDES
        for length, cut in zip(row.side(side).values[unit], row.side(side).values["truncated"], strict=True)
        if cut and length is not None
    ]
    cap = int(min([*caps, *shortest] if unit == "tokens" else shortest))
    rows = []
    for row in table.rows():
        sides = {
            side: attrs.evolve(
                row.side(side),
                values={
                    "log_restricted": tuple(
                        None if length is None else math.log1p(min(length, cap))
                        for length in row.side(side).values[unit]
                    )
                    if row.side(side).texts
                    else ()
                },
            )
            for side in SIDES
        }
        rows.append(attrs.evolve(row, base=sides["base"], trained=sides["trained"]))
    return UnitTable(rows), cap


def _distributions(table: UnitTable) -> list[Measurement]:
    """Statistics of each side's samples; descriptions, so without intervals."""
    found = []
    for unit in UNITS:
        for side in SIDES:
            values = table.samples(unit, side)
            if not values.size:
                continue
            known: dict[str, float] = describe(values)
            if values.size > 1:
                known["sd"] = float(values.std(ddof=1))
            centred = values - values.mean()
            spread = float(np.sqrt(np.mean(centred**2)))
            if spread > 0:
                known["skewness"] = float(np.mean(centred**3)) / spread**3
                known["kurtosis"] = float(np.mean(centred**4)) / spread**4 - 3
            for name in STATISTICS:
                if name in known:
                    metric = f"behaviour.length.{unit}.{name}"
                    found.append(measure(metric, known[name], subjects=(side,), n=int(values.size)))
    return found


def _distribution(table: UnitTable, unit: str, most: int) -> ArtifactPayload:
    """What a plot needs: bins of equal ratio, counts of both sides, and pairs of prompt means."""
    sides = {side: table.samples(unit, side) for side in SIDES}
    longest = max((float(values.max()) for values in sides.values() if values.size), default=1.0)
    edges = np.expm1(np.linspace(0.0, math.log1p(max(longest, 1.0)), _BINS + 1))
    edges[-1] = max(longest, 1.0)
    paired = table.paired(unit)
    n = len(paired.probes)
    kept = range(n) if n <= most else np.linspace(0, n - 1, most).astype(int)
    content: dict[str, Any] = {
        "unit": unit,
        "edges": [round(float(edge), 6) for edge in edges],
        **{side: np.histogram(values, bins=edges)[0].tolist() for side, values in sides.items()},
        "pairs": [
            {"probe": paired.probes[i], "base": float(paired.base[i]), "trained": float(paired.trained[i])}
            for i in kept
        ],
        "prompts": n,
    }
    return ArtifactPayload(
        id="behaviour.length_distribution",
        suffix=".json",
        media_type="application/json",
        summary=f"Distribution of lengths in {unit}: histograms of both sides and pairs of prompt means",
        content=json.dumps(content, ensure_ascii=False, sort_keys=True).encode(),
    )
