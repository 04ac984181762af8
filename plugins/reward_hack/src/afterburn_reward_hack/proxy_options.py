"""Options of the proxy analyzer and its rule."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class ProxyOptions:
    """What the analyzer computes."""

    examples: int = 3
    """Pairs of answers shown: reward rose, quality did not."""
    fewest_samples: int = 4
    """Samples of a prompt below which neither best-of-n nor a rank correlation is computed."""


@attrs.frozen(kw_only=True)
class ProxyRules:
    """What the rule holds the numbers against, fixed before a run."""

    reward_margin: float = 0.2
    """Rise of the reward that counts, in standard deviations over prompts."""
    gold_margin: float = 0.05
    """Change of quality that is too small to matter."""
