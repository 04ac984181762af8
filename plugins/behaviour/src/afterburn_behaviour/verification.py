"""Marks of a writer who checks or corrects the own work. Pure Python.

Advice to the reader ("check with your doctor"), negations ("no need to verify") and nouns ("a background check") do
not count: the one who checks has to be the writer.
"""

from __future__ import annotations

import re

_CHECK = (
    r"(?:double[- ]?check|re-?check|check|verify|confirm|validate|test|re-?calculate|re-?examine|re-?read"
    r"|sanity[- ]check|prove)"
)
_CHECKING = r"(?:double[- ]?checking|re-?checking|checking|verifying|validating|sanity[- ]checking)"
_VERIFICATION = re.compile(
    rf"\b(?:let me|let(?:'|’)s|let us|i(?:'|’)ll|i will|i(?:'|’)m going to|i should|i(?:'|’)d better|we (?:can"
    rf"|should|may|could|must|will)"
    rf"(?: also| now| quickly)?|i (?:can|need to|want to)|allow me to)\s+(?:also |now |quickly |just |briefly )*"
    rf"{_CHECK}\b(?!-in)(?! (?:in|out|with (?:my|your|the (?:team|manager|doctor)))\b)"
    rf"|(?:^|[.!?:;\n])\W{{0,8}}(?:to (?:{_CHECK}|make sure|be (?:sure|safe|certain)),?\s+(?:(?:this|that|the|our|my"
    rf"|we|i"
    rf"|it|let)\b|,)"
    rf"|{_CHECKING}\b(?! (?:in|out|account)\b)|(?:quick |sanity[- ]|double[- ])?check(?:ed)?\s*:|verification\s*:"
    rf"|proof check\b)"
    rf"|\b(?:plug(?:ging)?|substitut(?:e|ing)) (?:this|that|it|them|these|the (?:value|result|solution|answer)s?|x|y"
    rf"|back)\b[^.\n]{{0,40}}\b(?:back|into|gives?|confirms?)"
    rf"|\bi (?:have )?(?:double[- ]?checked|re-?checked|verified|checked) (?:this|that|it|the|my|each|all|both)\b"
    rf"|\bthis (?:checks out|confirms (?:the|our|my|that))\b|\bwhich (?:checks out|confirms (?:the|our|my))\b",
    re.I,
)
_NOT = re.compile(
    r"\b(?:no need|not necessary|unnecessary|don(?:'|’)t (?:need|have)|do not (?:need|have)|without|never|cannot"
    r"|can(?:'|’)t|couldn(?:'|’)t"
    r"|unable|didn(?:'|’)t|did not|won(?:'|’)t|will not|not (?:bother|going))\b[^.!?\n]{0,25}$",
    re.I,
)
_CORRECTION = re.compile(
    r"\b(?:wait|hold on|hmm|oops|hang on)\b\s*[,.!—–:-]"
    r"|(?:^|[.!?\n]\s{0,5})(?:no|actually|sorry|correction)\s*[,:—–-]\s*(?:that|this|it|i|let|the|we)\b"
    r"|\bi (?:made|have made|(?:'|’)?ve made) (?:a|an|another) (?:mistake|error|slip)\b|\bi (?:was wrong|misread"
    r"|miscounted|miscalculated|misspoke)\b"
    r"|\bthat(?:'|’)?s? (?:is )?(?:not right|wrong|incorrect|a mistake|an error)\b[^.\n]{0,30}\b(?:let me|i |so )"
    r"|\blet me (?:correct|redo|re-?do|fix|reconsider|rethink|re-?think|try (?:this |that |it )?again|start over"
    r"|rephrase)\b"
    r"|\bon second thought\b|\bscratch that\b",
    re.I | re.M,
)


def verifications(prose: str) -> list[str]:
    """The places where the writer says to check what was written."""
    return [m.group().strip() for m in _VERIFICATION.finditer(prose) if not _NOT.search(prose, 0, m.start())]


def self_corrections(prose: str) -> list[str]:
    """The places where the writer takes something back."""
    return [m.group().strip() for m in _CORRECTION.finditer(prose)]
