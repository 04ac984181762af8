"""Writing with blends, mixtures of two blends and edits: batches that enter together, a cache for every blend.

A mixture takes the next token from

    s(v) = ln p_t(v) + α·(ln p_t(v) − ln p_b(v))    over tokens with p_t(v) ≥ plausible · max p_t,

the contrastive objective with the plausibility constraint of Contrastive Decoding (arXiv 2210.15097), so that a token
that the trained model itself finds absurd is never chosen for the base finding it more absurd still. Where rounding
between batches could change a token, the sequence is read alone, as everywhere (`transformers_sampling`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import attrs
import torch
from transformers.cache_utils import DynamicCache

from afterburn_core.backends.transformers_cache import Columns
from afterburn_core.backends.transformers_decoding import Network
from afterburn_core.backends.transformers_edits import Editor, Grid
from afterburn_core.backends.transformers_sampling import Margin, Picked, pick, uniforms
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Decoding

_PREFILL_TOKENS = 8192


@attrs.define(kw_only=True, eq=False)
class Text:
    """A text being written."""

    number: int
    prompt: tuple[int, ...]
    room: int
    seed: int
    tokens: list[int] = attrs.field(factory=list)
    ended: bool = False
    draws: Any = None

    @property
    def done(self) -> bool:
        return self.ended or len(self.tokens) >= self.room

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.tokens)


@attrs.frozen(kw_only=True)
class Voice:
    """What writes: one blend, or the trained one against the base."""

    sides: tuple[Callable[[], AbstractContextManager[None]], ...]
    """Makes the network each blend for a while; the first is the one that is amplified."""
    alpha: float = 0.0
    plausible: float = 0.0

    def scores(self, logits: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """(rows, V) scores of the next token, and which rows hold a token that rounding could make plausible or not.

        Args:
            logits: (rows, V) float32 of every side.
        """
        if len(logits) == 1:
            return logits[0], torch.zeros(len(logits[0]), dtype=torch.bool, device=logits[0].device)
        trained, base = (one.log_softmax(-1) for one in logits)
        mixed = trained + self.alpha * (trained - base)
        if self.plausible <= 0:
            return mixed, torch.zeros(len(mixed), dtype=torch.bool, device=mixed.device)
        limit = trained.amax(-1, keepdim=True) + math.log(self.plausible)
        kept = mixed.masked_fill(trained < limit, -math.inf)
        rival = mixed > kept.amax(-1, keepdim=True) - 40.0  # others have no say in greedy nor in sampled texts
        return kept, (((trained - limit).abs() < Margin().score) & rival).any(-1)

    @property
    def amplification(self) -> float:
        """By how much rounding in logits can grow in the scores."""
        return 1.0 if len(self.sides) == 1 else abs(1 + self.alpha) + abs(self.alpha)


def write(
    network: Network,
    texts: Sequence[Text],
    voice: Voice,
    *,
    temperature: float,
    ends: frozenset[int],
    rows_for: Callable[[int], int],
    editor: Editor,
) -> None:
    """Writes every text to its end, in place; longest prompts first.

    Raises:
        SubjectError: the model computes NaN.
    """
    waiting = sorted((text for text in texts if not text.done), key=lambda text: -len(text.prompt))
    writer = _Writer(network, voice, temperature, ends, editor)
    while waiting:
        longest = max(len(text.prompt) + text.room for text in waiting)
        width = len(waiting[0].prompt)
        count = max(1, min(rows_for(longest), _PREFILL_TOKENS // max(1, width))) if network.keeps else 1
        writer.write(waiting[:count])
        del waiting[:count]


class _Writer:
    def __init__(
        self, network: Network, voice: Voice, temperature: float, ends: frozenset[int], editor: Editor
    ) -> None:
        self.network = network
        self.voice = voice
        self.decoding = Decoding(temperature=temperature)
        self.ends = ends
        self.editor = editor

    @torch.no_grad()
    def write(self, rows: list[Text]) -> None:
        if not self.network.keeps:
            for row in rows:
                while not row.done:
                    self._extend(row, *self._alone(row))
            return
        columns, logits = self._read(rows)
        while True:
            self._choose(rows, logits)
            rows = self._drop(rows, columns)
            if not rows:
                return
            logits = [self._step(rows, side, own) for side, own in zip(self.voice.sides, columns, strict=True)]

    def _read(self, rows: Sequence[Text]) -> tuple[list[Columns], list[torch.Tensor]]:
        device, width = self.network.device, max(len(row.prompt) for row in rows)
        ids = torch.tensor([[0] * (width - len(row.prompt)) + list(row.prompt) for row in rows], device=device)
        starts = torch.tensor([width - len(row.prompt) for row in rows], device=device)
        positions = torch.arange(width, device=device) - starts[:, None]
        self._place(rows, positions >= 0, starts.tolist(), prompt=True)
        caches, found = [], []
        for side in self.voice.sides:
            cache, own = DynamicCache(), Columns(len(rows))
            with side():
                found.append(self.network(ids, (positions >= 0).long(), positions.clamp(min=0), cache))
            own.admit(cache, torch.arange(len(rows), device=device), [len(row.prompt) for row in rows])
            caches.append(own)
        return caches, found

    def _step(
        self, rows: Sequence[Text], side: Callable[[], AbstractContextManager[None]], columns: Columns
    ) -> torch.Tensor:
        device = self.network.device
        columns.prepare()
        starts = torch.tensor(columns.starts, device=device)[:, None]
        ids = torch.tensor([[row.tokens[-1]] for row in rows], device=device)
        mask = (torch.arange(columns.columns + 1, device=device) >= starts).long()
        self._place(rows, torch.ones_like(ids, dtype=torch.bool), [0] * len(rows), prompt=False)
        with side():
            logits = self.network(ids, mask, columns.columns - starts, columns.cache)
        columns.advance()
        return logits

    def _drop(self, rows: Sequence[Text], columns: Sequence[Columns]) -> list[Text]:
        ended = [number for number, row in enumerate(rows) if row.done]
        kept = list(rows)
        for own in columns if ended else ():
            kept = list(rows)
            for origin, target in own.drop(ended):
                kept[target] = kept[origin]
            del kept[own.rows :]
        return kept

    def _choose(self, rows: Sequence[Text], logits: Sequence[torch.Tensor]) -> None:
        picked, undecided = self._pick(rows, logits)
        for row, token, logprob, close in zip(
            rows, picked.tokens.tolist(), picked.logprobs.tolist(), undecided.tolist(), strict=True
        ):
            self._extend(row, *(self._alone(row) if close and self.network.exact else (token, logprob)))

    def _pick(self, rows: Sequence[Text], logits: Sequence[torch.Tensor]) -> tuple[Picked, torch.Tensor]:
        scores, near = self.voice.scores(logits)
        draws = None
        if self.decoding.temperature > 0:
            for row in rows:
                row.draws = uniforms(row.seed, row.room) if row.draws is None else row.draws
            chosen = [float(row.draws[len(row.tokens)]) for row in rows]
            draws = torch.tensor(chosen, dtype=torch.float64, device=scores.device)
        picked = pick(scores, self.decoding, draws=draws, seen=None)
        return picked, picked.undecided | near | self._grown(scores, logits, draws)

    def _grown(self, scores: torch.Tensor, logits: Sequence[torch.Tensor], draws: torch.Tensor | None) -> torch.Tensor:
        """(rows) whether rounding that grew with the amplification could change the token."""
        if len(logits) == 1 or scores.shape[-1] == 1:
            return torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
        factor = self.voice.amplification
        if draws is not None:
            width = Margin().mass * factor
            ends = (
                pick(scores, self.decoding, draws=(draws + by).clamp(0.0, 1.0), seen=None) for by in (-width, width)
            )
            low, high = (end.tokens for end in ends)
            return low != high
        best = torch.topk(scores, 2).values
        largest = torch.stack([one.abs().amax(-1) for one in logits]).amax(0).clamp(min=1.0)
        return (best[:, 0] - best[:, 1]) < Margin().score * factor * largest

    def _alone(self, row: Text) -> tuple[int, float]:
        """The next token of a text, from passes over its whole sequence in no company."""
        sequence = (*row.prompt, *row.tokens)
        self._place([row], torch.ones((1, len(sequence)), dtype=torch.bool), [0], prompt=True)
        logits = []
        for side in self.voice.sides:
            with side():
                logits.append(self.network.alone(sequence))
        picked, _ = self._pick([row], logits)
        return int(picked.tokens[0]), float(picked.logprobs[0])

    def _place(self, rows: Sequence[Text], real: torch.Tensor, starts: Sequence[int], *, prompt: bool) -> None:
        self.editor.grid = Grid(
            real=real.to(self.network.device),
            numbers=tuple(row.number for row in rows),
            starts=tuple(starts),
            lengths=tuple(len(row.prompt) for row in rows),
            prompt=prompt,
        )

    def _extend(self, row: Text, token: int, logprob: float) -> None:
        if math.isnan(logprob):
            raise SubjectError(
                f"the model computes NaN after {row.length} tokens of text {row.number}; its weights are broken, "
                "scaled too far, or its dtype is too narrow (try float32)"
            )
        row.tokens.append(token)
        row.ended = token in self.ends


__all__ = ["Text", "Voice", "write"]
