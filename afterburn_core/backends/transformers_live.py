"""The pair in memory for transformers' causal models: one network, the changed parameters of the other, and hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import torch

from afterburn_core.backends.transformers_blends import Blends
from afterburn_core.backends.transformers_cost import BatchSize, context_length
from afterburn_core.backends.transformers_decoding import Network
from afterburn_core.backends.transformers_edits import Editor, Grid
from afterburn_core.backends.transformers_head import Head
from afterburn_core.backends.transformers_loading import end_marks, threads_for
from afterburn_core.backends.transformers_sites import sites_of
from afterburn_core.backends.transformers_template import Prompts
from afterburn_core.backends.transformers_writing import Text, Voice, write
from afterburn_core.errors import SubjectError
from afterburn_core.forward.encoding import speller
from afterburn_core.forward.live import BASE, TRAINED, Blend, Edit, Mixture, Place, Written
from afterburn_core.generation.model import Request
from afterburn_core.probes.model import Message

if TYPE_CHECKING:
    from afterburn_core.forward.encoded import Encoded
    from afterburn_core.generation.model import Decoding, Generator
    from afterburn_core.probes.model import Probe

_TOKENS = 4096
"""Padded tokens of one batch that is read."""


class TransformersLive:
    """See `afterburn_core.forward.live.Live`."""

    def __init__(
        self,
        network: Any,
        blends: Blends,
        *,
        tokenizer: Any,
        prompts: Prompts,
        size: BatchSize,
        config: Mapping[str, Any],
        writer: Callable[[TransformersLive, Decoding, Blend], Generator],
        passages: Sequence[Encoded] = (),
        probes: Sequence[Probe] = (),
    ) -> None:
        """Args:
        network: the base, on its device.
        blends: what training changed of it.
        tokenizer: whose ids both models read.
        prompts: how conversations are put.
        size: bounds of a batch that writes.
        config: parsed `config.json`.
        writer: makes generators of blends.
        passages: see `Live.passages`.
        probes: see `Live.prompts`.
        """
        self._network: Any = network
        self._sites = sites_of(network)
        self._head = Head(self._sites)
        self._causal = Network(network, lambda: None)
        self._blends = blends
        self._places = blends.places
        self._tokenizer = tokenizer
        self._prompts = prompts
        self._size = size
        self._context = context_length(config)
        self._writer = writer
        self._spell = speller(tokenizer)
        self._ends = end_marks(network, tokenizer)
        self.passages = tuple(passages)
        self.prompts = tuple(probes)

    @property
    def network(self) -> Any:
        """The network in memory.

        Raises:
            SubjectError: it was closed.
        """
        if self._network is None:
            raise SubjectError("the models were closed; open the pair again")
        return self._network

    @property
    def places(self) -> Sequence[Place]:
        return self._places

    @property
    def layers(self) -> int:
        return self._sites.layers

    @property
    def width(self) -> int:
        return self._sites.width

    @property
    def vocabulary(self) -> int:
        return int(self.network.get_output_embeddings().weight.shape[0])

    @property
    def end_marks(self) -> frozenset[int]:
        return self._ends

    def encode(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """Token ids of plain text; an empty text with `special` is the beginning mark alone.

        Raises:
            SubjectError: an empty text is to be read and there is no beginning mark.
        """
        if not special:
            return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        plain = Prompts(tokenizer=self._tokenizer, mode="plain", label=self._prompts.label)
        return _one(plain, text, (Message(role="user", content=text),))

    def encode_chat(self, messages: Sequence[Message]) -> tuple[int, ...]:
        return _one(self._prompts, "conversation", tuple(messages))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def spelling(self, token: int) -> str:
        return self._spell(token)

    def log_probs(
        self, sequences: Sequence[Sequence[int]], *, blend: Blend = TRAINED, edits: Sequence[Edit] = ()
    ) -> Iterator[torch.Tensor]:
        """See `Live.log_probs`; sequences are read a batch at a time, as the iterator is advanced."""
        editor = Editor(self._sites, edits)
        with self._blends.kept(blend):
            for chunk in _chunks(sequences):
                states = self._read(chunk, blend, editor)[0]
                for row, one in enumerate(chunk.sequences):
                    with self._blends.applied(blend), threads_for(self.network), torch.no_grad():
                        logs = self._head(states[row, : len(one)]).log_softmax(-1)
                    yield logs

    def activations(
        self,
        sequences: Sequence[Sequence[int]],
        sites: Sequence[str],
        *,
        blend: Blend = TRAINED,
        edits: Sequence[Edit] = (),
    ) -> Iterator[Mapping[str, torch.Tensor]]:
        """See `Live.activations`; `*` stands for the number of a block, and batches are read as it is advanced."""
        wanted = self._sites.named(sites)
        editor = Editor(self._sites, edits, wanted)
        with self._blends.kept(blend):
            for chunk in _chunks(sequences):
                captured = self._read(chunk, blend, editor)[1]
                for row, one in enumerate(chunk.sequences):
                    yield {site: captured[site][row, : len(one)].float() for site in wanted}

    def readout(self, states: torch.Tensor, *, blend: Blend = TRAINED, normed: bool = False) -> torch.Tensor:
        """See `Live.readout`."""
        network, norm = self.network, self._sites.final_norm
        with self._blends.applied(blend), threads_for(network), torch.no_grad():
            states = states.to(network.device, network.dtype)
            return self._head(states if normed or norm is None else norm(states))

    def _read(self, chunk: _Chunk, blend: Blend, editor: Editor) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """What the head would read (B, T, d) and what was captured, of sequences side by side, padded on the right,
        where causal attention cannot see it."""
        device, sequences = self.network.device, chunk.sequences
        width = max(map(len, sequences))
        ids = torch.tensor([list(one) + [0] * (width - len(one)) for one in sequences], device=device)
        lengths = torch.tensor([len(one) for one in sequences], device=device)
        real = torch.arange(width, device=device) < lengths[:, None]
        editor.grid = Grid(
            real=real,
            numbers=tuple(range(chunk.first, chunk.first + len(sequences))),
            starts=(0,) * len(sequences),
            lengths=tuple(map(len, sequences)),
        )
        with self._blends.applied(blend), editor.active() as captured, threads_for(self.network), torch.no_grad():
            found = self._sites.body(input_ids=ids, attention_mask=real.long(), use_cache=False, return_dict=True)
            return found[0], dict(captured)

    def write(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        seeds: Sequence[int],
        temperature: float = 0.0,
        mixture: Mixture | None = None,
        blend: Blend = TRAINED,
        edits: Sequence[Edit] = (),
    ) -> Sequence[Written]:
        """See `Live.write`.

        Raises:
            ValueError: `mixture` stands beside a blend or edits, or seeds and prompts differ in number.
            SubjectError: a prompt leaves no room in the context, or the model computes NaN.
        """
        if mixture is not None and (edits or blend != TRAINED):
            raise ValueError("a mixture names its own blends; give it without blend and edits")
        texts = [
            Text(number=number, prompt=tuple(prompt), room=self._room(number, prompt, max_new_tokens), seed=seed)
            for number, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
        ]
        with ExitStack() as stack:
            sides = (blend,) if mixture is None else (mixture.toward, BASE)
            for one in sides:
                stack.enter_context(self._blends.kept(one))
            editor = Editor(self._sites, edits)
            stack.enter_context(editor.active())
            stack.enter_context(threads_for(self.network))
            voice = Voice(
                sides=tuple(self._side(one) for one in sides),
                alpha=mixture.alpha if mixture else 0.0,
                plausible=mixture.plausible if mixture else 0.0,
            )
            write(
                self._causal,
                texts,
                voice,
                temperature=temperature,
                ends=self._ends,
                rows_for=lambda longest: max(1, self._size.rows_for(longest) // len(sides)),
                editor=editor,
            )
        return self._written(texts)

    def _written(self, texts: Sequence[Text]) -> Sequence[Written]:
        sequences = [(*text.prompt, *text.tokens) for text in texts]
        scores: list[list[float]] = []
        for blend in (TRAINED, BASE):
            scores.append([])
            for text, logs in zip(texts, self.log_probs(sequences, blend=blend), strict=True):
                start = len(text.prompt)
                rows = logs[start - 1 : start - 1 + len(text.tokens)]
                tokens = torch.tensor(text.tokens, dtype=torch.int64, device=rows.device)
                scores[-1].append(float(rows.gather(1, tokens[:, None]).double().sum()))
        found = []
        for text, trained, base in zip(texts, *scores, strict=True):
            ids = tuple(text.tokens[:-1] if text.ended else text.tokens)
            found.append(
                Written(
                    token_ids=ids,
                    text=self.decode(ids),
                    ended=text.ended,
                    trained_logprob=trained,
                    base_logprob=base,
                )
            )
        return found

    def generator(self, decoding: Decoding, blend: Blend) -> Generator:
        return self._writer(self, decoding, blend)

    @contextmanager
    def blended(self, blend: Blend) -> Iterator[None]:
        with self._blends.kept(blend):
            yield

    def applied(self, blend: Blend) -> AbstractContextManager[None]:
        """The network is the blend inside; for what uses `network` itself."""
        return self._blends.applied(blend)

    def close(self) -> None:
        """Frees the models; the iterators and generators made of them are of no further use."""
        if self._network is None:
            return
        on_gpu = self._network.device.type == "cuda"
        self._blends.restore()
        self._network = None
        self._causal.model = None
        del self._sites, self._head
        self._blends = Blends(())
        if on_gpu:
            torch.cuda.empty_cache()

    def _side(self, blend: Blend) -> Callable[[], AbstractContextManager[None]]:
        return lambda: self._blends.applied(blend)

    def _room(self, number: int, prompt: Sequence[int], wanted: int) -> int:
        if not prompt:
            raise SubjectError(f"prompt {number} has no tokens; give at least the beginning mark (`encode('')`)")
        if self._context is None or len(prompt) + wanted <= self._context:
            return wanted
        if len(prompt) >= self._context:
            raise SubjectError(f"prompt {number} has {len(prompt)} tokens and the model reads at most {self._context}")
        return self._context - len(prompt)


def _one(prompts: Prompts, name: str, messages: tuple[Message, ...]) -> tuple[int, ...]:
    return prompts.encode([Request(probe=name, index=0, messages=messages, seed=0)])[0]


@attrs.frozen(kw_only=True)
class _Chunk:
    """Consecutive sequences that are read together, and the number of the first."""

    first: int
    sequences: Sequence[Sequence[int]]


def _chunks(sequences: Sequence[Sequence[int]]) -> Iterator[_Chunk]:
    """At most `_TOKENS` padded tokens each, and at least one sequence.

    Raises:
        SubjectError: a sequence is empty.
    """
    first = 0
    while first < len(sequences):
        last, width = first, 0
        while last < len(sequences):
            wider = max(width, len(sequences[last]))
            if not sequences[last]:
                raise SubjectError(f"sequence {last} has no tokens; give at least the beginning mark (`encode('')`)")
            if last > first and wider * (last + 1 - first) > _TOKENS:
                break
            width, last = wider, last + 1
        yield _Chunk(first=first, sequences=sequences[first:last])
        first = last


__all__ = ["TransformersLive"]
