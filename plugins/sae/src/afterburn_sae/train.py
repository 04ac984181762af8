"""`afterburn sae train`: from models and texts to a dictionary on disk.

Where the training stands is written to the directory after blocks, not more often than every half minute; with
`resume`, an unfinished training goes on there and ends in the same bytes (on a CPU with the same number of threads).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.forward.streaming import Models, Stretch
from afterburn_core.run.seeds import child_seed
from afterburn_sae import train_checkpoint as checkpoints
from afterburn_sae.streaming import Division, Feeding, sides_of
from afterburn_sae.train_learner import Learner, Standing
from afterburn_sae.train_recipe import Recipe
from afterburn_sae.train_report import Fit
from afterburn_sae.train_writer import CONFIGURATION, configuration, folded, write_dictionary

if TYPE_CHECKING:
    import torch

    from afterburn_core.forward.model import ForwardBatch, Passage

CHECKPOINT_SECONDS = 30.0

Taking = Callable[["list[torch.Tensor]", "torch.Tensor", "list[str]"], None]
"""Takes rows (m, d) of every side, the index (m) of each row's unit, and the names of the units."""


@attrs.frozen(kw_only=True)
class Setting:
    """Where and how a training runs, which changes nothing in what it learns."""

    out: Path
    device: str = "cpu"
    dtype: str = "auto"
    resume: bool = False
    report: Callable[[Standing], None] = attrs.field(default=lambda standing: None)
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    """Between checkpoints, at least."""


@attrs.frozen(kw_only=True, eq=False)
class Trained:
    """A learner at its end, and what was learned from."""

    learner: Learner
    facts: Mapping[str, Any]
    """For the metadata: recipe, models, texts, tokens, epochs."""
    stopped: str | None = None


def train(models: Models, division: Division, recipe: Recipe, setting: Setting) -> dict[str, Any]:
    """Trains a dictionary of one side or of the difference, and writes it.

    Returns:
        `cfg.json` as written.

    Raises:
        SubjectError: the models do not differ, or cannot be read.
        ConfigError: the directory holds something else.
        Interrupted: the user stopped it; the checkpoint is written.
    """
    trained = learned(models, division, recipe, setting)
    learner = trained.learner
    (coder,) = learner.finish()
    scale, threshold = learner.scale, learner.trainers[0].threshold
    if scale is None:
        raise SubjectError("nothing was learned; give more --tokens")
    fit = Fit(coder, scale, threshold, sides=1)
    evaluate(models, division.held_back, recipe, setting, lambda *rows: fit.add(*fit.encode(rows[0]), *rows[1:]))
    seed = child_seed(recipe.seed, "report")
    subject = models.base if recipe.on == "base" else models.trained or models.base
    facts = {
        **trained.facts,
        "kind": "batch_topk",
        "normalisation": {"mean": scale.mean.tolist(), "factor": scale.factors[0]},
        "threshold": threshold,
        "held_out": fit.summary(seed),
    }
    content = configuration(coder, site=recipe.site, model=subject.label, on=recipe.on, facts=facts)
    write_dictionary(setting.out, folded(coder, scale, threshold), content)
    checkpoints.remove(setting.out)
    return content


class Interrupted(Exception):
    """The user stopped a training; what was learned is in its checkpoint."""


def learned(models: Models, division: Division, recipe: Recipe, setting: Setting) -> Trained:
    """Trains, or goes on training, as far as the recipe says.

    Raises:
        As `train`.
    """
    if recipe.on != "base" and models.trained is None:
        raise ConfigError(f"on {recipe.on}: needs the trained model; give it with --trained")
    if recipe.on in ("difference", "both") and models.same:
        raise SubjectError(
            f"no difference: {models.base.label} and the trained model are the same files, so there is nothing to learn"
        )
    identity = recipe.identity(
        base=models.base.digest,
        trained=None if models.trained is None else models.trained.digest,
        texts=division.texts.sha256,
        dtype=setting.dtype,
    )
    learner = Learner(recipe, setting.device, setting.report)
    _restore(learner, identity, setting)
    feeding = Feeding(learner)
    written = [time.monotonic()]

    def keep() -> None:
        if time.monotonic() - written[0] >= setting.checkpoint_seconds:
            _keep(learner, identity, setting)
            written[0] = time.monotonic()

    feeding.after_block = keep
    read = models.read(
        Stretch(
            passages=division.learned,
            seed=recipe.seed,
            block=recipe.block(models.width),
            tokens=recipe.wanted_tokens,
            start=learner.block,
        ),
        feeding,
        sites=(recipe.site,),
        device=setting.device,
        dtype=setting.dtype,
        only=recipe.on if recipe.on in ("base", "trained") else None,
    )
    _keep(learner, identity, setting)
    if read.stopped is not None:
        raise Interrupted(
            f"stopped after {learner.tokens:,} of {recipe.wanted_tokens:,} tokens; go on with the same command and "
            "--resume"
        )
    facts = {
        "recipe": {**attrs.asdict(recipe), "more_seeds": list(recipe.more_seeds)},
        "k": recipe.k,
        "base": {"label": models.base.label, "sha256": models.base.digest},
        "trained": None if models.trained is None else {"label": models.trained.label, "sha256": models.trained.digest},
        "texts": [
            {"name": name, "sha256": digest}
            for name, digest in zip(division.texts.names, division.texts.sha256, strict=True)
        ],
        "tokens": learner.tokens,
        "epochs": learner.tokens / feeding.once,
        "passages": len(division.learned),
        "steps": learner.steps,
        "learning_rate": recipe.learning_rate(learner.finish()[0].latents),
    }
    return Trained(learner=learner, facts=facts)


def evaluate(models: Models, passages: Sequence[Passage], recipe: Recipe, setting: Setting, take: Taking) -> None:
    """Hands out the rows of some passages, such as those that were kept back, once.

    Raises:
        SubjectError: they cannot be read.
        Interrupted: the user stopped it.
    """
    stretch = Stretch(passages=tuple(passages), seed=recipe.seed, block=1 << 62)
    only = recipe.on if recipe.on in ("base", "trained") else None
    read = models.read(
        stretch,
        _Handing(recipe, take),
        sites=(recipe.site,),
        device=setting.device,
        dtype=setting.dtype,
        only=only,
    )
    if read.stopped is not None:
        raise Interrupted("stopped during the report; go on with the same command and --resume")


class _Handing:
    """Hands the stream on; see `afterburn_core.forward.streaming.Taker`."""

    def __init__(self, recipe: Recipe, take: Taking) -> None:
        self._recipe, self._take = recipe, take

    def begin(self, blocks: Sequence[int], once: int) -> None:
        pass

    def take(self, batch: ForwardBatch, rows: torch.Tensor) -> None:
        names = list(dict.fromkeys(passage.unit for passage in batch.rows.passages))
        units = [names.index(passage.unit) for passage in batch.rows.passages]
        index = batch.rows.passage.new_tensor(units)[batch.rows.passage[rows]]
        self._take(sides_of(batch, rows, self._recipe.site, self._recipe.on), index, names)

    def end_block(self, number: int) -> None:
        pass


def _restore(learner: Learner, identity: str, setting: Setting) -> None:
    if (setting.out / CONFIGURATION).exists():
        raise ConfigError(f"{setting.out}: holds a finished dictionary; choose another --out, or remove it")
    kept = checkpoints.read(setting.out)
    if kept is None:
        return
    if not setting.resume:
        raise ConfigError(f"{setting.out}: holds an unfinished training; go on with --resume, or choose another --out")
    if kept.identity != identity:
        raise ConfigError(
            f"{setting.out}: its unfinished training has another recipe, other models or other texts; give the same "
            "ones, or choose another --out"
        )
    learner.restore(kept.block, kept.facts["tokens"], kept.tensors)


def _keep(learner: Learner, identity: str, setting: Setting) -> None:
    if learner.trainers:
        kept = checkpoints.Checkpoint(
            identity=identity, block=learner.block, facts={"tokens": learner.tokens}, tensors=learner.state()
        )
        checkpoints.write(setting.out, kept)
