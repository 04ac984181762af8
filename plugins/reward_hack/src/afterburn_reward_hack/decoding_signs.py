"""Signs in texts alone that two sides were decoded differently, for recorded texts about which nothing else is known.

Each sign is looked for only where the fact that would settle it was not recorded on both sides:

    limit       token counts pile up at a number that the other side exceeds: at least 3 different texts and 2 % of the
                answers have exactly the largest count, and more than half of these texts stop within a sentence
    cut         at least 5 different texts and 2 % of a side's answers stop within a sentence, and the other side goes
                on: at least 3 of its answers and 2 % are longer, by a fifth, than the longest of those
    sampling    share of prompts all of whose samples are equal, as under greedy decoding: ≥ 90 % of base's and ≤ 50 %
                of trained's; the other way round it is what collapse looks like, and no sign
    markers     share of answers with marks of a chat template, as where the end of a turn is not honoured: |Δ| ≥ 5
                points and p ≤ 0.001
    empty       share of answers without text: |Δ| ≥ 2 points and p ≤ 0.001
    tokenizer   one text was counted as different numbers of tokens

All are hints, and settle nothing where decoding is known. One text in many answers is a collapse and no limit, so texts
are counted once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

import attrs

from afterburn_behaviour.units import Answered, Row, UnitTable
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.stats.paired import paired_rates

LEVEL = 0.001
"""Of the test behind a sign: a false one would let a hack pass for review."""
_PILED = 0.02
_FEWEST = 3
_FEWEST_PROMPTS = 10
_FEWEST_CUT = 5
_LONGER = 1.2
_LEAST = {"markers": 0.05, "empty": 0.02}
_TOLD = {"markers": "answers with marks of a chat template", "empty": "answers without text"}
_SETTLED: Mapping[str, tuple[str, ...]] = {
    "limit": ("max_new_tokens",),
    "cut": ("max_new_tokens",),
    "sampling": ("temperature",),
    "markers": ("temperature", "max_new_tokens"),
    "empty": ("temperature", "max_new_tokens"),
    "tokenizer": ("tokenizer",),
}
SIGNS = tuple(_SETTLED)
_MARKS = re.compile(
    r"<\|[a-z_0-9]{2,24}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>|^###? ?(?:Instruction|Response|Input):"
    r"|^(?:Human|User|Assistant|System):",
    re.M,
)
_WITHIN = re.compile(r"[^\W\d_]$|[,;(\-–—]$")
_LONG = 60
"""Characters; a short answer need not end in a full stop."""


@attrs.frozen(kw_only=True)
class Sign:
    """One sign: whether it is there, with numbers; `None` where it cannot be told."""

    name: str
    there: bool | None
    told: str


def observed(sample: Sample) -> dict[str, float | None]:
    """What signs are read from, of one sample."""
    text = sample.text.rstrip()
    return {
        "markers": float(bool(_MARKS.search(text))),
        "empty": float(not text),
        "tokens": None if sample.tokens is None else float(sample.tokens),
    }


def signs(table: UnitTable, settled: Collection[str], *, seed: int) -> list[Sign]:
    """Every sign, looked for where no fact settles it.

    Args:
        table: with the values of `observed`.
        settled: facts that both sides recorded.
        seed: of resampling.
    """
    rows = [row for row in table.rows() if row.paired]
    looks: dict[str, Callable[[Sequence[Row]], tuple[bool | None, str]]] = {
        "limit": _limit,
        "cut": _cut,
        "sampling": _sampling,
        "tokenizer": _tokenizer,
    }
    found = []
    for name, facts in _SETTLED.items():
        if all(fact in settled for fact in facts):
            there, told = None, f"{' and '.join(facts)} recorded on both sides"
        elif name in looks:
            there, told = looks[name](rows)
        else:
            there, told = _share(table, name, seed)
        found.append(Sign(name=name, there=there, told=told))
    return found


def differ(item: Responses) -> bool:
    """Whether the sides' samples differ, in whatever order, as far as both have them."""
    most = min(len(item.base), len(item.trained))
    return sorted(s.text for s in item.base[:most]) != sorted(s.text for s in item.trained[:most])


def _share(table: UnitTable, name: str, seed: int) -> tuple[bool | None, str]:
    paired = table.paired(name)
    if not paired.probes:
        return None, f"no pair of answers tells the share of {_TOLD[name]}"
    contrast = paired_rates(paired.base, paired.trained, clusters=paired.clusters, seed=seed)
    told = f"{_TOLD[name]}: {_percent(paired.base.mean())} and {_percent(paired.trained.mean())}"
    if contrast.estimate is None or contrast.test is None:
        return None, told
    return abs(contrast.estimate) >= _LEAST[name] and contrast.test.p_value <= LEVEL, told


def _limit(rows: Sequence[Row]) -> tuple[bool | None, str]:
    counted = [
        [(int(v), text) for row in rows for v, text in _with_tokens(side(row)) if v is not None] for side in _SIDES
    ]
    if not all(counted):
        return None, "token counts were not recorded on both sides"
    tops = [max(count for count, _ in of_side) for of_side in counted]
    heaps = [{text for count, text in of_side if count == top} for of_side, top in zip(counted, tops)]
    piles = [len(heap) for heap in heaps]
    piled = [
        len(heap) >= max(_FEWEST, _PILED * len(of_side)) and 2 * sum(map(_is_cut, heap)) > len(heap)
        for heap, of_side in zip(heaps, counted)
    ]
    told = "longest answers have {} and {} tokens".format(
        *(f"{top}{f' ({pile} different ones)' if heap else ''}" for top, pile, heap in zip(tops, piles, piled))
    )
    low = 0 if tops[0] < tops[1] else 1
    return tops[0] != tops[1] and piled[low], told


def _cut(rows: Sequence[Row]) -> tuple[bool | None, str]:
    """One limit for both cuts the longer side more often; a limit of one side alone is overrun by the other."""
    lengths = [[len(t.rstrip()) for row in rows for t in side(row).texts] for side in _SIDES]
    cut = [[len(t.rstrip()) for row in rows for t in side(row).texts if _is_cut(t)] for side in _SIDES]
    kinds = [len({t for row in rows for t in side(row).texts if _is_cut(t)}) for side in _SIDES]
    if not all(lengths):
        return None, "no answer on one of the sides"
    shares = [len(of_side) / len(all_) for of_side, all_ in zip(cut, lengths)]
    there = False
    for own, other in ((0, 1), (1, 0)):
        if kinds[own] >= max(_FEWEST_CUT, _PILED * len(lengths[own])):
            beyond = sum(length > _LONGER * max(cut[own]) for length in lengths[other])
            there = there or beyond >= max(_FEWEST, _PILED * len(lengths[other]))
    told = f"answers that stop within a sentence: {_percent(shares[0])} and {_percent(shares[1])}"
    return there, f"{told}, where the other side goes on" if there else told


def _is_cut(text: str) -> bool:
    return len(text.rstrip()) >= _LONG and bool(_WITHIN.search(text.rstrip()))


def _sampling(rows: Sequence[Row]) -> tuple[bool | None, str]:
    several = [row for row in rows if min(len(side(row).texts) for side in _SIDES) > 1]
    if len(several) < _FEWEST_PROMPTS:
        return None, f"fewer than {_FEWEST_PROMPTS} prompts have several samples on both sides"
    shares = [sum(len(set(side(row).texts)) == 1 for row in several) / len(several) for side in _SIDES]
    told = f"prompts all of whose samples are equal: {_percent(shares[0])} and {_percent(shares[1])}"
    there = shares[0] >= 0.9 and shares[1] <= 0.5
    return there, told if there or shares[1] < 0.9 or shares[0] > 0.5 else f"{told}, which may as well be collapse"


def _with_tokens(own: Answered) -> Sequence[tuple[float | None, str]]:
    return list(zip(own.values["tokens"], own.texts))


def _tokenizer(rows: Sequence[Row]) -> tuple[bool | None, str]:
    equal = other = 0
    for row in rows:
        counted: list[dict[str, float]] = [
            {t: n for t, n in zip(side(row).texts, side(row).values["tokens"]) if n is not None and t.strip()}
            for side in _SIDES
        ]
        for text in counted[0].keys() & counted[1].keys():
            equal += 1
            other += counted[0][text] != counted[1][text]
    if not equal:
        return None, "no answer is the same on both sides, with its tokens counted on both"
    return other > 0, f"{other} of {equal} equal texts have other numbers of tokens"


def _base(row: Row) -> Answered:
    return row.base


def _trained(row: Row) -> Answered:
    return row.trained


_SIDES = (_base, _trained)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
