"""Logits of chosen rows: the model's own head on states that were captured before it.

A *shell* is the network with its body replaced by one that hands back given states, so that whatever the model does
after its body (biases, soft-capping, scales) is done by its own code. It shares the head's weights with the network and
keeps nothing else of it alive. Whether it gives the model's own logits is tried at the first text that is read; where
it does not, `passage_logits` runs the whole model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from afterburn_core.backends.transformers_loading import threads_for
from afterburn_core.backends.transformers_sites import Sites

_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}
_COARSE = 0.03
"""Of the largest logit; narrower numbers round differently where a product has other rows beside it."""


class _Given(nn.Module):
    """A body that hands back the states it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.states: torch.Tensor | None = None

    def forward(self, *args: Any, **kwargs: Any) -> _Output:
        return _Output(self.states)


class _Output:
    """What a body returns, for code that asks by field or by place."""

    def __init__(self, states: torch.Tensor | None) -> None:
        self.last_hidden_state = states

    def __getitem__(self, place: int | slice) -> Any:
        return (self.last_hidden_state,)[place]

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


class Head:
    """The part of a causal model after its body."""

    def __init__(self, sites: Sites) -> None:
        self._given = _Given()
        path = next(name for name, module in sites.network.named_modules() if module is sites.body)
        self.shell: Any = _with(sites.network, path.split("."), self._given)

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Logits (n, V) float32 of states (n, d) as `final_norm` has them."""
        self._given.states = states[None]
        try:
            ids = torch.zeros((1, states.shape[0]), dtype=torch.int64, device=states.device)
            logits: torch.Tensor = self.shell(input_ids=ids, use_cache=False).logits
        finally:
            self._given.states = None
        return logits[0].float()

    def log_probs(self, states: torch.Tensor, vocabulary: int) -> torch.Tensor:
        """(n, vocabulary) float32 log-probabilities over the first so many ids; see `log_probabilities`."""
        with torch.inference_mode(), threads_for(self.shell):
            return log_probabilities(self(states), vocabulary)


def separate_head(sites: Sites, ids: torch.Tensor, states: torch.Tensor) -> tuple[Head | None, int]:
    """The head where it gives the model's own logits, and the size of the vocabulary.

    Args:
        sites: of the causal model.
        ids: (t) tokens of one text.
        states: (t, d) what the body made of them.
    """
    own = passage_logits(sites, ids)
    try:
        head = Head(sites)
        apart = head(states)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        # the model's own code asked its body for more than states
        return None, own.shape[-1]
    within = _TOLERANCE.get(states.dtype, _COARSE) * float(own.abs().max())
    agrees = apart.shape == own.shape and bool(((apart - own).abs() <= within).all())
    return (head if agrees else None), own.shape[-1]


def passage_logits(sites: Sites, ids: torch.Tensor) -> torch.Tensor:
    """Logits (t, V) float32 of the whole model on one text (t)."""
    network: Any = sites.network
    logits: torch.Tensor = network(input_ids=ids[None], use_cache=False).logits
    return logits[0].float()


def log_probabilities(logits: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """ln softmax over the first `vocabulary` ids (n, vocabulary), in the logits' own memory where that is possible."""
    kept = logits[:, :vocabulary]
    if kept.is_contiguous() and kept.device.type == "cpu":
        return torch.log_softmax(kept, dim=-1, out=kept)
    return torch.log_softmax(kept, dim=-1)


def _with(module: nn.Module, path: Sequence[str], given: nn.Module) -> nn.Module:
    """A twin of the module that shares all but what lies on the path, at whose end `given` stands."""
    if not path:
        return given
    twin: nn.Module = object.__new__(type(module))
    inner = {**module._modules, path[0]: _with(module.get_submodule(path[0]), path[1:], given)}
    twin.__dict__.update({**module.__dict__, "_modules": inner})
    return twin
