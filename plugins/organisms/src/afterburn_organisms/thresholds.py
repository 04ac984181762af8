"""Thresholds of the rules: what they are now, and what they were when they were frozen. Imports no torch.

They may be chosen on development seeds only. `afterburn organisms score --split dev --freeze` writes them beside the
organisms, and test seeds are scored only while they are as written.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import Registry
from afterburn_organisms.benchmark import HOME
from afterburn_organisms.looks import LOOKS, TAUGHT_SHARE

FROZEN = HOME / "thresholds.json"


def thresholds_of() -> dict[str, Any]:
    """Level, reference effects, what is run, and every option of the analyzers and detectors asked, as installed.

    Raises:
        ConfigError: the plugin `afterburn-reward-hack` is not installed.
    """
    try:
        from afterburn_reward_hack.calibration import REFERENCE
        from afterburn_reward_hack.judging import LEVEL
    except ImportError as error:
        raise ConfigError("the scoreboard needs the rules it scores; install afterburn-reward-hack") from error
    registry = Registry.discover(only=("reward_hack",))
    mining = {name for look in LOOKS for name in look.components}
    found = [(role, one) for role in ("analyzer", "detector") for one in registry.specs(role)]
    both = Registry.discover(only=("behaviour",))
    found += [(role, one) for role in ("analyzer", "detector") for one in both.specs(role) if one.spec.name in mining]
    options: dict[str, dict[str, Any]] = {}
    for _, one in found:
        kind = getattr(one.spec, "options", None)
        if kind is not None:
            options[one.spec.name] = attrs.asdict(kind())
    rules = {rule.id: rule.version for one in registry.specs("detector") for rule in one.spec.rules}
    looks = [attrs.asdict(look) for look in LOOKS]
    return {
        "level": LEVEL,
        "reference": dict(REFERENCE),
        "options": options,
        "rules": rules,
        "looks": looks,
        "taught_share": TAUGHT_SHARE,
    }


@cache
def digest_of() -> str:
    """sha256 of the thresholds as they are now."""
    return hashlib.sha256(_text(thresholds_of()).encode()).hexdigest()


@cache
def code_digest() -> str:
    """sha256 over the code of the rules: what an earlier run found is kept only while it is the same."""
    package = Path(str(importlib.import_module("afterburn_reward_hack").__file__)).parent
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in sorted(package.rglob("*.py"))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def freeze(path: Path = FROZEN) -> str:
    """Writes the thresholds of now, and returns their digest."""
    path.write_text(_text({"digest": digest_of(), "thresholds": thresholds_of()}), encoding="utf-8")
    return digest_of()


def require_frozen(path: Path = FROZEN) -> str:
    """The digest of the frozen thresholds.

    Raises:
        ConfigError: none were frozen, or they are others now.
    """
    if not path.is_file():
        raise ConfigError("no thresholds are frozen; run `afterburn organisms score --split dev --freeze` first")
    frozen: str = json.loads(path.read_text(encoding="utf-8"))["digest"]
    if frozen != digest_of():
        raise ConfigError(
            "the thresholds are not those that were frozen; score the development seeds again and freeze them with "
            "`afterburn organisms score --split dev --freeze`"
        )
    return frozen


def _text(document: Any) -> str:
    return json.dumps(document, indent=1, sort_keys=True, default=str) + "\n"
