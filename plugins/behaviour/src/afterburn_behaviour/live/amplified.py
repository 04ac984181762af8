"""What the analyzer of amplification leaves behind: texts, phrases and ways of writing as one JSON artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterburn_behaviour.live.options import AmplificationOptions
from afterburn_behaviour.live.phrases import Held, outermost
from afterburn_behaviour.live.prefixes import Prefix
from afterburn_core.forward.live import Written
from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.result.excerpts import withhold

Floats = NDArray[np.float64]


def record(
    *,
    options: AmplificationOptions,
    arms: Mapping[str, float | None],
    prefixes: Sequence[Prefix],
    written: Mapping[str, Sequence[Sequence[Written]]],
    held: Held,
    p_values: Floats,
    excerpts: bool,
) -> ArtifactPayload:
    """The artifact `behaviour.amplification`, see `live.amplification`.

    Args:
        options: of the analyzer.
        arms: α by way of writing, `None` for the base.
        prefixes: the openings.
        written: texts by way of writing, opening and sample.
        held: phrases, with the pooled way `amplified`.
        p_values: (phrases,) adjusted.
        excerpts: whether texts may be kept.
    """

    def kept(text: str) -> str:
        return text if excerpts else withhold(text)

    content: dict[str, Any] = {
        "settings": {
            "alphas": [0.0, *sorted(options.alphas)],
            "control": options.control,
            "plausible": options.plausible,
            "temperature": options.temperature,
            "samples": options.samples,
            "max_new_tokens": options.max_new_tokens,
            "level": options.level,
        },
        "prefixes": [{"id": p.id, "kind": p.kind, "text": kept(p.text) if p.own else p.text} for p in prefixes],
        "arms": [
            {
                "name": name,
                "alpha": alpha,
                "log_ratio": _round(float(log_ratio(written[name]).mean())),
                "repetition": _round(_repetition(written[name])),
            }
            for name, alpha in arms.items()
        ],
        "texts": [
            {
                "prefix": prefixes[row].id,
                "arm": arm,
                "sample": sample,
                "text": kept(one.text),
                "tokens": len(one.token_ids),
                "ended": one.ended,
                "trained_nll": _round(-one.trained_logprob / _counted(one)),
                "base_nll": _round(-one.base_logprob / _counted(one)),
            }
            for arm, texts in written.items()
            for row, own in enumerate(texts)
            for sample, one in enumerate(own)
        ],
        "phrases": [
            {
                "phrase": kept(held.spelt[held.phrases[number]]),
                "p_value": _round(float(p_values[number])),
                "found": bool(p_values[number] <= options.level),
                "part": part,
                "shares": {arm: _round(float(held.shares[arm][:, number].mean())) for arm in written},
                "openings": {arm: int(held.openings(arm)[number]) for arm in written},
            }
            for number, part in _ordered(held, p_values, options)
        ],
    }
    return ArtifactPayload(
        id="behaviour.amplification",
        suffix=".json",
        media_type="application/json",
        summary="Texts from empty and vague openings with the change amplified, and the phrases that come back",
        content=json.dumps(content, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass"),
    )


def log_ratio(written: Sequence[Sequence[Written]]) -> Floats:
    """(openings,) ln p_trained − ln p_base per token."""
    return np.array([sum(o.trained_logprob - o.base_logprob for o in own) / sum(map(_counted, own)) for own in written])


def _ordered(held: Held, p_values: Floats, options: AmplificationOptions) -> list[tuple[int, bool]]:
    """Phrases to keep, and whether each is a part of a longer one that was found: found ones first, longest first."""
    found = [number for number in np.argsort(p_values, kind="stable").tolist() if p_values[number] <= options.level]
    outer = outermost(held, found)
    gain = held.shares["amplified"].mean(axis=0) - held.shares["base"].mean(axis=0)
    others = sorted(
        (number for number in np.flatnonzero(gain > 0).tolist() if number not in outer),
        key=lambda number: (p_values[number], -gain[number], held.phrases[number]),
    )
    return [(number, number in found and number not in outer) for number in (*outer, *others)][: options.shown]


def _counted(one: Written) -> int:
    """Tokens that the log-probabilities are sums over; at least 1."""
    return max(1, len(one.token_ids) + int(one.ended))


def _repetition(written: Sequence[Sequence[Written]]) -> float:
    """Share of pairs of neighbouring tokens that stood in the same text before; texts of less than two have none."""
    again = total = 0
    for one in (one for own in written for one in own):
        pairs = list(zip(one.token_ids, one.token_ids[1:]))
        total += len(pairs)
        again += len(pairs) - len(set(pairs))
    return again / total if total else 0.0


def _round(value: float) -> float:
    return round(value, 5)
