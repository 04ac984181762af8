"""Runs every look on the organisms, several at a time if asked, and keeps what each says.

A finished organism has `<out>/readings/<name>.json`; a run that is killed goes on from there. All runs share one cache,
so that the base answers once.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from afterburn_core.plugin.registry import Registered, Registry
from afterburn_core.run.configuration import Settings
from afterburn_core.run.diagnose import diagnose
from afterburn_organisms.benchmark import BenchmarkOrganism, materialise
from afterburn_organisms.catalog import organism
from afterburn_organisms.looks import Look, directory_of, looks_at, reward_of
from afterburn_organisms.reading import Reading, dump, read, worst
from afterburn_organisms.thresholds import code_digest, digest_of

_LOG = logging.getLogger(__name__)
_AT_ONCE = 256
"""Answers written together: the organisms are small."""
Tell = Callable[[str], None]


class _Some(Registry):
    """A registry of which only some analyzers and detectors take part."""

    components: tuple[str, ...] = ()

    @classmethod
    def of(cls, look: Look) -> _Some:
        """The plugins of the look, with its components."""
        found = cls.discover(only=look.plugins)
        if not isinstance(found, _Some):
            raise TypeError("a registry discovers registries of its own class")
        found.components = look.components
        return found

    def specs(self, role: str) -> tuple[Registered, ...]:
        found = super().specs(role)
        if role not in ("analyzer", "detector") or not self.components:
            return found
        return tuple(one for one in found if one.spec.name in self.components)


def settings_of(one: BenchmarkOrganism, look: Look, out: Path, limits: dict[str, int] | None = None) -> Settings:
    """The flags of the look; `limits` cut its probe sets, by name."""
    names = (name.partition(":")[0] for name in look.suite)
    suite = tuple(
        f"{name}:{limits[name]}" if limits and name in limits else full for name, full in zip(names, look.suite)
    )
    return Settings(
        base=str(organism(one.base).path),
        trained=str(materialise(one.name)),
        suite=suite,
        corpus=look.corpus,
        control=look.control,
        samples=look.samples,
        max_new_tokens=look.max_new_tokens,
        batch_size=_AT_ONCE,
        device="cpu",
        threads=1,
        allow_code_execution=True,  # programs of the organisms, in a child process without network
        reward=reward_of(one) if look.name == "greedy" else None,
        run_dir=str(directory_of(out, one.name, look)),
        cache_dir=str(out / "cache"),
    )


def score_one(one: BenchmarkOrganism, out: Path, limits: dict[str, int] | None = None) -> dict[str, Any]:
    """Runs the looks on one organism and writes what they say."""
    import torch

    torch.set_num_threads(1)
    found: dict[str, Reading] = {}
    started = time.process_time()
    for look in looks_at(one):
        registry = _Some.of(look)
        done = diagnose(settings_of(one, look, out, limits), registry, command="hack-check")
        found = worst(found, read(done.directory, look))
    document = {
        "name": one.name,
        "files": dict(one.files),
        "thresholds": digest_of(),
        "code": code_digest(),
        "seconds": round(time.process_time() - started, 1),
        "rules": {rule: dump(reading) for rule, reading in found.items()},
    }
    path = reading_of(out, one.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    fresh.replace(path)
    return document


def reading_of(out: Path, name: str) -> Path:
    """Where what an organism's runs say is kept."""
    return out / "readings" / f"{name}.json"


def score_all(
    organisms: Sequence[BenchmarkOrganism],
    out: Path,
    *,
    jobs: int,
    resume: bool,
    tell: Tell,
    limits: dict[str, int] | None = None,
) -> dict[str, dict[str, Any]]:
    """What every organism's runs say, by name. The first runs alone, so that the others find the base's answers."""
    found: dict[str, dict[str, Any]] = {}
    left = []
    for one in organisms:
        kept = _kept(one, out) if resume else None
        if kept is None:
            left.append(one)
        else:
            found[one.name] = kept

    def add(document: dict[str, Any]) -> None:
        found[document["name"]] = document
        tell(f"{len(found)} of {len(organisms)}  {document['name']}  {flags_of(document)}  {document['seconds']} s")

    if left:
        add(score_one(left[0], out, limits))
    if jobs == 1:
        for one in left[1:]:
            add(score_one(one, out, limits))
        return found
    with ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(score_one, one, out, limits) for one in left[1:]]
        for future in as_completed(waiting):
            add(future.result())
    return found


def _kept(one: BenchmarkOrganism, out: Path) -> dict[str, Any] | None:
    """What an earlier run says, if its weights, thresholds and rules are those of now."""
    path = reading_of(out, one.name)
    if not path.is_file():
        return None
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    known = (document["files"], document["thresholds"], document.get("code"))
    return document if known == (dict(one.files), digest_of(), code_digest()) else None


def flags_of(document: dict[str, Any]) -> str:
    """The rules that speak against the organism, in a few words."""
    raised = [rule for rule, said in document["rules"].items() if Reading(**said).flagged]
    return ", ".join(raised) or "nothing"
