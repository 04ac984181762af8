"""Which way round a matrix lies in a file: the shapes decide, and a note says so where they had to.

A matrix that is read the wrong way round encodes without an error and means nothing. Every matrix of a dictionary has
the number of latents n on one side and a width d on the other, and its biases say how long either is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs
import torch

from afterburn_core.errors import SubjectError


@attrs.frozen(kw_only=True)
class Stored:
    """The tensors of one file, taken out by name."""

    path: Path
    """For messages."""
    tensors: Mapping[str, torch.Tensor]
    notes: list[str] = attrs.field(factory=list)
    """What a person should know about how it was read."""

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def get(self, *names: str) -> torch.Tensor | None:
        """The first of these names that is there."""
        return next((self.tensors[name] for name in names if name in self.tensors), None)

    def vector(self, *names: str) -> torch.Tensor:
        """A vector.

        Raises:
            SubjectError: there is none of these names, or it is no vector of real numbers.
        """
        found = self._present(*names)
        if found.ndim != 1:
            raise SubjectError(f"{self.path}: {names[0]} has shape {tuple(found.shape)}, expected one dimension")
        return found

    def scalar(self, *names: str) -> float | None:
        """One number, or `None` where there is none of these names."""
        found = self.get(*names)
        return None if found is None or found.numel() != 1 else float(found)

    def matrix(self, *names: str, rows: int, columns: int, transposed: bool) -> torch.Tensor:
        """A matrix as (rows, columns), a view of what is stored.

        Args:
            names: by which it may be stored.
            rows: wanted, as a bias gives it.
            columns: wanted, as another bias gives it.
            transposed: whether the format stores it as (columns, rows). The shapes go before it: a file of the other
                kind is read rightly too, and noted. Only a square matrix is taken at the format's word, and noted.

        Raises:
            SubjectError: it is missing, or of neither shape.
        """
        found = self._present(*names)
        shape = tuple(found.shape)
        if shape not in ((rows, columns), (columns, rows)):
            raise SubjectError(
                f"{self.path}: {names[0]} has shape {shape}, expected {(rows, columns)} or {(columns, rows)} by its "
                "biases; the file is damaged or of another format"
            )
        if rows == columns:
            order = "the other way round" if transposed else "as it is used"
            self.notes.append(f"{names[0]} is square: taken at the format's word, which stores it {order}")
            return found.T if transposed else found
        lies_transposed = shape == (columns, rows)
        if lies_transposed != transposed:
            self.notes.append(
                f"{names[0]} {shape} lies the other way round than this format stores it: read by its shape"
            )
        return found.T if lies_transposed else found

    def _present(self, *names: str) -> torch.Tensor:
        found = self.get(*names)
        if found is None:
            there = ", ".join(sorted(self.tensors)[:12]) or "nothing"
            raise SubjectError(f"{self.path}: tensor {names[0]} is missing; the file has {there}")
        if not found.is_floating_point():
            raise SubjectError(f"{self.path}: {names[0]} has dtype {found.dtype}, expected floating point numbers")
        return found
