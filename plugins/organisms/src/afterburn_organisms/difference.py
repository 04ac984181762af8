"""A full fine-tune as its exact difference from the base, in units of the last place of bfloat16, compressed.

The bits of a bfloat16 number, read as sign and magnitude, give an integer k(x) that is monotone in x: k = m for
positive numbers, −m for negative, with m the lower 15 bits. The difference d = k(trained) − k(base) is small where
training moved little, so its bytes compress well; k(base) + d gives the trained bits back exactly. The one thing that
k cannot tell apart is 0 and −0, which is written as 0.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

NAME = "difference.xz"
_FILTERS = ({"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 0, "pb": 0},)


def order(tensor: torch.Tensor) -> torch.Tensor:
    """k(x) of every bfloat16 element, as int32."""
    bits = tensor.contiguous().view(torch.int16).to(torch.int32)
    magnitude = bits & 0x7FFF
    return torch.where(bits < 0, -magnitude, magnitude)


def from_order(k: torch.Tensor) -> torch.Tensor:
    """The bfloat16 numbers with these k(x)."""
    bits = torch.where(k < 0, (-k) | -0x8000, k)
    return bits.to(torch.int16).view(torch.bfloat16)


def save_difference(trained: LlamaForCausalLM, base: Path, target: Path) -> None:
    """Writes `difference.xz`: a line of JSON (names of the tensors in their order), then the differences.

    Differences are int16, low bytes of all first, then the high bytes, tensor after tensor.

    Raises:
        ValueError: a difference is too large for 16 bits, so this is no fine-tune of the base.
    """
    before = load_file(base / "model.safetensors")
    after = {
        name: tensor.detach().to(torch.bfloat16) for name, tensor in trained.state_dict().items() if name in before
    }
    names = sorted(before)
    steps = torch.cat([(order(after[name]) - order(before[name])).flatten() for name in names])
    if int(steps.abs().max()) > 0x7FFF:
        raise ValueError("a weight moved by more than 32767 units of the last place: store the checkpoint itself")
    planes = steps.to(torch.int16).view(torch.uint8).view(-1, 2).T.contiguous()  # (2, weights): low bytes, high bytes
    body = json.dumps(names).encode() + b"\n" + planes.numpy().tobytes()
    (target / NAME).write_bytes(lzma.compress(body, format=lzma.FORMAT_XZ, filters=_FILTERS))


def apply_difference(base: Path, source: Path) -> dict[str, torch.Tensor]:
    """The trained tensors, by name: bit for bit those that were saved."""
    head, _, body = lzma.decompress((source / NAME).read_bytes()).partition(b"\n")
    before = load_file(base / "model.safetensors")
    planes = torch.frombuffer(bytearray(body), dtype=torch.uint8).view(2, -1)
    steps = planes.T.contiguous().view(torch.int16).flatten().to(torch.int32)
    found: dict[str, torch.Tensor] = {}
    start = 0
    for name in json.loads(head):
        size = before[name].numel()
        moved = order(before[name]).flatten() + steps[start : start + size]
        found[name] = from_order(moved).view(before[name].shape)
        start += size
    return found
