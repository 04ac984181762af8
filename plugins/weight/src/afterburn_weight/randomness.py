"""Findings on noise and structure: descriptions with their false-alarm rate, and no judgement of quality.

The edge of a bulk says nothing where the bulk is not noise of one variance: uneven or untouched rows put hundreds of
values beyond it. The bulk of even noise with k singular values lies within 5/k of the law (4.6/k at most in simulation,
20 ≤ k ≤ 896, with and without spikes). Where it lies further off, only nulls that ask less of the noise can tell
structure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.model import Finding, Measurement, Scope
from afterburn_weight.findings import PAIR, finding
from afterburn_weight.multiplicity import survives
from afterburn_weight.options import RandomnessOptions

_NULLS = ("weight.null.sign_spikes", "weight.null.whitened_spikes")


@attrs.frozen(kw_only=True)
class Structured:
    """A matrix whose change stands out of every null that was drawn for it."""

    spikes: int
    scope: Scope
    evidence: tuple[Measurement, ...]
    clarity: float
    """How far the largest lies beyond the edge, in units of what noise varies by."""
    sure: bool
    """Whether a drawn null confirms it, or the bulk is such noise that the Marchenko–Pastur edge means something."""


class Randomness:
    """Detector `weight.randomness`."""

    def __init__(self, options: RandomnessOptions) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        yield self._structure(evidence)
        yield self._tails(evidence)

    def _structure(self, evidence: Evidence) -> Finding:
        rule, whole = "weight.structured_change", evidence.get("weight.noise.spikes")
        if whole is None:
            return finding(rule, "open", "note", "Spikes of the change were not measured for the model")
        signed = evidence.get("weight.null.sign_spikes")
        if whole.value is None and (signed is None or signed.value is None):
            message = f"No change can be set against noise: {whole.reason}"
            return finding(rule, "not_applicable", "none", message, [whole])
        every = sorted(self._structured(evidence), key=lambda one: (-one.spikes, -one.clarity, one.scope.key()))
        found, doubtful = [one for one in every if one.sure], [one for one in every if not one.sure]
        beside = f"; {whole.reason}" if whole.reason else ""
        if not found and doubtful:
            message = f"Whether the change has structure cannot be told: {_doubt(doubtful)}"
            cited = [m for one in doubtful[: self._options.top] for m in one.evidence]
            return finding(rule, "informational", "note", message + beside, [whole, *_models(evidence), *cited])
        if not found:
            message = "No change stands out of noise"
            if whole.value:
                message = (
                    f"{_count(int(whole.value), 'singular value')} of the change lie beyond the Marchenko–Pastur edge, "
                    "no more than chance or uneven noise explains"
                )
            return finding(rule, "pass", "none", message + beside, [whole, *_models(evidence)])
        total = sum(one.spikes for one in found)
        named = ", ".join(f"{_place(one.scope)} ({one.spikes})" for one in found[: self._options.top])
        message = (
            f"The change has structure beyond noise in {_count(len(found), 'matrix', 'matrices')}: "
            f"{_count(total, 'singular value')}, most in {named}"
        )
        if doubtful:
            message += f"; {_doubt(doubtful)}"
        cited = [m for one in found[: self._options.top] for m in one.evidence]
        return finding(rule, "informational", "note", message + beside, [whole, *_models(evidence), *cited])

    def _structured(self, evidence: Evidence) -> Iterator[Structured]:
        for spikes in evidence.tensors("weight.noise.spikes"):
            if spikes.subjects != PAIR:
                continue
            drawn = [m for metric in _NULLS if (m := evidence.get(metric, scope=spikes.scope)) is not None]
            known = [m for m in (spikes, *drawn) if m.value is not None]
            if not known or not survives(spikes, self._options.p_value):
                continue
            least = int(min(m.value or 0.0 for m in known))
            # where the noise is not known, only a drawn null can speak
            if least and (spikes.value is not None or any(m.value for m in drawn)):
                sure = any(m.value is not None for m in drawn) or _holds(evidence, spikes)
                clarity = spikes.test.statistic or 0.0 if spikes.test is not None else 0.0
                yield Structured(spikes=least, scope=spikes.scope, evidence=tuple(known), clarity=clarity, sure=sure)

    def _tails(self, evidence: Evidence) -> Finding:
        rule, share = "weight.tail_change", evidence.get("weight.tail.changed_share")
        if share is None:
            return finding(rule, "open", "note", "The share of changed tail exponents was not measured")
        if share.value is None:
            message = f"No tail exponents to compare: {share.reason}"
            return finding(rule, "not_applicable", "none", message, [share])
        changes = [
            m for m in evidence.tensors("weight.tail.alpha_change") if m.value is not None and m.test is not None
        ]
        # two looks at the same exponents share the level
        level = self._options.p_value / 2
        clear = sorted(
            (m for m in changes if survives(m, level)), key=lambda m: (m.test.p_value if m.test else 1.0, m.id)
        )
        tensors = share.n or 0
        moved = round(share.value * tensors)
        chance = share.test.p_value if share.test is not None else 1.0
        if not clear and chance > level:
            message = (
                f"No tail exponent moved: {moved} of {_count(tensors, 'matrix', 'matrices')} changed by more than 2 "
                "standard errors, no more than chance"
            )
            return finding(rule, "pass", "none", message, [share])
        message = (
            f"The tail exponent changed by more than 2 standard errors in {moved} of "
            f"{_count(tensors, 'matrix', 'matrices')} (p = {chance:.2g} for so many by chance)"
        )
        if clear:
            named = ", ".join(f"{_place(m.scope)} ({m.value:+.2f})" for m in clear[: self._options.top])
            message += f"; {len(clear)} after correction: {named}"
        return finding(rule, "informational", "note", message, [share, *clear[: self._options.top]])


def _holds(evidence: Evidence, spikes: Measurement) -> bool:
    """Whether the bulk of a change follows the Marchenko–Pastur law as closely as noise of one variance does."""
    distance = evidence.value("weight.noise.distance", scope=spikes.scope)
    if distance is None or not spikes.n or spikes.value is None:
        return False
    return distance <= 5 / spikes.n


def _doubt(doubtful: Sequence[Structured]) -> str:
    many = _count(len(doubtful), "matrix has", "matrices have")
    return (
        f"{many} singular values beyond the Marchenko–Pastur edge, but the noise is uneven; "
        "`--preset full` compares with nulls that allow for that"
    )


def _models(evidence: Evidence) -> list[Measurement]:
    """What else is known of the whole model."""
    metrics = ("weight.noise.share", *_NULLS, "weight.null.rounding_spikes")
    return [m for metric in metrics if (m := evidence.get(metric)) is not None]


def _place(scope: Scope) -> str:
    if scope.layer is None or scope.module is None or scope.module == "other":
        return scope.tensor or scope.key()
    stack = f"{scope.subset} " if scope.subset else ""
    return f"{stack}layer {scope.layer} {scope.module}"


def _count(n: int, noun: str, plural: str | None = None) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {plural or noun + 's'}"
