"""Findings on next-token distributions. Imports no NumPy.

| rule | informational | pass | open |
|---|---|---|---|
| `distribution_shift` | the interval of KL of texts, prompts or answers lies above the margin | all lie below | else |
| `forgetting` | the interval of the log ratio lies above the margin and p ≤ α, of the whole or a domain | that of the whole lies below | else |
| `off_support` | a reading holds (below) | the intervals of both excesses lie below the margin | else |

Readings, with the margins m (NLL) and e (entropy), each by whole intervals and p ≤ α: *off-support*: excess of trained
> m and base's surprise > m; *sharpening*: base's surprise < m and the change of entropy < −e; *forgetting of base's
ways*: excess of base > m.
"""  # noqa: E501

from __future__ import annotations

import math
from collections.abc import Iterator

from afterburn_behaviour.distribution.names import (
    CONTEXTS,
    CROSS,
    DIFFERENCES,
    DIVERGENCE,
    PERPLEXITY,
    SOURCES,
    in_words,
    part,
)
from afterburn_behaviour.distribution.options import DistributionOptions
from afterburn_behaviour.serving import caveat
from afterburn_behaviour.shift import is_identical
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.excerpts import withhold
from afterburn_core.result.identity import finding
from afterburn_core.result.model import Example, Finding, Measurement, Scope

SHOWN = 3
_NATS = "nats per token"


class DistributionJudge:
    """Detector `behaviour.distribution`."""

    def __init__(self, options: DistributionOptions) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        yield self._shift(evidence)
        yield self._forgetting(evidence)
        yield self._support(evidence)

    def _shift(self, evidence: Evidence) -> Finding:
        rule, margin, whole = "behaviour.distribution_shift", self._options.kl_margin, evidence.get(f"{DIVERGENCE}kl")
        if whole is None or whole.value is None:
            return _open(rule, "Next-token distributions", whole)
        if is_identical(whole):
            message = f"Next-token distributions: no difference at any token, n = {whole.n}"
            return finding(rule, "pass", "none", message, [whole])
        by_source = [evidence.get(f"{DIVERGENCE}kl", scope=part(source=name)) for name in SOURCES]
        # each kind of text by itself: many untouched texts must not thin out a few changed answers
        judged = sorted((m for m in by_source if m is not None and m.value is not None), key=_size, reverse=True)
        judged = judged or [whole]
        cited = [whole, *judged]
        told = ", ".join(f"{in_words(m.scope)} {_told(m)} (n = {m.n})" for m in judged)
        numbers = f"KL in {_NATS} of {told}, margin {margin:g}"
        flips = evidence.get(f"{DIVERGENCE}flip_rate")
        if flips is not None and flips.value is not None:
            numbers += f"; another most probable token at {_share(flips)} of all tokens"
            cited.append(flips)
        for control in evidence.all(f"{DIVERGENCE}control_kl"):
            if control.value is not None:
                name = (control.scope.subset or "").removeprefix("control=")
                numbers += f"; control {name} {control.value:.2g}"
                cited.append(control)
        if any(m.interval is not None and m.interval.low > margin for m in judged):
            most = max(_finer(evidence), key=_size, default=whole)
            if _size(most) > _size(judged[0]):
                numbers += f"; most in {in_words(most.scope)}: {most.value:.2g}"
                cited.append(most)
            return finding(
                rule,
                "informational",
                "note",
                f"Next-token distributions shifted: {numbers}; read the most diverging contexts",
                cited,
                artifacts=_present(evidence, CONTEXTS),
            )
        if all(m.interval is not None and m.interval.high < margin for m in judged):
            return finding(rule, "pass", "none", f"Next-token distributions equivalent: {numbers}", cited)
        unsure = next(m for m in judged if m.interval is None or m.interval.high >= margin)
        message = f"Next-token distributions undecided: {numbers}{_more(unsure, margin)}"
        return finding(rule, "open", "note", message, cited)

    def _forgetting(self, evidence: Evidence) -> Finding:
        rule, margin = "behaviour.forgetting", self._options.nll_margin
        m = evidence.get(f"{PERPLEXITY}log_ratio")
        if m is None or m.value is None:
            return _open(rule, "Forgetting", m)
        if is_identical(m):
            return finding(rule, "pass", "none", f"Plain text is predicted exactly as before, n = {m.n}", [m])
        sides = [evidence.value(f"{PERPLEXITY}nll", subjects=(side,)) for side in ("base", "trained")]
        numbers = f"{_told(m, signed=True)} {_NATS}, perplexity ×{math.exp(min(m.value, 700.0)):.3g}"
        if None not in sides:
            numbers += f", NLL from {sides[0]:.3g} to {sides[1]:.3g}"
        numbers += f" (n = {m.n}{_chance(m)}, margin {margin:g})"
        domains = [d for d in evidence.all(f"{PERPLEXITY}log_ratio") if d.scope != Scope() and d.value is not None]
        worse = sorted((d for d in domains if self._above(d, margin)), key=lambda d: (-(d.value or 0.0), d.id))
        told = "; ".join(f"{in_words(d.scope)} {_told(d, signed=True)}" for d in worse[:SHOWN])
        cited = [m, *worse]
        if self._above(m, margin):
            message = f"Trained predicts plain text worse: {numbers}{f'; most {told}' if told else ''}"
            return finding(rule, "informational", "note", message, cited)
        if worse:
            message = f"Trained predicts {len(worse)} of {len(domains)} domains worse: {told}; all texts {numbers}"
            return finding(rule, "informational", "note", message, cited)
        if m.interval is not None and m.interval.high < margin:
            how = "better than" if m.interval.high < 0 else "no worse than"
            return finding(rule, "pass", "none", f"Trained predicts plain text {how} base: {numbers}", cited)
        return finding(rule, "open", "note", f"Forgetting undecided: {numbers}{_more(m, margin)}", cited)

    def _support(self, evidence: Evidence) -> Finding:
        rule, m, e = "behaviour.off_support", self._options.nll_margin, self._options.entropy_margin
        names = ("excess_trained", "excess_base", "base_surprise", "entropy")
        trained, base, surprise, entropy = (evidence.get(f"{CROSS}{name}") for name in names)
        cited = [one for one in (trained, base, surprise, entropy) if one is not None]
        missing = next((one for one in (trained, base) if one is None or one.value is None), trained)
        if trained is None or base is None or trained.value is None or base.value is None:
            return _open(rule, "Whose answers surprise whom", missing, cited)
        if is_identical(trained) and is_identical(base):
            return finding(rule, "pass", "none", f"Both sides find all answers equally likely, n = {trained.n}", cited)
        end = caveat(evidence, alpha=self._options.alpha)
        margins = f"n = {trained.n}, margin {m:g}"
        readings = []
        if self._above(trained, m) and self._above(surprise, m):
            readings.append(
                f"off-support: base finds trained's answers {_told(trained)} {_NATS} more surprising than trained does "
                f"and {_told(surprise, signed=True)} than its own"
            )
        elif self._below(surprise, m) and self._falls(entropy, e):
            readings.append(
                f"sharpening: trained's answers surprise base no more than its own ({_told(surprise, signed=True)} "
                f"{_NATS}), and are written with {_told(entropy, signed=True)} entropy, margin {e:g}"
            )
        elif self._above(trained, m):
            readings.append(
                f"trained's answers are {_told(trained)} {_NATS} less likely under base than under trained; "
                f"off-support or sharpening is undecided (against base's own answers "
                f"{_told(surprise, signed=True)}, entropy {_told(entropy, signed=True)})"
            )
        if self._above(base, m):
            readings.append(
                f"forgetting of base's ways: base's answers are {_told(base)} {_NATS} less likely under trained"
            )
        if readings:
            message = f"Answers moved ({margins}): {'; '.join(readings)}"
            return finding(
                rule,
                "informational",
                "note",
                f"{message}; {end}" if end else message,
                cited,
                _surprising(evidence),
                artifacts=_present(evidence, DIFFERENCES),
            )
        numbers = f"trained's answers {_told(trained)}, base's answers {_told(base)} {_NATS} ({margins})"
        if self._below(trained, m) and self._below(base, m):
            return finding(rule, "pass", "none", f"Both sides find each other's answers as likely: {numbers}", cited)
        message = f"Whose answers surprise whom is undecided: {numbers}{_more(trained, m)}"
        return finding(rule, "open", "note", f"{message}; {end}" if end else message, cited)

    def _above(self, m: Measurement | None, margin: float) -> bool:
        """Whether the whole interval lies above the margin, and chance is ruled out."""
        return m is not None and m.interval is not None and m.interval.low > margin and _p(m) <= self._options.alpha

    def _below(self, m: Measurement | None, margin: float) -> bool:
        return m is not None and m.interval is not None and m.interval.high < margin

    def _falls(self, m: Measurement | None, margin: float) -> bool:
        return m is not None and m.interval is not None and m.interval.high < -margin and _p(m) <= self._options.alpha


def _open(rule: str, what: str, m: Measurement | None, cited: list[Measurement] | None = None) -> Finding:
    why = m.reason if m is not None and m.reason else "nothing was measured"
    return finding(rule, "open", "note", f"{what}: open, {why}", cited or ([m] if m is not None else []))


def _told(m: Measurement | None, *, signed: bool = False) -> str:
    if m is None or m.value is None:
        return "unknown"
    text = _minus(f"{m.value + 0.0:+.2g}" if signed else f"{m.value + 0.0:.2g}")
    if m.interval is None:
        return text
    return f"{text} [{_minus(f'{m.interval.low:.2g}')}, {_minus(f'{m.interval.high:.2g}')}]"


def _minus(text: str) -> str:
    """A number with the sign that tables write."""
    return f"−{text[1:]}" if text.startswith("-") else text


def _share(m: Measurement) -> str:
    text = f"{100 * (m.value or 0.0):.1f} %"
    return text if m.interval is None else f"{text} [{100 * m.interval.low:.1f}, {100 * m.interval.high:.1f}]"


def _p(m: Measurement) -> float:
    if m.test is None:
        return 1.0
    return m.test.p_value if m.test.p_adjusted is None else m.test.p_adjusted


def _chance(m: Measurement) -> str:
    if m.test is None:
        return ""
    p, how = _p(m), f" ({m.test.correction})" if m.test.correction else ""
    return f", p < 0.0001{how}" if p < 1e-4 else f", p = {p:.3g}{how}"


def _more(m: Measurement, margin: float) -> str:
    """How many units would tell a value of this size from the margin, by the width of its interval."""
    if m.interval is None or not m.n or m.value is None or m.value == margin:
        return ""
    reach = (m.interval.high - m.interval.low) / 2
    needed = math.ceil(m.n * (reach / (m.value - margin)) ** 2)
    return f"; about {needed} units would decide" if m.n < needed < 100_000 else ""


def _size(m: Measurement) -> float:
    return m.value or 0.0


def _finer(evidence: Evidence) -> list[Measurement]:
    """KL of the parts that a reader can act on: sources, authors, domains, first tokens."""
    parts = [m for m in evidence.all(f"{DIVERGENCE}kl") if m.scope.subset is not None and m.value is not None]
    return [m for m in parts if not (m.scope.subset or "").startswith("class=")]


def _surprising(evidence: Evidence) -> list[Example]:
    found = evidence.read_artifact(DIFFERENCES) or {}
    rows = [row for row in found.get("examples", ()) if isinstance(row, dict)][:SHOWN]
    examples = []
    for row in rows:
        tokens, prompt = row.get("tokens"), str(row.get("prompt", ""))
        text = "".join(map(str, tokens)) if isinstance(tokens, list) else str(row.get("text", ""))
        if not evidence.excerpts:
            prompt, text = (one if one.startswith("sha256:") else withhold(one) for one in (prompt, text))
        note = f"{row.get('base_nll')} {_NATS} under base, {row.get('trained_nll')} under trained"
        examples.append(Example(label=f"{row.get('id')}: {prompt}", trained=text, note=note))
    return examples


def _present(evidence: Evidence, artifact: str) -> tuple[str, ...]:
    return () if evidence.read_artifact(artifact) is None else (artifact,)
