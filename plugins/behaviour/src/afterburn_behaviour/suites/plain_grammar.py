"""The small grammar in which the texts of `plain` are written, and how a passage is drawn from it.

- `{name}` is an entry of a list, and may hold templates itself; `{name#1}` stays the same throughout a passage.
- `{n:3-9}` is a number; `[a|b|c]` is one of several wordings, also nested.
- `⟨ ⟩ ‹ ›` become square and curly brackets, which the grammar uses itself.
- `a` before a vowel becomes `an`, and sentences begin with a capital.

A domain has pools of sentences; a passage takes one of each pool of one of the domain's orders, none twice.
"""

from __future__ import annotations

import random
import re
import textwrap
from collections.abc import Mapping

import attrs

from afterburn_behaviour.suites.plain_words import entries

_SLOT = re.compile(r"\{([a-z_]+)(?::(\d+)-(\d+))?(#\d)?\}")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_ARTICLE = re.compile(r"\b([Aa])(?= (?=[aeiouAEIOU])(?!(?:one|once|uni|us[eu]|eu|ewe)))")
_BRACKETS = str.maketrans("⟨⟩‹›", "[]{}")
_START = re.compile(r'(?:^"?|(?<=[.!?] )"?|(?<=[.!?]" )")[a-z]')


@attrs.frozen(kw_only=True)
class Domain:
    """Pools of sentences by name, orders in which they make a passage, and words of the domain's own."""

    pools: Mapping[str, tuple[str, ...]]
    orders: tuple[tuple[str, ...], ...]
    words: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    join: str = " "
    """What stands between sentences: a space, or a line break in lists and programs."""


def domain(
    text: str, *, orders: str = "open body close/open body body close", words: str = "", join: str = " "
) -> Domain:
    """A domain as it is written down.

    Args:
        text: pools, each a line with its name and a colon, then one sentence a line, which an indented line goes on
            with.
        orders: names of pools, orders parted by `/`.
        words: lists `name: entry; entry`, one a line; a line without a name goes on with the one before.
        join: what stands between sentences.
    """
    pools: dict[str, list[str]] = {}
    for line in re.sub(r"\n +(?=\S)", " ", textwrap.dedent(text)).splitlines():
        if re.fullmatch(r"[a-z]+:", line):
            pools[line[:-1]] = []
        elif line:
            pools[list(pools)[-1]].append(line.replace("\\n", "\n").replace("\\t", "    "))
    lists: dict[str, str] = {}
    for line in filter(None, map(str.strip, words.splitlines())):
        named = re.fullmatch(r"([a-z_]+): (.*)", line)
        if named:
            lists[named.group(1)] = named.group(2)
        else:
            lists[list(lists)[-1]] += f" {line}"
    return Domain(
        pools={name: tuple(lines) for name, lines in pools.items()},
        orders=tuple(tuple(order.split()) for order in orders.split("/")),
        words={name: entries(entry) for name, entry in lists.items()},
        join=join,
    )


def passage(rng: random.Random, of: Domain, words: Mapping[str, tuple[str, ...]]) -> str:
    """One passage; equal states of `rng` give equal passages."""
    bound: dict[str, str] = {}
    used: set[str] = set()
    sentences = []
    for pool in rng.choice(of.orders):
        template = rng.choice([one for one in of.pools[pool] if one not in used])
        used.add(template)
        sentences.append(_expanded(template, rng, {**words, **of.words}, bound))
    text = of.join.join(sentences).translate(_BRACKETS)
    return text if of.join != " " else _START.sub(lambda start: start.group().upper(), _ARTICLE.sub(r"\1n", text))


def _expanded(template: str, rng: random.Random, words: Mapping[str, tuple[str, ...]], bound: dict[str, str]) -> str:
    while True:
        chosen = _CHOICE.search(template)
        if chosen is None:
            break
        template = template[: chosen.start()] + rng.choice(chosen.group(1).split("|")) + template[chosen.end() :]

    def fill(match: re.Match[str]) -> str:
        name, low, high, key = match.groups()
        if key and name + key in bound:
            return bound[name + key]
        if low is not None:
            text = str(rng.randint(int(low), int(high)))
        else:
            text = _expanded(rng.choice(words[name]), rng, words, bound)
        if key:
            bound[name + key] = text
        return text

    return _SLOT.sub(fill, template)
