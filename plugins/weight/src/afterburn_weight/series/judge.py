"""Judges a series: whether it is whole and finite, and what shape it has. Neither torch nor NumPy is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.model import Finding, FindingKind, Level, Measurement, Scope
from afterburn_weight.findings import finding

_MODEL = Scope()
_ABOUT = ("base",)
"""The whole series speaks of what became of the base; its members may differ from run to run."""
_TURN = 0.0
"""A step cosine below this turns back on the step before."""


class SeriesJudge:
    """Detector `weight.series_judge`."""

    def __init__(self, options: None = None) -> None:
        pass

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        for kind, what in (("trajectory", "checkpoint"), ("candidates", "candidate")):
            yield from _coverage(evidence, kind, what)
            yield from _nonfinite(evidence, kind, what)
        yield from _shape(evidence)
        yield from _relation(evidence)


def _coverage(evidence: Evidence, kind: str, what: str) -> Iterator[Finding]:
    shares = _whole(evidence, f"weight.{kind}.coverage")
    lost = _whole(evidence, f"weight.{kind}.coverage.unexplained")
    if not lost or _silent(evidence, shares):
        return
    rule = f"weight.{kind}_coverage"
    worst = min(shares, key=lambda m: m.value or 0.0)
    left_out = max(m.value or 0.0 for m in lost)
    cited = (*shares, *lost)
    if left_out > 0:
        text = f"{left_out:.3g} of the parameters are not compared, because a {what} lacks them"
        yield _finding(rule, "fail", "warning", f"{text}; the record of the pass names them", cited)
    elif (worst.value or 0.0) < 1:
        text = f"{worst.value:.4g} of the parameters are compared in every {what}; the rest has an accepted reason"
        yield _finding(rule, "review", "note", text, cited)
    else:
        yield _finding(rule, "pass", "none", f"every parameter is compared in every {what}", cited)


def _nonfinite(evidence: Evidence, kind: str, what: str) -> Iterator[Finding]:
    counts = _whole(evidence, f"weight.{kind}.nonfinite")
    if _silent(evidence, counts):
        return
    rule = f"weight.{kind}_nonfinite"
    bad = [m for m in counts if m.value]
    if bad:
        first = bad[0]
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        who = "base" if first.subjects == ("base",) else f"{what} {_short(first.subjects)}"
        text = f"{who}{more} holds {first.value:.0f} NaN or infinite weights"
        yield _finding(rule, "fail", "error", text, bad)
    else:
        yield _finding(rule, "pass", "none", f"no {what} holds NaN or infinite weights", counts)


def _shape(evidence: Evidence) -> Iterator[Finding]:
    rule = "weight.trajectory_shape"
    path, straight = (_whole(evidence, f"weight.trajectory.{name}") for name in ("path_length", "straightness"))
    if not path or not straight:
        return
    cited = [*path[:1], *straight[:1]]
    turns = _whole(evidence, "weight.trajectory.step_cosine")
    parts = [f"the way is {path[0].value:.4g} long and its straightness {straight[0].value:.3g}"]
    if turns:
        sharpest = min(turns, key=lambda m: m.value or 0.0)
        cited.append(sharpest)
        back = ", turning back" if (sharpest.value or 0.0) < _TURN else ""
        parts.append(
            f"the sharpest turn is at {_short(sharpest.subjects[1:2])}: step cosine {sharpest.value:.3g}{back}"
        )
    onsets = [m for m in evidence.all("weight.trajectory.onset_step") if _is_layer(m) and m.value is not None]
    if len(onsets) > 1:
        early = min(onsets, key=lambda m: (m.value or 0.0, m.scope.layer or 0))
        late = max(onsets, key=lambda m: (m.value or 0.0, -(m.scope.layer or 0)))
        cited += [early, late] if early is not late else [early]
        if early.value == late.value:
            parts.append(f"all layers set in by step {early.value:.0f}")
        else:
            parts.append(
                f"layer {early.scope.layer} sets in first (step {early.value:.0f}), layer {late.scope.layer} last "
                f"(step {late.value:.0f})"
            )
    yield _finding(rule, "informational", "none", "; ".join(parts), cited)


def _relation(evidence: Evidence) -> Iterator[Finding]:
    rule = "weight.candidates_relation"
    cosines = _whole(evidence, "weight.candidates.cosine")
    if not cosines:
        return
    nearest = max(cosines, key=lambda m: m.value or 0.0)
    furthest = min(cosines, key=lambda m: m.value or 0.0)
    cited = [nearest] if nearest is furthest else [nearest, furthest]
    parts = [f"most alike: {_short(nearest.subjects)}, cosine {nearest.value:.3g}"]
    if furthest is not nearest:
        parts.append(f"least alike: {_short(furthest.subjects)}, cosine {furthest.value:.3g}")
    spread = _whole(evidence, "weight.candidates.cosine_random")
    if spread:
        cited.append(spread[0])
        parts.append(f"with random signs it would be 0 ± {spread[0].value:.1g}")
    yield _finding(rule, "informational", "none", "; ".join(parts), cited)


def _whole(evidence: Evidence, metric: str) -> list[Measurement]:
    """The defined values for the whole model."""
    return [m for m in evidence.all(metric) if m.scope == _MODEL and m.value is not None]


def _silent(evidence: Evidence, found: Sequence[Measurement]) -> bool:
    """Whether nothing is said of some subject: then nothing can pass, and the rule stays open."""
    covered = {subject for m in found for subject in m.subjects}
    return not found or any(subject.id not in covered for subject in evidence.subjects)


def _is_layer(measurement: Measurement) -> bool:
    scope = measurement.scope
    return scope.layer is not None and scope.module is None and scope.tensor is None


def _short(subjects: Sequence[str]) -> str:
    return " and ".join(subject.partition(":")[2] or subject for subject in subjects)


def _finding(
    rule: str,
    kind: FindingKind,
    level: Level,
    message: str,
    measurements: Sequence[Measurement],
) -> Finding:
    return finding(rule, kind, level, message[:1].upper() + message[1:], measurements, subjects=_ABOUT)
