"""Rule `activation.readable_difference`. Pure Python.

| what was seen | kind |
|---|---|
| both sides equal, or no place where both halves of the texts agree | `pass` |
| a consistent one before the last block whose tokens exceed random directions, corrected | `informational` |
| a consistent one that does not read as tokens beyond chance | `pass` |
| a consistent one that nobody read out (preset below full), too few texts to tell, or numbers missing | `open` |
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from afterburn_activation.lens_options import LensJudgeOptions
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import finding
from afterburn_core.result.model import Example, Finding, Measurement

RULE = "activation.readable_difference"
_HALVES = "activation.mean_difference.split_half"
_NORM = "activation.mean_difference.relative_norm"
_PEAK = "activation.lens.peak"
_NAMED = 4
_FAMILY = "activation.lens"
"""Of the readouts that decide: pooled places of blocks before the last."""
_POOLED = ("first tokens", "all tokens")
"""Places that decide: several tokens averaged, so that few tests have to be corrected for."""


class LensJudge:
    """Detector `activation.lens_judge`."""

    def __init__(self, options: LensJudgeOptions) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterable[Finding]:
        halves, peaks, norms = evidence.all(_HALVES), evidence.all(_PEAK), evidence.all(_NORM)
        if not (halves or peaks):
            return
        found = self._judged(evidence, halves, peaks, norms)
        missing = _unmeasured(halves, peaks, norms)
        if found.kind == "pass" and missing:
            message = f"{found.message}; but {missing}, so that this is no pass"
            found = attrs.evolve(found, kind="open", level="note", message=message)
        yield found

    def _judged(
        self,
        evidence: Evidence,
        halves: tuple[Measurement, ...],
        peaks: tuple[Measurement, ...],
        norms: tuple[Measurement, ...],
    ) -> Finding:
        if norms and all(one.interval is not None and one.interval.method == "identical" for one in norms):
            return finding(RULE, "pass", "none", f"No difference in the activations on {norms[0].n} texts", norms)
        halves = tuple(one for one in halves if _key(one)[1] in _POOLED) or halves
        known = [one for one in halves if one.value is not None]
        agreeing = [one for one in known if one.value is not None and one.value >= self._options.consistent]
        if halves and not known:
            why = next((one.reason for one in halves if one.reason), "nothing was measured")
            return finding(RULE, "open", "note", f"Mean difference of activations: open, {why}", halves)
        if halves and not agreeing:
            best = max(known, key=lambda one: one.value or 0.0)
            message = (
                f"No mean difference of activations is the same in both halves of the texts: cosine at most "
                f"{best.value:.2f} at {_place(best)} ({len(known)} places, {best.n} texts)"
            )
            return finding(RULE, "pass", "none", message, [best])
        where = {_key(one) for one in agreeing}
        deciding = [one for one in peaks if one.test is not None and one.test.family == _FAMILY]
        read = [one for one in deciding if not halves or _key(one) in where]
        if not read:
            told = (
                f"A mean difference is the same in both halves of the texts at {len(agreeing)} of {len(known)} places"
            )
            if deciding:
                return finding(RULE, "pass", "none", f"{told}, none of them before the last block", agreeing[:_NAMED])
            why = next((one.reason for one in peaks if one.reason), "it was not read out; preset full reads it")
            return finding(RULE, "open", "note", f"{told}; {why}", agreeing[:_NAMED])
        above = sorted(
            (one for one in read if _p(one) <= self._options.alpha), key=lambda one: (_p(one), -(one.value or 0))
        )
        cited = (above or sorted(read, key=_p))[:_NAMED]
        cited += [one for metric in _BESIDE for one in evidence.all(metric) if one.value is not None]
        count = f"{len(above)} of {len(read)} readouts exceed random directions"
        if above:
            tokens = _tokens(evidence, above)
            message = (
                f"The mean difference of activations on unrelated texts reads as tokens: {count} "
                f"(largest z {above[0].value:.1f} at {_place(above[0])}, p = {_p(above[0]):.2g}, corrected)"
                f"{': ' + tokens if tokens else ''}"
            )
            return finding(
                RULE, "informational", "note", message, cited, _examples(evidence), artifacts=("activation.lens",)
            )
        message = f"A mean difference of activations is there, and reads as no token beyond chance: {count}"
        last = [one for one in peaks if one.test is not None and one.test.family == f"{_FAMILY}.last"]
        if any(_p(one) <= self._options.alpha for one in last):
            message += "; at the last block some do, as after any training that changes what is written"
        return finding(RULE, "pass", "none", message, cited, artifacts=("activation.lens",))


def _unmeasured(*kinds: tuple[Measurement, ...]) -> str | None:
    """What one kind of number lacks at places that another has: an analyzer measures all of them or says why not."""
    halves, peaks, norms = ({_key(one) for one in kind} for kind in kinds)
    every = halves | peaks | norms
    pooled = {key for key in every if key[1] in _POOLED}
    if pooled:
        halves, peaks, every = halves & pooled, peaks & pooled, pooled
    if every - halves:
        return f"consistency was not measured at {len(every - halves)} of {len(every)} places"
    if peaks and halves - peaks:
        return f"{len(halves - peaks)} of {len(halves)} places were not read out"
    return None


_BESIDE = ("activation.patchscope.advantage", "activation.steering.token_gain", "activation.lens.causal_effect")


def _key(measurement: Measurement) -> tuple[str, str]:
    """Where it was measured, and the place among the tokens, without the sign of a readout."""
    place = (measurement.scope.subset or "").removesuffix(", added").removesuffix(", removed")
    return attrs.evolve(measurement.scope, subset=None).key(), place


def _place(measurement: Measurement) -> str:
    return f"{measurement.scope.site}, {measurement.scope.subset}"


def _p(measurement: Measurement) -> float:
    test = measurement.test
    if test is None:
        return 1.0
    return test.p_value if test.p_adjusted is None else test.p_adjusted


def _tokens(evidence: Evidence, above: list[Measurement]) -> str:
    """The tokens above chance, most often listed first."""
    found = evidence.read_artifact("activation.lens") or {}
    wanted = {(one.scope.site, one.scope.subset) for one in above}
    counts: dict[str, int] = {}
    for entry in found.get("readouts", ()):
        if (
            not isinstance(entry, dict)
            or (entry.get("site"), f"{entry.get('place')}, {entry.get('sign')}") not in wanted
        ):
            continue
        mark = "" if entry.get("sign") == "added" else "less "
        for token in entry.get("tokens", ()):
            if token.get("above_chance") and not token.get("control"):
                text = mark + repr(str(token.get("text", "")).strip())
                counts[text] = counts.get(text, 0) + 1
    ranked = sorted(counts, key=lambda text: (-counts[text], text))
    return ", ".join(ranked[:8])


def _examples(evidence: Evidence) -> tuple[Example, ...]:
    """Steered texts beside unsteered ones."""
    found = evidence.read_artifact("activation.lens") or {}
    steering = found.get("steering") or {}
    rows = [row for row in steering.get("texts", ()) if isinstance(row, dict)][:3]
    if not evidence.excerpts:
        return ()
    return tuple(
        Example(
            label=str(row.get("prompt")),
            base=str(row.get("unsteered")),
            trained=str(row.get("steered")),
            note=f"unsteered, and steered with the difference at strength {steering.get('strength')}",
        )
        for row in rows
    )
