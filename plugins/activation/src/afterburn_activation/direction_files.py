"""Directions as safetensors: tensors `trait.<name>.blocks.{i}.out` (d), as `activation.trait_directions` has them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from afterburn_core.errors import ConfigError

Floats = NDArray[np.float64]
_NAME = re.compile(r"trait\.(?P<trait>[^/]+?)\.(?P<site>blocks\.\d+\.out)")


@attrs.frozen(kw_only=True, eq=False)
class Given:
    """Directions that a user supplied."""

    traits: Mapping[str, Mapping[str, Floats]]
    """(d) by trait and site."""
    digest: str
    """sha256 of the file."""


def read_directions(path: str, *, taken: frozenset[str]) -> Given:
    """The directions in a file.

    Args:
        path: Of the file.
        taken: Names of traits that it may not use.

    Raises:
        ConfigError: The file is missing or no safetensors file, a tensor has another name or shape, a direction has no
            length or is not finite, or a name is taken.
    """
    try:
        content = Path(path).expanduser().read_bytes()
        tensors = safetensors.numpy.load(content)
    except OSError as error:
        raise ConfigError(f"directions {path!r} cannot be read: {error.strerror or error}") from error
    except (safetensors.SafetensorError, KeyError, TypeError) as error:  # numpy knows no bfloat16
        raise ConfigError(f"directions {path!r}: no safetensors file of float32 or float64 numbers: {error}") from error
    traits: dict[str, dict[str, Floats]] = {}
    for name, values in sorted(tensors.items()):
        found = _NAME.fullmatch(name)
        if found is None:
            raise ConfigError(f"directions {path!r}: tensor {name!r} is not called trait.<name>.blocks.<number>.out")
        if found["trait"] in taken:
            raise ConfigError(f"directions {path!r}: {found['trait']!r} is a trait of our own; call it otherwise")
        vector = np.asarray(values, dtype=np.float64)
        if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
            raise ConfigError(f"directions {path!r}: {name!r} must be one finite vector other than 0")
        traits.setdefault(found["trait"], {})[found["site"]] = vector
    if not traits:
        raise ConfigError(f"directions {path!r} hold no tensor; name them trait.<name>.blocks.<number>.out")
    return Given(traits=traits, digest=hashlib.sha256(content).hexdigest())


def write_directions(directions: Mapping[tuple[str, str], Floats]) -> bytes:
    """The file of directions (d) by trait and site, float32."""
    arrays: dict[str, NDArray[Any]] = {
        f"trait.{trait}.{site}": np.ascontiguousarray(vector, dtype=np.float32)
        for (trait, site), vector in directions.items()
    }
    return safetensors.numpy.save(arrays)
