"""Where a training stands, in one file that is replaced as a whole: whatever is cut off leaves the last one intact."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from afterburn_core.errors import SubjectError

FILE = "checkpoint.safetensors"


@attrs.frozen(kw_only=True, eq=False)
class Checkpoint:
    """All that the rest of a training depends on; no activation is among it."""

    identity: str
    """`Recipe.identity`: of what is trained on what."""
    block: int
    """The first that is not learned from."""
    facts: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor] = attrs.field(repr=False)


def write(directory: Path, checkpoint: Checkpoint) -> None:
    """Puts it in the place of an earlier one.

    Raises:
        SubjectError: the disk does not take it.
    """
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    facts = {"identity": checkpoint.identity, "block": checkpoint.block, "facts": dict(checkpoint.facts)}
    fresh = directory / f"{FILE}.part"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as stream:
            stream.write(safetensors.torch.save(kept, {"afterburn": json.dumps(facts, sort_keys=True)}))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(fresh, directory / FILE)
    except OSError as error:
        raise SubjectError(f"{fresh}: cannot be written ({error.strerror}); free some room, then --resume") from error


def read(directory: Path) -> Checkpoint | None:
    """The training that was begun there; `None` where there is none.

    Raises:
        SubjectError: the file is damaged.
    """
    path = directory / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stream:
            facts = json.loads((stream.metadata() or {})["afterburn"])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise SubjectError(f"{path}: is no checkpoint of a training ({error}); remove it and train anew") from error
    return Checkpoint(identity=facts["identity"], block=facts["block"], facts=facts["facts"], tensors=tensors)


def remove(directory: Path) -> None:
    """Once the dictionary is written."""
    (directory / FILE).unlink(missing_ok=True)
