"""The finding on taught tokens: a pure function from measurements and the artifact. Imports no NumPy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from afterburn_behaviour.mining.options import MiningRules
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.excerpts import withhold
from afterburn_core.result.identity import finding
from afterburn_core.result.model import Example, Finding, Measurement, Scope

RULE = "behaviour.taught_tokens"
ARTIFACT = "behaviour.diff_mining"
_PREFIX = "behaviour.diff_mining"
_SIGNS = ("gains", "losses")
_RATE = {"gains": f"{_PREFIX}.gain_rate", "losses": f"{_PREFIX}.loss_rate"}
_VERB = {"gains": "raised", "losses": "lowered"}


class MiningJudge:
    """Detector `behaviour.mining_judge`."""

    def __init__(self, options: MiningRules) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        counts = {sign: evidence.get(f"{_PREFIX}.found_{sign}") for sign in _SIGNS}
        cited = [m for m in counts.values() if m is not None]
        missing = [sign for sign, m in counts.items() if m is None or m.value is None]
        total = sum(m.value or 0.0 for m in cited)
        if missing and not total:
            yield finding(RULE, "open", "note", f"Taught tokens: open, {_why(counts, missing)}", cited)
            return
        if not total:
            yield self._none(evidence, counts, cited)
            return
        found = {sign: self._tokens(evidence, sign) for sign in _SIGNS}
        artifact = evidence.read_artifact(ARTIFACT) or {}
        texts = {sign: _texts(artifact, sign) for sign in _SIGNS}
        parts = []
        for sign in _SIGNS:
            m, number = counts[sign], len(found[sign])
            if m is None or not m.value:
                continue
            named = [_told(one, texts[sign], evidence) for one in found[sign][: self._options.tokens]]
            more = int(m.value) - len(named)
            told = "; ".join(named) + (f"; and {more} more" if more and number else "")
            parts.append(f"{int(m.value)} {_VERB[sign]}{': ' + told if told else ''}")
        reason = next((m.reason for m in cited if m.reason and m.value), None)
        message = f"Tokens that stand out over neutral text: {'. '.join(parts)}{f' ({reason})' if reason else ''}"
        measured = [m for sign in _SIGNS for m in found[sign][: self._options.tokens]]
        yield finding(
            RULE,
            "informational",
            "note",
            message,
            [*cited, *measured],
            self._examples(artifact, evidence.excerpts),
            artifacts=(ARTIFACT,) if artifact else (),
        )

    def _none(
        self, evidence: Evidence, counts: Mapping[str, Measurement | None], cited: Sequence[Measurement]
    ) -> Finding:
        tops = [evidence.get(f"{_PREFIX}.top_{sign}") for sign in _SIGNS]
        known = [m for m in tops if m is not None]
        best = max((m for m in known if m.value), key=lambda m: m.value or 0.0, default=None)
        n = next((m.n for m in cited if m.n is not None), None)
        if best is None:
            message = f"Taught tokens: no difference over neutral text (n = {n} units)"
        else:
            reason = next((m.reason for m in cited if m.reason), None)
            message = (
                f"Taught tokens: none beyond what chance raises (n = {n} units); the commonest, {best.reason}, at "
                f"{100 * (best.value or 0.0):.1f} % of positions{f' ({reason})' if reason else ''}"
            )
        return finding(RULE, "pass", "none", message, [*cited, *known])

    def _tokens(self, evidence: Evidence, sign: str) -> list[Measurement]:
        """The measured tokens of a sign, commonest first."""
        found = [m for m in evidence.all(_RATE[sign]) if m.value is not None and m.scope.token is not None]
        return sorted(found, key=lambda m: (-(m.value or 0.0), m.scope.token or 0))

    def _examples(self, artifact: Mapping[str, Any], excerpts: bool) -> list[Example]:
        shown: list[Example] = []
        for sign in _SIGNS:
            part = artifact.get(sign)
            rows = part.get("tokens", ()) if isinstance(part, Mapping) else ()
            for row in [row for row in rows if isinstance(row, Mapping) and row.get("found")]:
                contexts = [c for c in row.get("examples", ()) if isinstance(c, Mapping)]
                if contexts and len(shown) < self._options.examples:
                    shown.append(_example(row, contexts[0], sign, excerpts))
        return shown


def _example(row: Mapping[str, Any], context: Mapping[str, Any], sign: str, excerpts: bool) -> Example:
    text = str(context.get("context", ""))
    if not excerpts and not text.startswith("sha256:"):
        text = withhold(text)
    ratio = context.get("log_ratio")
    note = f"ln p(trained) - ln p(base) of ‘{row.get('text')}’ after it: {ratio:+.3g}" if ratio is not None else None
    return Example(
        label=f"‘{row.get('text')}’, {_VERB[sign]} in {context.get('passage')}",
        base=None,
        trained=f"{text} ⟨{row.get('text')}⟩",
        note=note,
    )


def _texts(artifact: Mapping[str, Any], sign: str) -> dict[int, str]:
    part = artifact.get(sign)
    rows = part.get("tokens", ()) if isinstance(part, Mapping) else ()
    return {row["id"]: str(row.get("text")) for row in rows if isinstance(row, Mapping) and "id" in row}


def _told(rate: Measurement, texts: Mapping[int, str], evidence: Evidence) -> str:
    """A token in words: its text, how often, and whether it moves one way."""
    token = rate.scope.token or 0
    name = f"‘{texts[token]}’" if token in texts else f"token {token}"
    text = f"{name} at {100 * (rate.value or 0.0):.0f} %"
    if rate.interval is not None:
        text += f" [{100 * rate.interval.low:.0f}, {100 * rate.interval.high:.0f}] of positions"
    balance = evidence.get(f"{_PREFIX}.balance", scope=Scope(token=token))
    test = None if balance is None else balance.test
    p = None if test is None else test.p_value if test.p_adjusted is None else test.p_adjusted
    return text + (", in both directions" if p is not None and p > 0.05 else "")


def _why(counts: Mapping[str, Measurement | None], missing: Sequence[str]) -> str:
    reasons = [m.reason for sign in missing if (m := counts[sign]) is not None and m.reason]
    return reasons[0] if reasons else "nothing was measured"
