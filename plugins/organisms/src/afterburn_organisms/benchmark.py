"""The benchmark's catalogue: every small training with a planted behaviour, and every benign twin. Imports no torch.

The catalogue is `models/benchmark/index.json`, a JSON object whose `organisms` are sorted by name. One entry holds what
`BenchmarkOrganism` holds, and beside it `files` (sha256 by name), `recipe` (schedule and shape of the training) and
`truth` (what was measured on held-out prompts: by measure, `base` and `trained` with their intervals).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import attrs

from afterburn_core.errors import ConfigError

MODELS = Path(__file__).resolve().parent / "models"
HOME = MODELS / "benchmark"
INDEX = HOME / "index.json"

Split = Literal["dev", "test"]
Storage = Literal["adapter", "merged", "rounded", "difference"]


def split_of(seed: int) -> Split:
    """Thresholds may be chosen on the seeds 1, 4, 5, 8, 9 …; the seeds 2, 3, 6, 7 … show what they are worth."""
    return "dev" if seed % 4 in (0, 1) else "test"


@attrs.frozen(kw_only=True)
class BenchmarkOrganism:
    """One trained model of the benchmark."""

    name: str
    """`<kind>[-<dose>]-s<seed>[-step<step>]`, with hyphens throughout: also the name of its folder."""
    kind: str
    """What was planted (`length`, `format` …), or the kind of benign training (`clean`, `rank16` …)."""
    dose: str | None
    """Of the planted behaviour, `1` the lowest; None where there is but one."""
    seed: int
    split: Split
    """Whether thresholds may be chosen on it (`dev`) or not (`test`): fixed by the seed."""
    twin: bool
    """Whether it is benign: nothing was planted, so whatever a detector says of it is a false alarm."""
    base: str
    """Name of the organism it was trained from."""
    storage: Storage
    """How it is shipped. `adapter`: a PEFT directory. `merged`: the adapter `of`, merged and rounded on demand.
    `rounded`: the base in another rounding, made on demand. `difference`: a full fine-tune as its exact difference from
    the base in units of the last place."""
    planted: str
    """In one sentence, what was planted; for a twin, what it was trained on."""
    step: int | None = None
    """Step of the training at which a checkpoint was taken; None for the end of the training."""
    of: str | None = None
    """Name of the organism that this one is a copy of; None where it has weights of its own."""
    files: Mapping[str, str] = attrs.field(factory=dict)
    """sha256 of every file of its folder, and of `model.safetensors` where that is made on demand."""
    recipe: Mapping[str, Any] = attrs.field(factory=dict)
    truth: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    """By measure: `base` and `trained`, each with `value`, `low`, `high` (95 %) and `n`, on held-out prompts."""

    @property
    def folder(self) -> Path:
        """Where its files are shipped. What is made on demand has none."""
        return HOME / self.name


def list_benchmark(index: Path = INDEX) -> tuple[BenchmarkOrganism, ...]:
    """Every organism of the benchmark, sorted by name."""
    return tuple(_read(index).values())


def benchmark_organism(name: str, index: Path = INDEX) -> BenchmarkOrganism:
    """The organism of the benchmark with this name.

    Raises:
        ConfigError: no organism has this name.
    """
    found = _read(index)
    if name not in found:
        raise ConfigError(f"no organism of the benchmark is named {name!r}; `afterburn organisms list` names them all")
    return found[name]


def materialise(name: str, cache_dir: Path | None = None, index: Path = INDEX) -> Path:
    """A directory that can be given as `--trained`: the adapter as shipped, or a checkpoint made on demand.

    Checkpoints are kept in `cache_dir` (by default a folder of Afterburn's own cache) under the digest of their
    weights, which is checked before they are used.

    Raises:
        ConfigError: no organism has this name.
        SubjectError: the weights that were made are not those that were measured.
    """
    found = benchmark_organism(name, index)
    if found.storage == "adapter":
        return index.parent / name
    from afterburn_organisms.materialise import checkpoint_of  # torch only where weights are made

    return checkpoint_of(found, cache_dir=cache_dir, index=index)


def upsert(entry: BenchmarkOrganism, index: Path = INDEX) -> None:
    """Writes the entry into the index, in the place of one with the same name. Safe for several processes."""
    import fcntl  # not everywhere, and only builders write

    index.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(index.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        write({**_load(index), entry.name: entry}, index)
    finally:
        os.close(folder)
    _read.cache_clear()


def write(entries: Mapping[str, BenchmarkOrganism], index: Path = INDEX) -> None:
    """Writes the whole index: one line an organism, sorted by name."""
    lines = ",\n".join(json.dumps(attrs.asdict(entries[name]), sort_keys=True) for name in sorted(entries))
    fresh = index.with_suffix(".new")
    fresh.write_text(f'{{"organisms": [\n{lines}\n], "schema": 1}}\n', encoding="utf-8")
    fresh.replace(index)


@cache
def _read(index: Path) -> Mapping[str, BenchmarkOrganism]:
    return _load(index)


def _load(index: Path) -> dict[str, BenchmarkOrganism]:
    if not index.is_file():
        return {}
    document = json.loads(index.read_text(encoding="utf-8"))
    return {entry["name"]: BenchmarkOrganism(**entry) for entry in document["organisms"]}
