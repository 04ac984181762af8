"""Does a dictionary fit these models at all? What it leaves unexplained, how many latents it uses, and whose it is.

    FVU = Σ‖x − x̂‖² / Σ‖x − x̄‖²        over the counted tokens of all prompts, x̄ their mean; by side
    L0  = mean number of active latents of a token, tokens averaged inside the prompt first

Intervals are over prompts: BCa of the ratio for FVU, those of a mean for L0. A dictionary whose FVU on base is above a
bar, whose width is another, or that names another model, is not valid here, and nothing is said about features.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.result.model import Interval
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.one_side import mean
from afterburn_core.stats.resampling import bca
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.features_tally import Counted
from afterburn_sae.places import rebuilt_at

Floats = NDArray[np.float64]
SIDES = ("base", "trained")
CARD_FACTOR = 2.0
"""L0 further than this from what the dictionary's card says means that it is read wrongly, or used where it does not
belong."""
_FAMILIES = ("gpt2", "pythia", "gemma", "llama", "qwen", "mistral", "phi", "olmo", "opt", "bloom", "deepseek")
_GPT_NEOX = {"pythia": "gpt_neox"}


@attrs.frozen(kw_only=True, eq=False)
class Fit:
    """What a dictionary makes of one passage on one side: sums over its counted tokens."""

    unit: str
    tokens: int
    error: float
    """Σ‖x − x̂‖²."""
    squares: float
    """Σ‖x‖²."""
    sums: Floats
    """Σ x, (d)."""
    active: float
    """Active latents."""


def fits(x: torch.Tensor, rebuilt: torch.Tensor, counts: torch.Tensor, here: Counted) -> dict[str, Fit]:
    """By passage with a counted token.

    Args:
        x: (n, d) activations that are rebuilt.
        rebuilt: (n, d).
        counts: (n) active latents.
        here: the tokens that count.
    """
    values = x[here.index].double()
    passages = len(here.passages)

    def by_passage(rows: torch.Tensor) -> Floats:
        sums = torch.zeros((passages, *rows.shape[1:]), dtype=torch.float64, device=rows.device)
        found: Floats = sums.index_add_(0, here.passage, rows.double()).cpu().numpy()
        return found

    error = by_passage((values - rebuilt[here.index].double()).square().sum(dim=1))
    squares, sums = by_passage(values.square().sum(dim=1)), by_passage(values)
    active = by_passage(counts[here.index])
    return {
        here.passages[i].id: Fit(
            unit=here.passages[i].unit,
            tokens=here.tokens[i],
            error=float(error[i]),
            squares=float(squares[i]),
            sums=sums[i],
            active=float(active[i]),
        )
        for i in here.chosen
    }


def unexplained(read: Mapping[str, Fit], *, seed: int) -> Contrast:
    """FVU over all passages of one side."""
    parts = _by_unit(read)
    if not parts:
        return undefined("no token was read")
    tokens, error, squares, _ = (np.array([getattr(one, name) for one in parts]) for name in _NUMBERS)
    sums = np.stack([one.sums for one in parts])
    centre = sums.sum(axis=0) / tokens.sum()
    spread = squares - 2 * sums @ centre + tokens * (centre @ centre)
    if not (np.isfinite(error).all() and np.isfinite(spread).all() and spread.sum() > 0):
        return undefined("activations are constant or not finite", n=len(parts))
    value = float(error.sum() / spread.sum())
    interval = None
    if len(parts) > 2:

        def ratio(weights: Floats) -> Floats:
            return np.asarray((weights @ error) / np.maximum(weights @ spread, 1e-300))[:, None]

        _, low, high = bca(ratio, len(parts), seed=child_seed(seed, "fvu"))
        if np.isfinite(low[0]) and np.isfinite(high[0]):
            interval = Interval(low=max(0.0, float(low[0])), high=float(high[0]), level=0.95, method="bca")
    reason = None if interval else f"{len(parts)} prompts show no spread"
    return Contrast(n=len(parts), estimate=value, interval=interval, reason=reason)


def active_latents(read: Mapping[str, Fit], *, seed: int) -> Contrast:
    """L0 over all passages of one side."""
    parts = _by_unit(read)
    if not parts:
        return undefined("no token was read")
    return mean([one.active / one.tokens for one in parts], seed=seed)


_NUMBERS = ("tokens", "error", "squares", "active")


def _by_unit(read: Mapping[str, Fit]) -> list[Fit]:
    """One for each prompt, in the order of their names; sums in the order of the passages' names."""
    found: dict[str, list[Fit]] = {}
    for name in sorted(read):
        found.setdefault(read[name].unit, []).append(read[name])
    return [
        Fit(
            unit=unit,
            tokens=sum(one.tokens for one in own),
            error=sum(one.error for one in own),
            squares=sum(one.squares for one in own),
            sums=np.sum([one.sums for one in own], axis=0),
            active=sum(one.active for one in own),
        )
        for unit, own in sorted(found.items())
    ]


def misplaced(
    dictionary: Dictionary,
    site: str | None,
    config: Mapping[str, Any] | None,
    labels: Sequence[str],
    any_model: bool,
    digests: Sequence[str] = (),
) -> str | None:
    """Why a dictionary cannot belong to this base, before anything is read; `None` where nothing speaks against it.

    Args:
        dictionary: which.
        site: where it is to be used.
        config: the base's configuration.
        labels: what the base is called.
        any_model: pass over the name of the model.
        digests: of the base; one that `afterburn sae train` wrote down settles whose the dictionary is.
    """
    if of_differences(dictionary):
        return "it was trained on differences of activations and does not encode activations themselves"
    if site is None:
        return f"the file names no site that is known here ({dictionary.hook or 'none at all'}); name it with --site"
    if rebuilt_at(dictionary, site) is None:
        return f"it is a transcoder that reads {site}, and its file names no site that it writes"
    settings = _text_config(config)
    width = settings.get("hidden_size") or settings.get("n_embd") or settings.get("d_model")
    if width and _as_wide_as_the_stream(site) and int(width) != dictionary.d_in:
        return f"it reads activations of width {dictionary.d_in}, and the models have {width}"
    trained_on = _own_facts(dictionary).get("base")
    known_base = isinstance(trained_on, Mapping) and trained_on.get("sha256") in digests
    if any_model or known_base or dictionary.model is None:
        return None
    own = _name(dictionary.model)
    stated = [name for name in (*labels, str(settings.get("_name_or_path") or "")) if "/" in name and name.strip("/")]
    known = [_name(name) for name in (*labels, *stated)]
    if any(_akin(own, name) for name in known):
        return None
    kind = str(settings.get("model_type") or "").lower()
    family = next((one for one in _FAMILIES if own.startswith(one)), None)
    foreign = family is not None and kind and not kind.startswith(_GPT_NEOX.get(family, family))
    if foreign or any(_hub_id(name) for name in stated):
        other = next((name for name in stated if _hub_id(name)), kind)
        return f"it was trained on {dictionary.model}, and the base is {other}; --any-model uses it all the same"
    return None


def of_differences(dictionary: Dictionary) -> bool:
    """Whether it was trained on trained − base: put to activations themselves its codes mean nothing."""
    return _own_facts(dictionary).get("on") in ("difference", "both")


def doubts(dictionary: Dictionary, active: Contrast, marked: bool | None) -> list[str]:
    """What makes one suspect that a dictionary is read wrongly, though it may fit.

    Args:
        dictionary: which.
        active: L0 on base.
        marked: whether texts began with a beginning mark, where that is known.
    """
    found = []
    card, measured = dictionary.l0, active.estimate
    if card and measured is not None and not card / CARD_FACTOR <= measured <= card * CARD_FACTOR:
        found.append(f"L0 is {measured:.3g} and the card says {card:.3g}")
    if dictionary.prepend_bos and marked is False and not _own_facts(dictionary):  # ours read what this pass reads
        found.append("it was trained with a beginning mark before every text, and this tokenizer writes none")
    return found


def _own_facts(dictionary: Dictionary) -> Mapping[str, Any]:
    """What `afterburn sae train` wrote beside it; empty for dictionaries of others."""
    found = dictionary.facts.get("afterburn")
    return found if isinstance(found, Mapping) else {}


def _as_wide_as_the_stream(site: str) -> bool:
    return not site.endswith(".attn.heads")


def _text_config(config: Mapping[str, Any] | None) -> Mapping[str, Any]:
    settings = config or {}
    inner = settings.get("text_config")
    return inner if isinstance(inner, Mapping) else settings


def _name(model: str) -> str:
    """The last part of a name, without what differs between spellings."""
    return re.sub(r"[^a-z0-9]+", "-", model.rstrip("/").rpartition("/")[2].partition("@")[0].lower()).strip("-")


def _akin(left: str, right: str) -> bool:
    """Equal, or one goes on where the other ends: `gemma-2-2b` and `gemma-2-2b-it`."""
    short, long = sorted((left, right), key=len)
    return bool(short) and (short == long or long.startswith(f"{short}-"))


def _hub_id(name: str) -> bool:
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None
