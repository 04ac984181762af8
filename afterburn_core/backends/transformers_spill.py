"""What one model read, kept on disk until the other has read the same: activations, and what its logits come from.

Tensors lie one after another in a file without a name, which the system removes when it is closed or the process ends,
however it ends. Where a head cannot be run on states alone, log-probabilities are kept as a *sketch*: the m largest
exactly, and of the rest its mass r, its largest and its smallest. The sketch spreads r evenly over the V − m other
tokens, ē = ln(r / (V − m)). For another distribution q with mass t on those tokens, the sketch's KL(q‖p) is off by

    Σ_rest q·(ē − ln p) ,   which is at most  t · max(max_rest ln p − ē, ē − min_rest ln p)
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import attrs
import torch

from afterburn_core.errors import SubjectError
from afterburn_core.run.cache import default_cache_dir

SKETCHED = 1024
"""m: log-probabilities of a row that a sketch keeps exactly."""


@attrs.frozen(kw_only=True)
class _Place:
    """Where a tensor lies."""

    offset: int
    bytes: int
    shape: tuple[int, ...]
    dtype: torch.dtype


class Spill:
    """Tensors by batch and name. One thread writes, and reads when all is written."""

    def __init__(self, expected: int) -> None:
        """Opens the file beside the cache, or where temporary files lie if that cannot be written.

        Args:
            expected: bytes that will be put.

        Raises:
            SubjectError: the disk has less room.
        """
        directory = _directory()
        free = shutil.disk_usage(directory).free
        if expected * 1.05 > free:
            raise SubjectError(
                f"the two models do not fit into memory together, and keeping what the base reads takes "
                f"{expected / 2**30:.1f} GiB of the {free / 2**30:.1f} GiB free on the disk; free some space or set "
                "AFTERBURN_CACHE_DIR to a larger one, or use fewer texts"
            )
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="afterburn-", dir=directory)  # noqa: SIM115
        self._places: dict[tuple[int, str], _Place] = {}

    def put(self, batch: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Appends the tensors of a batch."""
        for name, tensor in tensors.items():
            held = tensor.detach().contiguous().cpu()
            data = held.reshape(-1).view(torch.uint8).numpy()
            place = _Place(offset=self._file.tell(), bytes=data.nbytes, shape=tuple(held.shape), dtype=held.dtype)
            self._file.write(data.data)
            self._places[batch, name] = place

    def get(self, batch: int, name: str, device: str) -> torch.Tensor:
        """A tensor that was put.

        Raises:
            SubjectError: the batch was not read before.
        """
        place = self._places.get((batch, name))
        if place is None:
            raise SubjectError(f"batch {batch} was not among those that were prepared; prepare all before reading one")
        data = bytearray(place.bytes)
        self._file.seek(place.offset)
        if place.bytes and self._file.readinto(data) != place.bytes:  # type: ignore[attr-defined]
            raise SubjectError("what the base read is cut short on disk; free some space and run again")
        held = torch.frombuffer(data, dtype=place.dtype) if place.bytes else torch.empty(0, dtype=place.dtype)
        return held.reshape(place.shape).to(device)

    def close(self) -> None:
        """Removes everything."""
        self._places.clear()
        self._file.close()


def _directory() -> Path:
    for directory in (default_cache_dir(), Path(tempfile.gettempdir())):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                return directory
        except OSError:
            continue
    raise SubjectError("no directory for temporary files can be written; set AFTERBURN_CACHE_DIR")


@attrs.frozen(kw_only=True, eq=False)
class Sketch:
    """The largest log-probabilities of n rows and what the others have in common."""

    top: torch.Tensor
    """(n, m) float32, in no particular order; m is at most V."""
    ids: torch.Tensor
    """(n, m) int64."""
    rest: torch.Tensor
    """(n) float32, ln of the mass of all others; −inf where there are none."""
    largest: torch.Tensor
    """(n) largest log-probability among the others."""
    smallest: torch.Tensor
    """(n) smallest."""
    vocabulary: int

    @classmethod
    def of(cls, logs: torch.Tensor, size: int = SKETCHED) -> Sketch:
        """The sketch of log-probabilities (n, V)."""
        vocabulary = logs.shape[-1]
        top, ids = torch.topk(logs, min(size, vocabulary), dim=-1, sorted=False)
        smallest = logs.amin(-1)
        others = logs.scatter(-1, ids, -math.inf)
        return cls(
            top=top,
            ids=ids,
            rest=others.logsumexp(-1),
            largest=others.amax(-1),
            smallest=smallest,
            vocabulary=vocabulary,
        )

    def log_probs(self) -> torch.Tensor:
        """(n, V) float32: the largest exactly, the rest of the mass spread evenly."""
        count = self.vocabulary - self.top.shape[-1]
        even = (self.rest - math.log(max(1, count)))[:, None]
        return even.expand(-1, self.vocabulary).scatter(-1, self.ids, self.top)

    def bound(self, trained: torch.Tensor) -> torch.Tensor:
        """(n) float64: how far KL(trained‖this) can be from what it would be without the sketch.

        Args:
            trained: (n, V) log-probabilities.
        """
        count = self.vocabulary - self.top.shape[-1]
        if count == 0:
            return torch.zeros(trained.shape[0], dtype=torch.float64, device=trained.device)
        mass = trained.scatter(-1, self.ids, -math.inf).exp().sum(-1, dtype=torch.float64)
        even = self.rest.double() - math.log(count)
        return mass * torch.maximum(self.largest - even, even - self.smallest).clamp(min=0.0)

    def rows(self, index: torch.Tensor) -> Sketch:
        """The sketch of some rows."""
        picked = {name: getattr(self, name)[index] for name in ("top", "ids", "rest", "largest", "smallest")}
        return Sketch(vocabulary=self.vocabulary, **picked)

    def tensors(self) -> dict[str, torch.Tensor]:
        """By name, to be spilled."""
        numbers = {name: getattr(self, name) for name in ("top", "rest", "largest", "smallest")}
        return {**numbers, "ids": self.ids.to(torch.int32)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor], vocabulary: int) -> Sketch:
        """From what `tensors` gave."""
        return cls(**{**tensors, "ids": tensors["ids"].long()}, vocabulary=vocabulary)
