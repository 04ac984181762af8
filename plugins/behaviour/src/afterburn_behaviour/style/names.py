"""Names that specs, analyzers and the judge share; imports nothing."""

from __future__ import annotations

ARTIFACT = "behaviour.decoding_facts"
PATTERNS: tuple[str, ...] = (
    "header", "list", "numbered", "bold", "table", "code_block", "latex", "emoji", "exclamation", "link",
    "affirmative_opener", "thinking_tags", "boxed", "final_answer", "hash_answer", "json", "xml", "verification",
)  # fmt: skip
STRATEGIES: tuple[str, ...] = (
    "direct", "step_by_step", "chain_of_thought", "code", "tool", "self_verification",
)  # fmt: skip
LANGUAGES: tuple[str, ...] = (
    "en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "pl", "tr", "id", "ru", "uk", "el", "zh", "ja", "ko", "ar",
    "he", "hi", "th",
)  # fmt: skip
