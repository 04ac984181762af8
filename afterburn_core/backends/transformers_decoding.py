"""The loop that writes: prompts enter in batches, finished rows leave, waiting ones take their places.

Logits are computed for the last position alone and read in float32. All rows of a step end at the same column of the
cache (`transformers_cache`), so a row's place in the batch and its company change nothing but rounding, and where
rounding could change a token the sequence is asked alone (`transformers_sampling`).
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from afterburn_core.backends.transformers_cache import Columns
from afterburn_core.backends.transformers_cost import BatchSize
from afterburn_core.backends.transformers_sampling import Picked, pick, uniforms
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Decoding, Request

_PREFILL_TOKENS = 8192
"""Prompt tokens, padding included, that are read in one forward pass."""


@attrs.define(kw_only=True, eq=False)
class Row:
    """A text being written."""

    request: Request
    prompt: tuple[int, ...]
    room: int
    """Most tokens it may have: the limit, or what the context leaves."""
    labels: tuple[tuple[int, ...], ...] = ()
    """First tokens of each label whose probability is wanted."""
    tokens: list[int] = attrs.field(factory=list)
    """What is written so far, the end mark included."""
    logprob: float = 0.0
    ended: bool = False
    label_logprobs: tuple[float, ...] | None = None
    draws: np.ndarray | None = None

    @property
    def length(self) -> int:
        """Tokens of prompt and answer."""
        return len(self.prompt) + len(self.tokens)

    @property
    def done(self) -> bool:
        return self.ended or len(self.tokens) >= self.room


@attrs.define(kw_only=True)
class Limit:
    """How many rows run side by side; lowered for good when memory runs out."""

    size: BatchSize
    divisor: int = 1

    def rows_for(self, longest: int) -> int:
        return max(1, self.size.rows_for(longest) // self.divisor)


class Network:
    """A causal language model as the loop needs it: token ids in, float32 logits of the last position out."""

    def __init__(self, model: Any, activate: Callable[[], None]) -> None:
        self.model = model
        self.device = model.device
        self.activate = activate
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted
        self._takes_kept = "logits_to_keep" in accepted
        self.exact = model.dtype == torch.float32 and torch.get_float32_matmul_precision() == "highest"
        """Whether rounding between batches stays within the margins, so that undecided rows are asked alone."""
        self.keeps = _keeps_keys_and_values(model)
        """Whether the model's memory is keys and values alone; others are asked without one, a text at a time."""

    def __call__(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any) -> torch.Tensor:
        """Logits (rows, vocabulary) after the last column.

        Args:
            ids: (rows, new columns).
            mask: (rows, all columns), 1 where a row has a token.
            positions: (rows, new columns) from 0 at each row's first token.
            cache: where keys and values go; `None` to keep none.
        """
        keywords: dict[str, Any] = {"use_cache": cache is not None, "return_dict": True}
        if cache is not None:
            keywords["past_key_values"] = cache
        if self._takes_positions:
            keywords["position_ids"] = positions
        if self._takes_kept:
            keywords["logits_to_keep"] = 1
        self.activate()
        logits: torch.Tensor = self.model(input_ids=ids, attention_mask=mask, **keywords).logits
        return logits[:, -1].float()

    def alone(self, tokens: Sequence[int]) -> torch.Tensor:
        """Logits (1, vocabulary) after a sequence, read in one piece and in no company."""
        ids = torch.tensor([tokens], device=self.device)
        return self(ids, torch.ones_like(ids), torch.arange(len(tokens), device=self.device)[None], None)


def _keeps_keys_and_values(model: Any) -> bool:
    if getattr(model, "_is_stateful", False):
        return False
    names = {type(layer).__name__ for layer in DynamicCache(config=model.config).layers}
    return names <= {"DynamicLayer", "DynamicSlidingWindowLayer"}


def write(
    network: Network, rows: Sequence[Row], decoding: Decoding, ends: frozenset[int], limit: Limit
) -> Iterator[Row]:
    """Writes every row to its end and gives each as soon as it is there, longest prompts first.

    Raises:
        SubjectError: memory does not suffice for one text, or the model computes NaN.
    """
    if not network.keeps:
        yield from _without_cache(network, rows, decoding, ends)
        return
    waiting = deque(sorted(rows, key=lambda row: -row.length))
    longest = max((len(row.prompt) + row.room for row in rows), default=1)
    while waiting:
        batch = Batch(network, decoding, ends, min(limit.rows_for(longest), len(waiting)))
        lacking: str | None = None
        while lacking is None and (waiting or batch.rows):
            try:
                finished = batch.advance(waiting)
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
                    raise
                lacking = (str(error).strip() or type(error).__name__).splitlines()[0]
            else:
                yield from finished
        if lacking is not None:
            _halve(limit, batch, waiting, longest, lacking)


def _halve(limit: Limit, batch: Batch, waiting: deque[Row], longest: int, lacking: str) -> None:
    """Lets half as many rows run, and sends those that ran back to wait with what they have written."""
    if limit.rows_for(longest) == 1:
        raise SubjectError(
            f"memory does not suffice to write one text of {longest} tokens ({lacking}); lower max_new_tokens, leave "
            "out long prompts, or use another device"
        )
    rows = limit.rows_for(longest)
    while limit.rows_for(longest) > max(1, rows // 2):
        limit.divisor *= 2
    again = sorted([*batch.rows, *waiting], key=lambda row: -row.length)
    waiting.clear()
    waiting.extend(again)
    batch.clear()
    if torch.device(batch.network.device).type == "cuda":
        torch.cuda.empty_cache()


def _out_of_memory(error: BaseException) -> bool:
    said = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        words in said for words in ("not enough memory", "can't allocate memory", "out of memory")
    )


class Batch:
    """The rows that run, and their cache."""

    def __init__(self, network: Network, decoding: Decoding, ends: frozenset[int], capacity: int) -> None:
        self.network = network
        self.decoding = decoding
        self.ends = ends
        self.capacity = capacity
        self.rows: list[Row] = []
        self._columns = Columns(capacity)
        self._seen: torch.Tensor | None = None

    def clear(self) -> None:
        self.rows = []
        self._columns.clear()
        self._seen = None

    def advance(self, waiting: deque[Row]) -> list[Row]:
        """Lets rows in if enough places are free, otherwise writes one token in every row; returns finished rows."""
        with torch.inference_mode():
            free = self.capacity - len(self.rows)
            if waiting and (not self.rows or free >= max(1, self.capacity // 4)):
                return self._admit(waiting, free)
            return self._step()

    def _admit(self, waiting: deque[Row], free: int) -> list[Row]:
        """Reads the prompts of the first waiting rows, one pass for equal prompts, and writes their first token."""
        chosen: list[Row] = []
        sequences: dict[tuple[int, ...], int] = {}
        for row in waiting:
            sequence = (*row.prompt, *row.tokens)
            width = max(len(sequence), *(map(len, sequences))) if sequences else len(sequence)
            new = sequence not in sequences
            if len(chosen) == free or (sequences and (len(sequences) + new) * width > _PREFILL_TOKENS):
                break
            sequences.setdefault(sequence, len(sequences))
            chosen.append(row)
        logits, cache = self._read(list(sequences))
        source = torch.tensor([sequences[(*row.prompt, *row.tokens)] for row in chosen], device=self.network.device)
        logits = logits[source]
        self._columns.admit(cache, source, [row.length for row in chosen])
        del cache
        for _ in chosen:
            waiting.popleft()
        for row, scores in zip(chosen, logits, strict=True):
            if row.labels and row.label_logprobs is None:
                row.label_logprobs = label_logprobs(scores, row.labels)
        self.rows += chosen
        self._write(chosen, logits)
        return self._leave()

    def _read(self, sequences: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, Any]:
        width = max(map(len, sequences))
        ids = torch.tensor([[0] * (width - len(one)) + list(one) for one in sequences], device=self.network.device)
        starts = torch.tensor([width - len(one) for one in sequences], device=self.network.device)
        columns = torch.arange(width, device=self.network.device)
        mask = (columns >= starts[:, None]).long()
        cache = DynamicCache()  # plain layers for every kind of attention: the mask does the sliding
        return self.network(ids, mask, (columns - starts[:, None]).clamp(min=0), cache), cache

    def _step(self) -> list[Row]:
        device, columns = self.network.device, self._columns
        columns.prepare()
        starts = torch.tensor(columns.starts, device=device)[:, None]
        ids = torch.tensor([[row.tokens[-1]] for row in self.rows], device=device)
        mask = (torch.arange(columns.columns + 1, device=device) >= starts).long()
        logits = self.network(ids, mask, columns.columns - starts, columns.cache)
        columns.advance()
        self._write(self.rows, logits)
        return self._leave()

    def _write(self, rows: Sequence[Row], logits: torch.Tensor) -> None:
        """Adds one token to each of the last rows of the batch."""
        seen = self._seen_by(rows, logits.shape[-1])
        picked = pick(logits, self.decoding, draws=self._draws(rows), seen=seen)
        table = torch.stack([picked.tokens.double(), picked.logprobs.double(), picked.undecided.double()])
        for row, token, logprob, undecided in zip(rows, *table.tolist(), strict=True):
            token, logprob = self.alone(row) if undecided and self.network.exact else (int(token), logprob)
            extend(row, token, logprob, self.ends)

    def alone(self, row: Row) -> tuple[int, float]:
        """The next token of a row and its ln p, from a pass over its whole sequence in no company."""
        logits = self.network.alone((*row.prompt, *row.tokens))
        seen = None if self.decoding.repetition_penalty == 1.0 else _seen([row], logits)
        picked: Picked = pick(logits, self.decoding, draws=self._draws([row]), seen=seen)
        return int(picked.tokens[0]), float(picked.logprobs[0])

    def _seen_by(self, rows: Sequence[Row], vocabulary: int) -> torch.Tensor | None:
        """(rows, vocabulary): what the repetition penalty applies to, kept up to date rather than rebuilt."""
        if self.decoding.repetition_penalty == 1.0:
            return None
        if self._seen is None:
            self._seen = torch.zeros((self.capacity, vocabulary), dtype=torch.bool, device=self.network.device)
        first = len(self.rows) - len(rows)
        part = self._seen[first : len(self.rows)]
        if first or any(len(row.tokens) == 0 for row in rows):
            part.copy_(_seen(rows, part))
        else:
            part.scatter_(1, torch.tensor([[row.tokens[-1]] for row in rows], device=part.device), True)
        return part

    def _draws(self, rows: Sequence[Row]) -> torch.Tensor | None:
        if self.decoding.temperature <= 0:
            return None
        for row in rows:
            if row.draws is None:
                row.draws = uniforms(row.request.seed, row.room)
        values = [float(row.draws[len(row.tokens)]) for row in rows if row.draws is not None]
        return torch.tensor(values, dtype=torch.float64, device=self.network.device)

    def _leave(self) -> list[Row]:
        ended = [number for number, row in enumerate(self.rows) if row.done]
        if not ended:
            return []
        finished = [self.rows[number] for number in ended]
        for origin, target in self._columns.drop(ended):
            self.rows[target] = self.rows[origin]
            if self._seen is not None:
                self._seen[target] = self._seen[origin]
        del self.rows[self._columns.rows :]
        return finished


def extend(row: Row, token: int, logprob: float, ends: frozenset[int]) -> None:
    """Adds a token to a row.

    Raises:
        SubjectError: its log-probability is no number, so neither are the model's logits.
    """
    if logprob != logprob:
        raise SubjectError(
            f"the model computes NaN after {row.length} tokens of prompt {row.request.probe!r}; its weights are "
            "broken, or its dtype is too narrow (try float32)"
        )
    row.tokens.append(token)
    row.logprob += logprob
    row.ended = token in ends


def label_logprobs(logits: torch.Tensor, labels: Sequence[Sequence[int]]) -> tuple[float, ...]:
    """ln Σ p over the tokens with which each label can begin; −∞ for a label without tokens."""
    logprobs = torch.log_softmax(logits, dim=-1)
    return tuple(float(torch.logsumexp(logprobs[list(tokens)], dim=0)) for tokens in labels)


def _seen(rows: Sequence[Row], like: torch.Tensor) -> torch.Tensor:
    seen = torch.zeros((len(rows), like.shape[-1]), dtype=torch.bool)
    for number, row in enumerate(rows):
        seen[number, [*row.prompt, *row.tokens]] = True
    return seen.to(like.device)


def _without_cache(network: Network, rows: Sequence[Row], decoding: Decoding, ends: frozenset[int]) -> Iterator[Row]:
    """One text at a time, each token from the whole sequence: for models whose memory is not keys and values."""
    for row in rows:
        batch = Batch(network, decoding, ends, 1)
        while not row.done:
            with torch.inference_mode():
                if row.labels and row.label_logprobs is None:
                    row.label_logprobs = label_logprobs(network.alone(row.prompt)[0], row.labels)
                token, logprob = batch.alone(row)
            extend(row, token, logprob, ends)
        yield row


__all__ = ["Batch", "Limit", "Network", "Row", "write"]
