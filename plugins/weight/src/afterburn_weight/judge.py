"""Findings of the weight plugin: pure functions from measurements to judgements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.model import Example, Finding, FindingKind, Level, Measurement, Scope
from afterburn_weight.documents import ARTIFACT, as_text, withhold
from afterburn_weight.findings import PAIR, finding
from afterburn_weight.options import ChangeOptions
from afterburn_weight.quantisation_options import BEYOND
from afterburn_weight.rounding_judge import beside, is_adapter, judge_rounding

_EXCERPT = 300
# parts of the names of configuration keys that decide what the network computes
_LOUD = (
    "architectures",
    "eps",
    "head_dim",
    "hidden",
    "intermediate",
    "model_type",
    "num_",
    "quantization",
    "rope",
    "scaling",
    "softcap",
    "tie_word_embeddings",
    "token_id",
    "window",
)


class Judge:
    """Detector `weight.judge`."""

    def __init__(self, options: ChangeOptions) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        yield self._change(evidence)
        yield self._coverage(evidence)
        yield from self._nonfinite(evidence)
        yield judge_rounding(evidence, self._options.rounding_ratio)
        for name, noun in (
            ("config", "configuration key"),
            ("generation_config", "decoding default"),
            ("tokenizer", "tokenizer setting"),
            ("chat_template", "chat template"),
            ("vocabulary", "token"),
        ):
            yield self._document(evidence, name, noun)

    def _change(self, evidence: Evidence) -> Finding:
        relative = evidence.get("weight.delta.relative")
        fraction = evidence.get("weight.delta.changed_fraction")
        tensors = [m for m in evidence.tensors("weight.delta.changed_fraction") if m.value is not None]
        if relative is None or fraction is None or fraction.value is None or not tensors:
            return finding("weight.change", "open", "note", "No tensor could be compared")
        moved = {m.scope.tensor for m in evidence.tensors("weight.delta.norm") if m.value}
        changed = [m for m in tensors if m.value or m.scope.tensor in moved]
        # the whole model is asked too: the number of a changed tensor may be missing from the evidence
        if not changed and fraction.value == 0 and relative.value == 0:
            if fraction.reason is not None:
                message = f"No weight differs in {_count(len(tensors), 'tensor')}; {fraction.reason}"
                return finding("weight.change", "open", "note", message, [relative, fraction])
            message = f"No weight differs: all {len(tensors)} compared tensors {_alike(evidence)}"
            left_out = sum(m.value is None for m in evidence.tensors("weight.delta.changed_fraction"))
            if left_out:
                message += f"; {_count(left_out, 'tensor')} could not be compared"
            unexplained = evidence.get("weight.coverage.unexplained")
            if unexplained is None or unexplained.value != 0:  # what was not compared was not found unchanged
                return finding("weight.change", "open", "note", message, [relative, fraction])
            return finding("weight.change", "pass", "none", message, [relative, fraction, unexplained])
        if fraction.value == 0 and not is_adapter(evidence):
            message = (
                f"{len(changed)} of {len(tensors)} tensors differ from the base by rounding to another dtype alone; "
                "no weight was trained"
            ) + beside(fraction)
            return finding("weight.change", "informational", "note", message, [relative, fraction])
        places = _largest(evidence, self._options.top)
        size = f"relative change {_percent(relative.value)}" if relative.value is not None else "base norm is zero"
        where = f", most in {_name(places[0].scope)} ({_percent(places[0].value)})" if places else ""
        ratios = {} if is_adapter(evidence) else _quantisation_ratios(evidence)
        packed = [m for m in changed if m.scope.tensor in ratios]
        within = sum(ratios[m.scope.tensor] <= BEYOND for m in packed)
        # the bits of these are those of a cast
        rounded = 0 if is_adapter(evidence) else sum(not m.value for m in changed if m.scope.tensor not in ratios)
        more = len(changed) - rounded - within
        if packed and not more:
            message = (
                f"{within} of {len(tensors)} tensors differ by no more than quantisation steps explain: {size}{where}"
            )
        elif packed:
            message = f"{more} of {len(tensors)} tensors changed by more than quantisation steps explain"
            message += f", {within} by no more" if within else ""
            message += f": {size}, steps included{where}"
        else:
            message = (
                f"Training changed {more} of {len(tensors)} tensors and {_percent(fraction.value)} of "
                f"the entries: {size}{where}"
            )
        if rounded:
            message += f"; {rounded} more differ by rounding to another dtype alone"
        beyond = evidence.get("weight.quantisation.ratio") if packed else None
        cited = [relative, fraction, *places, *([beyond] if beyond is not None else [])]
        turned = _typical_turn(evidence)
        if turned is not None and turned.value is not None and turned.value >= self._options.unrelated:
            cosine = round(1 - turned.value, 2) + 0.0  # no negative zero
            message += (
                f"; the weights of {turned.scope.module} point elsewhere (cosine {cosine:.2f}), and so do "
                "most, as in models that do not come from one another: check that training began from this base"
            )
            return finding("weight.change", "review", "warning", message, [*cited, turned])
        return finding("weight.change", "informational", "note", message, cited)

    def _coverage(self, evidence: Evidence) -> Finding:
        rule = "weight.incomplete_coverage"
        whole, unexplained = evidence.get("weight.coverage"), evidence.get("weight.coverage.unexplained")
        if whole is None or unexplained is None or whole.value is None or unexplained.value is None:
            return finding(rule, "open", "warning", "Coverage could not be computed: there are no parameters")
        parts = list(evidence.tensors("weight.coverage"))
        examples = [Example(label=m.scope.tensor or "", note=m.reason) for m in parts[: self._options.examples]]
        if unexplained.value > 0:
            lost = [m.scope.tensor or "" for m in parts if (m.value or 0.0) < 1]
            named = f": {', '.join(lost[:2])}{', …' if len(lost) > 2 else ''}" if lost else ""
            message = (
                f"{_percent(unexplained.value)} of the parameters could not be compared "
                f"({_count(len(parts), 'tensor')}{named}); "
                f"coverage is {_percent(whole.value)}"
            )
            return finding(rule, "review", "warning", message, [whole, unexplained, *parts], examples)
        if whole.value < 1:
            message = f"{_percent(whole.value)} of the parameters compared; the rest belongs to added or removed tokens"
            return finding(rule, "pass", "none", message, [whole, unexplained, *parts], examples)
        return finding(rule, "pass", "none", "All parameters were compared", [whole, unexplained])

    def _nonfinite(self, evidence: Evidence) -> Iterator[Finding]:
        rule = "weight.nonfinite_values"
        broken = [m for m in evidence.tensors("weight.nonfinite") if m.value]
        total = evidence.get("weight.nonfinite")
        if total is not None and total.value == 0:
            yield finding(rule, "pass", "none", "All compared weights are finite", [total])
            return
        if total is not None and total.value and not broken:
            message = f"The models hold {total.value:.0f} NaN or infinite values, in tensors the evidence lacks"
            yield finding(rule, "fail", "error", message, [total])
        for measurement in broken:
            side, tensor = measurement.subjects[0], measurement.scope.tensor
            message = f"{tensor} of the {side} model holds {measurement.value:.0f} NaN or infinite values"
            yield finding(
                rule, "fail", "error", message, [measurement], scope=measurement.scope, subjects=measurement.subjects
            )

    def _document(self, evidence: Evidence, name: str, noun: str) -> Finding:
        rule, measured = f"weight.{name}_change", evidence.get(f"weight.{name}.changed")
        if measured is None:
            return finding(rule, "open", "warning", f"Not measured: {rule.removesuffix('_change')}.changed")
        if measured.value is None:
            return finding(rule, "not_applicable", "none", f"No {noun} to compare: {measured.reason}", [measured])
        if measured.value == 0:
            return finding(rule, "pass", "none", f"No {noun} differs", [measured])
        rows: Sequence[dict[str, Any]] = (evidence.read_artifact(ARTIFACT) or {}).get(name, ())
        shown = rows[: self._options.examples]
        examples = [_example(row, evidence.excerpts) for row in shown]
        names = ", ".join(str(row["key"]) for row in shown[:3])
        message = f"{_count(int(measured.value), noun)} changed" + (
            f": {names}" if names and name != "vocabulary" else ""
        )
        # a configuration whose differences are not at hand might hide a loud one
        loud = name in {"chat_template", "generation_config", "tokenizer"} or (
            name == "config" and (not rows or any(_is_loud(str(row["key"])) for row in rows))
        )
        level: Level = "warning" if loud else "note"
        kind: FindingKind = "review" if loud else "informational"
        artifacts = (ARTIFACT,) if rows else ()
        return finding(rule, kind, level, message, [measured], examples, artifacts=artifacts)


def _is_loud(key: str) -> bool:
    return any(word in key for word in _LOUD)


def _quantisation_ratios(evidence: Evidence) -> dict[str | None, float]:
    """Change over the floor of quantisation, by tensor stored quantised on a side."""
    return {m.scope.tensor: m.value for m in evidence.tensors("weight.quantisation.ratio") if m.value is not None}


def _alike(evidence: Evidence) -> str:
    """What is true of tensors none of whose entries differ; a wider dtype holds the same values in other bits."""
    stored = [subject.dtypes for subject in evidence.subjects if subject.role in PAIR]
    same = all(dtypes == stored[0] for dtypes in stored) or len({name for dtypes in stored for name in dtypes}) == 1
    return "are bit-identical" if same or is_adapter(evidence) else "hold equal values, some in another dtype"


def _typical_turn(evidence: Evidence) -> Measurement | None:
    """The median, over kinds of matrices, of the cosine distance; gains of norms are alike in all models."""
    kinds = [
        m
        for m in evidence.all("weight.delta.cosine_distance")
        if m.value is not None
        and m.scope.tensor is None
        and m.scope.layer is None
        and m.scope.module not in {None, "norm", "bias", "position"}
    ]
    return sorted(kinds, key=lambda m: (m.value or 0.0, m.id))[(len(kinds) - 1) // 2] if kinds else None


def _largest(evidence: Evidence, top: int) -> list[Measurement]:
    """Places of the largest relative change: layer × module cells, else tensors outside any layer."""
    cells = [
        m
        for m in evidence.all("weight.delta.relative")
        if m.value is not None and m.scope.tensor is None and m.scope.layer is not None and m.scope.module is not None
    ]
    loose = [m for m in evidence.tensors("weight.delta.relative") if m.value is not None and m.scope.layer is None]
    return sorted([*cells, *loose], key=lambda m: (-(m.value or 0.0), m.id))[:top]


def _example(row: dict[str, Any], excerpts: bool) -> Example:
    sides = {side: _text(row[side], excerpts) for side in PAIR if side in row}
    return Example(label=str(row["key"]), note=None if len(sides) == 2 else f"only in {next(iter(sides))}", **sides)


def _text(value: Any, excerpts: bool) -> str:
    text = as_text(value)
    if not excerpts:
        return withhold(text)
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}… ({len(text)} characters)"


def _name(scope: Scope) -> str:
    if scope.tensor is not None:
        return scope.tensor
    stack = f"{scope.subset} " if scope.subset else ""
    return f"{stack}layer {scope.layer} {scope.module}"


def _percent(value: float | None) -> str:
    if value is None:
        return "undefined"
    percent = 100 * value
    if percent == 0:
        return "0 %"
    if value < 1 and percent > 99.95:  # 99.999 must not read as all
        return f"{percent:.6g} %" if percent < 99.9999995 else "just under 100 %"
    return f"{percent:.3g} %"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
