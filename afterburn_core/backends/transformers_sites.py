"""Where the sites of `afterburn_core.forward` lie in a transformers network: which module, which side of it.

- `embed`: the token embedding after its scaling; for encoders what leaves the embedding layer.
- `blocks.{i}.in`, `blocks.{i}.out`: the residual stream that enters and leaves block i.
- `blocks.{i}.attn.out`, `blocks.{i}.mlp.out`: what is added to the residual, after a post-norm or a residual multiplier
  where there is one. In blocks that norm after the addition (BERT), what is added before that norm.
- `blocks.{i}.attn.heads`: the heads' outputs beside each other, before they are projected: (heads · head width) wide.
- `blocks.{i}.mid`: the residual stream between attention and MLP, in blocks where one follows the other.
- `blocks.{i}.mlp.in`: what the MLP reads, behind its norm; `blocks.{i}.mlp.normed`: the same before the norm's gain and
  offset, as tools see it that fold these into the MLP. It is computed from the stream, so nothing can be put there.
- `final_norm`: what the head reads.

The last entry of a model's `hidden_states` is after the final norm and no block's output, so all of these are read by
forward hooks. What lies inside a block is found by `transformers_parts`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import attrs
import torch
from torch import nn

from afterburn_core.backends.transformers_loading import network_of
from afterburn_core.backends.transformers_parts import ATTENTION, MLP, Tap, child, norms_after, parts_of
from afterburn_core.errors import SubjectError

Seen = Callable[[str, torch.Tensor], "torch.Tensor | None"]
"""Called with a site and its activation; a tensor that it returns takes the activation's place."""

_NORMS = (
    "norm", "final_layernorm", "final_layer_norm", "ln_f", "norm_f", "final_norm", "ln_out", "embedding_norm",
    "layer_norm",
)  # fmt: skip
_BEFORE_BLOCKS = (
    "wpe", "embed_positions", "position_embeddings", "position_embedding", "word_embeddings_layernorm",
    "tokens_embed_norm", "embed_norm", "project_in",
)  # fmt: skip
"""Modules that stand between the token embedding and the first block of a causal model."""
_OTHER_TOWERS = re.compile(r"vision|visual|audio|image|speech")
_MANY_STREAMS = frozenset({"gemma3n_text", "qwen4_exp_text"})
"""Models with several residual streams at once: there is no one activation of a block."""


@attrs.frozen(kw_only=True, eq=False)
class Sites:
    """The parts of a network by the names that all of Afterburn uses."""

    network: nn.Module
    """The transformers model, without an adapter's wrapper."""
    body: nn.Module
    """Tokens in, `final_norm` out: what the network runs before its head, or the network itself where it has none."""
    blocks: tuple[nn.Module, ...]
    embed: nn.Module
    """The token embedding."""
    final_norm: nn.Module | None
    """The norm after the last block; `None` where the blocks end with their own."""
    head: nn.Module | None
    """Hidden states in, logits out, before soft-capping and scales; `None` for encoders."""
    taps: Mapping[str, Tap]
    """By site, in the order of the network; sites that the network lacks are absent."""
    sums: bool
    """Whether out = in + attn.out + mlp.out holds for its blocks: not where they norm after the addition."""

    @property
    def layers(self) -> int:
        return len(self.blocks)

    @property
    def width(self) -> int:
        """d of the residual stream."""
        config: Any = self.network.config
        return int(config.get_text_config().hidden_size)

    def width_at(self, site: str) -> int:
        """d of the activations at a site."""
        return self.taps[site].width or self.width

    def named(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """The sites that match, in the network's order; `*` is the number of any block, `last` that of the last one.

        Raises:
            SubjectError: a pattern matches none though the network has blocks.
        """
        last = f"blocks.{len(self.blocks) - 1}."
        numbered = [re.sub(r"^blocks\.last\.", last, pattern) for pattern in patterns]
        wanted = [re.compile(re.escape(pattern).replace(r"\*", r"\d+")) for pattern in numbered]
        found = tuple(site for site in self.taps if any(pattern.fullmatch(site) for pattern in wanted))
        for text, pattern in zip(patterns, wanted, strict=True):
            if self.blocks and not any(pattern.fullmatch(site) for site in self.taps):
                raise SubjectError(
                    f"{type(self.network).__name__} has blocks.0 to blocks.{len(self.blocks) - 1} and no site "
                    f"{text!r}; known: {self._known()}"
                )
        return found

    def _known(self) -> str:
        return ", ".join(dict.fromkeys(re.sub(r"\d+", "*", site, count=1) for site in self.taps))


def sites_of(model: Any) -> Sites:
    """Finds the sites of a loaded transformers model, with or without an adapter on it."""
    network = network_of(model)
    config = network.config
    base: nn.Module = network.base_model
    kind = str(config.get_text_config().model_type)
    owner, blocks = _blocks(base, config)
    head = network.get_output_embeddings() if base is not network else None
    body = base if head is None else owner  # OPT runs its decoder and passes by the module around it
    embed = network.get_input_embeddings()
    taps = {"embed": _embedding(owner, blocks, embed, head is not None)}
    for number, block in enumerate(() if kind in _MANY_STREAMS else blocks):
        taps[f"blocks.{number}.in"] = Tap(module=block, side="in")
        inside = parts_of(block, kind, config.get_text_config())
        taps |= {f"blocks.{number}.{name}": tap for name, tap in inside.items()}
        taps[f"blocks.{number}.out"] = Tap(module=block, side="out")
    taps["final_norm"] = Tap(module=body, side="out")
    return Sites(
        network=network,
        body=body,
        blocks=blocks,
        embed=embed,
        final_norm=child(owner, _NORMS),
        head=head,
        taps=taps,
        sums=not any(norms_after(block, kind) for block in blocks[:1]),
    )


@contextmanager
def watching(taps: Mapping[str, Tap], seen: Seen) -> Iterator[None]:
    """Calls `seen` for every site at every forward pass within, in the order in which the network computes them.

    Activations are (B, T, d); (B·T, d) in OPT, whose blocks flatten their tokens.
    """
    with ExitStack() as stack:
        for site, tap in taps.items():
            if tap.side == "in":
                before: Any = partial(_before, site, seen, tap.computed)
                handle = tap.module.register_forward_pre_hook(before, with_kwargs=True)
            else:
                after: Any = partial(_after, site, tap.scale, seen)
                handle = tap.module.register_forward_hook(after)
            stack.callback(handle.remove)
        yield


def _before(
    site: str,
    seen: Seen,
    computed: Callable[[torch.Tensor], torch.Tensor] | None,
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    given = args[0] if args else kwargs["hidden_states"]
    put = seen(site, given if computed is None else computed(given))
    if put is None:
        return None
    if computed is not None:
        raise SubjectError(f"{site}: is computed from what passes there, so nothing can be put in its place")
    return ((put, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": put})


def _after(site: str, scale: float, seen: Seen, module: nn.Module, args: Any, output: Any) -> Any:
    given = output if isinstance(output, torch.Tensor) else output[0]
    put = seen(site, given if scale == 1 else given * scale)
    if put is None:
        return None
    put = put if scale == 1 else put / scale
    if isinstance(output, torch.Tensor):
        return put
    if isinstance(output, (tuple, list)):
        return type(output)((put, *output[1:]))
    output[next(iter(output))] = put  # the library's output with fields, of which the first is the state
    return output


def _blocks(body: nn.Module, config: Any) -> tuple[nn.Module, tuple[nn.Module, ...]]:
    """The module that owns the blocks, and the blocks; `body` and none where they are not in one list."""
    count = int(getattr(config.get_text_config(), "num_hidden_layers", 0) or 0)
    lists = [
        (name, module)
        for name, module in body.named_modules()
        if isinstance(module, nn.ModuleList) and count and len(module) == count and not _OTHER_TOWERS.search(name)
    ]
    for name, module in sorted(lists, key=lambda pair: pair[0].count(".")):
        if all(child(block, ATTENTION) is not None or child(block, MLP) is not None for block in module):
            return body.get_submodule(name.rpartition(".")[0]), tuple(module)
    return body, ()


def _embedding(owner: nn.Module, blocks: Sequence[nn.Module], embed: nn.Module, causal: bool) -> Tap:
    if not causal:
        layer = getattr(owner, "embeddings", None)
        if layer is None and blocks:
            return Tap(module=blocks[0], side="in")
        return Tap(module=embed if layer is None else layer, side="out")
    if blocks and child(owner, _BEFORE_BLOCKS) is None:
        return Tap(module=blocks[0], side="in")  # the same, and after scales that the model applies by itself
    return Tap(module=embed, side="out")
