"""Findings on places in a model: heads, norms, tokens and directions that stand out of the change.

Numbers of this kind say where to look, not what was learnt: at most a finding is for review, at level `note`. A rule is
judged on numbers of the whole model or of each embedding and stream; single places are cited beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.model import Example, Finding, FindingKind, Level, Measurement, Scope
from afterburn_weight.findings import PAIR, finding
from afterburn_weight.options import PlaceOptions
from afterburn_weight.quantisation_options import BEYOND
from afterburn_weight.rounding_judge import is_adapter

_TOKENS = "weight.tokens"
_READOUT = "weight.directions.tokens"


class Places:
    """Detector `weight.places`."""

    def __init__(self, options: PlaceOptions | None = None) -> None:
        self._options = options or PlaceOptions()

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        yield self._heads(evidence)
        yield self._norms(evidence)
        yield self._tokens(evidence)
        yield self._tie(evidence)
        yield self._directions(evidence)

    def _heads(self, evidence: Evidence) -> Finding:
        rule, count = "weight.head_outliers", evidence.get("weight.heads.outliers")
        if count is None:
            return _open(rule, "the number of outlying heads was not measured")
        if count.value is None:
            return _nothing(rule, f"No heads to compare: {count.reason}", [count])
        if count.value == 0:
            return _finding(rule, "pass", f"No head changed more than chance allows ({count.n} compared)", [count])
        named = [
            m
            for metric in ("weight.heads.outlier", "weight.heads.qk.outlier", "weight.heads.ov.outlier")
            for m in evidence.all(metric)
            if m.scope.head is not None and m.value is not None
        ]
        named = sorted(named, key=lambda m: (-(m.value or 0.0), m.id))[: min(self._options.top, int(count.value))]
        where = ", ".join(_head(m) for m in named)
        noun = "head stands out of its" if count.value == 1 else "heads stand out of their"
        message = f"{count.value:.0f} {noun} layer's change" + (f": {where}" if where else "")
        ratio = None if is_adapter(evidence) else evidence.value("weight.quantisation.ratio")
        if ratio is not None and ratio <= BEYOND:
            message += "; the quantised tensors together changed by no more than quantisation steps explain"
        return _finding(rule, "informational", message, [count, *named])

    def _norms(self, evidence: Evidence) -> Finding:
        rule = "weight.norm_drift"
        largest, flipped = evidence.get("weight.norms.relative_max"), evidence.get("weight.norms.flipped")
        if largest is None or flipped is None:
            return _open(rule, "the drift of all norms together was not measured")
        both = [largest, flipped]
        if largest.value is None or flipped.value is None:
            reason = largest.reason or flipped.reason
            return _nothing(rule, f"No norms to compare: {reason}", both)
        if largest.value == 0 and flipped.value == 0:
            return _finding(rule, "pass", "No norm's gain changed", both)
        tensors = [m for m in evidence.tensors("weight.norms.relative") if m.value]
        named = sorted(tensors, key=lambda m: (-(m.value or 0.0), m.id))[: self._options.top]
        where = f", most in {named[0].scope.tensor}" if named else ""
        message = f"Norm gains moved by up to {100 * largest.value:.3g} %{where}"
        if flipped.value:
            noun = "channel" if flipped.value == 1 else "channels"
            message += f"; {flipped.value:.0f} {noun} changed sign or vanished"
        loud = largest.value >= self._options.norm_drift or flipped.value > 0
        return _finding(rule, "review" if loud else "informational", message, [*both, *named])

    def _tokens(self, evidence: Evidence) -> Finding:
        rule = "weight.embedding_rows"
        shares = _by_scope(evidence, "weight.embeddings.concentration")
        largest = _by_scope(evidence, "weight.embeddings.relative_max")
        cited = [*shares.values(), *largest.values()]
        cast = {} if is_adapter(evidence) else _casts(evidence, [m for m in largest.values() if m.value])
        if not cited or shares.keys() != largest.keys():
            return _open(rule, "the change of some embedding was not measured token by token", cited)
        if all(m.value is None for m in largest.values()):
            reason = next(iter(largest.values())).reason
            return _nothing(rule, f"No tokens to compare: {reason}", cited)
        come_and_gone = [
            m for name in ("added", "removed") for m in evidence.all(f"weight.embeddings.{name}") if m.value
        ]
        moved = [m for m in largest.values() if m.value and m.scope.key() not in cast]
        if not moved and not come_and_gone and cast:
            message = "No token's row changed but by rounding to another dtype, and none was added or removed"
            return _finding(rule, "pass", message, [*cited, *cast.values()])
        if not moved and not come_and_gone:
            return _finding(rule, "pass", "No token's row changed, and none was added or removed", cited)
        narrow = [
            m
            for key, m in shares.items()
            if key not in cast and m.value is not None and m.value <= self._options.concentration
        ]
        parts = [
            f"half of the change of {_place(m.scope)} lies in {100 * (m.value or 0):.2g} % of its tokens"
            for m in narrow
        ]
        if moved and not narrow:
            most = max(moved, key=lambda m: (m.value or 0.0, m.id))
            parts.append(f"tokens of {_place(most.scope)} moved by up to {100 * (most.value or 0):.3g} %")
        parts += [
            f"{m.value:.0f} token{'' if m.value == 1 else 's'} {m.metric.rpartition('.')[2]} in {_place(m.scope)}"
            for m in come_and_gone
        ]
        examples = self._examples(evidence, narrow or moved)
        names = ", ".join(repr(example.label) for example in examples[: self._options.top])
        message = "; ".join(parts) + (f"; most: {names}" if names else "")
        kind: FindingKind = "review" if narrow else "informational"
        artifacts = (_TOKENS,) if examples else ()
        text = message[0].upper() + message[1:]
        return _finding(rule, kind, text, [*cited, *come_and_gone], examples=examples, artifacts=artifacts)

    def _examples(self, evidence: Evidence, places: Sequence[Measurement]) -> list[Example]:
        """The tokens that moved most, from the artifact; texts there are withheld already where they must be."""
        document: Mapping[str, Any] = evidence.read_artifact(_TOKENS) or {}
        tables = document.get("tables") or {}
        found: list[Example] = []
        for name in dict.fromkeys(m.scope.tensor for m in places):
            for row in (tables.get(name) or {}).get("moved", ())[: self._options.top]:
                note = f"id {row['id']} of {name}, relative change {row['relative']:.3g}"
                found.append(Example(label=str(row["token"]), note=note))
        return found

    def _tie(self, evidence: Evidence) -> Finding:
        rule = "weight.embedding_tie"
        sides = [evidence.get("weight.embeddings.tied", subjects=(side,)) for side in PAIR]
        known = [m for m in sides if m is not None]
        whole = evidence.get("weight.embeddings.tied")
        if len(known) < 2:
            if whole is not None and whole.value is None and not known:
                return _nothing(rule, f"Nothing to tie: {whole.reason}", [whole])
            return _open(rule, "whether the output head is tied was not measured on both sides", known)
        values = [m.value for m in known]
        if None in values:
            return _nothing(rule, f"No output head to tie: {next(m.reason for m in known if m.value is None)}", known)
        if values[0] != values[1]:
            tied, apart = PAIR if values[0] else PAIR[::-1]
            return _finding(
                rule, "review", f"The output head is tied in the {tied} model and apart in the {apart} one", known
            )
        return _finding(rule, "pass", f"The output head is {'tied' if values[0] else 'apart'} in both models", known)

    def _directions(self, evidence: Evidence) -> Finding:
        rule = "weight.direction_coherence"
        values = _by_scope(evidence, "weight.directions.coherence")
        cosines = _by_scope(evidence, "weight.directions.mean_cosine")
        cited = [*values.values(), *cosines.values()]
        if not cited or values.keys() != cosines.keys():
            return _open(rule, "the directions of some stream were not compared", cited)
        known = [m for m in values.values() if m.value is not None]
        if not known:
            return _nothing(rule, f"No directions to compare: {next(iter(values.values())).reason}", cited)
        if any(m.null is None for m in known):
            return _open(rule, "coherence was measured without the random directions it has to be compared with", cited)
        level = self._options.p_value / len(known)  # as many chances as there are sets
        beyond = [m for m in known if m.null is not None and m.null.p_value <= level]
        shown = max(beyond or known, key=lambda m: (m.value or 0.0, m.id))
        p = shown.null.p_value if shown.null is not None else 1.0
        message = (
            f"The {shown.n} leading directions of {shown.scope.subset or 'the model'} have a coherence of "
            f"{shown.value:.3g} (random directions: p = {p:.2g})"
        )
        if not beyond:
            return _finding(rule, "pass", f"No direction is shared beyond chance. {message}", cited)
        # never for review: blocks trained together share directions in harmless fine-tunes as well
        artifacts = (_READOUT,) if evidence.read_artifact(_READOUT) is not None else ()
        return _finding(rule, "informational", message, cited, artifacts=artifacts)


def _casts(evidence: Evidence, moved: Sequence[Measurement]) -> dict[str, Measurement]:
    """By scope, what shows of an embedding that every entry has the bits of a mere cast."""
    fractions = {m.scope.key(): evidence.get("weight.delta.changed_fraction", scope=m.scope) for m in moved}
    return {key: m for key, m in fractions.items() if m is not None and m.value == 0}


def _by_scope(evidence: Evidence, metric: str) -> dict[str, Measurement]:
    return {m.scope.key(): m for m in evidence.all(metric)}


def _head(measurement: Measurement) -> str:
    scope = measurement.scope
    product = next((name for name in ("qk", "ov") if f".{name}." in measurement.metric), scope.module)
    return f"{product} head {scope.head} of layer {scope.layer} (z = {measurement.value:.3g})"


def _place(scope: Scope) -> str:
    return scope.tensor or "the model"


def _open(rule: str, why: str, cited: Sequence[Measurement] = ()) -> Finding:
    return _finding(rule, "open", f"Cannot be judged: {why}", cited)


def _nothing(rule: str, message: str, cited: Sequence[Measurement]) -> Finding:
    return _finding(rule, "not_applicable", message, cited)


def _finding(
    rule: str,
    kind: FindingKind,
    message: str,
    cited: Sequence[Measurement],
    *,
    examples: Sequence[Example] = (),
    artifacts: tuple[str, ...] = (),
) -> Finding:
    level: Level = "note" if kind in {"open", "review", "informational"} else "none"
    return finding(rule, kind, level, message, cited, examples, artifacts=artifacts)
