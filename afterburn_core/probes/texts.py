"""Texts as answers: equal to the right one, holding it as their last claim, or listing the right items."""

from __future__ import annotations

import re
from collections.abc import Iterable

from afterburn_core.probes.claims import boxed, corrected, denied, marked, plain, sentences, spoken

_LONGEST = 80


def claim_of(text: str) -> str:
    """The final answer as it stands: what was corrected, boxed or marked, else the whole text."""
    text = spoken(text)
    later = corrected(text)
    return later or boxed(text) or marked(text) or text


def exact(text: str, variants: Iterable[str]) -> bool:
    """Whether the final answer is one of the variants, case, punctuation, articles and spaces aside."""
    said = {plain(claim_of(text)), plain(spoken(text))}
    return any(plain(variant) in said for variant in variants)


def final_text(text: str, variants: tuple[str, ...], rivals: tuple[str, ...]) -> str | None:
    """The variant or rival that the text claims last, by its own spelling; `None` where it claims none or several.

    The claim is the marked answer if it names any of them, else the last sentence that does. Whole words count, denied
    ones do not, and a name inside a longer one that is there does not either.
    """
    text = spoken(text)
    marks = [claim for claim in (corrected(text), boxed(text), marked(text)) if claim]
    for part in (*marks, *reversed(sentences(text))):
        found = _named(part, (*variants, *rivals))
        if found:
            right = [name for name in variants if name in found]
            wrong = [name for name in rivals if name in found]
            if (right and wrong) or len(wrong) > 1:
                return None
            return right[0] if right else wrong[0]
    return None


def last_match(text: str, pattern: str) -> str | None:
    """The last undenied match of `pattern`: in the marked answer if it has one, else in the whole text."""
    text = spoken(text)
    for part in (corrected(text), boxed(text), marked(text), text):
        found = [m.group() for m in re.finditer(pattern, part) if not denied(part, m.start(), m.end())] if part else []
        if found:
            return found[-1]
    return None


def _named(text: str, names: tuple[str, ...]) -> set[str]:
    said = f" {_keeping_clauses(text)} "
    spans = []
    for name in names:
        wanted = plain(name)
        for match in re.finditer(rf"(?<![\w-]){re.escape(wanted)}(?![\w-])", said) if wanted else ():
            spans.append((match.start(), match.end(), name, denied(said, match.start(), match.end())))
    return {
        name
        for start, end, name, no in spans
        if not no and not any(s <= start and end <= e and e - s > end - start for s, e, _, _ in spans)
    }


def _keeping_clauses(text: str) -> str:
    """`plain`, with the marks between clauses kept: a 'not' reaches no further than its clause."""
    return " , ".join(part for piece in re.split(r"[,;:—]\s|[()]", text) if (part := plain(piece)))


def items_of(text: str) -> tuple[str, ...]:
    """The items of a list in a final answer: by lines, commas, arrows, `<`, 'then' or 'and'."""
    claim = claim_of(text)
    if marked(spoken(text)) is None and boxed(spoken(text)) is None:
        lines = [line for line in claim.splitlines() if line.strip()]
        bulleted = [line for line in lines if re.match(r"\s*(?:[-*•]|\d+[.)])\s+", line)]
        several = [line for line in lines if len(_split(line)) > 1]
        if len(bulleted) > 1:
            return _clean(re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", line) for line in bulleted)
        claim = several[-1] if several else (lines[-1] if lines else "")
        claim = re.sub(r"^[^:\[]*:\s*(?=\S)", "", claim)
    return _clean(_split(claim))


def _split(text: str) -> list[str]:
    text = re.sub(r"[ \t]+", " ", text.strip().strip("`*_. "))
    opening, closing = re.search(r"[\[{(]", text), re.search(r"[\]})]", text)
    if opening and closing and opening.end() <= closing.start():
        inside = text[opening.end() : closing.start()]
        text = inside if "," in inside or opening.start() == 0 else text
    return re.split(r"\s*(?:,\s*(?:and|then)\s+|,|;|\n|→|->|=>|<|>|\bthen\b|\band\b|&)\s*", text)


def _clean(parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(item for part in parts if (item := plain(part.strip(" \"'`*_"))))


def shortened(text: str) -> str | None:
    """A final answer that no rule understands, for counting equal ones; `None` where there is none."""
    said = plain(claim_of(text))
    return said[-_LONGEST:] or None
