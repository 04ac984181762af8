"""Findings on how texts are written: pure functions from measurements to judgements. Imports no NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import exp

import attrs

from afterburn_behaviour.examples import attached
from afterburn_behaviour.serving import serving
from afterburn_behaviour.shift import (
    Quantity,
    change,
    is_identical,
    level,
    open_where_missing,
    shift_finding,
)
from afterburn_behaviour.style.names import ARTIFACT, PATTERNS, STRATEGIES
from afterburn_behaviour.style.options import StyleOptions
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import finding
from afterburn_core.result.model import Finding, Measurement, Scope

_NOUNS = {"list": "bullet lists", "numbered": "numbered lists", "exclamation": "exclamation marks"}


class StyleJudge:
    """Detector `behaviour.style`."""

    def __init__(self, options: StyleOptions) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        yield self._length(evidence)
        yield self._format(evidence)
        yield self._strategy(evidence)
        yield self._refusal(evidence)
        yield self._decoding(evidence)

    def _length(self, evidence: Evidence) -> Finding:
        options = self._options
        ratio = evidence.get("behaviour.length.log_ratio")
        restricted = evidence.get("behaviour.length.restricted_log_ratio")
        remarks = [ratio.reason] if ratio is not None and ratio.reason else []
        if restricted is not None and restricted.value is not None:
            remarks.append(f"of lengths up to the common limit: {_ratio(restricted)} ({restricted.reason})")
        words = evidence.get("behaviour.length.words_log_ratio")
        parts = [m for m in evidence.all("behaviour.length.log_ratio") if m.scope.subset is not None]
        most = max((m for m in parts if _found(m, options.alpha)), key=lambda m: abs(m.value or 0.0), default=None)
        if most is not None:  # chosen for its size, so it has to stand after correction for all that were looked at
            remarks.append(f"most, of {len(parts)} parts, in {most.scope.subset}: {_ratio(most)}")
        found = shift_finding(
            "behaviour.length_shift",
            evidence,
            [Quantity(noun="length", scale="log_ratio", margin=options.length_margin, measurement=ratio)],
            family="length",
            alpha=options.alpha,
            examples=attached(evidence, "length", limit=options.examples),
            artifacts=_present(evidence, "behaviour.length_distribution"),
            also=[m for m in (restricted, words, most) if m is not None],
            remark="; ".join(remarks) or None,
        )
        censored = restricted is not None or any("censored" in remark for remark in remarks)
        if found.kind == "pass" and censored and not is_identical(ratio):
            # what lies beyond the limit was not seen, so equal lengths up to it prove nothing of the whole
            message = f"{found.message}; undecided all the same, because lengths beyond the limit are unknown"
            return attrs.evolve(found, kind="open", level="note", message=message)
        return found

    def _format(self, evidence: Evidence) -> Finding:
        options = self._options
        quantities = [
            self._rate(evidence, f"behaviour.format.{name}", _NOUNS.get(name, _spoken(name))) for name in PATTERNS
        ]
        entropy = evidence.get("behaviour.format.entropy")
        found = shift_finding(
            "behaviour.format_shift",
            evidence,
            quantities,
            family="format patterns",
            alpha=options.alpha,
            examples=attached(evidence, "format", about=self._moved(quantities, PATTERNS), limit=options.examples),
            artifacts=_present(evidence, "behaviour.format_examples"),
            also=[entropy] if entropy is not None else [],
        )
        return open_where_missing(found, evidence, [f"behaviour.format.{name}" for name in PATTERNS])

    def _strategy(self, evidence: Evidence) -> Finding:
        options = self._options
        quantities = [self._rate(evidence, f"behaviour.strategy.{name}", _spoken(name)) for name in STRATEGIES]
        distance = evidence.get("behaviour.strategy.distance")
        entropy = evidence.get("behaviour.strategy.entropy")
        dominant = [evidence.get("behaviour.strategy.dominant", subjects=(side,)) for side in ("base", "trained")]
        found = shift_finding(
            "behaviour.strategy_shift",
            evidence,
            quantities,
            family="strategies",
            alpha=options.alpha,
            examples=attached(evidence, "strategy", about=self._moved(quantities, STRATEGIES), limit=options.examples),
            artifacts=_present(evidence, "behaviour.strategy_examples"),
            also=[m for m in (distance, entropy, *dominant) if m is not None],
            remark=self._dominance(entropy, *dominant),
        )
        return open_where_missing(found, evidence, [f"behaviour.strategy.{name}" for name in STRATEGIES])

    def _dominance(
        self, entropy: Measurement | None, base: Measurement | None, trained: Measurement | None
    ) -> str | None:
        """What to say of the most common strategies: another one than before, or hardly any other left."""
        options, remarks = self._options, []
        if base is not None and trained is not None and base.reason != trained.reason:
            remarks.append(
                f"the most common was {_label(base)} ({level(base.value or 0.0, 'rate')}) and is {_label(trained)} "
                f"({level(trained.value or 0.0, 'rate')})"
            )
        if (
            entropy is not None
            and entropy.value is not None
            and entropy.value <= -options.collapse_drop
            and entropy.test is not None
            and entropy.test.p_value <= options.alpha
            and trained is not None
            and (trained.value or 0.0) >= options.collapse_share
        ):
            remarks.append(f"variety collapsed by {-entropy.value:.2f} nats, {_label(trained)} dominates")
        return "; ".join(remarks) or None

    def _refusal(self, evidence: Evidence) -> Finding:
        options = self._options
        kinds = (("all", "refusals"), ("unsafe", "refusals of unsafe prompts"), ("safe", "refusals of safe prompts"))
        quantities = [
            self._rate(evidence, "behaviour.refusal.rate", noun, None if kind == "all" else kind)
            for kind, noun in kinds
        ]
        corrected = [
            m
            for kind, _ in kinds
            if (m := evidence.get("behaviour.refusal.corrected", scope=_part(kind))) is not None and m.value is not None
        ]
        agreed = [
            m
            for side in ("base", "trained")
            if (m := evidence.get("behaviour.refusal.agreement", subjects=(side,))) is not None and m.value is not None
        ]
        remark = None
        if agreed:
            told = " and ".join(f"{m.value:.2f} on {m.subjects[0]}" for m in agreed)
            remark = f"agreement of the rules with human labels: kappa {told}"
            whole = next((m for m in corrected if m.scope == Scope() and m.interval is not None), None)
            if whole is not None and whole.value is not None and whole.interval is not None:
                low, high = (
                    change(end, "rate").removesuffix(" points") for end in (whole.interval.low, whole.interval.high)
                )
                remark += f"; corrected for the rules' errors {change(whole.value, 'rate')} [{low}, {high}]"
        return shift_finding(
            "behaviour.refusal_shift",
            evidence,
            quantities,
            family="refusal rates",
            alpha=options.alpha,
            examples=attached(
                evidence, "refusal", about=self._moved(quantities, [kind for kind, _ in kinds]), limit=options.examples
            ),
            artifacts=_present(evidence, "behaviour.refusal_examples"),
            also=[*corrected, *agreed],
            remark=remark,
        )

    def _decoding(self, evidence: Evidence) -> Finding:
        rule, options = "behaviour.decoding_mismatch", self._options
        found = serving(evidence, alpha=options.alpha)
        cited, artifacts = found.measurements, _present(evidence, ARTIFACT)
        if found.differs:
            told = []
            if found.facts_differ and found.differing is not None:
                told.append(f"decoding differs: {found.differing.reason}")
            if found.truncation_differs and found.truncation is not None:
                base, trained = (_side(evidence, "behaviour.truncation.rate", side) for side in ("base", "trained"))
                told.append(f"shares of cut answers differ: {_percent(base)} of base, {_percent(trained)} of trained")
            message = f"{_upper('; '.join(told))}; shifts of length and format must not be put down to training"
            return finding(rule, "review", "warning", message, cited, artifacts=artifacts)
        noted = evidence.get("behaviour.decoding.noted")
        cited = tuple(m for m in (*cited, noted) if m is not None)
        if found.differing is None or found.unknown is None or noted is None:
            return finding(rule, "open", "warning", "Not measured whether decoding differs", cited, artifacts=artifacts)
        if found.differing.value is None:
            message = f"Decoding not recorded: {found.differing.reason}; shifts may come from serving"
            return finding(rule, "informational", "note", message, cited, artifacts=artifacts)
        if found.unknown.value:
            message = (
                f"What both sides recorded of decoding is equal; not recorded on both sides: {found.unknown.reason}"
            )
            return finding(rule, "informational", "note", message, cited, artifacts=artifacts)
        if noted.value:
            message = f"Decoding is equal on both sides; the models themselves bring other settings: {noted.reason}"
            return finding(rule, "informational", "note", message, cited, artifacts=artifacts)
        message = f"Decoding is equal on both sides in all {found.differing.n} recorded facts"
        return finding(rule, "pass", "none", message, cited, artifacts=artifacts)

    def _rate(self, evidence: Evidence, metric: str, noun: str, subset: str | None = None) -> Quantity:
        place = Scope(subset=subset)
        return Quantity(
            noun=noun,
            scale="rate",
            margin=self._options.rate_margin,
            measurement=evidence.get(metric, scope=place),
            base=evidence.value(metric, subjects=("base",), scope=place),
            trained=evidence.value(metric, subjects=("trained",), scope=place),
        )

    def _moved(self, quantities: Iterable[Quantity], names: Sequence[str]) -> list[str]:
        """Names of the quantities that changed, the largest change first."""
        sizes = {
            name: abs(q.measurement.value)
            for name, q in zip(names, quantities, strict=True)
            if q.measurement is not None and q.measurement.value
        }
        return sorted(sizes, key=lambda name: -sizes[name])


def _part(kind: str) -> Scope:
    return Scope() if kind == "all" else Scope(subset=kind)


def _found(measurement: Measurement, alpha: float) -> bool:
    test = measurement.test
    return test is not None and (test.p_value if test.p_adjusted is None else test.p_adjusted) <= alpha


def _ratio(measurement: Measurement) -> str:
    text = f"×{exp(measurement.value or 0.0):.2f}"
    if measurement.interval is not None:
        text += f" [×{exp(measurement.interval.low):.2f}, ×{exp(measurement.interval.high):.2f}]"
    return text


def _side(evidence: Evidence, metric: str, side: str) -> float | None:
    return evidence.value(metric, subjects=(side,))


def _percent(value: float | None) -> str:
    return "an unknown share" if value is None else f"{100 * value:.1f} %"


def _label(measurement: Measurement) -> str:
    return (measurement.reason or "").removeprefix("label ").replace("_", " ")


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _present(evidence: Evidence, identifier: str) -> tuple[str, ...]:
    return (identifier,) if evidence.read_artifact(identifier) else ()
