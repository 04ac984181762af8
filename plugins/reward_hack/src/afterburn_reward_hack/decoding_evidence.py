"""What speaks for another way of asking, and against training, as the cause of a shift. Pure Python.

Facts that shape texts by themselves: engine, host, template, system prompt, and every decoding parameter in effect.
The number format (`dtype`) adds noise to no side's favour, a tokenizer and a longest context change how texts are
counted: such facts are reported, and explain no shift of style.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import attrs

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.model import Measurement, Scope, Subject

CHANGED = "reward_hack.decoding.changed"
FACT = "reward_hack.decoding.fact"
SIGN = "reward_hack.decoding.sign"
DELTA = "weight.delta.changed_fraction"
UNEXPLAINED = "weight.coverage.unexplained"
DECISIVE = ("temperature", "max_new_tokens")
"""Facts without which equal decoding is not known."""
SLIGHT = frozenset({"dtype", "tokenizer", "context"})
"""Facts and signs that explain no shift of style."""
Weights = Literal["equal", "changed", "unknown"]
_OF_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".npz")


def confounded(evidence: Evidence) -> str | None:
    """Why shifts of style cannot be put down to training; `None` where nothing speaks for another cause.

    Detectors that would fail a model for how it writes ask a person instead where this says something.
    """
    reasons = []
    if same_weights(evidence) == "equal" and evidence.value(CHANGED):
        reasons.append("both sides have the same weights")
    found = [m.reason or _name(m) for m in _present(evidence, FACT) if _name(m) not in SLIGHT]
    if found:
        reasons.append(f"decoding differs: {'; '.join(found)}")
    found = [m.reason or _name(m) for m in _present(evidence, SIGN) if _name(m) not in SLIGHT]
    if found:
        reasons.append(f"the texts look as if decoding differed: {'; '.join(found)}")
    return "; ".join(reasons) or None


def same_weights(evidence: Evidence) -> Weights:
    """Whether both sides have the same weights: by the digests of their files, else by the comparison of weights."""
    subjects = {subject.role: subject for subject in evidence.subjects if subject.role in ("base", "trained")}
    base, trained = subjects.get("base"), subjects.get("trained")
    if base is not None and trained is not None and _identical(base, trained):
        return "equal"
    changed, unexplained = evidence.get(DELTA), evidence.get(UNEXPLAINED)
    if changed is None or changed.value is None:
        return "unknown"
    if changed.value > 0:
        return "changed"
    return "equal" if unexplained is not None and unexplained.value == 0 else "unknown"


@attrs.frozen(kw_only=True)
class Known:
    """What was recorded of decoding."""

    differing: tuple[Measurement, ...]
    """Facts that differ."""
    unknown: tuple[Measurement, ...]
    """Facts that a side did not record."""
    equal: tuple[Measurement, ...]
    signs: tuple[Measurement, ...]
    """Signs in the texts alone that decoding differed."""

    @property
    def complete(self) -> bool:
        """Whether both sides recorded what is decisive."""
        return set(DECISIVE) <= {_name(m) for m in (*self.equal, *self.differing)}

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        return (*self.differing, *self.unknown, *self.equal, *self.signs)


def known(evidence: Evidence) -> Known:
    """The facts by what is known of them, and the signs that are there."""
    facts = evidence.all(FACT)
    return Known(
        differing=tuple(m for m in facts if m.value),
        unknown=tuple(m for m in facts if m.value is None),
        equal=tuple(m for m in facts if m.value == 0),
        signs=tuple(_present(evidence, SIGN)),
    )


def named(name: str) -> Scope:
    """The place of a fact or sign."""
    return Scope(subset=name)


def _present(evidence: Evidence, metric: str) -> Iterator[Measurement]:
    return (m for m in evidence.all(metric) if m.value)


def _name(measurement: Measurement) -> str:
    return measurement.scope.subset or ""


def _identical(base: Subject, trained: Subject) -> bool:
    """Whether their files hold the same weights; texts that were recorded have none."""
    if "recorded" in (base.kind, trained.kind) or base.kind != trained.kind or base.kind == "api":
        return False
    if base.digest == trained.digest:
        return True
    sides = [sorted(f.sha256 for f in subject.files if f.path.endswith(_OF_WEIGHTS)) for subject in (base, trained)]
    # two adapters with the same factors may sit on different bases
    return base.kind == "checkpoint" and bool(sides[0]) and sides[0] == sides[1]
