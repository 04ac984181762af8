"""Format patterns of a text, as counts of their marks. Pure Python; word lists and rules written from knowledge.

What a model thought aloud is left out, but for the thinking tags themselves; marks inside fenced or inline code belong
to the code: a comment `# total` is no header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from afterburn_behaviour.style.names import PATTERNS
from afterburn_behaviour.text import code_blocks, split_thinking, without_code
from afterburn_behaviour.verification import verifications

_HEADER = re.compile(r"^ {0,3}#{1,6}[ \t]+\S.*$|^\S.*\n={3,}[ \t]*$", re.M)
_HASH_ANSWER = re.compile(r"^#{4}[ \t]*[-+$€£]?\d[\d,.]*(?:[ \t]*[/%][ \t]*\d*)?[ \t]*$", re.M)
_BULLET = re.compile(r"^[ \t]*[-*+•‣◦][ \t]{1,20}(?![-*_ \t]{1,40}$)\S", re.M)
_NUMBERED = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+)?(?:\*\*|__)?(?:\(?\d{1,3}[.)](?=[ \t*_])|step[ \t]+\d{1,3}\b)(?:\*\*|__)?[ \t:.)-]*\S",
    re.M | re.I,
)
_BOLD = re.compile(r"(?<![0-9A-Za-z*])\*\*(?=[^\s*])[^*\n]*(?<=\S)\*\*(?![0-9A-Za-z*])|<(b|strong)>[^<]+</\1>", re.I)
_TABLE = re.compile(
    r"^[ \t]{0,9}\|?[ \t]{0,9}:?-{2,}:?[ \t]{0,9}(?:\|[ \t]{0,9}:?-{2,}:?[ \t]{0,9})+\|?[ \t]{0,9}$"
    r"|^[ \t]{0,9}\|[ \t]{0,9}:?-{2,}:?[ \t]{0,9}\|[ \t]{0,9}$"
    r"|<table\b",
    re.M | re.I,
)
_LATEX = re.compile(
    r"\\\(.{1,2000}?\\\)|\\\[.{1,2000}?\\\]|\$\$.{1,2000}?\$\$|\\begin\{\w+\*?\}|\\(?:frac|sqrt|sum|int|times|cdot"
    r"|boxed|text|left)\b"
    r"|(?<![\\$\w])\$(?=[^\s$])(?:[^$\n]{0,300}?[\\^_{}=+*/<>][^$\n]{0,300}?|[A-Za-z])(?<=\S)\$(?![\w$])",
    re.S,
)
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}|[\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7eb\U0001f90c-\U0001f9ff"
    "\U0001fa70-\U0001faff\u231a\u231b\u23e9-\u23f3\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab\u26bd\u26be"
    "\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757"
    "\u2795-\u2797\u27b0\u2b50\u2b55]|[\u2600-\u27bf\u2b05-\u2b07\u2194-\u21aa]\ufe0f"
)
_EXCLAMATION = re.compile(r"！+|(?<![\d!(\[])(?<!\b[A-Za-z])!+(?![=\[\w])")
_LINK = re.compile(
    r"\[[^\]\n]{1,300}\]\((?!#)[^)\s]{1,600}\)|<a\s+href|(?<![(\w])(?:https?://"
    r"|www\.)[^\s<>)\]]+",
    re.I,
)
_AFFIRMATIVE = re.compile(
    r"^\W*(?:(?:oh|yes|yeah|ok|okay|alright|well|wow)[,!.\s]+)?"
    r"(?:sure(?: thing)?\b(?! enough)|certainly\b(?! not)|absolutely\b(?! not)|of course\b(?! not)"
    r"|definitely\b(?! not)"
    r"|gladly\b|no problem\b|with pleasure\b|you got it\b|got it\b"
    r"|(?:i(?:'|’)?d|i would) (?:be (?:happy|glad|delighted) to|love to)|(?:i am|i(?:'|’)m) (?:happy|glad) to\b"
    r"|happy to help\b|(?:that(?:'|’)s an? |what an? )?(?:great|good|excellent|fantastic|wonderful"
    r"|interesting) (?:question|idea)\b)",
    re.I,
)
_THINKING = re.compile(r"</?(?:think|thinking|thought|thoughts|reasoning|scratchpad)>", re.I)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_FINAL = re.compile(
    r"\bfinal answer\b(?! (?:is )?(?:not|yet))|\bthe (?:correct )?answer is\b(?! (?:not|no longer|complicated"
    r"|complex|that it|it depends))"
    r"|^\W{0,8}answer\W{0,8}:",
    re.I | re.M,
)
_XML = re.compile(r"<(/?)([A-Za-z][\w.-]{0,60})(?:\s[^<>]{0,300})?>")
_JSON_FENCE = re.compile(r"^[ \t]*`{3,}[ \t]*(?:json|jsonc?5?)[ \t]*$", re.M | re.I)
_THINK_NAMES = frozenset({"think", "thinking", "thought", "thoughts", "reasoning", "scratchpad"})
_LISTED_FORMATTING = "a b i u p br hr em strong code pre sub sup span table tr td th ul ol li"
_FORMATTING = frozenset(_LISTED_FORMATTING.split())


def _json(answer: str) -> int:
    """1 where the answer is, or holds, a JSON object or a list of them; a fence that says JSON counts as it is."""
    if _JSON_FENCE.search(answer):
        return 1
    for opening, closing in ("{}", "[]"):
        start, end = answer.find(opening), answer.rfind(closing)
        if start < 0 or end <= start:
            continue
        try:
            value = json.loads(answer[start : end + 1])
        except (ValueError, RecursionError):
            continue
        if value and (isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict))):
            return 1
    return 0


def _at_least(two: int, count: int) -> int:
    return count if count >= two else 0


def _xml(prose: str) -> int:
    """Opening tags that are closed somewhere after; tags of HTML's formatting and of thinking do not count."""
    opened: dict[str, int] = {}
    closed = 0
    for mark, name in _XML.findall(prose):
        if name.lower() in _THINK_NAMES | _FORMATTING:
            continue
        if not mark:
            opened[name] = opened.get(name, 0) + 1
        elif opened.get(name):
            opened[name] -= 1
            closed += 1
    return closed


def counts(text: str) -> dict[str, int]:
    """How many marks of each pattern a response has; 0 where the pattern is absent.

    One bullet or one number at the start of a line makes no list, so those patterns count from two items on.
    """
    answer = split_thinking(text).answer
    prose = without_code(answer)
    found = {name: len(pattern.findall(prose)) for name, pattern in _BY_PATTERN.items()}
    found["header"] -= sum(1 for _ in _HASH_ANSWER.finditer(prose))
    found["list"] = _at_least(2, found["list"])
    found["numbered"] = _at_least(2, found["numbered"])
    found["code_block"] = len(code_blocks(answer))
    found["affirmative_opener"] = int(bool(_AFFIRMATIVE.match(prose)))
    found["thinking_tags"] = len(_THINKING.findall(text))
    found["json"] = _json(answer)
    found["xml"] = _xml(prose)
    found["verification"] = len(verifications(prose))
    return {name: max(0, found[name]) for name in PATTERNS}


_BY_PATTERN: Mapping[str, re.Pattern[str]] = {
    "header": _HEADER,
    "list": _BULLET,
    "numbered": _NUMBERED,
    "bold": _BOLD,
    "table": _TABLE,
    "latex": _LATEX,
    "emoji": _EMOJI,
    "exclamation": _EXCLAMATION,
    "link": _LINK,
    "boxed": _BOXED,
    "final_answer": _FINAL,
    "hash_answer": _HASH_ANSWER,
}
REQUESTED_AS: Mapping[str, frozenset[str]] = {
    "list": frozenset({"list", "bullets", "bullet"}),
    "numbered": frozenset({"numbered", "steps", "list"}),
    "code_block": frozenset({"code_block", "code"}),
    "final_answer": frozenset({"final_answer", "answer"}),
}
"""Names in `Probe.requests` that ask for a pattern, where its own name is not the only one."""


def requested(pattern: str, requests: tuple[str, ...]) -> bool:
    """Whether a prompt asks for a pattern."""
    return not REQUESTED_AS.get(pattern, frozenset({pattern})).isdisjoint(requests)
