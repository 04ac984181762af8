"""The loop that writes on MLX: prompts enter in batches, finished rows leave, waiting ones take their places.

It writes what the core's loop writes (`backends.transformers_decoding`): the same rows, the same choice of a token from
float32 logits, and a sequence whose next token rounding could change is asked alone. Keys and values are mlx-lm's
`BatchKVCache` in every layer: rows end at one column, and the mask does the sliding where a layer has a window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import torch

from afterburn_core.backends.transformers_decoding import Row, extend, label_logprobs
from afterburn_core.backends.transformers_sampling import pick, uniforms
from afterburn_core.errors import SubjectError
from afterburn_mlx import seam

if TYPE_CHECKING:
    from afterburn_core.backends.transformers_cost import BatchSize
    from afterburn_core.generation.model import Decoding
    from afterburn_mlx.network import Network

_PREFILL_TOKENS = 8192
"""Prompt tokens, padding included, that are read in one forward pass."""


def write(
    network: Network, rows: Sequence[Row], decoding: Decoding, ends: frozenset[int], size: BatchSize
) -> Iterator[Row]:
    """Writes every row to its end and gives each as soon as it is there, longest prompts first.

    Raises:
        SubjectError: memory does not suffice, or the model computes NaN.
    """
    waiting = deque(sorted(rows, key=lambda row: -row.length))
    longest = max((len(row.prompt) + row.room for row in rows), default=1)
    batch = Batch(network, decoding, ends, min(size.rows_for(longest), len(waiting)))
    while waiting or batch.rows:
        try:
            finished = batch.advance(waiting)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            raise SubjectError(
                f"{network.label}: memory does not suffice to write {batch.capacity} texts of {longest} tokens at "
                "once; lower --batch-size or --max-new-tokens"
            ) from error
        yield from finished


def _out_of_memory(error: BaseException) -> bool:
    said = str(error).lower()
    words = ("unable to allocate", "insufficient memory", "maximum allowed buffer size", "malloc")
    return isinstance(error, MemoryError) or any(part in said for part in words)


class Batch:
    """The rows that run, and their keys and values."""

    def __init__(self, network: Network, decoding: Decoding, ends: frozenset[int], capacity: int) -> None:
        self.network = network
        self.decoding = decoding
        self.ends = ends
        self.capacity = capacity
        self.rows: list[Row] = []
        self._cache: list[Any] = []

    def advance(self, waiting: deque[Row]) -> list[Row]:
        """Lets rows in if enough places are free, otherwise writes one token in every row; returns finished rows."""
        free = self.capacity - len(self.rows)
        if waiting and (not self.rows or free >= max(1, self.capacity // 4)):
            return self._admit(waiting, free)
        return self._step()

    def _admit(self, waiting: deque[Row], free: int) -> list[Row]:
        """Reads the prompts of the first waiting rows, equal ones once, and writes their first token."""
        chosen: list[Row] = []
        prompts: dict[tuple[int, ...], int] = {}
        for row in waiting:
            width = max(len(row.prompt), *map(len, prompts)) if prompts else len(row.prompt)
            count = len(prompts) + (row.prompt not in prompts)
            if len(chosen) == free or (prompts and count * width > _PREFILL_TOKENS):
                break
            prompts.setdefault(row.prompt, len(prompts))
            chosen.append(row)
        logits, cache = self._read(list(prompts))
        source = [prompts[row.prompt] for row in chosen]
        if source != list(range(len(prompts))):
            for layer in cache:
                layer.filter(seam.indices(source))
        for own, new in zip(self._cache, cache, strict=False):
            own.extend(new)
        self._cache = self._cache or cache
        for _ in chosen:
            waiting.popleft()
        logits = logits[source]
        for row, scores in zip(chosen, logits, strict=True):
            if row.labels:
                row.label_logprobs = label_logprobs(scores, row.labels)
        self.rows += chosen
        self._write(chosen, logits)
        return self._leave()

    def _read(self, prompts: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, list[Any]]:
        from mlx_lm.models.cache import BatchKVCache

        # padded on the right, where attention never looks, and moved to end at one column when they are read
        width = max(map(len, prompts))
        padding = [width - len(prompt) for prompt in prompts]
        cache = [BatchKVCache([0] * len(prompts)) for _ in range(self.network.sites.layers)]
        for layer in cache:
            layer.prepare(right_padding=padding)
        ids = mx.array([[*prompt, *[0] * right] for prompt, right in zip(prompts, padding, strict=True)])
        logits = self._logits(ids, cache, [len(prompt) - 1 for prompt in prompts])
        for layer in cache:
            layer.finalize()
        return logits, cache

    def _logits(self, ids: mx.array, cache: Any, columns: Sequence[int]) -> torch.Tensor:
        """(rows, V) float32 logits after one column of each row."""
        states = self.network.body(ids, cache)[mx.arange(len(columns)), seam.indices(columns)]
        return seam.to_torch(self.network.head.logits(states[:, None])[:, 0])

    def _step(self) -> list[Row]:
        logits = self._logits(mx.array([[row.tokens[-1]] for row in self.rows]), self._cache, [0] * len(self.rows))
        self._write(self.rows, logits)
        return self._leave()

    def _write(self, rows: Sequence[Row], logits: torch.Tensor) -> None:
        """Adds one token to each of these rows."""
        picked = pick(logits, self.decoding, draws=self._draws(rows), seen=self._seen(rows, logits))
        table = torch.stack([picked.tokens.double(), picked.logprobs.double(), picked.undecided.double()])
        for row, token, logprob, undecided in zip(rows, *table.tolist(), strict=True):
            token, logprob = self._alone(row) if undecided and self.network.exact else (int(token), logprob)
            extend(row, token, logprob, self.ends)

    def _alone(self, row: Row) -> tuple[int, float]:
        """The next token of a row and its ln p, from a pass over its whole sequence in no company."""
        logits = self._logits(mx.array([[*row.prompt, *row.tokens]]), None, [row.length - 1])
        picked = pick(logits, self.decoding, draws=self._draws([row]), seen=self._seen([row], logits))
        return int(picked.tokens[0]), float(picked.logprobs[0])

    def _seen(self, rows: Sequence[Row], logits: torch.Tensor) -> torch.Tensor | None:
        """(rows, V): what the repetition penalty applies to."""
        if self.decoding.repetition_penalty == 1.0:
            return None
        seen = torch.zeros(logits.shape, dtype=torch.bool)
        for number, row in enumerate(rows):
            seen[number, [*row.prompt, *row.tokens]] = True
        return seen

    def _draws(self, rows: Sequence[Row]) -> torch.Tensor | None:
        if self.decoding.temperature <= 0:
            return None
        for row in rows:
            if row.draws is None:
                row.draws = uniforms(row.request.seed, row.room)
        values = [float(row.draws[len(row.tokens)]) for row in rows if row.draws is not None]
        return torch.tensor(values, dtype=torch.float64)

    def _leave(self) -> list[Row]:
        left = [number for number, row in enumerate(self.rows) if not row.done]
        finished = [row for row in self.rows if row.done]
        if finished:
            self.rows = [self.rows[number] for number in left]
            if not left:
                self._cache = []
            for layer in self._cache:
                layer.filter(seam.indices(left))
        return finished
