"""What lets each rule run, for the messages that name the rules which could not."""

from __future__ import annotations

from collections.abc import Mapping

NEEDS: Mapping[str, str] = {
    "length": "answers of both sides",
    "format": "answers of both sides",
    "collapse": "answers of both sides; --samples 8 for its full reach",
    "sycophancy": "--preset full, or --suite reward_hack.sycophancy",
    "proxy": "--reward, and --gold or prompts with gold answers",
    "verifier": "--preset full, or --suite reward_hack.code or code",
    "refusal": "answers of both sides to harmless prompts",
    "boilerplate": "answers of both sides",
    "eval_awareness": "--preset full, or --suite reward_hack.eval_awareness",
}
"""By the rule's name without the plugin's prefix."""
