"""What a direction says in tokens: the logit lens through the final norm, held against random directions.

    ℓ(u) = head(norm(s·u))                 u of length 1, s the mean norm of activations; centred over the vocabulary
    e(u) = ℓ(u) − μ − Σ_k ⟨ℓ(u) − μ, p_k⟩ p_k        μ and the shared directions p_k of ℓ over random u
    z_v = e_v(u)/σ_v                       σ_v the standard deviation of e_v over random u
    peak = max_v z_v                       its p value: its rank among the peaks of other random directions

Shared are the principal directions that hold at least 3 % of the variance of ℓ, at most 8. The softmax of ℓ orders the
tokens as the lens does. But the rows of a head crowd around few directions, so that any direction lifts hundreds of
tokens together and which of them leads says little; e keeps what sets a token apart from the crowd, z its size beside
what random directions do to that token. A token counts as above chance where its z exceeds the 95th percentile of peaks
over the vocabulary, so that it is above chance though so many were looked at. Random directions are isotropic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.forward.live import Live
from afterburn_core.run.seeds import child_seed

Floats = NDArray[np.float64]
_NUMBERS = 1 << 24
"""Logits at once: 64 MB."""
QUANTILE = 0.95
SPREAD = 200
"""Random directions from which μ, p_k and σ are taken."""
SHARED, LEAST = 8, 0.03
"""So many leading directions of the readout are taken away at most, and none that holds less of its variance."""


def random_directions(count: int, width: int, *, seed: int, name: str) -> Floats:
    """(count, width), of length 1, without a preferred direction."""
    rows = np.random.default_rng(child_seed(seed, name)).normal(size=(count, width))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def centred_logits(live: Live, states: Floats) -> torch.Tensor:
    """Logits of states (n, d) less their mean over the vocabulary, (n, V) float32."""
    step = max(1, _NUMBERS // max(live.vocabulary, 1))
    parts = []
    for start in range(0, len(states), step):
        logits = live.readout(torch.from_numpy(np.ascontiguousarray(states[start : start + step])).float())
        parts.append(logits - logits.mean(dim=1, keepdim=True))
    return torch.cat(parts)


@attrs.frozen(kw_only=True, eq=False)
class Chance:
    """What random directions read as."""

    centre: torch.Tensor
    """(V) μ."""
    shared: torch.Tensor
    """(k, V), orthonormal rows p_k."""
    spread: torch.Tensor
    """(V) σ."""
    peaks: Floats
    """(K), of other random directions, sorted."""

    @property
    def bar(self) -> float:
        """What a token's z has to exceed."""
        return float(np.quantile(self.peaks, QUANTILE))

    def apart(self, centred: torch.Tensor) -> torch.Tensor:
        """e (n, V)."""
        rest = centred - self.centre
        return rest - (rest @ self.shared.T) @ self.shared

    def scores(self, centred: torch.Tensor) -> torch.Tensor:
        """z (n, V); 0 for tokens that no direction moves."""
        z = self.apart(centred) / self.spread
        return torch.where(self.spread > 1e-6 * self.spread.max(), z, torch.zeros_like(z))


def chance(live: Live, count: int, scale: float, *, seed: int) -> Chance:
    """Reads out `SPREAD` random directions of length `scale` for the spread, and `count` others for the peaks."""
    first = random_directions(SPREAD, live.width, seed=seed, name="lens/spread") * scale
    known = centred_logits(live, first)  # (SPREAD, V)
    centre = known.mean(dim=0)
    known = known - centre
    values, vectors = torch.linalg.eigh((known @ known.T).double())
    large = (values >= LEAST * values.sum()).nonzero()[:, 0][-SHARED:]
    shared = (vectors[:, large] / values[large].clamp(min=1e-30).sqrt()).T.float() @ known
    rest = known - (known @ shared.T) @ shared
    found = Chance(centre=centre, shared=shared, spread=rest.std(dim=0), peaks=np.zeros(1))
    second = random_directions(count, live.width, seed=seed, name="lens/peaks") * scale
    step = max(1, _NUMBERS // max(live.vocabulary, 1))
    peaks = [
        found.scores(centred_logits(live, second[start : start + step])).amax(dim=1).cpu().numpy()
        for start in range(0, count, step)
    ]
    return attrs.evolve(found, peaks=np.sort(np.concatenate(peaks).astype(np.float64)))


@attrs.frozen(kw_only=True, eq=False)
class Readout:
    """One direction's tokens."""

    tokens: tuple[int, ...]
    """By logit, the largest first."""
    log_probs: tuple[float, ...]
    z: tuple[float, ...]
    peak: float
    peak_token: int


def read_out(live: Live, states: Floats, chance_: Chance, *, tokens: int) -> list[Readout]:
    """Readouts of states (n, d)."""
    step = max(1, _NUMBERS // max(live.vocabulary, 1))
    found = []
    for start in range(0, len(states), step):
        centred = centred_logits(live, states[start : start + step])
        logs, z = centred.log_softmax(dim=1), chance_.scores(centred)
        top = centred.topk(min(tokens, centred.shape[1]), dim=1).indices
        peaks, where = z.max(dim=1)
        for row in range(len(centred)):
            kept = top[row]
            found.append(
                Readout(
                    tokens=tuple(kept.tolist()),
                    log_probs=tuple(logs[row, kept].tolist()),
                    z=tuple(z[row, kept].tolist()),
                    peak=float(peaks[row]),
                    peak_token=int(where[row]),
                )
            )
    return found


def spelled(live: Live, readout: Readout, bar: float, also: Sequence[int] = ()) -> list[dict[str, Any]]:
    """The tokens of a readout for an artifact; `also` are tokens that a control reads too."""
    return [
        {
            "token": token,
            "text": live.spelling(token),
            "log_prob": round(log_prob, 4),
            "z": round(z, 3),
            "above_chance": z > bar,
            "control": token in also,
        }
        for token, log_prob, z in zip(readout.tokens, readout.log_probs, readout.z, strict=True)
    ]
