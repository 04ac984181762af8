"""Whether one answer is right, and what its final answer is; by labels of the recording first, then by the checker.

| found | right | final answer |
|---|---|---|
| label `is_correct` | as labelled | by the checker's extraction |
| label `parsed_answer` and a gold answer | by value, else by the probe's checker | the label (*) |
| a gold answer and a checker | by the checker | by the checker's extraction |
| a gold answer alone | undefined: nothing says how to compare | undefined |

(*) Where it is null, the last `"answer": …` of the text; then a number in prose, where the gold answer is a number.

Values are compared as Python literals where both are literals (`[1, 2]` and `[1,2]`), as numbers (`$1,200` and
`1200.0`), else as text without case, spaces around and quotes. An answer without an extractable final answer is wrong
where there is a gold answer, because it was asked for one.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from typing import Any, Literal

import attrs

from afterburn_core.generation.model import Sample
from afterburn_core.probes.checkers import check, extract
from afterburn_core.probes.model import Probe

Source = Literal["label", "parsed", "checker"]
CODE = "code"
FORM = "constraints"  # marked by the form of the whole answer: there is no final one
NO_GOLD = "no gold answer"
_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
# tolerates broken JSON: line breaks inside strings, no closing brace
_FIELD = re.compile(r'"answer"\s*:\s*(?:"((?:\\.|[^"\\])*)"|([^"\n]+))')
_NO = frozenset({"false", "no", "0", "wrong", "incorrect"})
_YES = frozenset({"true", "yes", "1", "right", "correct"})


@attrs.frozen(kw_only=True)
class Marked:
    """What is known of one answer."""

    right: bool | None
    """`None` where nothing can say."""
    source: Source | None = None
    """What said so."""
    reason: str | None = None
    """Why `right` is `None`."""


def mark(probe: Probe, sample: Sample) -> Marked:
    """Whether a sample is right."""
    labelled = _truth(sample.labels.get("is_correct"))
    if labelled is not None:
        return Marked(right=labelled, source="label")
    if probe.gold is None and probe.checker not in (CODE, FORM):
        return Marked(right=None, reason=NO_GOLD)
    if "parsed_answer" in sample.labels and probe.gold is not None:
        parsed = _parsed(sample)
        if parsed is None:  # neither the recording's parser nor ours found the field: the answer may stand in prose
            return Marked(right=_reread(probe, sample.text), source="parsed")
        return Marked(right=_parsed_right(probe, parsed), source="parsed")
    if probe.checker is None:
        return Marked(right=None, reason="no checker for the gold answer")
    if probe.checker == CODE:
        return Marked(right=None, reason="programs are not run unless code execution is allowed")
    right = check(probe, sample.text)
    if right is None:
        return Marked(right=None, reason=f"the checker {probe.checker!r} could not decide")
    return Marked(right=right, source="checker")


def final_answer(probe: Probe, sample: Sample) -> str | None:
    """The sample's final answer in a normal form; `None` where it has none."""
    if "parsed_answer" in sample.labels:
        parsed = _parsed(sample)
        if parsed is not None:
            return _text(parsed)
        readable = _readable(probe)
        return None if readable.checker is None else extract(readable, sample.text)
    if probe.checker is None:
        return None
    return extract(probe, sample.text)


def has_answers(probe: Probe, samples: tuple[Sample, ...]) -> bool:
    """Whether final answers of this prompt can be looked for at all: a checker that extracts, or labels."""
    if any("parsed_answer" in sample.labels for sample in samples):
        return True
    return probe.checker not in (None, CODE, FORM)


def same_answer(answer: str, gold: str) -> bool:
    """Whether an answer has the value of the gold answer."""
    expected = _literal(gold)
    if isinstance(expected, str):  # a quoted string: case and spaces inside count, its own quotes do not
        found = _literal(answer)
        return bool((found if isinstance(found, str) else answer.strip().strip("'\"`")) == expected)
    found = _literal(answer)
    if found is not _NOTHING and expected is not _NOTHING:
        return bool(found == expected) and _kind(found) == _kind(expected)
    numbers = _number(answer), _number(gold)
    if numbers[0] is not None and numbers[1] is not None:
        return math.isclose(numbers[0], numbers[1], rel_tol=1e-9, abs_tol=1e-12)
    return _text(answer) == _text(gold)


_NOTHING = object()


def _parsed(sample: Sample) -> str | None:
    """The label `parsed_answer`; where the recording's parser failed, the last `"answer": …` of the text."""
    label = sample.labels.get("parsed_answer")
    if label is not None:
        return str(label)
    fields = _FIELD.findall(sample.text)
    if not fields:
        return None
    quoted, bare = fields[-1]
    return quoted or bare.strip().rstrip(",}").strip() or None


def _parsed_right(probe: Probe, parsed: str) -> bool:
    gold = probe.gold or ""
    if same_answer(parsed, gold):
        return True
    by_value = _literal(gold) is not _NOTHING or _number(gold) is not None
    return not by_value and probe.checker not in (None, CODE) and check(probe, parsed) is True


def _reread(probe: Probe, text: str) -> bool:
    readable = _readable(probe)
    found = None if readable.checker is None else extract(readable, text)
    return found is not None and same_answer(found, probe.gold or "")


def _readable(probe: Probe) -> Probe:
    """The probe with a checker that finds an answer in prose: of numbers where its gold answer is one, else none."""
    gold = None if probe.gold is None else _number(probe.gold)
    if gold is not None and probe.checker in (None, "exact", "text", "number"):
        return attrs.evolve(probe, checker="number", gold=f"{gold:.12g}")
    return probe if probe.checker == "choice" else attrs.evolve(probe, checker=None)


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().casefold() in _YES | _NO:
        return value.strip().casefold() in _YES
    return None


def _literal(text: str) -> Any:
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # `3a` is odd Python, and fine here
            return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return _NOTHING


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _number(text: str) -> float | None:
    """The number that the text consists of, apart from marks, currency and percent."""
    bare = text.strip().strip("#$€£% .").replace("\u2212", "-").strip()
    return float(bare.replace(",", "")) if _NUMBER.fullmatch(bare) else None


def _text(text: str) -> str:
    return " ".join(text.strip().strip("'\"`").casefold().split())
