"""Risk packs: which features and directions somebody asks to be watched, and where they hold. Imports no torch.

A pack is a JSON file after `schemas/risk-pack-1.0.json`. Feature numbers mean nothing without the very dictionary they
were read in, so that a pack names its file's SHA-256 and is refused with any other; directions lie in a safetensors
file beside the pack, bound by its SHA-256 too. What `concern` says is which way of moving is the risky one: a feature
for contempt that rises, or one for caution that falls.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from afterburn_core.errors import ConfigError

Concern = Literal["up", "down"]
VERSION = "1.0"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SITE = re.compile(r"trait\.(?P<name>.+?)\.(?P<site>blocks\.\d+\.out)")


@attrs.frozen(kw_only=True)
class PackFeature:
    """A latent of the pack's dictionary."""

    feature: int
    """Its number in the dictionary, from 0."""
    label: str
    """What its author takes it to stand for."""
    concern: Concern
    """Which way of moving is the risky one."""


@attrs.frozen(kw_only=True)
class PackDictionary:
    """The dictionary that the pack's features are numbered in."""

    sha256: str
    """Of its file of weights."""
    site: str
    """What it reads, by its neutral name: `blocks.15.out`."""
    name: str | None = None
    """What people call it, and where it is published."""


@attrs.frozen(kw_only=True)
class PackDirection:
    """A direction in a site's activations."""

    tensor: str
    """`trait.<name>.blocks.<number>.out` in the file; from activations without the trait to those with it."""
    label: str
    concern: Concern

    @property
    def site(self) -> str:
        """`blocks.<number>.out`."""
        match = _SITE.fullmatch(self.tensor)
        return "" if match is None else match["site"]

    @property
    def name(self) -> str:
        match = _SITE.fullmatch(self.tensor)
        return "" if match is None else match["name"]


@attrs.frozen(kw_only=True)
class PackDirections:
    """Directions in a safetensors file."""

    file: str
    """Name of the file in the pack's own directory."""
    sha256: str
    entries: tuple[PackDirection, ...]


@attrs.frozen(kw_only=True)
class RiskPack:
    """One pack."""

    schema_version: str
    name: str
    version: str
    licence: str
    source: str
    """Where the list comes from: a paper, a report, the people who looked at the features."""
    verified: bool
    """Whether somebody has shown that steering along these features, or removing them, has the effect claimed."""
    probe_sets: tuple[str, ...]
    """Sets of passages it is meant for: `sae.finance`, …"""
    summary: str | None = None
    dictionary: PackDictionary | None = None
    features: tuple[PackFeature, ...] = ()
    directions: PackDirections | None = None
    path: Path = attrs.field(default=Path(), metadata={"own": True})
    """The file it was read from."""
    sha256: str = attrs.field(default="", metadata={"own": True})
    """Of that file."""

    @property
    def sites(self) -> tuple[str, ...]:
        """Every site at which it looks, sorted."""
        own = {self.dictionary.site} if self.dictionary is not None and self.features else set()
        return tuple(sorted(own | {one.site for one in (self.directions.entries if self.directions else ())}))


def read_pack(path: str | Path) -> RiskPack:
    """A pack from its file.

    Raises:
        ConfigError: it cannot be read, is no JSON, or says something else than a pack says; one line with the place.
    """
    place = Path(path)
    try:
        content = place.read_bytes()
        found = json.loads(content, object_pairs_hook=_object, parse_constant=_constant)
    except OSError as error:
        raise ConfigError(f"risk pack {path}: cannot be read, {error.strerror or error}; name the JSON file") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"risk pack {path}: is no JSON file ({error})") from error
    try:
        pack: RiskPack = _structured(found, RiskPack, "")
        _check(pack)
    except ValueError as error:
        raise ConfigError(f"risk pack {path}: {error}") from error
    return attrs.evolve(pack, path=place, sha256=hashlib.sha256(content).hexdigest())


def read_packs(paths: tuple[str, ...]) -> tuple[RiskPack, ...]:
    """Packs in the order given.

    Raises:
        ConfigError: as `read_pack`, or two packs have one name.
    """
    packs = tuple(read_pack(path) for path in paths)
    names = [pack.name for pack in packs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two risk packs are called {name!r}; name each of them once")
    return packs


def read_directions(pack: RiskPack) -> Mapping[str, Any]:
    """The pack's direction vectors by tensor name, (d) float64 arrays.

    Raises:
        ConfigError: the file is missing, is another one than the pack names, or lacks a direction.
    """
    import numpy as np
    import safetensors.numpy

    if pack.directions is None:
        return {}
    place = pack.path.parent / pack.directions.file
    where = f"risk pack {pack.name}: {pack.directions.file}"
    try:
        content = place.read_bytes()
    except OSError as error:
        raise ConfigError(f"{where} cannot be read, {error.strerror or error}; keep it beside the pack") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != pack.directions.sha256:
        raise ConfigError(
            f"{where} has sha256 {digest[:12]}…, the pack names {pack.directions.sha256[:12]}…; it is another file"
        )
    try:
        held = safetensors.numpy.load(content)
    except Exception as error:  # whatever the library raises on foreign bytes
        raise ConfigError(f"{where} is no safetensors file ({' '.join(str(error).split())})") from error
    found = {}
    for one in pack.directions.entries:
        vector = held.get(one.tensor)
        if vector is None:
            raise ConfigError(f"{where} holds no tensor {one.tensor!r}")
        vector = np.asarray(vector, dtype=np.float64)
        if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
            raise ConfigError(f"{where}: {one.tensor!r} must be one vector of finite numbers, not all 0")
        found[one.tensor] = vector
    return found


def _check(pack: RiskPack) -> None:
    if pack.schema_version != VERSION:
        raise ValueError(f"schema_version: {pack.schema_version!r}, this Afterburn reads {VERSION}")
    for name in ("name", "version", "licence", "source"):
        if not getattr(pack, name).strip():
            raise ValueError(f"{name}: is empty")
    if not pack.probe_sets:
        raise ValueError("probe_sets: names none; say for which sets of passages it is meant")
    if not pack.features and pack.directions is None:
        raise ValueError("holds neither features nor directions")
    if pack.features and pack.dictionary is None:
        raise ValueError("dictionary: is missing; features mean nothing without the SHA-256 of their dictionary")
    numbers = [one.feature for one in pack.features]
    if len(set(numbers)) != len(numbers):
        raise ValueError("features: one of them stands twice")
    if any(number < 0 for number in numbers):
        raise ValueError("features: numbers count from 0")
    digests = {"dictionary": pack.dictionary, "directions": pack.directions}
    for key, holder in digests.items():
        if holder is not None and not _DIGEST.fullmatch(holder.sha256):
            raise ValueError(f"{key}.sha256: is not one of 64 lower-case hex digits")
    if pack.directions is not None:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", pack.directions.file):
            raise ValueError(f"directions.file: {pack.directions.file!r} is no plain name of a file beside the pack")
        for one in pack.directions.entries:
            if not one.site:
                raise ValueError(f"directions.entries: {one.tensor!r} is not called trait.<name>.blocks.<number>.out")
        tensors = [one.tensor for one in pack.directions.entries]
        if len(set(tensors)) != len(tensors):
            raise ValueError("directions.entries: one tensor stands twice")


_PARTS: Mapping[str, type] = {
    "dictionary": PackDictionary,
    "features": PackFeature,
    "directions": PackDirections,
    "entries": PackDirection,
}


def _structured(value: Any, kind: type, where: str) -> Any:
    """An instance of a class of this module from parsed JSON, by its fields; unknown keys are refused."""
    if not isinstance(value, dict):
        raise ValueError(f"{where or 'the file'}: must be an object")
    fields = {field.name: field for field in attrs.fields(kind) if not field.metadata.get("own")}
    dot = f"{where}." if where else ""
    unknown = sorted(value.keys() - fields.keys())
    if unknown:
        raise ValueError(f"{dot}{unknown[0]}: is no key of a risk pack; known here: {', '.join(fields)}")
    missing = [name for name, field in fields.items() if field.default is attrs.NOTHING and name not in value]
    if missing:
        raise ValueError(f"{dot}{missing[0]}: is missing")
    return kind(**{name: _field(value[name], name, str(fields[name].type), dot + name) for name in value})


def _field(value: Any, name: str, annotation: str, where: str) -> Any:
    if name in _PARTS:
        kind = _PARTS[name]
        if annotation.startswith("tuple"):
            _expect(isinstance(value, list) and bool(value), where, "a list that is not empty")
            return tuple(_structured(one, kind, f"{where}[{i}]") for i, one in enumerate(value))
        return _structured(value, kind, where)
    if annotation.startswith("tuple"):
        _expect(
            isinstance(value, list) and all(isinstance(one, str) and one for one in value), where, "a list of texts"
        )
        return tuple(value)
    if annotation == "Concern":
        _expect(value in ("up", "down"), where, "up or down")
    elif annotation == "bool":
        _expect(isinstance(value, bool), where, "true or false")
    elif annotation == "int":
        _expect(isinstance(value, int) and not isinstance(value, bool), where, "a whole number")
    else:
        _expect(isinstance(value, str), where, "a text")
    return value


def _expect(met: bool, where: str, what: str) -> None:
    if not met:
        raise ValueError(f"{where}: must be {what}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
