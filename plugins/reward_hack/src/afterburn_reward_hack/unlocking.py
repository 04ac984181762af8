"""What lets each rule run, for the messages that name the rules which could not."""

from __future__ import annotations

from collections.abc import Mapping

NEEDS: Mapping[str, str] = {
    "length": "answers of both sides",
    "format": "answers of both sides",
    "collapse": "--samples 8, or prompts that many answers can share",
    "sycophancy": "--suite sycophancy",
    "proxy": "--reward, and --gold or prompts with gold answers",
    "verifier": "--suite code, with --allow-code-execution to run the answers",
    "refusal": "--suite safety",
    "boilerplate": "answers of both sides",
    "eval_awareness": "--suite awareness",
}
"""By the rule's name without the plugin's prefix."""
