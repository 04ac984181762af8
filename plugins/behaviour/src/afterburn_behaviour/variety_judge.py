"""Findings on diversity and on whether anything changed. Imports no NumPy."""

from __future__ import annotations

from collections.abc import Iterator

from afterburn_behaviour.examples import attached
from afterburn_behaviour.features import in_words
from afterburn_behaviour.serving import caveat
from afterburn_behaviour.shift import Quantity, open_where_missing, shift_finding
from afterburn_behaviour.specs.variety import DECIDING
from afterburn_behaviour.variety_options import VarietyRules
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import finding
from afterburn_core.result.model import Finding, Measurement
from afterburn_core.stats.verdicts import smallest_detectable

MMD = "behaviour.omnibus.mmd"
AUROC = "behaviour.omnibus.auroc"
WITHOUT_LENGTH = "behaviour.omnibus.auroc_without_length"
FEATURES = "behaviour.omnibus_features"
NAMES = {MMD: "MMD²", AUROC: "AUROC", WITHOUT_LENGTH: "AUROC without length"}
_CHANCE = 0.5
_SHOWN = ("opening", "self_similarity", "loops")
_OPTIONAL = ("behaviour.diversity.meaning", "behaviour.diversity.across.meaning")


class VarietyJudge:
    """Detector `behaviour.variety_judge`."""

    def __init__(self, options: VarietyRules) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        yield self._diversity(evidence)
        yield self._anything(evidence)

    def _diversity(self, evidence: Evidence) -> Finding:
        quantities = []
        for metric, noun in DECIDING.items():
            measured = evidence.get(metric)
            if metric in _OPTIONAL and measured is not None and measured.value is None:
                continue  # a sentence encoder is nothing a run has to have
            quantities.append(
                Quantity(
                    noun=noun,
                    scale="number",
                    margin=self._options.diversity_margin,
                    measurement=measured,
                    base=evidence.value(metric, subjects=("base",)),
                    trained=evidence.value(metric, subjects=("trained",)),
                )
            )
        within = evidence.get("behaviour.diversity.self_similarity")
        remark = None
        if within is not None and within.value is None:
            remark = f"within prompts nothing can be said: {within.reason}"
        found = shift_finding(
            "behaviour.diversity_shift",
            evidence,
            quantities,
            family="measures of diversity",
            alpha=self._options.alpha,
            examples=attached(evidence, "diversity", about=_SHOWN, limit=self._options.examples),
            artifacts=_present(evidence, "behaviour.diversity_examples"),
            remark=remark,
        )
        return open_where_missing(found, evidence, DECIDING)

    def _anything(self, evidence: Evidence) -> Finding:
        rule, options = "behaviour.any_shift", self._options
        mmd, auroc, bare = (evidence.get(metric) for metric in (MMD, AUROC, WITHOUT_LENGTH))
        cited = [m for m in (mmd, auroc, bare) if m is not None]
        tested = [m for m in (mmd, auroc) if m is not None and m.value is not None and m.test is not None]
        if not tested:
            # the classifier asks less of the data, so what it lacks comes first
            reasons = [m.reason for m in (auroc, mmd) if m is not None and m.reason]
            why = reasons[0] if reasons else "nothing was measured"
            return finding(rule, "open", "note", f"Whether anything changed is open: {why}", cited)
        facts = "; ".join(_told(m) for m in (mmd, auroc, bare) if m is not None and m.value is not None)
        if bare is not None and bare.value is None and bare.reason and auroc is not None and auroc.value is not None:
            facts += f"; {NAMES[WITHOUT_LENGTH]} undefined: {bare.reason}"
        ends = [facts, caveat(evidence, alpha=options.alpha)]
        if any(_p(m) <= options.alpha for m in tested):
            named = self._features(evidence)
            what = f"Something changed: trained's answers have {named}" if named else "Something changed"
            return finding(
                rule,
                "informational",
                "note",
                "; ".join(end for end in (what, *ends) if end),
                cited,
                attached(evidence, "omnibus", limit=options.examples),
                artifacts=(*_present(evidence, FEATURES), *_present(evidence, "behaviour.omnibus_examples")),
            )
        interval = None if auroc is None else auroc.interval
        margin = options.auroc_margin
        if interval is not None and _CHANCE - margin < interval.low and interval.high < _CHANCE + margin:
            lead = f"Nothing changed that a classifier could tell: its interval lies within {_CHANCE} ± {margin:.3g}"
            passed = finding(rule, "pass", "none", f"{lead}; {facts}", cited)
            return open_where_missing(passed, evidence, (MMD, AUROC))
        lead = "Whether anything changed is undecided"
        if auroc is not None and interval is not None:
            smallest = smallest_detectable(interval, auroc.n)
            if smallest is not None:
                lead += (
                    f": no test is significant, but a classifier's AUROC below {_CHANCE + smallest:.2f} would be missed"
                )
        return finding(rule, "open", "note", "; ".join(end for end in (lead, *ends) if end), cited)

    def _features(self, evidence: Evidence) -> str | None:
        found = evidence.read_artifact(FEATURES) or {}
        rows = [row for row in found.get("features", ()) if isinstance(row, dict)]
        return in_words(rows, excerpts=evidence.excerpts, limit=self._options.features)


def _p(measurement: Measurement) -> float:
    test = measurement.test
    if test is None:
        return 1.0
    return test.p_value if test.p_adjusted is None else test.p_adjusted


def _told(measurement: Measurement) -> str:
    text = f"{NAMES[measurement.metric]} {measurement.value:.3g}"
    if measurement.interval is not None:
        text += f" [{measurement.interval.low:.3g}, {measurement.interval.high:.3g}]"
    p = _p(measurement)
    correction = measurement.test.correction if measurement.test is not None else None
    chance = "p < 0.0001" if p < 1e-4 else f"p = {p:.3g}"
    return f"{text} (n = {measurement.n}, {chance}{f' {correction}' if correction else ''})"


def _present(evidence: Evidence, artifact: str) -> tuple[str, ...]:
    return () if evidence.read_artifact(artifact) is None else (artifact,)
