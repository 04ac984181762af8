"""Qwen Scope: one `layer{n}.sae.pt` for every block, a dictionary of W_enc (n, d), W_dec (d, n), b_enc and b_dec.

All are top-k on the block's output, and the file does not say k: the repository's name does,
`SAE-Res-Qwen3-8B-Base-W64K-L0_50`. Both matrices lie the other way round than they are used.
"""

from __future__ import annotations

import re
from pathlib import Path

from afterburn_core.errors import SubjectError
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.readers.files import torch_tensors
from afterburn_sae.readers.shapes import Stored

_FILE = re.compile(r"layer(\d+)\.sae\.pt")
_REPOSITORY = re.compile(r"SAE-Res-(Qwen[\w.-]+?)-W(\w+?)-L0_(\d+)")


def read(path: Path) -> Dictionary | None:
    """One `layer{n}.sae.pt`, or a directory with exactly one."""
    weights = path
    if path.is_dir():
        there = sorted(file for file in path.iterdir() if _FILE.fullmatch(file.name))
        if len(there) > 1:
            raise SubjectError(
                f"{path}: has a dictionary for each of {len(there)} blocks; name one, as {there[0].name}"
            )
        if not there:
            return None
        weights = there[0]
    layer = _FILE.fullmatch(weights.name)
    if layer is None:
        return None
    stored = Stored(path=weights, tensors=torch_tensors(weights))
    found = _REPOSITORY.search("/".join(weights.absolute().parts[-4:]))
    k = stored.scalar("k") or (float(found[3]) if found else None)
    if k is None:
        raise SubjectError(
            f"{weights}: the file does not say how many latents are kept for a token; keep the name of the repository "
            "(…-L0_50) as the name of its directory"
        )
    b_enc, b_dec = stored.vector("b_enc"), stored.vector("b_dec")
    n, d = len(b_enc), len(b_dec)
    return Dictionary(
        format="qwen_scope",
        kind="topk",
        w_enc=stored.matrix("W_enc", rows=d, columns=n, transposed=True),
        b_enc=b_enc,
        w_dec=stored.matrix("W_dec", rows=n, columns=d, transposed=True),
        b_dec=b_dec,
        k=int(k),
        site=f"blocks.{layer[1]}.out",
        hook=f"model.layers.{layer[1]}.output",
        model=f"Qwen/{found[1]}" if found else None,
        name=f"{found[0]}/{weights.name}" if found else weights.name,
        l0=k,
        facts={"notes": tuple(stored.notes)},
        weights=weights,
    )
