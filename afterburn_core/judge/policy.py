"""The policy: what makes a run fail or stay incomplete. Read from YAML, frozen, identified by its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import yaml

from afterburn_core.errors import ConfigError
from afterburn_core.result.model import PolicyReference
from afterburn_core.run.configuration import structure


@attrs.frozen(kw_only=True)
class Policy:
    """How findings and executions become a verdict."""

    name: str = "default"
    """Shown with every verdict; the file's stem unless given."""
    fail_on: Literal["note", "warning", "error", "never"] = "error"
    """Lowest level at which a finding of kind `fail` fails the verdict."""
    review: Literal["allow", "fail"] = "allow"
    """Whether findings that ask for a person's review fail the verdict."""
    undecided: Literal["allow", "incomplete"] = "allow"
    """What a rule does that was measured and stayed undecided although it could never fail the verdict: its highest
    level is below a warning. A rule that was not measured makes the verdict incomplete in either case."""
    optional: tuple[str, ...] = ()
    """Rules that may be open and components that may fail or be skipped without making the verdict incomplete."""
    options: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    """Options of detectors by name; they win over those of the configuration, key by key."""

    def options_over(self, configured: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """The options in force, where `configured` are those of the configuration."""
        names = sorted(configured.keys() | self.options.keys())
        return {name: {**configured.get(name, {}), **self.options.get(name, {})} for name in names}

    def reference(self) -> PolicyReference:
        """Name and digest of the canonical JSON form."""
        text = json.dumps(attrs.asdict(self), sort_keys=True, allow_nan=False)
        return PolicyReference(name=self.name, sha256=hashlib.sha256(text.encode()).hexdigest())


def overridden(policy: Policy, fail_on: str | None) -> Policy:
    """The policy with the bar that a flag gives, if one is given; the name says so."""
    if fail_on is None or fail_on == policy.fail_on:
        return policy
    values = {**attrs.asdict(policy), "fail_on": fail_on, "name": f"{policy.name}, fail on {fail_on}"}
    changed: Policy = structure(values, Policy, "flags")
    return changed


def load_policy(path: Path | None) -> Policy:
    """The policy in a YAML file, or the default one.

    Raises:
        ConfigError: the file is missing or malformed, or a key is unknown.
    """
    if path is None:
        return Policy()
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"policy {path}: cannot be read ({error.strerror}); give an existing YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"policy {path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"policy {path}: expected keys and values")
    policy: Policy = structure({"name": path.stem, **values}, Policy, f"policy {path.name}")
    return policy
