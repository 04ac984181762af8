"""Whether both sides' texts came about in the same way: recorded facts, signs in the texts, prompts that changed.

fact      1 where both sides recorded a fact and it differs, 0 where it is equal, undefined where a side did not
          record it; engine, host, template, system prompt, number format, every decoding parameter in effect
sign      1 where the texts alone look as if decoding differed (`decoding_signs`), 0 where not
changed   share of prompts whose answers differ between the sides
"""

from __future__ import annotations

from afterburn_behaviour.style.decoding import Fact, compare
from afterburn_behaviour.units import SIDES, UnitTable
from afterburn_core.generation.model import GenerationFacts, Responses
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement
from afterburn_core.stats.contrast import as_measurement
from afterburn_core.stats.one_side import rate
from afterburn_reward_hack.decoding_evidence import CHANGED, FACT, SIGN, named
from afterburn_reward_hack.decoding_signs import differ, observed, signs


class DecodingFacts:
    """Analyzer `reward_hack.decoding`."""

    def __init__(self, options: None = None) -> None:
        self._table = UnitTable()
        self._changed: dict[str, tuple[str, bool]] = {}
        self._facts: dict[str, GenerationFacts] = {}

    def begin(self, context: AnalyzerContext) -> None:
        self._seed = context.seed

    def observe(self, item: Responses) -> None:
        """Keeps what signs are read from, whether the answers differ, and the facts of either side."""
        self._table.observe(item, observed)
        if item.paired:
            self._changed[item.probe.id] = (item.probe.unit, differ(item))
        for name in SIDES:
            if name in item.facts:
                self._facts.setdefault(name, item.facts[name])

    def merge(self, other: DecodingFacts) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)
        self._changed.update(other._changed)
        for name, facts in other._facts.items():
            self._facts.setdefault(name, facts)

    def finish(self) -> AnalyzerOutput:
        """Facts one by one, then signs, then the share of prompts that changed."""
        if not self._changed:
            return AnalyzerOutput(measurements=(undefined(CHANGED, "no prompt was answered by both sides", n=0),))
        facts = compare(self._facts.get("base"), self._facts.get("trained"))
        settled = {fact.name for fact in facts if fact.state != "unknown"}
        found = [_fact(fact) for fact in facts]
        for sign in signs(self._table, settled, seed=self._seed):
            place, n = named(sign.name), len(self._changed)
            if sign.there is None:
                found.append(undefined(SIGN, sign.told, scope=place, n=n))
            else:
                found.append(measure(SIGN, sign.there, scope=place, n=n, reason=sign.told))
        units, changed = zip(*(self._changed[name] for name in sorted(self._changed)))
        clustered = units if len(set(units)) < len(units) else None
        contrast = rate([float(one) for one in changed], seed=self._seed, clusters=clustered)
        return AnalyzerOutput(measurements=(*found, as_measurement(contrast, CHANGED)))


def _fact(fact: Fact) -> Measurement:
    place = named(fact.name)
    if fact.state == "unknown":
        lacking = [name for name, value in (("base", fact.base), ("trained", fact.trained)) if value is None]
        who = "either side" if len(lacking) == 2 else lacking[0]
        return undefined(FACT, f"{fact.name} was not recorded on {who}", scope=place)
    return measure(FACT, fact.state != "equal", scope=place, reason=fact.text)
