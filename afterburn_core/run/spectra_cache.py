"""Spectra by content: what a base has once been decomposed into serves every later candidate against it.

One safetensors file per matrix. Base's spectra are keyed by the base's digest alone; those of W' and Δ, with the sums
by row, by everything the pair's numbers depend on. A damaged or torn file counts as absent.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.errors import SubjectError
from afterburn_core.run.spectra import Principal, RowSums, Spectrum

_FIELDS = ("values", "left", "right")
_SHAPE = ("rows", "columns", "square", "error")
_METHODS = ("float32", "float64", "factors", "randomised")


@attrs.frozen(kw_only=True)
class SpectraCache:
    """Arrays of one entry by tensor name; safe for several threads and processes."""

    directory: Path

    def load(self, name: str) -> dict[str, NDArray[Any]] | None:
        """The arrays stored under a name, `None` if there are none or the file is damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self._path(name)
        try:
            return load_file(path)
        except (OSError, SafetensorError, ValueError, struct.error):
            return None

    def store(self, name: str, arrays: dict[str, NDArray[Any]]) -> None:
        """Writes the arrays so that a reader sees all of them or none.

        Raises:
            SubjectError: no space is left, or the directory cannot be written.
        """
        from safetensors.numpy import save

        path = self._path(name)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(save({key: np.ascontiguousarray(value) for key, value in arrays.items()}))
            part.replace(path)
        except OSError as error:
            raise SubjectError(
                f"cache {self.directory}: cannot be written ({error.strerror}); free some space, choose another "
                "place with --cache-dir, or use --no-cache"
            ) from error

    def _path(self, name: str) -> Path:
        return self.directory / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.safetensors"


def pack(prefix: str, spectrum: Spectrum) -> dict[str, NDArray[Any]]:
    """The spectrum as arrays whose names begin with `prefix`."""
    found: dict[str, NDArray[Any]] = {
        f"{prefix}.{field}": value for field in _FIELDS if (value := getattr(spectrum, field)) is not None
    }
    found[f"{prefix}.shape"] = np.array(
        [*(getattr(spectrum, field) for field in _SHAPE), _METHODS.index(spectrum.method)], dtype=np.float64
    )
    return found


def unpack(prefix: str, arrays: dict[str, NDArray[Any]], *, vectors: bool) -> Spectrum | None:
    """The spectrum that `pack` gave; `None` where it is absent, or lacks the vectors that are wanted."""
    shape = arrays.get(f"{prefix}.shape")
    values = arrays.get(f"{prefix}.values")
    if shape is None or values is None:
        return None
    left, right = arrays.get(f"{prefix}.left"), arrays.get(f"{prefix}.right")
    if vectors and left is None and right is None:
        return None
    return Spectrum(
        values=values,
        rows=int(shape[0]),
        columns=int(shape[1]),
        square=float(shape[2]),
        error=float(shape[3]),
        method=_METHODS[int(shape[4])],  # type: ignore[arg-type]
        left=left,
        right=right,
    )


def pack_fields(prefix: str, value: Principal | RowSums) -> dict[str, NDArray[Any]]:
    """The fields of a plain record of arrays and counts."""
    return {f"{prefix}.{key}": np.asarray(field) for key, field in attrs.asdict(value, recurse=False).items()}


def unpack_principal(arrays: dict[str, NDArray[Any]]) -> Principal | None:
    """What `pack_fields("principal", …)` gave."""
    names = [field.name for field in attrs.fields(Principal)]
    if any(f"principal.{name}" not in arrays for name in names):
        return None
    return Principal(**{name: arrays[f"principal.{name}"] for name in names})


def unpack_rows(arrays: dict[str, NDArray[Any]]) -> RowSums | None:
    """What `pack_fields("tokens", …)` gave."""
    names = [field.name for field in attrs.fields(RowSums)]
    if any(f"tokens.{name}" not in arrays for name in names):
        return None
    found: dict[str, Any] = {name: arrays[f"tokens.{name}"] for name in names}
    counts = {name: int(found[name].reshape(-1)[0]) for name in ("base_rows", "trained_rows")}
    return RowSums(**{**found, **counts})
