"""Which latents of which dictionaries the packs of a run have read: their own, and comparison latents beside them."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.errors import ConfigError
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.pack import RiskPack
from afterburn_sae.validity import of_differences


@attrs.frozen(kw_only=True, eq=False)
class Watched:
    """A dictionary, and the latents of it that are read."""

    dictionary: Dictionary
    site: str
    features: tuple[int, ...]
    compared: NDArray[np.int64]
    """(K), ascending."""

    @property
    def read(self) -> tuple[int, ...]:
        """All of them, ascending."""
        return tuple(sorted({*self.features, *self.compared.tolist()}))


def watched(packs: tuple[RiskPack, ...], opened: list[Dictionary], compared: int) -> dict[str, Watched]:
    """What is read of every dictionary, by digest.

    Raises:
        ConfigError: a pack is bound to none of the dictionaries, or to one of differences, or they read another site,
            or lack a feature.
    """
    by_digest = {one.sha256: one for one in opened}
    found: dict[str, Watched] = {}
    for pack in packs:
        if pack.dictionary is None or not pack.features:
            continue
        where, wanted = f"risk pack {pack.name}", pack.dictionary
        dictionary = by_digest.get(wanted.sha256)
        if dictionary is None:
            given = ", ".join(f"{one.name} sha256:{digest[:12]}…" for digest, one in by_digest.items()) or "none"
            raise ConfigError(
                f"{where} is bound to dictionary sha256:{wanted.sha256[:12]}… and holds with no other; given: {given}"
            )
        if of_differences(dictionary):
            raise ConfigError(
                f"{where} is bound to a dictionary of differences of activations, which does not encode activations"
            )
        if dictionary.site is not None and dictionary.site != wanted.site:
            raise ConfigError(f"{where} is for {wanted.site}, its dictionary reads {dictionary.site}")
        beyond = [one.feature for one in pack.features if one.feature >= dictionary.latents]
        if beyond:
            raise ConfigError(f"{where} names feature {beyond[0]}, the dictionary has {dictionary.latents}")
        before = found[wanted.sha256].features if wanted.sha256 in found else ()
        features = tuple(sorted({*before, *(one.feature for one in pack.features)}))
        found[wanted.sha256] = Watched(
            dictionary=dictionary,
            site=wanted.site,
            features=features,
            compared=_compared(dictionary, features, compared),
        )
    return found


def _compared(dictionary: Dictionary, features: tuple[int, ...], count: int) -> NDArray[np.int64]:
    """Comparison latents: the same for one dictionary, none of the packs' among them."""
    others = np.setdiff1d(np.arange(dictionary.latents), np.array(features, dtype=np.int64))
    rng = np.random.default_rng(int(dictionary.sha256[:16], 16))
    return np.sort(rng.choice(others, size=min(count, len(others)), replace=False))
