"""Multiple choice: which letter a text ends on. Two letters, or a letter with another option's text, are none."""

from __future__ import annotations

import re

from afterburn_core.probes.claims import boxed, corrected, denied, marked, plain, sentences, spoken
from afterburn_core.probes.rows import LETTERS


def final_choice(text: str, choices: tuple[str, ...]) -> str | None:
    """The letter of the option that the text decides for; `None` where it decides for none or for several."""
    text = spoken(text)
    letters = LETTERS[: len(choices)]
    for claim in (corrected(text), boxed(text), marked(text)):
        if claim:
            found = _claimed(claim, letters, choices)
            if found:
                return _only(found)
    lines = sentences(text)
    if not lines:
        return None
    for line in (lines[0], lines[-1]):  # an answer stands first or last
        found = _leading(line, letters, choices)
        if found and not _others(text, letters, found):
            return _only(found)
    found = _mentioned(text, letters)
    if not found:
        found = _by_text(lines[-1], letters, choices) or _by_text(text, letters, choices)
    return _only(found)


def _only(found: set[str]) -> str | None:
    return next(iter(found)) if len(found) == 1 else None


def _claimed(claim: str, letters: str, choices: tuple[str, ...]) -> set[str]:
    """Letters in a claim of a final answer; an option's text that goes with another letter counts as well."""
    found = _leading(claim, letters, choices) or _mentioned(claim, letters)
    if not found:
        bare = [
            match
            for match in re.finditer(rf"(?<![\w'’])([{letters}])(?![\w'’])", claim)
            if not (match.group() == "A" and re.match(r"\s+[a-z]", claim[match.end() :]))
        ]
        found = {match.group(1) for match in bare if not denied(claim, match.start(), match.end())}
    return found or _by_text(claim, letters, choices)


def _leading(line: str, letters: str, choices: tuple[str, ...]) -> set[str]:
    """The letter at the start: `B`, `(B)`, `**B.** text`, `B: text`, `Option B`; with what the text after it says."""
    pattern = rf"[\s*_`#>\"'\[]*(?:(?:option|choice|letter)\s+)?[*_`\"'\[]*\(?([{letters}])(\)|\b)(?P<rest>.*)$"
    match = re.match(pattern, line, re.S | re.I)
    if match is None or (match.group(1).islower() and not re.fullmatch(r"[\s.)\]*_`]*", match.group("rest"))):
        return set()
    rest = match.group("rest")
    if rest and not re.match(
        r"[\s*_`\"'\]]*(?:[).:,;\-–—=*]|$|because\b|since\b|is\s+(?:the\s+)?(?:correct|right))", rest
    ):
        return set()
    if denied(line, match.start(1), match.end(1)):
        return set()
    letter = match.group(1).upper()
    told = plain(re.split(r"\bbecause\b|\bsince\b|\n", rest)[0])
    by_text = {letters[i] for i, choice in enumerate(choices) if told and told == plain(choice)}
    joined = {
        other.upper()
        for other in re.findall(rf"(?:\bor\b|\band\b|/|&|,)\s*[*_(]*([{letters}])(?![\w'’])", rest[:16])
        if not re.search(r"\bnot\b", rest[:16])
    }
    return {letter} | by_text | joined


def _mentioned(text: str, letters: str) -> set[str]:
    """Letters that stand out (`(B)`, `**B**`, `option B`, `B)`) and are not denied."""
    pattern = (
        rf"\(([{letters}])\)|\*\*\(?([{letters}])[).:]?\*\*|\b(?:option|choice|answer|letter)\s+\(?([{letters}])\b"
        rf"|(?<![\w'’(])([{letters}])\)(?=\s|$)"
        rf"|(?:choose|pick|select|say|guess|go with|it'?s|it is|leaves|leaving)\s+([{letters}])(?![\w'’])"
        rf"|(?<![\w'’])([B-HJ-Z])(?=\s+is\s+(?:the\s+)?(?:correct|right|best))"
    )
    found = set()
    for match in re.finditer(pattern, text):
        letter = next(group for group in match.groups() if group)
        if letter in letters and not denied(text, match.start(), match.end()):
            found.add(letter)
    return found


def _others(text: str, letters: str, found: set[str]) -> bool:
    """Whether a claim elsewhere in the text names another letter."""
    return bool(_mentioned(text, letters) - found)


def _by_text(text: str, letters: str, choices: tuple[str, ...]) -> set[str]:
    """Options whose text occurs, whole and undenied; one inside another that occurs does not count."""
    said = f" {plain(text)} "
    spans: list[tuple[int, int, str]] = []
    for letter, choice in zip(letters, choices, strict=True):
        wanted = plain(choice)
        for match in re.finditer(rf"(?<![\w.-]){re.escape(wanted)}(?![\w-])", said) if wanted else ():
            if not denied(said, match.start(), match.end()):
                spans.append((match.start(), match.end(), letter))
    return {
        letter
        for start, end, letter in spans
        if not any(s <= start and end <= e and (e - s) > (end - start) for s, e, _ in spans)
    }
