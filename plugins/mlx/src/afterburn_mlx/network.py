"""Models in memory: loaded by mlx-lm from local files, with the adapter on or off.

mlx-lm is told by `families` what it would not find in the configuration by itself, and `corrections` makes right where
it computes another model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import mlx.core as mx
import torch
from mlx import nn

from afterburn_core.backends.documents import read_json
from afterburn_core.errors import SubjectError
from afterburn_mlx import seam
from afterburn_mlx.corrections import correct
from afterburn_mlx.families import settings
from afterburn_mlx.sites import Sites, sites_of
from afterburn_mlx.versions import ENGINE

Switches = Callable[[Any], "list[Switch]"]
"""Puts an adapter on a model, and says which modules it replaced."""


@attrs.frozen(kw_only=True, eq=False)
class Switch:
    """A module of the base, and what stands in its place with the adapter."""

    parent: Any
    name: str
    plain: Any
    adapted: Any


@attrs.frozen(kw_only=True, eq=False)
class Source:
    """Where a model comes from."""

    directory: Path
    """Of the model, or of the adapter's base."""
    label: str
    dtype: str
    adapt: Switches | None = None
    """For an adapter."""


class _Given(nn.Module):  # type: ignore[misc]
    """A body that hands back the states it was given; the head may ask it for the embedding."""

    def __init__(self, embed: Any) -> None:
        super().__init__()
        self.embed_tokens = embed
        self._states: Any = None

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._states

    def give(self, states: Any) -> None:
        self._states = states


class Head:
    """What a model does after its body, by the model's own code.

    A twin of the model that shares all but its body and keeps nothing of that alive but the embedding.
    """

    def __init__(self, model: Any) -> None:
        self._given = _Given(model.model.embed_tokens)
        kind: Any = type(model)
        twin: Any = kind.__new__(kind)
        dict.update(twin, {**model, "model": self._given})
        twin.__dict__.update(model.__dict__)
        self._twin = twin
        self._dtype = model.model.norm.weight.dtype

    def logits(self, states: mx.array) -> mx.array:
        """(…, V) of states (…, d) as `final_norm` has them."""
        self._given.give(states)
        try:
            found: mx.array = self._twin(mx.zeros(states.shape[:-1], mx.int32))
            return found
        finally:
            self._given.give(None)

    def log_probs(self, states: torch.Tensor, vocabulary: int) -> torch.Tensor:
        """(m, vocabulary) float32 log-probabilities over the first so many ids, of states (m, d)."""
        logits = seam.to_torch(self.logits(seam.from_torch(states, self._dtype)[None])[0])[:, :vocabulary]
        return torch.log_softmax(logits, dim=-1)


class Network:
    """A causal language model in memory; with an adapter on it, both it and its base."""

    def __init__(self, source: Source) -> None:
        """Loads the weights.

        Raises:
            SubjectError: mlx-lm cannot load or run them.
        """
        self.label = source.label
        with _explained(source.label):
            self.model, self.config = _loaded(source)
            self._switches = source.adapt(self.model) if source.adapt is not None else []
            self._adapted = True
            self._turn(True)
            self.sites: Sites = sites_of(self.model.model, int(self.config["hidden_size"]))
            # all that is lazy is computed now: another thread could not do it
            logits = self.model(mx.array([[0, 0]]))
            mx.eval(self.model.parameters(), logits)
        self.vocabulary = int(logits.shape[-1])
        self.exact = source.dtype == "float32"

    def use(self, adapted: bool) -> None:
        """Puts the adapter on or takes it off; nothing happens where there is none or it stands right."""
        if adapted != self._adapted:
            self._turn(adapted)

    def body(self, ids: mx.array, cache: Any = None) -> mx.array:
        """(B, T, d) final states of (B, T) ids."""
        found: mx.array = self.model.model(ids, cache)
        return found

    def _turn(self, adapted: bool) -> None:
        for switch in self._switches:
            setattr(switch.parent, switch.name, switch.adapted if adapted else switch.plain)
        self._adapted = adapted
        self.head = Head(self.model)


class Resident:
    """One network that serves several users: loaded when the first asks, freed when the last lets go."""

    def __init__(self, source: Source, holders: int = 1) -> None:
        self._source = source
        self._holders = holders
        self._network: Network | None = None

    def network(self) -> Network:
        """The loaded network.

        Raises:
            SubjectError: it cannot be loaded, or all have let go of it.
        """
        if self._network is None:
            if self._holders <= 0:
                raise SubjectError("this generator is closed; ask the subject for another")
            self._network = Network(self._source)
        return self._network

    def release(self) -> None:
        """One holder lets go; after the last the memory is free."""
        self._holders -= 1
        if self._holders <= 0 and self._network is not None:
            self._network = None
            mx.clear_cache()


def end_marks(directory: Path, tokenizer: Any) -> frozenset[int]:
    """Every token that ends an answer: those of the generation settings (else of the configuration) and the
    tokenizer."""
    named = read_json(directory / "generation_config.json")
    if named is None:
        named = read_json(directory / "config.json") or {}
    found = [named.get("eos_token_id"), tokenizer.eos_token_id]
    flat = [one for value in found for one in (value if isinstance(value, list) else [value])]
    return frozenset(int(one) for one in flat if one is not None)


def _loaded(source: Source) -> tuple[Any, Mapping[str, Any]]:
    with _open_files_kept():
        from mlx_lm.utils import load_model

    if mx.default_device() == mx.cpu:
        mx.disable_compile()  # on a CPU it calls the machine's C++ compiler, which takes seconds where there is one
    own = read_json(source.directory / "config.json") or {}
    model, config = load_model(source.directory, lazy=True, model_config=settings(own))
    correct(model.model, own)
    model.set_dtype(seam.DTYPES[source.dtype])
    return model, config


@contextmanager
def _open_files_kept() -> Iterator[None]:
    """mlx-lm lowers how many files the process may open when it is imported, for good; it is not let to."""
    import resource

    own = resource.setrlimit
    resource.setrlimit = lambda *_: None
    try:
        yield
    finally:
        resource.setrlimit = own


@contextmanager
def _explained(label: str) -> Iterator[None]:
    """Whatever a loader raises becomes one line."""
    try:
        yield
    except (SubjectError, KeyboardInterrupt):
        raise
    except Exception as error:  # of everything: missing weights, shapes, formats, memory
        said = " ".join((str(error).strip() or type(error).__name__).split("\n")[:2])
        raise SubjectError(
            f"{label}: {ENGINE} cannot load it ({said}); check the files, or leave --backend out"
        ) from error
