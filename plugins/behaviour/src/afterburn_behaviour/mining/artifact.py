"""The artifact `behaviour.diff_mining`: everything a view of diff mining needs, as JSON.

Fields: `positions`, `passages` (read and kept), `units` by half, `vocabulary`, `extreme` (K), `approximate`,
`scrambled` (by sign the rate to exceed, the largest under the scrambled change; or null), `stability`; then for `gains`
and `losses`

- `found`: how many candidates were found;
- `tokens`: `id`, `text`, `rate` (all passages), `discovered`, `confirmed`, `interval`, `opposite` (rate among the
  extremes of the other sign), `share_positive` (of the positions where it is an extreme of either sign, those where it
  gains), `balance`, `p_swapped`, `p_scrambled` (adjusted), `null_rate`, `null_quantile`, `log_ratio` (mean of D),
  `log_interval`, `spread`, `found`, `examples` (`passage`, `context`, `log_ratio`);
- `topics`: `share`, `tokens` (`id`, `text`, `weight`), `passages`; and `error`, the share of ‖X‖² left unexplained;

and `windows`, `raised` and `lowered`: `passage`, `start`, `log_ratio` (of the whole window), `before`, `tokens`
(`text`, `log_ratio`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from afterburn_behaviour.mining.measures import SIGNS
from afterburn_behaviour.mining.options import MiningOptions
from afterburn_behaviour.mining.outcome import Outcome
from afterburn_behaviour.mining.passages import Kept
from afterburn_behaviour.mining.tokens import Token
from afterburn_behaviour.mining.windows import Extreme, Window
from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.result.excerpts import withhold
from afterburn_core.result.model import Interval, Test

_CONTEXT = 24  # tokens of context
_PER_TOPIC = 10


@attrs.frozen(kw_only=True, eq=False)
class Findings:
    """What is written."""

    outcome: Outcome
    positions: int
    extreme: int
    windows: tuple[Extreme, Extreme]
    decode: Callable[[int], str]
    approximate: bool


def payload(findings: Findings, options: MiningOptions, *, excerpts: bool) -> ArtifactPayload:
    """The artifact."""
    outcome = findings.outcome
    content: dict[str, Any] = {
        "positions": findings.positions,
        "passages": {"read": outcome.read, "kept": len(outcome.passages)},
        "units": {"discover": outcome.units[0], "confirm": outcome.units[1]},
        "vocabulary": outcome.vocabulary,
        "extreme": findings.extreme,
        "approximate": findings.approximate,
        "scrambled": None if outcome.null is None else dict.fromkeys(SIGNS, outcome.null),
        "stability": {name: outcome.stability[sign][0] for sign, name in enumerate(SIGNS)},
        "windows": {
            name: [_window(w, findings.decode, excerpts) for w in store.kept]
            for name, store in zip(("raised", "lowered"), findings.windows, strict=True)
        },
    }
    for sign, name in enumerate(SIGNS):
        content[name] = {
            "found": outcome.found[sign] if outcome.judged else None,
            "tokens": [
                _token(token, _examples(token, outcome.passages, options.examples, findings.decode, excerpts))
                for token in outcome.tokens[sign]
            ],
            **_topics(outcome, sign, findings.decode),
        }
    return ArtifactPayload(
        id="behaviour.diff_mining",
        suffix=".json",
        media_type="application/json",
        summary="Tokens that training made likelier or less likely over neutral text, with topics and examples",
        content=json.dumps(content, ensure_ascii=False, sort_keys=True).encode("utf-8", "backslashreplace"),
    )


def _token(token: Token, examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    gains, losses = (token.overall, token.opposite) if token.sign == 0 else (token.opposite, token.overall)
    return {
        "id": token.id,
        "text": token.text,
        "rate": token.overall,
        "discovered": token.discovered,
        "confirmed": token.confirmed,
        "interval": _ends(token.interval),
        "opposite": token.opposite,
        "share_positive": gains / (gains + losses) if gains + losses > 0 else None,
        "balance": token.balance,
        "p_swapped": _p(token.swapped),
        "p_scrambled": _p(token.scrambled),
        "null_rate": token.null_rate,
        "null_quantile": None if token.null is None else token.null.quantile,
        "log_ratio": token.log_ratio,
        "log_interval": _ends(token.log_interval),
        "spread": token.spread,
        "found": token.found,
        "examples": list(examples),
    }


def _examples(
    token: Token, passages: Sequence[Kept], most: int, decode: Callable[[int], str], excerpts: bool
) -> list[dict[str, Any]]:
    """The passages in which the token's difference is largest, one position of each."""
    found: list[tuple[float, str, Kept, int]] = []
    for kept in passages:
        one = kept.signs[token.sign]
        at = int(np.searchsorted(one.tokens, token.id))
        if at < len(one.tokens) and one.tokens[at] == token.id:
            found.append((-float(one.values[at]), kept.id, kept, int(one.rows[at])))
    found.sort(key=lambda entry: entry[:2])
    signed = -1.0 if token.sign == 0 else 1.0
    return [
        {
            "passage": name,
            "context": _text(kept.tokens[max(0, row + 1 - _CONTEXT) : row + 1].tolist(), decode, excerpts),
            "log_ratio": signed * value,
        }
        for value, name, kept, row in found[:most]
    ]


def _topics(outcome: Outcome, sign: int, decode: Callable[[int], str]) -> dict[str, Any]:
    factors = outcome.topics[sign]
    if factors is None:
        return {"topics": [], "error": None}
    names = [kept.id for kept in outcome.passages]
    topics = []
    for k, share in enumerate(factors.share.tolist()):
        row, column = factors.h[k], factors.w[:, k]
        best = [j for j in np.argsort(-row, kind="stable")[:_PER_TOPIC].tolist() if row[j] > 0]
        ids = [int(outcome.topic_tokens[sign][j]) for j in best]
        topics.append(
            {
                "share": share,
                "tokens": [
                    {"id": v, "text": decode(v), "weight": float(row[j])} for v, j in zip(ids, best, strict=True)
                ],
                "passages": [names[i] for i in np.argsort(-column, kind="stable")[:3].tolist() if column[i] > 0],
            }
        )
    return {"topics": topics, "error": factors.error}


def _window(window: Window, decode: Callable[[int], str], excerpts: bool) -> dict[str, Any]:
    tokens = (
        [{"text": decode(v), "log_ratio": r} for v, r in zip(window.tokens, window.ratios, strict=True)]
        if excerpts
        else [{"text": _text(window.tokens, decode, excerpts), "log_ratio": window.total}]
    )
    return {
        "passage": window.passage,
        "start": window.start,
        "log_ratio": window.total,
        "before": _text(window.before, decode, excerpts),
        "tokens": tokens,
    }


def _text(tokens: Sequence[int], decode: Callable[[int], str], excerpts: bool) -> str:
    text = "".join(decode(v) for v in tokens)
    return text if excerpts else withhold(text)


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _p(test: Test | None) -> float | None:
    return None if test is None else test.p_adjusted
