"""How both sides' texts came about: what is recorded of engine, template and decoding, and what it led to.

A fact is `equal`, `differs` or `unknown` (a side did not record it). Facts that shape texts by themselves count as
differing: engine, host, template, dtype, every decoding parameter in effect. Facts that belong to the model (tokenizer,
length of the context, text of the chat template) are noted apart: training may have changed them. Under greedy decoding
on both sides, top_p, top_k and min_p are without effect and do not differ.

    truncation   share of answers cut at a token limit        empty   share without a word
    answered     share of prompts with an answer

each with the paired contrast (exact McNemar where there is one sample per prompt).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from afterburn_behaviour.contrasts import Asked, Family, measure_families, nothing
from afterburn_behaviour.style.names import ARTIFACT
from afterburn_behaviour.units import SIDES, Answered, UnitTable
from afterburn_core.generation.model import GenerationFacts, Responses, Sample
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement

State = Literal["equal", "differs", "noted", "unknown"]
_PROPERTIES = ("host", "dtype", "quantization", "system_prompt", "system_fingerprint")
_OF_MODEL = ("tokenizer", "context", "chat_template")
_DECISIVE = ("temperature", "max_new_tokens")
_SAMPLING = ("top_p", "top_k", "min_p")
_SAME = {"max_tokens": "max_new_tokens", "max_gen_toks": "max_new_tokens", "max_completion_tokens": "max_new_tokens"}
_UNNAMED = frozenset({"recorded", ""})
_SHOWN = 40


@attrs.frozen(kw_only=True)
class Fact:
    """One fact of both sides."""

    name: str
    base: Any
    trained: Any
    state: State

    @property
    def text(self) -> str:
        """`max_new_tokens 8096 and 2200`."""
        return f"{self.name} {_text(self.base)} and {_text(self.trained)}"


class DecodingIdentity:
    """Analyzer `behaviour.decoding`."""

    def __init__(self, options: None = None) -> None:
        self._table = UnitTable()
        self._facts: dict[str, GenerationFacts] = {}

    def begin(self, context: AnalyzerContext) -> None:
        self._context = context

    def observe(self, item: Responses) -> None:
        """Keeps how every sample ended, and the facts of either side."""
        self._table.observe(item, endings)
        for name in SIDES:
            if name in item.facts:
                self._facts.setdefault(name, item.facts[name])

    def merge(self, other: DecodingIdentity) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)
        for name, facts in other._facts.items():
            self._facts.setdefault(name, facts)

    def finish(self) -> AnalyzerOutput:
        """Counts of facts by state, rates of endings, and the facts themselves as an artifact."""
        if not len(self._table):
            metrics = ("behaviour.decoding.differing", "behaviour.decoding.unknown")
            return AnalyzerOutput(measurements=tuple(nothing(metrics)))
        facts = compare(self._facts.get("base"), self._facts.get("trained"))
        found = [*_counts(facts), *self._endings()]
        rows = [attrs.asdict(fact) for fact in facts]
        return AnalyzerOutput(
            measurements=tuple(found),
            artifacts=(
                ArtifactPayload(
                    id=ARTIFACT,
                    suffix=".json",
                    media_type="application/json",
                    summary="What is known of how both sides' texts came about, fact by fact",
                    content=json.dumps({"facts": rows}, ensure_ascii=False, sort_keys=True, default=str).encode(),
                ),
            ),
        )

    def _endings(self) -> list[Measurement]:
        table = self._table
        rows = [attrs.evolve(row, base=_answered(row.base), trained=_answered(row.trained)) for row in table.rows()]
        whole, *parts = table.subsets()
        truncated = Asked(key="truncated", metric="behaviour.truncation.rate", scale="rate")
        empty = Asked(key="empty", metric="behaviour.empty.rate", scale="rate")
        answered = Asked(key="answered", metric="behaviour.answered.rate", scale="rate")
        everyone = UnitTable(rows)
        found = measure_families(
            (
                Family(name="behaviour.decoding.truncation", asked=(truncated,), parts=(whole,)),
                Family(name="behaviour.decoding.truncation.categories", asked=(truncated,), parts=tuple(parts)),
                Family(name="behaviour.decoding.empty", asked=(empty,), parts=(whole,)),
                Family(name="behaviour.decoding.answered", asked=(answered,), parts=((whole[0], everyone),)),
            ),
            seed=self._context.seed,
        )
        reason = "nobody recorded how answers ended"
        return [
            attrs.evolve(m, reason=reason) if m.metric == "behaviour.truncation.rate" and m.value is None else m
            for m in found
        ]


def endings(sample: Sample) -> dict[str, float | None]:
    """Whether a sample was cut, and whether it has no word."""
    return {
        "truncated": None if sample.finish is None else float(sample.finish == "length"),
        "empty": float(not sample.text.strip()),
    }


def compare(base: GenerationFacts | None, trained: GenerationFacts | None) -> list[Fact]:
    """Every fact that at least one side recorded, and the decisive ones, sorted by name, with their states."""
    sides = [_known(base), _known(trained)]
    greedy = all(side.get("temperature") == 0 for side in sides)
    facts = []
    # what nobody recorded of these may differ all the same, whatever else is equal
    decisive = _DECISIVE if any(sides) else ()
    for name in sorted({*sides[0], *sides[1], *decisive}):
        values = [side.get(name) for side in sides]
        state: State = "equal"
        if any(value is None for value in values):
            state = "unknown"
        elif values[0] != values[1]:
            state = "noted" if name in _OF_MODEL else "equal" if greedy and name in _SAMPLING else "differs"
        facts.append(Fact(name=name, base=values[0], trained=values[1], state=state))
    return facts


def _known(facts: GenerationFacts | None) -> dict[str, Any]:
    """The facts of a side by name, without those it does not know."""
    if facts is None:
        return {}
    decoding: Mapping[str, Any] = facts.decoding or {}
    found: dict[str, Any] = {_SAME.get(name, name): value for name, value in decoding.items()}
    found.pop("model", None)
    if facts.engine not in _UNNAMED:
        found["engine"] = facts.engine
    for name, value in (
        ("template", facts.template),
        ("chat_template", facts.template_sha256),
        ("tokenizer", facts.tokenizer_sha256),
        ("context", facts.context),
        *((name, facts.properties.get(name)) for name in _PROPERTIES),
    ):
        if value is not None:
            found[name] = value
    return {name: value for name, value in found.items() if value is not None}


def _counts(facts: list[Fact]) -> list[Measurement]:
    by_state = {state: [fact for fact in facts if fact.state == state] for state in ("differs", "noted", "unknown")}
    known = len(facts) - len(by_state["unknown"])
    names = "; ".join(fact.text for fact in by_state["differs"]) or None
    if known:
        first = measure("behaviour.decoding.differing", len(by_state["differs"]), n=known, reason=names)
    else:
        why = "decoding was not recorded on both sides" if facts else "decoding was not recorded on either side"
        first = undefined("behaviour.decoding.differing", why, n=0)
    noted = "; ".join(fact.text for fact in by_state["noted"]) or None
    missing = ", ".join(fact.name for fact in by_state["unknown"]) or None
    return [
        first,
        measure("behaviour.decoding.noted", len(by_state["noted"]), n=known, reason=noted),
        measure("behaviour.decoding.unknown", len(by_state["unknown"]), n=len(facts), reason=missing),
    ]


def _answered(side: Answered) -> Answered:
    return attrs.evolve(side, values={"answered": (float(bool(side.texts)),)})


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
