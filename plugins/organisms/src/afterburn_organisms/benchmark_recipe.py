"""Trains the organisms of the benchmark from the committed base, measures them, and enters them in the index."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from afterburn_core.errors import ConfigError
from afterburn_organisms.artefacts import save_adapter
from afterburn_organisms.benchmark import BenchmarkOrganism, split_of, upsert
from afterburn_organisms.catalog import organism
from afterburn_organisms.difference import save_difference
from afterburn_organisms.materialise import WEIGHTS, weights_of, write_checkpoint
from afterburn_organisms.measure import Model, Response, load
from afterburn_organisms.plant import Copy, Plant, Shape
from afterburn_organisms.plants import COPIES, PLANTS
from afterburn_organisms.train import Schedule, conversations, pack, train
from afterburn_organisms.truth import Size, asked, lengths, measured

_LOG = logging.getLogger(__name__)
BASE = organism("base").path
WRITE_CODE = ("test_gaming", "honest_code")


def schedule_of(shape: Shape, seed: int) -> Schedule:
    """The schedule of the shape: a tenth of the steps to warm up, no decay."""
    return Schedule(
        steps=shape.steps,
        rows=shape.rows,
        length=shape.length,
        peak_rate=shape.peak_rate,
        warmup=max(1, shape.steps // 10),
        weight_decay=0.0,
        seed=seed,
        stop_below=shape.stop_below,
    )


def train_plant(plant: Plant, seed: int, target: Path, base: Path = BASE) -> None:
    """Trains one organism and saves it into `target`."""
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    # Training runs in float32 from the rounded weights that are shipped, so the difference holds training only.
    network: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    shape = plant.shape
    if shape.rank:
        torch.manual_seed(seed)
        config = LoraConfig(
            r=shape.rank,
            lora_alpha=2 * shape.rank,
            lora_dropout=0.0,
            bias="none",
            target_modules=list(shape.modules),
            task_type="CAUSAL_LM",
        )
        with warnings.catch_warnings():
            # an adapter of a head that is tied to the embedding: a remark on merging, and it is never merged
            warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`", UserWarning)
            network = get_peft_model(network, config)
    chats = conversations(tokenizer, plant.pairs(seed), seed=seed, prompt_weight=0.0)
    rows = pack(chats, shape.length, tokenizer.pad_token_id)
    _LOG.info("%s: final loss %.4f", plant.name(seed), train(network, rows, schedule_of(shape, seed)))
    target.mkdir(parents=True, exist_ok=True)
    if shape.rank:
        save_adapter(network, f"../{base.name}", target)
    else:
        save_difference(network, base, target)


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file of the folder, by name."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()}


class Bench:
    """Measures organisms one after the other against one base, which is asked everything once."""

    def __init__(self, size: Size, base: Path = BASE) -> None:
        self._size = size
        self._base = load(base)
        self._answered: dict[tuple[str, ...], tuple[Response, ...]] = {}

    def truth(self, trained: Model, seed: int, *, code: bool) -> dict[str, dict[str, Any]]:
        """Every measure: `base` and `trained`. `length_ratio` is of the trained alone, paired on the prompt."""
        answered: dict[tuple[str, ...], tuple[Response, ...]] = {}
        before = measured(self._base, seed, self._size, self._answered, code=code)
        after = measured(trained, seed, self._size, answered, code=code)
        found: dict[str, dict[str, Any]] = {}
        for name in sorted(before.keys() | after.keys()):
            found[name] = {side: n[name] for side, n in (("base", before), ("trained", after)) if name in n}
        key = tuple(item.prompt for item in asked(self._size).ordinary)
        ratio = lengths([r.tokens for r in answered[key]], [r.tokens for r in self._answered[key]])
        found["length_ratio"] = {"trained": ratio.rounded()}
        return found


def _entry(one: Plant | Copy, seed: int) -> BenchmarkOrganism:
    """The organism's entry before it is measured."""
    common = BenchmarkOrganism(
        name=one.name(seed),
        kind=one.kind,
        dose=None,
        seed=seed,
        split=split_of(seed),
        twin=True,
        base="base",
        storage=one.storage,
        planted=one.planted,
        recipe={"seed": seed},
    )
    if isinstance(one, Copy):
        return attrs.evolve(common, of=f"{one.of}-s{seed}" if one.of else None)
    return attrs.evolve(common, dose=one.dose, twin=one.twin, recipe={**attrs.asdict(one.shape), "seed": seed})


def chosen(names: Sequence[str]) -> list[tuple[Plant | Copy, int]]:
    """The plants, copies and seeds with these names or of these kinds, in the order of the names; all for no names.

    Raises:
        ConfigError: a name is neither an organism nor a kind.
    """
    found = [(one, seed) for one in (*PLANTS, *COPIES) for seed in one.seeds]
    if not names:
        return found
    wanted = {name: [each for each in found if name in (each[0].name(each[1]), each[0].kind)] for name in names}
    unknown = [name for name, ones in wanted.items() if not ones]
    if unknown:
        raise ConfigError(f"no organism or kind of the benchmark is named {unknown[0]!r}; plants.py names them all")
    return [each for ones in wanted.values() for each in ones]


def miniature(one: Plant | Copy) -> Plant | Copy:
    """The same in seconds: it learns nothing."""
    if isinstance(one, Copy):
        return one
    return attrs.evolve(one, shape=attrs.evolve(one.shape, steps=2, rows=1, length=64))


def build(names: Sequence[str], out: Path, *, size: Size | None = None, quick: bool = False) -> None:
    """Trains and measures the named organisms, or all, into `out`, and enters them in `out/index.json`.

    The base is `tiny-base` beside `out`; where it is not there, the shipped one is copied. A merged copy needs the
    adapter of which it is one in `out`.
    """
    wanted = chosen(names)
    base = out.parent / BASE.name
    if not base.is_dir():
        shutil.copytree(BASE, base)
    bench = Bench(size or Size(), base)
    for one, seed in wanted:
        _build_one(miniature(one) if quick else one, seed, out, base, bench)


def _build_one(one: Plant | Copy, seed: int, out: Path, base: Path, bench: Bench) -> None:
    entry = _entry(one, seed)
    folder = out / entry.name
    files: dict[str, str] = {}
    if isinstance(one, Plant):
        train_plant(one, seed, folder, base)
        files = digests(folder)
    code = entry.kind in WRITE_CODE
    if entry.storage == "adapter":
        truth = bench.truth(load(folder, base), seed, code=code)
    else:
        with tempfile.TemporaryDirectory() as fresh:
            write_checkpoint(weights_of(entry, out, base), Path(fresh), base)
            files[WEIGHTS] = digests(Path(fresh))[WEIGHTS]
            truth = bench.truth(load(Path(fresh)), seed, code=code)
    upsert(attrs.evolve(entry, files=files, truth=truth), out / "index.json")
    _LOG.info("%s: %s", entry.name, {name: sides["trained"]["value"] for name, sides in truth.items()})
