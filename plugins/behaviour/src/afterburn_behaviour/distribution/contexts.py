"""The stretches of text at which the two sides differ most, with their tokens: what a reader looks at first.

Of every passage the stretch of at most `window` tokens with the largest Σ KL(trained‖base) is a candidate; the best of
every unit compete for the places. A token's KL is that of the distributions that predict it. Artifact
`behaviour.divergence_contexts` (JSON):

    {"unit": "nats", "window": 48, "contexts": [{
        "id", "source", "domain", "author",        passage, and whose answer it is (null where it is none)
        "start": 12,                               index in the text of the first token shown; negative in a prompt
        "total": 31.2, "mean": 0.65,               Σ KL and KL per token of the stretch
        "lead": "…", "tokens": ["…", …],           text just before, and the tokens; null for what comes after a prompt
        "kl": [...], "flipped": [0/1, …],          by token
        "base_nll": [...], "trained_nll": [...],   −ln p of the token, null where none follows
        "base_rank": [...], "trained_rank": [...],
        "classes": [...],                          names of `forward.model.TOKEN_CLASSES`, null where none follows
        "peak": {"token": "…", "kl": 7.1}          the token with the largest KL
    }, …]}

Without excerpts `lead` is empty, `tokens` is null, and `text` holds the digest of the stretch instead.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from afterburn_behaviour.distribution.bounded import Best
from afterburn_behaviour.distribution.names import CONTEXTS
from afterburn_behaviour.distribution.scored import Floats, Scored, integers
from afterburn_core.forward.model import TOKEN_CLASSES, Passage, TokenScores
from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.result.excerpts import withhold

LEAD = 16
"""Tokens before the stretch that are shown with it."""


class Contexts:
    """The most diverging stretches so far."""

    def __init__(self, kept: int, window: int) -> None:
        self._window = window
        self._best = Best(kept)
        self.excerpts = True

    def observe(self, tokens: Scored, scores: TokenScores, kl: Floats) -> None:
        """Takes in one batch; `kl` (m) of its tokens."""
        for passage, of in tokens.slices():
            start, total = _heaviest(kl[of], self._window)
            if not total > 0 or not math.isfinite(total):
                continue
            chosen = slice(of.start + start, min(of.start + start + self._window, of.stop))
            self._best.offer(
                passage.unit,
                total,
                passage.id,
                lambda passage=passage, chosen=chosen: self._context(passage, tokens, scores, kl, chosen),  # type: ignore[misc]
            )

    def merge(self, other: Contexts) -> None:
        """Takes in what another instance kept."""
        self._best.merge(other._best)

    def artifact(self) -> tuple[ArtifactPayload, ...]:
        """The stretches, the most diverging first; no artifact where nothing diverges."""
        contexts = [context for _, context in self._best]
        if not contexts:
            return ()
        content = {"unit": "nats", "window": self._window, "contexts": contexts}
        return (
            ArtifactPayload(
                id=CONTEXTS,
                suffix=".json",
                media_type="application/json",
                summary="Stretches of text at which the next-token distributions differ most, token by token",
                content=json.dumps(content, ensure_ascii=False, sort_keys=True, allow_nan=False).encode(),
            ),
        )

    def _context(
        self, passage: Passage, tokens: Scored, scores: TokenScores, kl: Floats, chosen: slice
    ) -> dict[str, Any]:
        index = tokens.index[chosen]
        known = tokens.target[chosen] >= 0
        texts = [tokens.decode(int(token)) if token >= 0 else None for token in tokens.target[chosen]]
        of_token = kl[chosen]
        peak = int(np.argmax(of_token))
        first_row = int(tokens.row[chosen.start])
        before = np.flatnonzero(tokens.row_passage[: first_row + 1] == tokens.row_passage[first_row])[-LEAD:]
        lead = "".join(tokens.decode(int(token)) for token in tokens.tokens[before])
        shown: dict[str, Any] = {"lead": lead, "tokens": texts}
        if not self.excerpts:
            stretch = "".join(text for text in texts if text is not None)
            shown = {"lead": "", "tokens": None, "text": withhold(stretch)}
        classes = [TOKEN_CLASSES[number] if here else None for number, here in zip(tokens.token_class[chosen], known)]
        return {
            "id": passage.id,
            "source": passage.source,
            "domain": passage.domain,
            "author": passage.author,
            "start": int(tokens.place[chosen.start]),
            "total": rounded(float(of_token.sum())),
            "mean": rounded(float(of_token.mean())),
            "kl": [rounded(float(value)) for value in of_token],
            "flipped": [int(flag) for flag in integers(scores.flipped)[index]],
            "base_nll": _told(tokens.values(scores, ["base_nll"])[chosen, 0]),
            "trained_nll": _told(tokens.values(scores, ["trained_nll"])[chosen, 0]),
            "base_rank": _ranks(integers(scores.base_rank)[index], known),
            "trained_rank": _ranks(integers(scores.trained_rank)[index], known),
            "classes": classes,
            "peak": {"token": texts[peak], "kl": rounded(float(of_token[peak]))},
            **shown,
        }


def rounded(value: float) -> float:
    """Five significant digits, which is all that a drawing needs."""
    return float(f"{value:.5g}")


def _heaviest(values: Floats, window: int) -> tuple[int, float]:
    """Start and sum of the stretch of at most `window` values with the largest sum; the first of equal ones."""
    if len(values) <= window:
        return 0, float(values.sum())
    running = np.concatenate([[0.0], np.cumsum(values)])
    start = int(np.argmax(running[window:] - running[:-window]))
    return start, float(values[start : start + window].sum())


def _told(values: Floats) -> list[float | None]:
    return [rounded(float(value)) if np.isfinite(value) else None for value in values]


def _ranks(ranks: Any, known: Any) -> list[int | None]:
    return [int(rank) if here else None for rank, here in zip(ranks, known)]
