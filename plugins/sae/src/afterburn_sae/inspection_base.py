"""Does a dictionary fit a model? FVU and L0 on a few texts, which show a file that was read the wrong way round.

A silently transposed matrix, a forgotten scale or a wrong threshold leaves every shape right and makes FVU or L0
absurd: nothing but activations of the model can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch

from afterburn_core.errors import ConfigError
from afterburn_core.forward.model import CONTENT, FIRST, ForwardBatch
from afterburn_core.forward.streaming import Stretch, named_device, open_models, texts
from afterburn_core.stats.contrast import Contrast
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.encoded import encode, reconstruct
from afterburn_sae.places import rebuilt_at
from afterburn_sae.validity import Fit, active_latents, doubts, misplaced, unexplained

FVU_BAR = 0.5
"""A dictionary that leaves more unexplained is not valid here."""


@attrs.frozen(kw_only=True)
class Reading:
    """What to read with."""

    base: str
    corpus: tuple[str, ...] = ()
    tokens: int = 4096
    device: str = "auto"
    seed: int = 0
    any_model: bool = False


class _Taker:
    """Sums what each passage needs for FVU and L0."""

    def __init__(self, dictionary: Dictionary, site: str, rebuilt: str) -> None:
        self._dictionary, self._site, self._rebuilt = dictionary, site, rebuilt
        self.fits: dict[str, Fit] = {}
        self.marked: bool | None = None

    def begin(self, blocks: Sequence[int], once: int) -> None:
        """Nothing to prepare."""

    def take(self, batch: ForwardBatch, rows: torch.Tensor) -> None:
        """One batch: the tokens of texts themselves, without the first."""
        kinds = batch.rows.token_class[rows]
        rows = rows[(kinds == CONTENT) | (kinds == FIRST)]
        x, target = (batch.base.sites[site][rows] for site in (self._site, self._rebuilt))
        for does, width, own in (
            ("reads", x.shape[1], self._dictionary.d_in),
            ("writes", target.shape[1], self._dictionary.d_out),
        ):
            if width != own:
                raise ConfigError(f"{self._dictionary.name}: {does} width {own}, and the model has {width} there")
        codes = encode(x, self._dictionary)
        error = (target.double() - reconstruct(x, codes, self._dictionary).double()).square().sum(dim=1)
        counts = codes.counts().double()
        owner = batch.rows.passage[rows]
        for number in owner.unique().tolist():  # type: ignore[no-untyped-call]
            own = owner == number
            passage, values = batch.rows.passages[number], target[own].double()
            self.fits[passage.id] = Fit(
                unit=passage.unit,
                tokens=len(values),
                error=float(error[own].sum()),
                squares=float(values.square().sum()),
                sums=values.sum(dim=0).cpu().numpy(),
                active=float(counts[own].sum()),
            )

    def end_block(self, number: int) -> None:
        """Nothing to end."""


def fit(dictionary: Dictionary, reading: Reading) -> dict[str, Any]:
    """FVU and L0 of a dictionary on texts that a model reads, as JSON, with what speaks against it.

    Raises:
        ConfigError: it reads no site that is offered here, or belongs to another model.
        SubjectError: the model cannot be read.
    """
    if dictionary.site is None:
        raise ConfigError(f"{dictionary.name}: reads {dictionary.hook or 'no named site'}, which no model offers here")
    device = named_device(reading.device)
    with open_models(reading.base) as models:
        config = models.opened[0].documents().get("config")
        why = misplaced(dictionary, dictionary.site, config, (models.base.label, reading.base), reading.any_model)
        if why is not None:
            raise ConfigError(f"{dictionary.name}: does not belong to {reading.base}: {why}")
        found = texts(reading.corpus, seed=reading.seed, most=max(8, reading.tokens // 16))
        rebuilt = rebuilt_at(dictionary) or dictionary.site  # a transcoder without one was refused above
        taker = _Taker(dictionary.to(device) if device != "cpu" else dictionary, dictionary.site, rebuilt)
        stretch = Stretch(passages=found.passages, seed=reading.seed, block=reading.tokens, tokens=reading.tokens)
        models.read(stretch, taker, sites=tuple(sorted({dictionary.site, rebuilt})), device=device)
    fvu, l0 = unexplained(taker.fits, seed=reading.seed), active_latents(taker.fits, seed=reading.seed)
    suspicions = doubts(dictionary, l0, None)
    valid = fvu.estimate is not None and fvu.estimate <= FVU_BAR
    warnings = [f"reader suspected: {doubt}" for doubt in suspicions]
    if not valid:
        warnings.insert(0, f"not valid here: {_said(fvu)} of the variance is unexplained (bar {FVU_BAR})")
    return {
        "base": models.base.label,
        "fvu": _numbers(fvu),
        "l0": _numbers(l0),
        "card_l0": dictionary.l0,
        "tokens": sum(one.tokens for one in taker.fits.values()),
        "texts": list(found.names),
        "bar": FVU_BAR,
        "valid": valid,
        "warnings": warnings,
    }


def _numbers(contrast: Contrast) -> Mapping[str, Any]:
    interval = contrast.interval
    return {
        "value": contrast.estimate,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "n": contrast.n,
        "reason": contrast.reason,
    }


def _said(contrast: Contrast) -> str:
    return "an unknown share" if contrast.estimate is None else f"{contrast.estimate:.3g}"
