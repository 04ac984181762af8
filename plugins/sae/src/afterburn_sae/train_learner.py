"""Learns from blocks of activations, wherever they come from.

Nothing here knows of models or files, so that it learns from made-up activations as from streamed ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch

from afterburn_core.errors import SubjectError
from afterburn_core.run.seeds import child_seed
from afterburn_sae.buffer import Buffer
from afterburn_sae.optimise import Trainer
from afterburn_sae.train_coder import Coder, Scale, scale_of
from afterburn_sae.train_recipe import Recipe


@attrs.frozen(kw_only=True)
class Standing:
    """How far a training has come."""

    step: int
    steps: int
    tokens: int
    """Learned from since the process began."""
    seconds: float
    """In which it learned, reading not counted."""
    fvu: float | None
    """Of what was learned from last, before each step."""
    dead: int
    latents: int


class Learner:
    """Calls in order: `begin`, then for every block `add` until it is full and `end_block`."""

    def __init__(
        self, recipe: Recipe, device: str = "cpu", report: Callable[[Standing], None] = lambda standing: None
    ) -> None:
        self.recipe = recipe
        self.device = device
        self.scale: Scale | None = None
        self.trainers: tuple[Trainer, ...] = ()
        self.block = 0
        """The first that is not learned from."""
        self.tokens = 0
        """Learned from in all, epochs counted."""
        self._report = report
        self._blocks: Sequence[int] = ()
        self._counts: Sequence[int] = ()
        self._buffer: Buffer | None = None
        self._kept: Mapping[str, torch.Tensor] | None = None
        self._seen, self._seconds = 0, 0.0

    def begin(self, blocks: Sequence[int]) -> None:
        """Rows of every block, so that the schedule knows the number of steps."""
        self._blocks = blocks
        self._counts = [max(1, round(rows / self.recipe.batch)) for rows in blocks]

    @property
    def steps(self) -> int:
        return sum(self._counts)

    def add(self, sides: Sequence[torch.Tensor]) -> None:
        """Rows (m, d) of every side, copied."""
        with torch.inference_mode(False), torch.no_grad():
            if self._buffer is None:
                d = sides[0].shape[1]
                self._buffer = Buffer(max(self._blocks), len(sides), d, self.device)
            self._buffer.add(sides)

    def end_block(self, number: int) -> None:
        """Learns from the buffer and empties it.

        Raises:
            SubjectError: there is nothing to learn, since the activations do not vary.
        """
        if self._buffer is None:
            return
        start = time.perf_counter()
        with torch.inference_mode(False), torch.no_grad():
            if not self.trainers:
                self._prepare(self._buffer.rows)
            rows = self._buffer.filled
            for x in self._buffer.batches(self._counts[number], self.recipe.seed, number):
                if self.scale is not None:
                    self.scale.apply_(x)
                for trainer in self.trainers:
                    trainer.learn(x)
        self.block, self.tokens, self._seen = number + 1, self.tokens + rows, self._seen + rows
        self._seconds += time.perf_counter() - start
        first = self.trainers[0]
        self._report(
            Standing(
                step=first.step,
                steps=self.steps,
                tokens=self._seen,
                seconds=self._seconds,
                fvu=first.unexplained(),
                dead=first.dead(),
                latents=first.coder.latents,
            )
        )

    def _prepare(self, rows: torch.Tensor) -> None:
        recipe = self.recipe
        d = rows.shape[1] // recipe.sides
        if self.scale is None:
            _refuse_nothing(rows, recipe)
            self.scale = scale_of(rows, recipe.sides)
            _refuse_constant(self.scale, recipe)
        latents = recipe.width(d)
        seeds = [child_seed(seed, "coder") for seed in (recipe.seed, *recipe.more_seeds)]
        coders = [Coder.drawn(latents, d, recipe.sides, seed, self.device) for seed in seeds]
        self.trainers = tuple(Trainer(coder, recipe, self.steps) for coder in coders)
        if self._kept is not None:
            for number, trainer in enumerate(self.trainers):
                trainer.restore(_under(self._kept, f"{number}."))
            self._kept = None

    def state(self) -> dict[str, torch.Tensor]:
        """All tensors that the next block depends on."""
        found = {f"scale.{name}": tensor for name, tensor in self.scale.tensors().items()} if self.scale else {}
        for number, trainer in enumerate(self.trainers):
            found |= {f"{number}.{name}": tensor for name, tensor in trainer.state().items()}
        return found

    def restore(self, block: int, tokens: int, state: Mapping[str, torch.Tensor]) -> None:
        """Goes on at a block with what `state` gave before it."""
        self.block, self.tokens, self._kept = block, tokens, state
        self.scale = Scale.from_tensors(_under(state, "scale."), self.device)

    def finish(self) -> tuple[Coder, ...]:
        """The trained coders, also where the last block was learned from before the training was cut off."""
        if not self.trainers and self._kept is not None and self.scale is not None:
            with torch.no_grad():
                self._prepare(self.scale.mean[None])
        return tuple(trainer.coder for trainer in self.trainers)


def _under(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _refuse_nothing(rows: torch.Tensor, recipe: Recipe) -> None:
    if recipe.on == "difference" and not bool(rows.any()):
        raise SubjectError(
            f"no difference: both models have equal activations at {recipe.site}, so there is nothing to learn; give "
            "a model that training changed at or before that site"
        )
    if recipe.on == "both":
        d = rows.shape[1] // 2
        if bool((rows[:, :d] == rows[:, d:]).all()):
            raise SubjectError(
                f"no difference: both models have equal activations at {recipe.site}, and a crosscoder of equals "
                "would say nothing; give a model that training changed at or before that site"
            )


def _refuse_constant(scale: Scale, recipe: Recipe) -> None:
    if 0.0 in scale.factors:
        what = "the difference is one and the same vector" if recipe.on == "difference" else "activations are the same"
        raise SubjectError(
            f"{recipe.site}: {what} at every token, which needs no dictionary; the mean difference "
            "(activation.components) says all of it"
        )
