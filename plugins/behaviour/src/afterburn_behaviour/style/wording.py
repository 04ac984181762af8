"""Hedging, boilerplate and language of responses."""

from __future__ import annotations

import attrs

from afterburn_behaviour.boilerplate import joint_shares, shared_shares
from afterburn_behaviour.contrasts import Asked, Family, measure_families, nothing
from afterburn_behaviour.examples import artifact, best
from afterburn_behaviour.hedging import disclaims, hedges_per_100, names_itself
from afterburn_behaviour.language import LANGUAGES, asks_for_language, language, script_shares
from afterburn_behaviour.units import SIDES, UnitTable
from afterburn_core.generation.model import Responses
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.model import Measurement, Scope

_HEDGING = (
    Asked(key="hedges per 100 words", metric="behaviour.hedging.density", scale="mean"),
    Asked(key="disclaimer", metric="behaviour.hedging.disclaimer", scale="rate"),
    Asked(key="self-reference", metric="behaviour.hedging.self_reference", scale="rate"),
)
_BOILERPLATE = (
    Asked(key="own wording", metric="behaviour.boilerplate.share", scale="mean", contrast=False),
    Asked(
        key="shared wording",
        metric="behaviour.boilerplate.share",
        scale="mean",
        sides=False,
        note="of wording that comes back in both sides' answers together",
    ),
)
_LANGUAGE = (
    Asked(key="switch", metric="behaviour.language.switch", scale="rate"),
    Asked(key="non-Latin letters", metric="behaviour.language.non_latin", scale="mean"),
    Asked(key="unknown", metric="behaviour.language.unknown", scale="rate"),
)


class Hedging:
    """Analyzer `behaviour.hedging`: hedges per 100 words, disclaimers, mentions of being a machine."""

    def __init__(self, options: None = None) -> None:
        self._table = UnitTable()

    def begin(self, context: AnalyzerContext) -> None:
        self._context = context

    def merge(self, other: Hedging) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)

    def observe(self, item: Responses) -> None:
        """Counts the hedges of every sample."""
        self._table.observe(
            item,
            lambda sample: {
                "hedges per 100 words": hedges_per_100(sample.text),
                "disclaimer": float(disclaims(sample.text)),
                "self-reference": float(names_itself(sample.text)),
            },
        )

    def finish(self) -> AnalyzerOutput:
        """Densities and rates of each side and their contrasts."""
        return _output(self._table, "hedging", _HEDGING, self._context)


class Boilerplate:
    """Analyzer `behaviour.boilerplate`: share of words in 8-grams that come back from prompt to prompt."""

    def __init__(self, options: None = None) -> None:
        self._table = UnitTable()

    def begin(self, context: AnalyzerContext) -> None:
        self._context = context

    def merge(self, other: Boilerplate) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)

    def observe(self, item: Responses) -> None:
        """Keeps the texts; what is shared shows when all are there."""
        self._table.observe(item, lambda sample: {})

    def finish(self) -> AnalyzerOutput:
        """The share on each side, against that side's own answers; the contrast, against those of both together."""
        rows = self._table.rows()
        own = {
            side: shared_shares([row.probe.text for row in rows], [row.side(side).texts for row in rows])
            for side in SIDES
        }
        both = [row for row in rows if row.paired]
        joint = joint_shares(
            [row.probe.text for row in both], [row.base.texts for row in both], [row.trained.texts for row in both]
        )
        shared = {row.probe.id: shares for row, *shares in zip(both, *joint, strict=True)}
        filled = []
        for i, row in enumerate(rows):
            of_pair = shared.get(row.probe.id, [(None,) * len(row.side(side).texts) for side in SIDES])
            sides = [
                attrs.evolve(row.side(side), values={"own wording": own[side][i], "shared wording": of_pair[s]})
                for s, side in enumerate(SIDES)
            ]
            filled.append(attrs.evolve(row, base=sides[0], trained=sides[1]))
        return _output(UnitTable(filled), "boilerplate", _BOILERPLATE, self._context)


class Language:
    """Analyzer `behaviour.language`: shares of languages, letters that are not Latin, switches nobody asked for.

    A switch is an answer in another known language than the prompt's, where the prompt names no language.
    """

    def __init__(self, options: None = None) -> None:
        self._table = UnitTable()

    def begin(self, context: AnalyzerContext) -> None:
        self._context = context

    def merge(self, other: Language) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)

    def observe(self, item: Responses) -> None:
        """Tells the language of every sample, and of the prompt."""
        asked_in = language(item.probe.messages[-1].content)
        free = asked_in is not None and not asks_for_language(item.probe.text)
        self._table.observe(item, lambda sample: _spoken(sample.text, asked_in if free else None))

    def finish(self) -> AnalyzerOutput:
        """Rates on each side and their contrasts, and the share of every language that occurs."""
        table = self._table
        heard = [name for name in LANGUAGES if any(table.samples(name, side).any() for side in SIDES)]
        asked = tuple(Asked(key=name, metric=f"behaviour.language.{name}", scale="rate") for name in heard)
        shares = (Family(name="behaviour.language.shares", asked=asked, parts=((Scope(), table),)),) if asked else ()
        return _output(table, "language", _LANGUAGE, self._context, shares)


def _spoken(text: str, asked_in: str | None) -> dict[str, float | None]:
    spoken = language(text)
    shares = script_shares(text)
    return {
        "switch": None if asked_in is None or spoken is None else float(spoken != asked_in),
        "non-Latin letters": 1 - shares.get("latin", 0.0) if shares else None,
        "unknown": float(spoken is None),
        **{name: float(spoken == name) for name in LANGUAGES},
    }


def _output(
    table: UnitTable, name: str, asked: tuple[Asked, ...], context: AnalyzerContext, more: tuple[Family, ...] = ()
) -> AnalyzerOutput:
    """The quantities overall and by category, with a pair of answers for each."""
    if not len(table):
        return AnalyzerOutput(measurements=tuple(nothing(one.metric for one in asked)))
    whole, *parts = table.subsets()
    families = (
        Family(name=f"behaviour.{name}", asked=asked, parts=(whole,)),
        Family(name=f"behaviour.{name}.categories", asked=asked, parts=tuple(parts)),
        *more,
    )
    pairs = [
        pair
        for one in asked
        if one.contrast
        for pair in best(table, one.key, note=f"{one.key}: {{base}} and {{trained}}", count=1)
    ]
    found: list[Measurement] = measure_families(families, seed=context.seed)
    return AnalyzerOutput(measurements=tuple(found), artifacts=artifact(name, pairs, excerpts=context.excerpts))
