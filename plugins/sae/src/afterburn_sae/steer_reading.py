"""Texts read again while something is added to the residual stream: divergence, loss and tokens, by direction."""

from __future__ import annotations

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.forward.live import Live, Steer

Floats = NDArray[np.float64]


@attrs.frozen(kw_only=True)
class Sequences:
    """What is read again."""

    ids: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...]
    """First token of each whose prediction counts."""
    units: tuple[str, ...]
    """What statistics count."""
    own: bool
    """Whether the trained model wrote them."""


@attrs.frozen(kw_only=True, eq=False)
class Readings:
    """What each of N directions did to P texts."""

    kl: Floats
    """(N, P) mean over tokens of KL(steered ‖ unsteered), nats."""
    loss: Floats
    """(N, P) NLL steered less unsteered, nats per token."""
    gain: torch.Tensor
    """(N, V) float64, mean over all tokens of ln p_steered − ln p."""


def median_norm(live: Live, site: str, sequences: Sequences) -> float:
    """Median over tokens of ‖h‖ of the trained model at a site, without the first tokens."""
    norms = [
        torch.linalg.vector_norm(found[site][start:].double(), dim=1).cpu()
        for found, start in zip(live.activations(sequences.ids, (site,)), sequences.starts, strict=True)
    ]
    return float(torch.cat(norms).median())


def read_steered(live: Live, site: str, sequences: Sequences, vectors: torch.Tensor) -> Readings:
    """Reads all texts once plainly and once with each vector (N, d) added at a site, one text at a time."""
    n, passages = len(vectors), len(sequences.ids)
    kl, loss = np.zeros((n, passages)), np.zeros((n, passages))
    gain = torch.zeros((n, live.vocabulary), dtype=torch.float64)
    tokens = 0
    for place, (ids, start) in enumerate(zip(sequences.ids, sequences.starts, strict=True)):
        (plain,) = live.log_probs([ids])
        plain = plain[start - 1 : len(ids) - 1].double()
        targets = torch.tensor(ids[start:], device=plain.device)[:, None]
        tokens += len(targets)
        for number, vector in enumerate(vectors):
            (logs,) = live.log_probs([ids], edits=(Steer(site=site, vector=vector),))
            difference = logs[start - 1 : len(ids) - 1].double() - plain
            steered = (difference + plain).exp()
            kl[number, place] = float((steered * difference).sum(dim=1).mean())
            loss[number, place] = -float(difference.gather(1, targets).mean())
            gain[number] += difference.sum(dim=0).cpu()
    return Readings(kl=kl, loss=loss, gain=gain / max(tokens, 1))
