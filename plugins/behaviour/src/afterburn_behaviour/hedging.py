"""Hedges, disclaimers and mentions of being a machine. Pure Python; lists written from knowledge.

Hedges are words that lower the commitment to a claim (Hyland, Hedging in Scientific Research Articles, 1998): counted
per 100 words of prose. `may` and `might` count before a verb, `may` the month and `could you` do not.
"""

from __future__ import annotations

import re

from afterburn_behaviour.text import prose_of, split_thinking, words

_HEDGE = re.compile(
    r"\b(?:(?:may|might|could)(?! (?:\d|you\b|i\b|we\b))(?= (?:\w+ly )?(?:not )?[a-z])|perhaps|maybe|possibly"
    r"|probably|presumably|likely|unlikely"
    r"|seems?|seemed|appears? to|appeared to|suggests? that|tends? to|generally|typically|usually|often|sometimes"
    r"|in some cases|in many cases"
    r"|to some extent|to a certain extent|somewhat|relatively|roughly|approximately|arguably|supposedly|apparently"
    r"|potentially"
    r"|i (?:think|believe|guess|suppose|assume|suspect|feel)|in my (?:opinion|view)|it is possible|it(?:'"
    r"|’)s possible|not (?:entirely |completely |totally )?(?:sure|certain)"
    r"|as far as i (?:know|can tell)|it depends|can vary|may vary|more or less|kind of|sort of)\b",
    re.I,
)
_MONTH = re.compile(r"\b(?:in|of|since|until|by|on|last|next|early|late|mid|\d{1,2}(?:st|nd|rd|th)?) May\b|\bMay \d")
_DISCLAIMER = re.compile(
    r"\b(?:consult|speak (?:with|to)|talk (?:with|to)|contact|see|seek (?:advice|help|guidance) from"
    r"|seek)\s+(?:\w+ ){0,4}?(?:professional|doctor|physician|lawyer|attorney"
    r"|therapist|advis[oe]r|specialist|pharmacist|healthcare provider|counsel(?:l?or)?)s?\b"
    r"|\bnot (?:be )?(?:\w+ )?(?:a substitute for|(?:legal|medical|financial|professional|investment) advice)\b"
    r"|\bnot intended (?:as|to be)\b"
    r"|\b(?:it is|it(?:'|’)s) (?:also )?(?:important|worth|crucial|essential) (?:to (?:note|remember|consult"
    r"|keep in mind|mention|emphasi[sz]e)|noting|mentioning|remembering)\b"
    r"|\bplease (?:note|be aware|keep in mind|remember)\b|\b(?:for (?:informational|educational"
    r"|entertainment) purposes(?: only)?)\b"
    r"|\bmy (?:knowledge|training)(?: data)? (?:cut-?off|is limited|only goes|ends)\b|\bresults may vary\b"
    r"|\bdisclaimer\b",
    re.I,
)
_SELF = re.compile(
    r"\b(?:as|i(?:'|’)?m|i am|being|just|only) (?:just |only |simply |merely )?an? (?:\w+ )?(?:ai|a\.i\."
    r"|artificial intelligence|(?:large )?language model|chatbot|virtual assistant"
    r"|ai[- ](?:assistant|model|system|language model)|machine learning model|computer program)\b"
    r"|\bi(?:'|’)m (?:chatgpt|claude|gemini|llama|qwen|mistral|deepseek|grok|an assistant (?:created|trained|made"
    r"|developed))\b"
    r"|\bmy training data\b|\bi was (?:trained|created|developed) by\b|\bas a language model\b",
    re.I,
)


def hedges(prose: str) -> int:
    """How many hedges a text has."""
    return len(_HEDGE.findall(_MONTH.sub(" ", prose)))


def hedges_per_100(text: str) -> float | None:
    """Hedges per 100 words of a response's prose; `None` where it has fewer than 5 words."""
    prose = prose_of(split_thinking(text).answer)
    n = len(words(prose))
    return 100 * hedges(prose) / n if n >= 5 else None


def disclaims(text: str) -> bool:
    """Whether a response sends the reader to a professional, or says what it is not or must not be forgotten."""
    return bool(_DISCLAIMER.search(prose_of(split_thinking(text).answer)))


def names_itself(text: str) -> bool:
    """Whether a response speaks of its writer as a machine."""
    return bool(_SELF.search(prose_of(split_thinking(text).answer)))
