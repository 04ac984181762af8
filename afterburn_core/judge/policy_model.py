"""The policy: what makes a run fail or stay incomplete. Frozen values, known by the digest of their canonical form.

The YAML file's format is `schemas/policy-1.0.json`; a drift test holds the classes below and the schema together.
Reading files: `judge.policy`. What each key does to a verdict: docs/policy.md.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.result.model import PolicyReference, Scope

__all__ = ["COVERAGE", "EACH", "Control", "Plugins", "Policy", "Require", "Suppression", "Threshold", "specifier"]

EACH = "each"
"""A threshold's scope that means every place at which its metric was measured."""
COVERAGE = 0.95
"""Nominal coverage that a threshold asks of an interval unless it says otherwise."""

_FINGERPRINT = re.compile(r"[0-9a-f]{32}")


@attrs.frozen(kw_only=True)
class Control:
    """Controls of one kind that a run must have been set among."""

    kind: str
    """`matched`, `scrambled`, `resample`, `rounding`, or `given` for models."""
    n: int = 1
    """How many of them must have been measured."""

    def __attrs_post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError(f"n: {self.n} is not at least 1")


@attrs.frozen(kw_only=True)
class Require:
    """What must have run. What a policy does not require may be skipped where the subjects by their kind cannot
    offer what it needs."""

    analyzers: tuple[str, ...] = ()
    """Analyzers that must have ended well and measured something."""
    rules: tuple[str, ...] = ()
    """Rules that must have been judged: neither open nor not applicable."""
    controls: tuple[Control, ...] = ()
    """Controls that must have been measured."""


@attrs.frozen(kw_only=True)
class Threshold:
    """A bound on a measurement; its interval's worse end must keep to it."""

    metric: str
    """Id of the metric."""
    subjects: tuple[str, ...] = ("base", "trained")
    """Ids of the subjects: the contrast of both, or one side's value."""
    scope: Scope | Literal["each"] | None = None
    """The place: fields of a scope, `each` for every place at which it was measured; absent means the whole model."""
    at_most: float | None = None
    """Met where the interval's high end is not above, failed where its low end is."""
    at_least: float | None = None
    """Met where the interval's low end is not below, failed where its high end is."""
    coverage: float = COVERAGE
    """Least nominal coverage of the interval; one that covers less leaves the threshold undecided."""
    id: str | None = None
    """What reports and certificates call it; made of metric, subjects, place and kind of bound unless given."""
    reason: str | None = None
    """Why this bound."""

    def __attrs_post_init__(self) -> None:
        if (self.at_most is None) == (self.at_least is None):
            raise ConfigError("one of at_most and at_least is needed, and only one; write two thresholds for a range")
        if not math.isfinite(self.bound):
            raise ConfigError(f"{self.op}: {self.bound} is no finite number")
        if not 0 < self.coverage < 1:
            raise ConfigError(f"coverage: {self.coverage:g} is no share between 0 and 1; 0.95 is usual")
        if not self.subjects:
            raise ConfigError("subjects: names none; leave it out for base and trained")
        if self.id is not None and not self.id.strip():
            raise ConfigError("id: is empty; leave it out or name the threshold")

    @property
    def op(self) -> Literal["at_most", "at_least"]:
        """Which bound it is."""
        return "at_most" if self.at_most is not None else "at_least"

    @property
    def bound(self) -> float:
        """The number that is not to be passed."""
        return float((self.at_most if self.at_most is not None else self.at_least) or 0.0)

    @property
    def place(self) -> str:
        """The scope as text: `model`, `each`, `layer=3`."""
        return self.scope if isinstance(self.scope, str) else (self.scope or Scope()).key()

    @property
    def name(self) -> str:
        """Its id, or one made of what it says."""
        if self.id is not None:
            return self.id
        subjects = "" if self.subjects == ("base", "trained") else f"/{'+'.join(self.subjects)}"
        place = "" if self.place == "model" else f"/{self.place}"
        return f"{self.metric}{subjects}{place} {self.op}"


@attrs.frozen(kw_only=True)
class Suppression:
    """A waiver: somebody accepts what one rule finds, until a day."""

    rule: str | None = None
    """The rule whose findings are accepted."""
    fingerprint: str | None = None
    """The one finding that is accepted, in place of a rule."""
    scope: Scope | None = None
    """With a rule: only its finding at this place."""
    owner: str
    """Who answers for it."""
    reason: str
    """Why it is accepted."""
    expires: date
    """Last day on which it holds."""

    def __attrs_post_init__(self) -> None:
        if (self.rule is None) == (self.fingerprint is None):
            raise ConfigError("one of rule and fingerprint is needed, and only one")
        if self.fingerprint is not None and not _FINGERPRINT.fullmatch(self.fingerprint):
            raise ConfigError(f"fingerprint: {self.fingerprint!r} is not one of 32 lower-case hex digits")
        if self.fingerprint is not None and self.scope is not None:
            raise ConfigError("scope: a fingerprint names its place already; leave the scope out")
        for name in ("owner", "reason"):
            if not getattr(self, name).strip():
                raise ConfigError(f"{name}: is empty; say {'who answers for it' if name == 'owner' else 'why'}")


@attrs.frozen(kw_only=True)
class Plugins:
    """Which plugins may contribute."""

    allow: Mapping[str, str] | None = None
    """Versions allowed, by plugin, as in `>=0.1,<0.2` (PEP 440), `*` for any. A plugin that is not named may not
    contribute, the core excepted; absent means that all may."""
    strict: bool = False
    """Whether a plugin that could not be loaded makes the verdict incomplete."""

    def __attrs_post_init__(self) -> None:
        for name, versions in (self.allow or {}).items():
            specifier(versions, name)


@attrs.frozen(kw_only=True)
class Policy:
    """How findings, measurements and executions become a verdict."""

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
    """Rules and thresholds that may be open and components that may fail or be skipped without making the verdict
    incomplete."""
    options: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    """Options of detectors by name; they win over those of the configuration, key by key."""
    require: Require = Require()
    """Analyzers, rules and controls without which the verdict is incomplete."""
    thresholds: tuple[Threshold, ...] = ()
    """Bounds on measurements, held against the ends of their intervals."""
    suppressions: tuple[Suppression, ...] = ()
    """Waivers: findings that somebody accepts until a day."""
    plugins: Plugins = Plugins()
    """Which plugins may contribute, in which versions."""
    cached: Literal["allow", "refuse"] = "allow"
    """Whether what was served from the cache, or from the answers of an earlier run, may count."""

    def __attrs_post_init__(self) -> None:
        twice = [name for name, n in Counter(threshold.name for threshold in self.thresholds).items() if n > 1]
        if twice:
            raise ConfigError(f"thresholds: two are called {twice[0]!r}; give them ids of their own")
        both = sorted({*self.require.analyzers, *self.require.rules} & {*self.optional})
        if both:
            raise ConfigError(f"optional: {both[0]!r} is required too; take it out of one of the two")

    def options_over(self, configured: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """The options in force, where `configured` are those of the configuration."""
        names = sorted(configured.keys() | self.options.keys())
        return {name: {**configured.get(name, {}), **self.options.get(name, {})} for name in names}

    def canonical(self) -> dict[str, Any]:
        """The policy as plain JSON values. Keys that came after the first six stand in it only where they say
        something, so that a policy keeps its digest as the format grows."""
        left_out = {name for name in _LATER if getattr(self, name) == getattr(_DEFAULT, name)}
        values = attrs.asdict(
            self,
            filter=lambda field, value: (
                not (value is None or field.name in left_out or (field.name == "coverage" and value == COVERAGE))
            ),
            value_serializer=lambda _, __, value: value.isoformat() if isinstance(value, date) else value,
        )
        plain: dict[str, Any] = json.loads(json.dumps(values, allow_nan=False))
        return plain

    def reference(self) -> PolicyReference:
        """Name and digest: sha256 of the canonical form as JSON with sorted keys, `, ` and `: ` between them."""
        text = json.dumps(self.canonical(), sort_keys=True, allow_nan=False)
        return PolicyReference(name=self.name, sha256=hashlib.sha256(text.encode()).hexdigest())


_LATER = ("require", "thresholds", "suppressions", "plugins", "cached")
_DEFAULT = Policy()


def specifier(versions: str, plugin: str) -> Any:
    """The set of versions that a text allows, `*` for any.

    Raises:
        ConfigError: it is no version specifier.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet("" if versions.strip() == "*" else versions, prereleases=True)
    except InvalidSpecifier as error:
        raise ConfigError(
            f"plugins.allow: {versions!r} of {plugin!r} names no versions; write such as '>=0.1,<0.2', or '*'"
        ) from error
