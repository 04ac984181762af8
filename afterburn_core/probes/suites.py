"""Which probes a run asks: suites of plugins by name, files by path.

A suite is written `NAME`, `NAME:N`, `NAME@SEED` or `NAME:N@SEED`: `math:40@7` is forty items drawn with seed 7. The
plugin's prefix may be left out where one plugin alone has a suite of that name. Neither the order of the names nor that
of the lines in a file changes what is asked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import attrs

from afterburn_core.errors import ConfigError, ProbeError
from afterburn_core.plugin.registry import Registry, load_factory, suggestion
from afterburn_core.probes.files import read_probes
from afterburn_core.probes.model import Probe, probes_digest
from afterburn_core.probes.rows import probe_of, row_of
from afterburn_core.result.model import Input

_WANTED = re.compile(
    r"(?P<name>[^:@\s]+)(?:(?P<first>:\d{1,9})?(?P<second>@\d{1,18})?|(?P<third>@\d{1,18})(?P<last>:\d{1,9}))"
)


@attrs.frozen(kw_only=True)
class AskedSet:
    """A probe set as a run asks it."""

    name: str
    probes: tuple[Probe, ...] = attrs.field(repr=False)
    """Sorted by id, those of suites and files."""
    sha256: str
    """Digest of the probes asked (`probes_digest`)."""
    licence: str | None = None
    seed: int | None = None
    """With which the items were drawn; `None` for a file."""
    use: Literal["questions", "passages"] = "questions"
    """Whether models are asked the prompts, or read them as texts."""
    notes: tuple[str, ...] = ()
    """What to say of how the items came about, such as that a corpus was cut."""

    @property
    def n(self) -> int:
        return len(self.probes)

    def to_input(self) -> Input:
        """Its entry in the document."""
        prefix, kind = ("probes", "probe_set") if self.use == "questions" else ("corpus", "corpus")
        return Input(
            id=f"{prefix}.{self.name}",
            kind=kind,
            label=self.name,
            sha256=self.sha256,
            n=self.n,
            licence=self.licence,
        )


def select(
    names: Iterable[str], files: Iterable[str | Path], *, seed: int, n: int | None, registry: Registry | None = None
) -> tuple[AskedSet, ...]:
    """The probe sets of `names` and `files`, sorted by name.

    Args:
        names: suites as `NAME[:N][@SEED]`.
        files: what `read_probes` reads.
        seed: of suites that name none.
        n: most items of each set; `None` for all of a file and a suite's own number. A `:N` takes its place.

    Raises:
        ConfigError: a name is unknown, ambiguous or given twice; a suite has fewer items than `:N` asks for; an id
            occurs in two sets.
        ProbeError: a file is faulty.
    """
    registry = registry or Registry.discover()
    used = [_suite(wanted, seed, n, registry) for wanted in sorted(names)]
    used += [_file(path, seed, n) for path in sorted(str(file) for file in files)]
    used.sort(key=lambda one: one.name)
    for left, right in pairwise(used):
        if left.name == right.name:
            hint = f"name it once (`{left.name}:N` for more items)"
            if left.seed is None or right.seed is None:  # a file is called by its header's name, else by its own
                hint = "rename one of the files, or give it another `name` in its header"
            raise ConfigError(f"probe set {left.name!r} is asked for twice; {hint}")
    _refuse_shared_ids(used)
    return tuple(used)


def choose_sets(
    registry: Registry,
    *,
    suites: Sequence[str],
    files: Sequence[str],
    needed: Sequence[str],
    seed: int,
    limit: int | None,
) -> tuple[AskedSet, ...]:
    """The sets of a run: what the user named, else those that are asked by default; and what analyzers need.

    Raises:
        ConfigError, ProbeError: as `select`.
    """
    names = list(suites)
    if not names and not files:
        names = [
            one.spec.name for one in registry.specs("probe_set") if one.spec.default and one.spec.use == "questions"
        ]
    named = {full_name(_parts(name)[0], registry) for name in names}
    for name in sorted(named | {full_name(name, registry) for name in needed}):
        if registry.get("probe_set", name).spec.use == "passages":
            raise ConfigError(
                f"{name!r} holds texts to be read, and nobody is asked them; leave it out of --suite, "
                "or write the full name of the questions that are meant"
            )
    names += sorted({full_name(name, registry) for name in needed} - named)
    return select(names, files, seed=seed, n=limit, registry=registry)


def full_name(name: str, registry: Registry) -> str:
    """The registered name of a suite; `math` is `behaviour.math` where no other plugin has a `math`.

    Raises:
        ConfigError: no suite has the name, or several have.
    """
    specs = [registered.spec for registered in registry.specs("probe_set")]
    known: list[str] = [spec.name for spec in specs]
    if name in known:
        return name
    short = {full: full.split(".", 1)[1] for full in known}
    found = [full for full in known if short[full] == name]
    if len(found) > 1:  # a set that is only read never stands in the way of one that is asked
        found = [spec.name for spec in specs if spec.name in found and spec.use == "questions"] or found
    if len(found) > 1:
        raise ConfigError(f"probe set {name!r} could be {' or '.join(map(repr, found))}; write the full name")
    if not found:
        hint = suggestion(name, {*known, *short.values()})
        told = {"questions": "", "passages": " (texts to be read, not asked)"}
        listed = ", ".join(f"{spec.name}{told[spec.use]}" for spec in specs)
        listed = listed or "none; a plugin such as afterburn-behaviour brings them"
        path = f"; for a file use --prompts {name}" if Path(name).suffix or "/" in name else ""
        raise ConfigError(f"no probe set is named {name!r}{hint}{path}; there are: {listed}")
    return found[0]


def draw(name: str, *, seed: int, n: int | None, registry: Registry) -> AskedSet:
    """Items of one suite by its registered name, at most `n`, sorted by id.

    Raises:
        ProbeError: the plugin's items are not what the format asks for: no probes, an empty prompt, an id twice.
    """
    spec = registry.get("probe_set", name).spec
    if n is not None and n < 1:
        raise ConfigError(f"probe set {name!r}: {n} items are asked for; ask for at least 1")
    items: Any = load_factory(spec.factory)(seed, n)
    probes = tuple(sorted(items, key=lambda probe: probe.id))
    _refuse_faulty(name, probes, answered=spec.use == "passages")
    probes = tuple(attrs.evolve(probe, suite=name) if probe.suite == "user" else probe for probe in probes)
    digest = probes_digest(probes)
    return AskedSet(name=name, sha256=digest, licence=spec.licence, probes=probes, seed=seed, use=spec.use)


def _parts(wanted: str) -> tuple[str, int | None, int | None]:
    """Name, number and seed of `NAME[:N][@SEED]`, in either order."""
    match = _WANTED.fullmatch(wanted)
    if match is None:
        raise ConfigError(f"suite {wanted!r} is not written as NAME, NAME:N, NAME@SEED or NAME:N@SEED")
    found = {part[0]: int(part[1:]) for part in match.groups()[1:] if part}
    return match.group("name"), found.get(":"), found.get("@")


def _suite(wanted: str, seed: int, n: int | None, registry: Registry) -> AskedSet:
    short, own_n, own_seed = _parts(wanted)
    name = full_name(short, registry)
    used = draw(
        name,
        seed=seed if own_seed is None else own_seed,
        n=n if own_n is None else own_n,
        registry=registry,
    )
    if own_n is not None and used.n < own_n:
        raise ConfigError(f"probe set {name!r} has {used.n} items, not {own_n}; ask for at most {used.n}")
    return used


def _file(path: str, seed: int, n: int | None) -> AskedSet:
    file = read_probes(path)
    probes: Sequence[Probe] = file.probes
    if n is not None and n < len(probes):  # by hash of the id, so that the order of lines does not matter
        probes = sorted(probes, key=lambda probe: hashlib.sha256(f"{seed}/{probe.id}".encode()).digest())[:n]
        kept = {probe.id for probe in probes}
        probes = [attrs.evolve(p, twin=None) if p.twin is not None and p.twin not in kept else p for p in probes]
    probes = tuple(sorted(probes, key=lambda probe: probe.id))
    return AskedSet(name=file.name, sha256=probes_digest(probes), licence=file.header.licence, probes=probes)


def _refuse_faulty(name: str, probes: Sequence[Any], *, answered: bool) -> None:
    if not probes:
        raise ProbeError(f"probe set {name!r} holds no prompts; its plugin must return some")
    seen: set[str] = set()
    for probe in probes:
        found = probe_of(row_of(probe, name), name, answered=answered)
        if isinstance(found, list):
            raise ProbeError(f"probe set {name!r}, item {probe.id!r}: {found[0]}", tuple(found))
        if probe.id in seen:
            raise ProbeError(f"probe set {name!r} has the id {probe.id!r} twice; give each item its own")
        seen.add(probe.id)


def _refuse_shared_ids(used: Sequence[AskedSet]) -> None:
    owner: dict[str, str] = {}
    for one in used:
        for probe in one.probes:
            if probe.id in owner:
                raise ConfigError(
                    f"id {probe.id!r} is in {owner[probe.id]!r} and in {one.name!r}; give each probe its own id"
                )
            owner[probe.id] = one.name
