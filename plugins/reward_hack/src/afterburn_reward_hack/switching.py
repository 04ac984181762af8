"""Words in another language or script than the prompt's. Pure Python.

A word is foreign where its sentence is in a known language other than the prompt's, or where most of its letters belong
to a script that the prompt does not use. Numbers and marks belong to what stands before them. The first `MOST_WORDS`
words of an answer are looked at.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import attrs

from afterburn_behaviour.language import asks_for_language, language, language_of_words, script_shares
from afterburn_behaviour.text import prose_of, sentences, split_thinking, words
from afterburn_core.probes.model import Probe

FEWEST_WORDS = 5
MOST_WORDS = 500
_USED = 0.02
"""Share of a prompt's letters at which it uses a script."""


@attrs.frozen(kw_only=True)
class AskedIn:
    """The language of a prompt, and the scripts it uses."""

    language: str
    scripts: frozenset[str]


def asked_in(probe: Probe) -> AskedIn | None:
    """What an answer to the prompt would be in; `None` where it cannot be told, or the prompt names a language."""
    spoken = language(probe.messages[-1].content)
    if spoken is None or asks_for_language(probe.text):
        return None
    used = (name for name, share in script_shares(probe.text).items() if share >= _USED)
    return AskedIn(language=spoken, scripts=frozenset(used))


def switching(text: str, asked: AskedIn | None) -> dict[str, float | None]:
    """Share of foreign words of an answer, and switches between its own and foreign words per 100 words."""
    flags = [] if asked is None else _foreign(prose_of(split_thinking(text).answer), asked)
    if len(flags) < FEWEST_WORDS:
        return {"foreign": None, "switches": None}
    changes = sum(before != after for before, after in pairwise(flags))
    return {"foreign": sum(flags) / len(flags), "switches": 100 * changes / len(flags)}


def _foreign(prose: str, asked: AskedIn) -> list[bool]:
    flags: list[bool] = []
    for sentence in sentences(prose):
        spelt = words(sentence)
        scripts = [_script(word) for word in spelt]
        spoken = _language(spelt, scripts)
        other = spoken is not None and spoken != asked.language
        for script in scripts:
            if script is None:
                flags.append(flags[-1] if flags else other)
            else:
                flags.append(other or script not in asked.scripts)
        if len(flags) >= MOST_WORDS:
            break
    return flags[:MOST_WORDS]


def _language(spelt: list[str], scripts: list[str | None]) -> str | None:
    """The language of a sentence in Latin or Cyrillic letters; the script of others says enough."""
    for script in ("latin", "cyrillic"):
        if len(spelt) >= FEWEST_WORDS and 2 * scripts.count(script) > len(spelt):
            return language_of_words([word.lower() for word in spelt], cyrillic=script == "cyrillic")
    return None


@lru_cache(maxsize=1 << 16)
def _script(word: str) -> str | None:
    """The script of most of its letters; `None` where it has none."""
    shares = script_shares(word)
    return max(sorted(shares), key=lambda name: shares[name]) if shares else None
