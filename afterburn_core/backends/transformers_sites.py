"""Where the sites of `afterburn_core.forward` lie in a transformers network: which module, which side of it.

- `embed`: the token embedding after its scaling; for encoders what leaves the embedding layer.
- `blocks.{i}.in`, `blocks.{i}.out`: the residual stream that enters and leaves block i.
- `blocks.{i}.attn.out`, `blocks.{i}.mlp.out`: what is added to the residual, after a post-norm or a residual multiplier
  where there is one. In blocks that norm after the addition (BERT), what is added before that norm.
- `blocks.{i}.attn.heads`: the heads' outputs beside each other, before they are projected: (heads · head width) wide.
- `blocks.{i}.mid`: the residual stream between attention and MLP, in blocks where one follows the other.
- `blocks.{i}.mlp.in`: what the MLP reads, behind its norm.
- `final_norm`: what the head reads.

The last entry of a model's `hidden_states` is after the final norm and no block's output, so all of these are read by
forward hooks. Families whose modules are not what their names say stand in `_PARTS`; all others are found by structure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal

import attrs
import torch
from torch import nn

from afterburn_core.backends.transformers_loading import network_of
from afterburn_core.errors import SubjectError

Seen = Callable[[str, torch.Tensor], "torch.Tensor | None"]
"""Called with a site and its activation; a tensor that it returns takes the activation's place."""

_ATTENTION = (
    "self_attn", "attention", "attn", "self_attention", "linear_attn", "temporal_block", "mixer", "mamba", "conv",
    "seq_transformer",
)  # fmt: skip
_MLP = ("mlp", "feed_forward", "block_sparse_moe", "moe", "ffn", "channel_mlp", "fc2")
_POST_NORMS = (
    ("post_attention_layernorm", "post_feedforward_layernorm"),
    ("post_self_attn_layernorm", "post_mlp_layernorm"),
)
"""Norms between a module and the residual: a block that has both adds their outputs (Gemma 2 and 3, OLMo 2, GLM-4)."""
_BERT = ("attention.output.dense", "output.dense")
_PARTS: Mapping[str, tuple[str, str]] = {
    "bloom": ("self_attention.dense", "mlp.dense_4h_to_h"),  # the modules add the residual themselves
    "mpt": ("attn", "ffn.down_proj"),
    "mpnet": ("attention.attn", "output.dense"),
    "distilbert": ("attention", "ffn"),
    **dict.fromkeys(
        ("bert", "roberta", "xlm-roberta", "camembert", "electra", "deberta", "deberta-v2", "ernie", "data2vec-text",
         "roberta-prelayernorm", "xlm-roberta-xl", "megatron-bert", "roformer", "rembert", "roc_bert", "convbert",
         "layoutlm", "esm"),
        _BERT,
    ),
}  # fmt: skip
"""Attention and MLP of a block, by model type."""
_NORMS = (
    "norm", "final_layernorm", "final_layer_norm", "ln_f", "norm_f", "final_norm", "ln_out", "embedding_norm",
    "layer_norm",
)  # fmt: skip
_HEADED = ("self_attn", "attention", "attn", "self_attention")
_PROJECTIONS = ("o_proj", "out_proj", "c_proj", "dense", "out_lin", "o", "Wo")
"""The last linear map of an attention, whose input is the heads' outputs."""
_ENTRANCES: Mapping[str, str] = {"bloom": "mlp", "mpt": "ffn", "mpnet": "intermediate.dense", "distilbert": "ffn"}
"""What the MLP of a block begins with, by model type, where the part that ends it is another module."""
_BEFORE_MLP = ("pre_feedforward_layernorm", "post_attention_layernorm", "ln_2", "norm_2", "ffn_norm", "mlp_norm")
"""Norms that read the stream between attention and MLP."""
_PARALLEL = ("use_parallel_residual", "parallel_attn", "new_decoder_architecture")
"""Settings under which attention and MLP read the same stream, and nothing lies between them."""
_BEFORE_BLOCKS = (
    "wpe", "embed_positions", "position_embeddings", "position_embedding", "word_embeddings_layernorm",
    "tokens_embed_norm", "embed_norm", "project_in",
)  # fmt: skip
"""Modules that stand between the token embedding and the first block of a causal model."""
_OTHER_TOWERS = re.compile(r"vision|visual|audio|image|speech")


@attrs.frozen(kw_only=True, eq=False)
class Tap:
    """One side of one module."""

    module: nn.Module
    side: Literal["in", "out"]
    scale: float = 1.0
    """The block multiplies the module's output by this before it adds it."""
    width: int | None = None
    """d of what is seen there, where it may be another than that of the residual stream."""


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
                    f"{type(self.network).__name__} has {len(self.blocks)} blocks, from blocks.0, and no site "
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
    for number, block in enumerate(blocks):
        attention, mlp = _parts(block, kind)
        taps[f"blocks.{number}.in"] = Tap(module=block, side="in")
        inner = {
            "attn.heads": _heads(block, kind),
            "attn.out": attention,
            "mid": _middle(block, kind, config.get_text_config()),
            "mlp.in": _entrance(block, kind),
            "mlp.out": mlp,
        }
        taps |= {f"blocks.{number}.{name}": tap for name, tap in inner.items() if tap is not None}
        taps[f"blocks.{number}.out"] = Tap(module=block, side="out")
    taps["final_norm"] = Tap(module=body, side="out")
    return Sites(
        network=network,
        body=body,
        blocks=blocks,
        embed=embed,
        final_norm=_child(owner, _NORMS),
        head=head,
        taps=taps,
        sums=not any(_norms_after(block, kind) for block in blocks[:1]),
    )


@contextmanager
def watching(taps: Mapping[str, Tap], seen: Seen) -> Iterator[None]:
    """Calls `seen` for every site at every forward pass within, in the order in which the network computes them.

    Activations are (B, T, d); (B·T, d) in OPT, whose blocks flatten their tokens.
    """
    with ExitStack() as stack:
        for site, tap in taps.items():
            if tap.side == "in":
                before: Any = partial(_before, site, seen)
                handle = tap.module.register_forward_pre_hook(before, with_kwargs=True)
            else:
                after: Any = partial(_after, site, tap.scale, seen)
                handle = tap.module.register_forward_hook(after)
            stack.callback(handle.remove)
        yield


def _before(site: str, seen: Seen, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given = args[0] if args else kwargs["hidden_states"]
    put = seen(site, given)
    if put is None:
        return None
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
        if all(_child(block, _ATTENTION) is not None or _child(block, _MLP) is not None for block in module):
            return body.get_submodule(name.rpartition(".")[0]), tuple(module)
    return body, ()


def _embedding(owner: nn.Module, blocks: Sequence[nn.Module], embed: nn.Module, causal: bool) -> Tap:
    if not causal:
        layer = getattr(owner, "embeddings", None)
        if layer is None and blocks:
            return Tap(module=blocks[0], side="in")
        return Tap(module=embed if layer is None else layer, side="out")
    if blocks and _child(owner, _BEFORE_BLOCKS) is None:
        return Tap(module=blocks[0], side="in")  # the same, and after scales that the model applies by itself
    return Tap(module=embed, side="out")


def _parts(block: nn.Module, kind: str) -> tuple[Tap | None, Tap | None]:
    scale = float(getattr(block, "residual_multiplier", getattr(block, "residual_scale", 1.0)))  # Granite, MiniCPM
    for pair in _POST_NORMS:
        after_attention, after_mlp = (_child(block, (name,)) for name in pair)
        if after_attention is not None and after_mlp is not None:
            return _tap(after_attention, scale), _tap(after_mlp, scale)
    if kind in _PARTS:
        first, second = (_descend(block, path) for path in _PARTS[kind])
        if first is not None and second is not None:
            return _tap(first, scale), _tap(second, scale)
    return _tap(_child(block, _ATTENTION), scale), _tap(_child(block, _MLP), scale)


def _heads(block: nn.Module, kind: str) -> Tap | None:
    if kind in _PARTS and _PARTS[kind] is _BERT:
        projection = _descend(block, _BERT[0])
    else:
        attention = _child(block, _HEADED)
        inner = None if attention is None else _child(attention, ("attn",))  # MPNet
        projection = next((found for one in (attention, inner) if one and (found := _child(one, _PROJECTIONS))), None)
    if projection is None:
        return None
    width = getattr(projection, "in_features", None)
    if width is None and isinstance(weight := getattr(projection, "weight", None), torch.Tensor):
        width = weight.shape[0]  # GPT-2 keeps its linear maps the other way round
    return Tap(module=projection, side="in", width=width)


def _entrance(block: nn.Module, kind: str) -> Tap | None:
    if kind in _PARTS and _PARTS[kind] is _BERT:
        module = _descend(block, "intermediate.dense")
    elif kind in _ENTRANCES:
        module = _descend(block, _ENTRANCES[kind])
    else:
        module = _child(block, ("fc1", *_MLP))
    return None if module is None else Tap(module=module, side="in")


def _middle(block: nn.Module, kind: str, config: Any) -> Tap | None:
    """Between attention and MLP; `None` where a block has no such place, or where no norm or MLP shows it."""
    if any(getattr(config, name, False) for name in _PARALLEL) or _norms_after(block, kind):
        return None
    if _child(block, _POST_NORMS[0][:1]) is not None and _child(block, _POST_NORMS[0][1:]) is not None:
        before = _child(block, _BEFORE_MLP[:1])
        return _entrance(block, kind) if before is None else Tap(module=before, side="in")  # OLMo 2 norms nothing there
    norm = _child(block, ("final_layer_norm", *_BEFORE_MLP) if hasattr(block, "fc1") else _BEFORE_MLP)
    return None if norm is None else Tap(module=norm, side="in")


def _norms_after(block: nn.Module, kind: str) -> bool:
    """Whether the block norms or scales what it has added, so that its output is no sum."""
    if kind in _PARTS and _PARTS[kind] is _BERT:
        return kind not in {"roberta-prelayernorm", "xlm-roberta-xl", "megatron-bert", "esm"}
    if kind in {"mpnet", "distilbert", "nomic_bert", "gte"}:
        return True
    scaled = hasattr(block, "layer_scalar")  # Gemma 4 adds per-layer inputs besides and scales the sum
    return scaled or getattr(block, "do_layer_norm_before", True) is False


def _tap(module: nn.Module | None, scale: float) -> Tap | None:
    return None if module is None else Tap(module=module, side="out", scale=scale)


def _child(owner: nn.Module, names: Sequence[str]) -> nn.Module | None:
    return next((found for name in names if isinstance(found := getattr(owner, name, None), nn.Module)), None)


def _descend(block: nn.Module, path: str) -> nn.Module | None:
    found: Any = block
    for name in path.split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, nn.Module) else None
