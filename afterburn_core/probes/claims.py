"""What a text claims in the end: reasoning aside, the part after 'the answer is', and what it denies.

Rules, not understanding: their error rates on labelled answers are in docs/probes.md. Imports neither NumPy nor torch.
"""

from __future__ import annotations

import re
import unicodedata

_LONGEST_BOX, _MOST_BOXES = 400, 10  # characters of one, and how many unclosed ones are looked into
_THINKING = re.compile(r"<(think|thinking|thought|reasoning|scratchpad)>.*?</\1>", re.S | re.I)
_CLOSING = re.compile(r"</(think|thinking|thought|reasoning|scratchpad)>", re.I)
_OPENING = re.compile(r"<(think|thinking|thought|reasoning|scratchpad)>", re.I)
_MARKER = re.compile(
    r"####"
    r"|(?<![\w-])(?:final\s+|correct\s+|right\s+|best\s+|my\s+)*(?:answer|solution|result)\b[\s*_:`\"']*"
    r"(?:is|was|equals?|=|would\s+be|will\s+be|must\s+be|should\s+be|comes?\s+to|:)*\s*[:=]?[\s*_\"']*",
    re.I,
)
_REAL_MARKER = re.compile(r"####|:|=|\b(?:is|was|equals?|be|comes?\s+to)\b", re.I)
_CORRECTION = re.compile(r"\b(?:wait|actually|correction|on second thought|scratch that|let me correct)\b", re.I)
_ASIDE = re.compile(r"^\W*(?:to )?(?:double[- ]?check|check|verif\w+|note|proof|sanity check)\b", re.I)
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+|\n+")
_BEFORE = re.compile(
    r"(?:\b(?:not|never|neither|nor|cannot|without|except|rather than|instead of|unlike|than|no longer|exclud\w+|"
    r"eliminat\w+|rul(?:e|es|ed|ing) out|reject\w*|discard\w*)\b|n['’]t\b)[^.;,:!?]{0,24}$",
    re.I,
)
_AFTER = re.compile(
    r"^[\s\"'”’)*_\]]*(?:"
    r"(?:is|are|was|were|would be|seems?|looks?|has been|can be|must be|being)\s+"
    r"(?:(?:also|clearly|definitely|simply|therefore|thus)\s+)?(?:not|never|out)\b"
    r"|(?:(?:is|are|was|were|would be|seems?|looks?|has been|can be|must be|being)\s+)?"
    r"(?:(?:also|clearly|definitely|simply|therefore|thus)\s+)?"
    r"(?:incorrect|wrong|false|impossible|eliminated|ruled out|isn['’]t|aren['’]t|wasn['’]t|cannot|can['’]t|doesn['’]t"
    r"|does not|fails)\b)",
    re.I,
)
_ARTICLES = ("a", "an", "the")
_TURN = re.compile(r"\b(?:but|however|rather|instead|so|therefore|hence)\b", re.I)


def spoken(text: str) -> str:
    """The text without thinking; empty where a text was cut while it thought."""
    if _CLOSING.search(text):
        text = _THINKING.sub(" ", text)
    closed = list(_CLOSING.finditer(text))
    if closed:  # the opening tag was part of the template
        text = text[closed[-1].end() :]
    opened = _OPENING.search(text)
    return (text[: opened.start()] if opened else text).strip()


def boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{…}` or `\fbox{…}`."""
    for match in reversed(list(re.finditer(r"\\f?boxed\s*\{", text))[-_MOST_BOXES:]):
        depth, start = 1, match.end()
        for position in range(start, min(start + _LONGEST_BOX, len(text))):
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            if depth == 0:
                return re.sub(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}", r"\1", text[start:position])
    return None


def marked(text: str) -> str | None:
    """What stands after the last mark of a final answer ('answer is', '####', a box), to the end of its sentence."""
    inside = boxed(text)
    if inside is not None and inside.strip():
        return inside.strip()
    for match in reversed(list(_MARKER.finditer(text))):
        if not _REAL_MARKER.search(match.group()):
            continue
        rest = text[match.end() :].lstrip(" \t*_`:\n")
        first = first_sentence(rest)
        if first.strip(" *_`.#-"):
            return first
    return None


def corrected(text: str) -> str | None:
    """What stands after the last 'wait' or 'actually' that comes after every mark of an answer."""
    corrections = list(_CORRECTION.finditer(text))
    if not corrections:
        return None
    last = corrections[-1]
    marks = [match for match in _MARKER.finditer(text) if _REAL_MARKER.search(match.group())]
    box = list(re.finditer(r"\\boxed", text))
    if any(match.start() > last.start() for match in (*marks, *box)):
        return None
    return text[last.end() :].strip(" ,.:-—!") or None


def without_asides(text: str) -> str:
    """The text less its last sentences that only check or comment, and less code blocks, where anything is left."""
    prose = re.sub(r"```.*?(?:```|\Z)", "\n", text, flags=re.S).strip() or text
    kept = sentences(prose)
    for index, sentence in enumerate(kept):
        if index and _ASIDE.search(sentence):
            kept = kept[:index]
            break
    return "\n".join(kept) or prose


def sentences(text: str) -> list[str]:
    """Sentences and lines that hold anything."""
    return [part.strip() for part in _SENTENCE.split(text) if part.strip(" *_#-\t")]


def first_sentence(text: str) -> str:
    """The text to the end of its first sentence or line; a point inside a number or after a letter ends none."""
    for match in _SENTENCE.finditer(text):
        head = text[: match.start()]
        if head.strip(" *_`#-") and not re.fullmatch(r"[\s*_(\[]*[A-Za-z0-9][.)]", head):
            return head
    return text


def denied(text: str, start: int, end: int) -> bool:
    """Whether the words around `text[start:end]` deny it: 'not X', 'X is wrong', 'rather than X'."""
    before = text[max(0, start - 60) : start]
    turn = list(_TURN.finditer(before))
    if turn and not re.search(r"\brather\s+than\b[^.;,:!?]*$|\binstead\s+of\b[^.;,:!?]*$", before, re.I):
        before = before[turn[-1].end() :]
    return bool(_BEFORE.search(before)) or bool(_AFTER.search(text[end : end + 60]))


def plain(text: str) -> str:
    """Case, width, punctuation, articles and runs of spaces aside."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").replace("−", "-")
    text = re.sub(r"[^\w\s'+\-./%]|(?<!\d)[./](?!\d)|[./](?!\w)|(?<!\w)['-](?!\w)|'(?!\w)|(?<!\w)'", " ", text)
    words = text.replace("_", " ").split()
    return " ".join([word for word in words if word not in _ARTICLES] or words)
