"""Where the sites of `afterburn_core.forward` lie in an mlx-lm network, and how their activations are seen.

The blocks of the families that run here are alike: `self_attn` and `mlp` add to the residual stream, in Gemma 2 and 3
behind the norms `post_attention_layernorm` and `post_feedforward_layernorm`. MLX has no hooks: while somebody watches,
the modules of the sites have a subclass of their class whose call tells what goes in and comes out. Nothing of mlx-lm
is copied, and afterwards every module is what it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import attrs
import mlx.core as mx

from afterburn_core.errors import SubjectError

Seen = Callable[[str, mx.array], None]


@attrs.frozen(kw_only=True, eq=False)
class Tap:
    """One side of one module."""

    module: Any
    side: Literal["in", "out"]
    eps: float | None = None
    """Of a norm without gain, whose output is what is seen."""
    width: int | None = None
    """d of what is seen there, where it may be another than that of the residual stream."""


@attrs.frozen(kw_only=True, eq=False)
class Sites:
    """The parts of a network by the names that all of Afterburn uses."""

    taps: Mapping[str, Tap]
    """By site, in the order of the network."""
    layers: int
    width: int
    """d of the residual stream."""

    def width_at(self, site: str) -> int:
        """d of the activations at a site."""
        return self.taps[site].width or self.width

    def named(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """The sites that match, in the network's order; `*` is the number of any block, `last` that of the last one.

        Raises:
            SubjectError: a pattern matches none.
        """
        last = f"blocks.{self.layers - 1}."
        numbered = [re.sub(r"^blocks\.last\.", last, pattern) for pattern in patterns]
        wanted = [re.compile(re.escape(pattern).replace(r"\*", r"\d+")) for pattern in numbered]
        for text, pattern in zip(patterns, wanted, strict=True):
            if not any(pattern.fullmatch(site) for site in self.taps):
                known = ", ".join(dict.fromkeys(re.sub(r"\d+", "*", site, count=1) for site in self.taps))
                raise SubjectError(
                    f"the model has blocks.0 to blocks.{self.layers - 1} and no site {text!r}; known: {known}"
                )
        return tuple(site for site in self.taps if any(pattern.fullmatch(site) for pattern in wanted))


def sites_of(owner: Any, width: int) -> Sites:
    """The sites of a network.

    Args:
        owner: the module that holds embedding, layers and norm.
        width: d of the residual stream.
    """
    taps = {"embed": Tap(module=owner.layers[0], side="in")}  # behind the scale, where there is one
    for number, block in enumerate(owner.layers):
        normed = "post_feedforward_layernorm" in block
        taps[f"blocks.{number}.in"] = Tap(module=block, side="in")
        projection = block.self_attn.o_proj
        taps[f"blocks.{number}.attn.heads"] = Tap(module=projection, side="in", width=read_by(projection))
        attention = block.post_attention_layernorm if normed else block.self_attn
        taps[f"blocks.{number}.attn.out"] = Tap(module=attention, side="out")
        before = block.pre_feedforward_layernorm if normed else block.post_attention_layernorm
        taps[f"blocks.{number}.mid"] = Tap(module=before, side="in")
        taps[f"blocks.{number}.mlp.normed"] = Tap(module=before, side="in", eps=before.eps)
        taps[f"blocks.{number}.mlp.in"] = Tap(module=block.mlp, side="in")
        mlp = block.post_feedforward_layernorm if normed else block.mlp
        taps[f"blocks.{number}.mlp.out"] = Tap(module=mlp, side="out")
        taps[f"blocks.{number}.out"] = Tap(module=block, side="out")
    taps["final_norm"] = Tap(module=owner.norm, side="out")
    return Sites(taps=taps, layers=len(owner.layers), width=width)


def read_by(linear: Any) -> int:
    """d that a linear map reads, quantised or with an adapter's factors beside it too."""
    plain = getattr(linear, "linear", linear)
    columns, bits = int(plain.weight.shape[-1]), getattr(plain, "bits", None)
    return columns if bits is None else columns * 32 // int(bits)  # so many codes lie in a word


@contextmanager
def watching(taps: Mapping[str, Tap], seen: Seen) -> Iterator[None]:
    """Calls `seen` for every site at every call of the network within."""
    by_module: dict[int, list[tuple[str, Tap]]] = {}
    for site, tap in taps.items():
        by_module.setdefault(id(tap.module), []).append((site, tap))
    changed: list[tuple[Any, type]] = []
    try:
        for own in by_module.values():
            module = own[0][1].module
            before = tuple((site, tap.eps) for site, tap in own if tap.side == "in")
            after = tuple(site for site, tap in own if tap.side == "out")
            kind = type(module)
            changed.append((module, kind))
            module.__class__ = type(kind.__name__, (kind,), {"__call__": _telling(kind, before, after, seen)})
        yield
    finally:
        for module, kind in changed:
            module.__class__ = kind


def _telling(kind: Any, before: Sequence[tuple[str, float | None]], after: Sequence[str], seen: Seen) -> Any:
    def call(self: Any, x: mx.array, *args: Any, **keywords: Any) -> Any:
        for site, eps in before:
            seen(site, x if eps is None else mx.fast.rms_norm(x.astype(mx.float32), None, eps))
        found = kind.__call__(self, x, *args, **keywords)
        for site in after:
            seen(site, found)
        return found

    return call
