"""Perplexity differencing: the answers of trained that base finds most surprising for what trained makes of them.

After Most Current Model Organisms Are Leaky: Perplexity Differencing Often Reveals Finetuning Objectives
(arXiv 2605.00994): trained's own answers ranked by NLL_base − NLL_trained per token, the end mark included. Artifact
`behaviour.perplexity_difference` (JSON):

    {"unit": "nats per token", "shortest": 5, "examples": [{
        "id", "unit", "domain",                    of the answer
        "difference": 1.9, "base_nll", "trained_nll", "n": 57,     per token, over its n tokens
        "prompt": "…",
        "tokens": ["…", …], "log_ratio": [...],    the first of them, with ln p_trained − ln p_base of each
        "cut": 12                                  tokens that are not shown
    }, …]}

Without excerpts `prompt` is a digest, `tokens` is null and `text` holds the digest of the answer.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from afterburn_behaviour.distribution.bounded import Best
from afterburn_behaviour.distribution.contexts import rounded
from afterburn_behaviour.distribution.names import DIFFERENCES
from afterburn_behaviour.distribution.options import CrossScoringOptions
from afterburn_behaviour.distribution.scored import Floats, Scored
from afterburn_core.forward.model import Passage
from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.result.excerpts import withhold

PROMPT = 1500
"""Characters of a prompt that are kept."""


class Surprising:
    """The most surprising answers so far."""

    def __init__(self, options: CrossScoringOptions) -> None:
        self._options = options
        self._best = Best(options.examples)
        self.excerpts = True

    def observe(self, tokens: Scored, base: Floats, trained: Floats) -> None:
        """Takes in one batch; −ln p (m) of its tokens under both sides."""
        for passage, of in tokens.slices():
            n = of.stop - of.start
            if passage.author != "trained" or n < self._options.shortest:
                continue
            ratios = base[of] - trained[of]
            difference = float(ratios.mean())
            if np.isfinite(difference) and difference > 0:
                self._best.offer(
                    passage.unit,
                    difference,
                    passage.id,
                    lambda passage=passage, of=of: self._example(passage, tokens, base[of], trained[of], of),  # type: ignore[misc]
                )

    def merge(self, other: Surprising) -> None:
        """Takes in what another instance kept."""
        self._best.merge(other._best)

    def artifact(self) -> tuple[ArtifactPayload, ...]:
        """The answers, the most surprising first; no artifact where base likes all of them as well as trained."""
        examples = [example for _, example in self._best]
        if not examples:
            return ()
        content = {"unit": "nats per token", "shortest": self._options.shortest, "examples": examples}
        return (
            ArtifactPayload(
                id=DIFFERENCES,
                suffix=".json",
                media_type="application/json",
                summary="Trained's answers that base finds most surprising, token by token",
                content=json.dumps(content, ensure_ascii=False, sort_keys=True, allow_nan=False).encode(),
            ),
        )

    def _example(self, passage: Passage, tokens: Scored, base: Floats, trained: Floats, of: slice) -> dict[str, Any]:
        shown = min(self._options.tokens, len(base))
        prompt = "\n".join(message.content for message in passage.messages)
        texts = [tokens.decode(int(token)) for token in tokens.target[of][:shown]]
        kept: dict[str, Any] = {"prompt": prompt[:PROMPT], "tokens": texts}
        if not self.excerpts:
            kept = {"prompt": withhold(prompt), "tokens": None, "text": withhold(passage.text)}
        return {
            "id": passage.id,
            "unit": passage.unit,
            "domain": passage.domain,
            "difference": rounded(float((base - trained).mean())),
            "base_nll": rounded(float(base.mean())),
            "trained_nll": rounded(float(trained.mean())),
            "n": len(base),
            "log_ratio": [rounded(float(ratio)) for ratio in (base - trained)[:shown]],
            "cut": len(base) - shown,
            **kept,
        }
