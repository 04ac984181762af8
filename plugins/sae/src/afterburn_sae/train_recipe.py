"""How a dictionary is trained: what the user said, and what follows from it."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, Literal

import attrs

from afterburn_core.errors import ConfigError

On = Literal["base", "trained", "difference", "both"]
"""What is learned: activations of one side, trained − base, or (a crosscoder) both sides at once."""
Kind = Literal["batch_topk", "l1"]

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises to its full value."""
COOL_DOWN = 0.2
"""Share of the steps, the last ones, in which it falls to nothing."""
ANNEAL = 0.3
"""Share of the steps in which k falls to its value, and the weight of an L1 penalty rises to its."""
DEAD_TOKENS = 10_000_000
"""A latent that no token switched on for so long is dead (arXiv 2406.04093); of short trainings a twentieth."""
BUFFER_BYTES = 1 << 29
"""Most memory of the buffer of activations."""


@attrs.frozen(kw_only=True)
class Recipe:
    """One training. Equal recipes on equal inputs give equal dictionaries."""

    site: str
    on: On = "base"
    kind: Kind = "batch_topk"
    latents: int | None = None
    """`None` is `expansion` times the width of the site."""
    expansion: float = 2.0
    k: int = 32
    """Mean number of active latents of a token."""
    k_start: int | None = None
    """k at the first step, annealed to `k`; `None` keeps it constant."""
    l1: float = 1.0
    """Weight of the penalty of `l1`, for activations of norm √d."""
    tokens: int = 1_000_000
    steps: int | None = None
    """Steps of `batch` tokens; goes before `tokens`."""
    lr: float | None = None
    """`None` follows from the number of latents (`learning_rate`)."""
    batch: int = 1024
    seed: int = 0
    more_seeds: tuple[int, ...] = ()
    """Seeds of further dictionaries that start elsewhere and learn from the same batches."""

    def __attrs_post_init__(self) -> None:
        for name, least in (("k", 1), ("tokens", 1), ("batch", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: {getattr(self, name)} is not at least {least}")
        for name in ("latents", "steps", "k_start"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}: {value} is not at least 1")
        for name in ("expansion", "lr", "l1"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"{name}: {value} is not a number above 0")
        if "*" in self.site:
            raise ConfigError(f"site {self.site!r}: name one site, such as blocks.3.out")
        if self.on != "both" and (self.kind != "batch_topk" or self.more_seeds):
            raise ConfigError("an L1 penalty and further seeds are for crosscoders")

    @property
    def sides(self) -> int:
        """Models whose activations a row holds."""
        return 2 if self.on == "both" else 1

    @property
    def wanted_tokens(self) -> int:
        """Tokens to train on, epochs counted."""
        return self.tokens if self.steps is None else self.steps * self.batch

    def width(self, d: int) -> int:
        """Latents of a dictionary at a site of width d.

        Raises:
            ConfigError: fewer than the k that shall be active.
        """
        n = self.latents if self.latents is not None else max(1, round(self.expansion * d))
        if self.kind == "batch_topk" and n < 2 * self.k:
            raise ConfigError(
                f"{n} latents of which {self.k} are active are not sparse; give more --latents or less --k"
            )
        return n

    def learning_rate(self, latents: int) -> float:
        """2e-4·√(2¹⁴/n), at most 3e-3: the scaling by 1/√n of Gao et al. (arXiv 2406.04093); 1e-4 at n = 2¹⁶."""
        return self.lr if self.lr is not None else min(3e-3, 2e-4 * math.sqrt(2**14 / latents))

    def block(self, d: int | None = None) -> int:
        """Rows of the buffer: as many as its memory allows, 16 to 64 batches of them."""
        fits = BUFFER_BYTES // (4 * self.sides * d) if d else 64 * self.batch
        return max(16 * self.batch, min(64 * self.batch, fits))

    def identity(self, **inputs: Any) -> str:
        """Digest of the recipe and of what it is applied to."""
        facts = {**attrs.asdict(self), **inputs}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def schedule(step: int, steps: int) -> float:
    """Factor of the learning rate at step 0 … steps − 1: linear warm-up, constant, linear to (almost) nothing."""
    warm, cool = max(1, round(WARM_UP * steps)), max(1, round(COOL_DOWN * steps))
    return min(1.0, (step + 1) / warm, (steps - step) / cool)


def annealed(start: float, end: float, step: int, steps: int) -> float:
    """From `start` at step 0 to `end` after `ANNEAL` of the steps, linearly."""
    done = min(1.0, step / max(1.0, ANNEAL * steps))
    return start + (end - start) * done
