"""The suite `instructions`: prompts with constraints on the form of the answer that a program can check.

Every item has the checker `constraints`; `requests` names the format patterns that the prompt asks for, so that a list
where one was asked for is no change of style.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from afterburn_behaviour.suites import instruction_forms as forms
from afterburn_behaviour.suites import instruction_wordings as wordings
from afterburn_behaviour.suites.drawing import Family, Open, draw, refuse_more
from afterburn_core.probes.model import Probe

_DRAWN: tuple[tuple[str, Callable[[random.Random], Open]], ...] = (
    ("lists", forms.bullets), ("length", forms.sentences), ("wording", wordings.ending), ("marks", wordings.commas),
    ("json", forms.as_json), ("lists", forms.numbered), ("length", forms.words), ("wording", wordings.keywords),
    ("marks", wordings.case), ("copying", wordings.copying), ("length", forms.paragraphs),
    ("wording", wordings.forbidden), ("marks", forms.emphasis), ("language", wordings.language),
    ("short_answers", forms.one_word), ("several", wordings.several),
)  # fmt: skip
FAMILIES = tuple(Family(category=category, draw=function) for category, function in _DRAWN)
DEFAULT = 128
MOST = 480
"""Yes-or-no questions are the fewest: beyond this, drawing would repeat them."""


def items(seed: int, n: int | None) -> Iterable[Probe]:
    """`n` items (128 by default).

    Raises:
        ConfigError: `n` is more than `MOST`.
    """
    n = DEFAULT if n is None else n
    refuse_more("instructions", n, MOST)
    return draw("instructions", FAMILIES, seed, n)
