"""Quantised copies of tiny checkpoints, encoded from each packing's public definition, with what they must decode to.

Nothing here is shared with the code that reads them: the two agree only if both follow the definition.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.testing.checkpoints import load_weights, read_json, save_weights, write_json

if TYPE_CHECKING:
    import torch

Parts = dict[str, "torch.Tensor"]
Encoded = tuple[Parts, "torch.Tensor"]
"""Stored tensors by what follows the module's name and a dot; and the float32 values they stand for."""

NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
FP4 = (
    0.0,
    1 / 192,
    2 / 3,
    1.0,
    1 / 3,
    1 / 2,
    1 / 6,
    1 / 4,
    -0.0,
    -1 / 192,
    -2 / 3,
    -1.0,
    -1 / 3,
    -1 / 2,
    -1 / 6,
    -1 / 4,
)
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


@attrs.frozen(kw_only=True)
class Encoding:
    """One packing."""

    encode: Callable[[torch.Tensor], Encoded]
    """From (outputs, inputs) in any float dtype."""
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    """What `config.json` says under `quantization_config`."""


def fp8_blocks(weight: torch.Tensor) -> Encoded:
    """DeepSeek-V3: E4M3 codes, one scale per block of 128 × 128."""
    import torch

    wide, size = weight.float(), 128
    rows, columns = wide.shape
    scales = torch.empty(-(-rows // size), -(-columns // size))
    codes, values = torch.empty(rows, columns, dtype=torch.float8_e4m3fn), torch.empty(rows, columns)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            place = (slice(i * size, (i + 1) * size), slice(j * size, (j + 1) * size))
            scales[i, j] = wide[place].abs().max() / 448
            codes[place] = (wide[place] / scales[i, j]).to(torch.float8_e4m3fn)
            values[place] = codes[place].float() * scales[i, j]
    return {"weight": codes, "weight_scale_inv": scales}, values


def fp8_channels(weight: torch.Tensor) -> Encoded:
    """compressed-tensors: E4M3 codes, one bfloat16 scale per output."""
    import torch

    wide = weight.float()
    scale = (wide.abs().amax(1, keepdim=True) / 448).bfloat16()
    codes = (wide / scale.float()).clamp(-448, 448).to(torch.float8_e4m3fn)
    return {"weight": codes, "weight_scale": scale}, codes.float() * scale.float()


def fp8_tensor(weight: torch.Tensor) -> Encoded:
    """E5M2 codes, one scale for the tensor, and a scale of its inputs that is no weight."""
    import torch

    scale = weight.float().abs().max() / 57344
    codes = (weight.float() / scale).to(torch.float8_e5m2)
    return {"weight": codes, "weight_scale": scale, "input_scale": torch.tensor(0.5)}, codes.float() * scale


def int8_rows(weight: torch.Tensor) -> Encoded:
    """bitsandbytes' LLM.int8(): codes of −127 to 127, the largest magnitude of each row beside them."""
    import torch

    wide = weight.half().float()
    largest = wide.abs().amax(1)
    codes = torch.round(wide * (127 / largest[:, None])).to(torch.int8)
    parts = {"weight": codes, "SCB": largest, "weight_format": torch.tensor(0, dtype=torch.uint8)}
    return parts, codes.float() * largest[:, None] * torch.tensor(1 / 127)


def four_bits(
    weight: torch.Tensor, *, kind: str = "nf4", levels: tuple[float, ...] = NF4, block: int = 64, nested: bool = False
) -> Encoded:
    """bitsandbytes' 4 bits; scales as float32, or nested: as bytes of a table of their own, blocks of 256, offset."""
    import torch

    table, flat = torch.tensor(levels, dtype=torch.float32), weight.float().reshape(-1)
    padded = torch.cat([flat, torch.zeros(-flat.numel() % block)]).view(-1, block)
    scales = padded.abs().amax(1)
    nearest = ((padded / scales[:, None])[..., None] - table).abs().argmin(-1)
    codes = nearest.reshape(-1)[: flat.numel()]
    even = torch.cat([codes, torch.zeros(codes.numel() % 2, dtype=codes.dtype)])
    state: dict[str, Any] = {"quant_type": kind, "blocksize": block, "dtype": "bfloat16", "shape": list(weight.shape)}
    parts = {"weight": (even[0::2] * 16 + even[1::2]).to(torch.uint8)[:, None], "weight.quant_map": table}
    if nested:
        outer, offset = torch.linspace(-1, 1, 256), float(scales.mean())
        shifted = scales - offset
        groups = [shifted[i : i + 256] for i in range(0, shifted.numel(), 256)]
        largest = torch.stack([group.abs().max() for group in groups])
        bytes_ = torch.cat([((g / m)[:, None] - outer).abs().argmin(-1) for g, m in zip(groups, largest, strict=True)])
        scales = outer[bytes_] * largest.repeat_interleave(256)[: scales.numel()] + torch.tensor(offset)
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": offset}
        parts |= {"weight.absmax": bytes_.to(torch.uint8), "weight.nested_absmax": largest}
        parts |= {"weight.nested_quant_map": outer}
    else:
        parts["weight.absmax"] = scales
    blob = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)
    values = (table[nearest] * scales[:, None]).reshape(-1)[: flat.numel()].view(weight.shape)
    return {**parts, f"weight.quant_state.bitsandbytes__{kind}": blob}, values


def _affine(
    weight: torch.Tensor, bits: int, group: int, order: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes (outputs, inputs), scales and zeros (outputs, groups), values; `order` is the group of each input."""
    import torch

    wide, top = weight.float(), (1 << bits) - 1
    groups = int(order.max()) + 1
    scales, zeros = torch.empty(wide.shape[0], groups), torch.empty(wide.shape[0], groups)
    for g in range(groups):
        part = wide[:, order == g]
        low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
        scales[:, g] = ((high - low) / top).half().float()
        zeros[:, g] = torch.round(-low / scales[:, g]).clamp(0, top)
    codes = (torch.round(wide / scales[:, order]) + zeros[:, order]).clamp(0, top)
    return codes.int(), scales, zeros.int(), (codes - zeros[:, order]) * scales[:, order]


def bit_stream(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Codes along the last axis as a stream of bits, lowest first, in int32 words."""
    import numpy as np
    import torch

    array = codes.numpy().astype(np.uint8)
    spread = (array[..., None] >> np.arange(bits)) & 1
    packed = np.packbits(spread.reshape(*array.shape[:-1], -1).astype(np.uint8), axis=-1, bitorder="little")
    padded = np.concatenate([packed, np.zeros((*packed.shape[:-1], -packed.shape[-1] % 4), np.uint8)], axis=-1)
    return torch.from_numpy(np.ascontiguousarray(padded).view(np.int32).copy())


def gptq(
    weight: torch.Tensor, *, bits: int = 4, group: int = 128, reordered: bool = False, second: bool = False
) -> Encoded:
    """GPTQ's packing of codes rounded to nearest; the first version of the format stores zeros one too low."""
    import torch

    order = torch.arange(weight.shape[1]) // group
    if reordered:
        order = order[torch.randperm(order.numel(), generator=torch.Generator().manual_seed(5))]
    codes, scales, zeros, values = _affine(weight, bits, group, order)
    kept = zeros if second else (zeros - 1) % (1 << bits)
    parts = {
        "qweight": bit_stream(codes, bits).T.contiguous(),
        "qzeros": bit_stream(kept.T.contiguous(), bits),
        "scales": scales.T.half().contiguous(),
        "g_idx": order.int(),
    }
    return parts, values


def awq(weight: torch.Tensor, *, group: int = 128) -> Encoded:
    """AWQ's GEMM packing: eight codes a word along the outputs, in the order 0 2 4 6 1 3 5 7."""
    import torch

    def pack(values: torch.Tensor) -> torch.Tensor:
        eights = values.reshape(values.shape[0], -1, 8)
        words = torch.zeros(eights.shape[:2], dtype=torch.int64)
        for field, output in enumerate(_AWQ_ORDER):
            words |= eights[..., output].long() << (4 * field)
        return torch.where(words >= 1 << 31, words - (1 << 32), words).int()

    codes, scales, zeros, values = _affine(weight, 4, group, torch.arange(weight.shape[1]) // group)
    parts = {"qweight": pack(codes.T), "qzeros": pack(zeros.T), "scales": scales.T.half().contiguous()}
    return parts, values


def packed_integers(weight: torch.Tensor, *, bits: int = 4, group: int = 128, asymmetric: bool = False) -> Encoded:
    """compressed-tensors' pack-quantized; without zeros the codes are symmetric around 2^(bits − 1)."""
    import torch

    order = torch.arange(weight.shape[1]) // group
    parts = {"weight_shape": torch.tensor(weight.shape)}
    if asymmetric:
        codes, scales, zeros, values = _affine(weight, bits, group, order)
        parts["weight_zero_point"] = bit_stream(zeros.T.contiguous(), bits).T.contiguous()
    else:
        half = 1 << (bits - 1)
        grouped = weight.float().view(weight.shape[0], -1, group)
        scales = (grouped.abs().amax(2) / (half - 0.5)).half().float()
        signed = torch.round(grouped / scales[..., None]).clamp(-half, half - 1)
        codes, values = (signed + half).int().view(weight.shape), (signed * scales[..., None]).view(weight.shape)
    return {**parts, "weight_packed": bit_stream(codes, bits), "weight_scale": scales.half()}, values


def mlx(weight: torch.Tensor, *, bits: int = 4, group: int = 64) -> Encoded:
    """MLX's affine mode: codes from 0, with a scale and the smallest value of each group."""
    import torch

    grouped, top = weight.float().view(weight.shape[0], -1, group), (1 << bits) - 1
    low = grouped.amin(2).bfloat16().float()
    scales = ((grouped.amax(2) - low) / top).bfloat16().float()
    codes = torch.round((grouped - low[..., None]) / scales[..., None]).clamp(0, top)
    values = (codes * scales[..., None] + low[..., None]).view(weight.shape)
    words = bit_stream(codes.int().view(weight.shape), bits).view(torch.uint32)
    return {"weight": words, "scales": scales.bfloat16(), "biases": low.bfloat16()}, values


def mxfp4(experts: torch.Tensor) -> Encoded:
    """gpt-oss's experts (experts, inputs, outputs): E2M1 codes along the inputs, a power of two for every 32."""
    import torch

    levels = torch.tensor([*_E2M1, *(-level for level in _E2M1)])
    turned = experts.float().transpose(1, 2)
    blocks = turned.reshape(*turned.shape[:2], -1, 32)
    powers = torch.floor(torch.log2(blocks.abs().amax(-1))) - 2
    scale = torch.exp2(powers)[..., None]
    codes = ((blocks / scale)[..., None] - levels).abs().argmin(-1)
    parts = {"_blocks": (codes[..., 0::2] + 16 * codes[..., 1::2]).to(torch.uint8), "_scales": (powers + 127).byte()}
    return parts, (levels[codes] * scale).reshape(turned.shape).transpose(1, 2).contiguous()


def nvfp4(weight: torch.Tensor) -> Encoded:
    """ModelOpt's NVFP4: E2M1 codes, an E4M3 scale for every 16 inputs, and one float32 scale."""
    import torch

    levels = torch.tensor([*_E2M1, *(-level for level in _E2M1)])
    blocks = weight.float().reshape(weight.shape[0], -1, 16)
    whole = blocks.abs().max() / (6 * 448)
    scales = (blocks.abs().amax(-1) / 6 / whole).to(torch.float8_e4m3fn)
    real = scales.float() * whole
    codes = ((blocks / real[..., None])[..., None] - levels).abs().argmin(-1)
    packed = (codes[..., 0::2] + 16 * codes[..., 1::2]).to(torch.uint8).view(weight.shape[0], -1)
    parts = {"weight": packed, "weight_scale": scales, "weight_scale_2": whole}
    return parts, (levels[codes] * real[..., None]).view(weight.shape)


ENCODINGS: Mapping[str, Encoding] = {
    "fp8-blocks": Encoding(
        encode=fp8_blocks, settings={"quant_method": "fp8", "weight_block_size": [128, 128], "fmt": "e4m3"}
    ),
    "fp8-channels": Encoding(encode=fp8_channels, settings={"quant_method": "compressed-tensors"}),
    "fp8-tensor": Encoding(encode=fp8_tensor, settings={"quant_method": "fp8"}),
    "bnb-int8": Encoding(encode=int8_rows, settings={"quant_method": "bitsandbytes", "load_in_8bit": True}),
    "bnb-nf4": Encoding(encode=four_bits, settings={"quant_method": "bitsandbytes", "load_in_4bit": True}),
    "bnb-nf4-double": Encoding(
        encode=partial(four_bits, nested=True),
        settings={"quant_method": "bitsandbytes", "bnb_4bit_use_double_quant": True},
    ),
    "bnb-fp4": Encoding(encode=partial(four_bits, kind="fp4", levels=FP4)),
    **{f"gptq-{b}": Encoding(encode=partial(gptq, bits=b)) for b in (2, 3, 4, 8)},
    "gptq-reordered": Encoding(encode=partial(gptq, group=32, reordered=True), settings={"quant_method": "gptq"}),
    "gptq-v2": Encoding(
        encode=partial(gptq, second=True),
        settings={"quant_method": "gptq", "checkpoint_format": "gptq_v2"},
    ),
    "awq": Encoding(encode=awq, settings={"quant_method": "awq", "version": "gemm", "bits": 4, "group_size": 128}),
    "packed-int4": Encoding(encode=packed_integers, settings={"quant_method": "compressed-tensors"}),
    "packed-int4-zeros": Encoding(encode=partial(packed_integers, asymmetric=True, group=32)),
    "packed-int8": Encoding(encode=partial(packed_integers, bits=8)),
    "mlx-4": Encoding(encode=mlx, settings={"group_size": 64, "bits": 4}),
    "mlx-6": Encoding(encode=partial(mlx, bits=6, group=32), settings={"group_size": 32, "bits": 6}),
    "nvfp4": Encoding(encode=nvfp4, settings={"quant_method": "modelopt"}),
}
"""By name; each encodes a matrix whose sides are multiples of 128."""


def quantise_checkpoint(directory: Path, encoding: str) -> dict[str, torch.Tensor]:
    """Replaces every projection within the layers of a checkpoint by its codes.

    Returns:
        What each of them must decode to, by name.
    """
    chosen, tensors, values = ENCODINGS[encoding], load_weights(directory), {}
    stored: Parts = {}
    for name, weight in tensors.items():
        if "proj" not in name or weight.dim() != 2:
            stored[name] = weight
            continue
        parts, values[name] = chosen.encode(weight)
        stored |= {f"{name.removesuffix('weight')}{part}": value.contiguous() for part, value in parts.items()}
    save_weights(directory, stored)
    if chosen.settings:
        config = read_json(directory / "config.json")
        key = "quantization" if encoding.startswith("mlx") else "quantization_config"
        write_json(directory / "config.json", {**config, key: dict(chosen.settings)})
    return values
