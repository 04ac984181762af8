"""Where mlx-lm computes something else than the model's definition: places in the Gemma family, made right here.

- Gemma 1: the activation is the tanh approximation of GELU; mlx-lm takes the exact one.
- Gemma 2: every second layer sees `sliding_window` tokens; mlx-lm lets all layers see everything. And where each row of
  a batch has a mask of its own, mlx-lm lays it over the heads.
- Gemma 3: the embedding is scaled by √d; mlx-lm rounds √d to bfloat16, also where it computes in float32.

A module is corrected by giving that one object a subclass of its class. Its weights, their names and all other models
stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
import mlx.nn as nn


def correct(owner: Any, config: Mapping[str, Any]) -> None:
    """Corrects the modules of a loaded model in place.

    Args:
        owner: the module that holds embedding, layers and norm.
        config: the model's configuration.
    """
    kind = config.get("model_type")
    if kind == "gemma":
        for layer in owner.layers:
            _become(layer.mlp, {"__call__": _tanh_mlp})
    elif kind == "gemma2":
        window = int(config.get("sliding_window") or 4096)
        kinds = config.get("layer_types") or ()
        for number, layer in enumerate(owner.layers):
            sliding = kinds[number] == "sliding_attention" if kinds else number % 2 == 0
            _become(layer, {"__call__": _masked(type(layer), window if sliding else None)})
    elif kind == "gemma3_text":
        exact = float(config["hidden_size"]) ** 0.5
        rounded = mx.array(exact, mx.bfloat16).astype(mx.float32).item()
        if exact != rounded:
            _become(owner.embed_tokens, {"__call__": _rescaled(type(owner.embed_tokens), exact / rounded)})


def _become(module: Any, members: Mapping[str, Any]) -> None:
    own = type(module)
    module.__class__ = type(own.__name__, (own,), dict(members))


def _tanh_mlp(self: Any, x: mx.array) -> mx.array:
    found: mx.array = self.down_proj(nn.gelu_approx(self.gate_proj(x)) * self.up_proj(x))
    return found


def _masked(kind: Any, window: int | None) -> Any:
    def call(self: Any, x: mx.array, mask: Any = None, cache: Any = None) -> mx.array:
        """The layer with a mask that hides what lies `window` tokens back or more, in the shape of its scores."""
        before = 0 if cache is None else cache.size()
        keys = before + x.shape[1]
        if window is not None and keys > window:
            rows, columns = mx.arange(before, keys)[:, None], mx.arange(keys)[None]
            near = rows - columns < window
            mask = near if mask is None else mask & near
        if mask is not None and mask.ndim == 4 and self.self_attn.repeats > 1:
            mask = mx.expand_dims(mask, 2)  # scores are (rows, groups, heads of a group, queries, keys)
        found: mx.array = kind.__call__(self, x, mask, cache)
        return found

    return call


def _rescaled(kind: Any, factor: float) -> Any:
    def call(self: Any, ids: mx.array) -> mx.array:
        """Rows of the embedding, so that the rounded scale makes of them what the exact one would."""
        rows: mx.array = kind.__call__(self, ids)
        return rows * factor if rows.dtype == mx.float32 else rows

    return call
