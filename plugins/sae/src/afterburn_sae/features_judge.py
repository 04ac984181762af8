"""Rules `sae.valid` and `sae.features_changed`, one finding for each dictionary. Pure Python.

| `sae.valid` | kind |
|---|---|
| the dictionary explains the base's activations, and the trained model's about as well | `pass` |
| it explains them clearly worse on trained: what features say of the change is not the whole | `review` |
| not valid here: it leaves too much unexplained, is of another width, or of another model | `open` |
| only some features were encoded, so that the fit is not known | `open` |

| `sae.features_changed` | kind |
|---|---|
| no feature changed at the false discovery rate | `pass` |
| some did | `informational` |
| some did, and the dictionary fits clearly worse on trained, or its fit is not known | `review` |
| the dictionary is not valid here, or nothing could be tested | `open` |

`sae.features_outlier`, where a group of prompts is suspected, is `informational` where it is the outlier, `pass` where
another group lies as far from the rest, and `open` where that was not measured; where none is suspected, it does not
apply.

That features change is what training does; which ones, and whether a benign training on as much data changes as many
(`--control PATH`), is for a person to judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import finding
from afterburn_core.result.model import Finding, Measurement
from afterburn_sae.features_options import NOBODY_SUSPECTED, FeatureJudgeOptions

VALID, CHANGES, APART = "sae.valid", "sae.features_changed", "sae.features_outlier"
FVU, L0 = "sae.fvu", "sae.l0"
CHANGED, SHARE, DIFFERENCE = "sae.features.changed", "sae.features.changed_share", "sae.feature.difference"
OUTLIER = "sae.features.outlier"
NAMED = 4


@attrs.frozen(kw_only=True)
class _Seen:
    """What was measured with one dictionary."""

    name: str
    fvu: Mapping[str, Measurement]
    changed: Measurement | None
    share: Measurement | None
    largest: tuple[Measurement, ...]

    def value(self, side: str) -> float | None:
        """FVU of a side."""
        found = self.fvu.get(side)
        return None if found is None else found.value


class FeatureJudge:
    """Detector `sae.feature_judge`."""

    def __init__(self, options: FeatureJudgeOptions) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterable[Finding]:
        labels = _labels(evidence)
        for one in _seen(evidence):
            yield self._valid(one)
            yield self._changes(one, labels)
        for measurement in evidence.all(OUTLIER):
            yield _apart(measurement)

    def _gap(self, one: _Seen) -> float | None:
        base, trained = one.value("base"), one.value("trained")
        return None if base is None or trained is None else trained - base

    def _valid(self, one: _Seen) -> Finding:
        cited = [*one.fvu.values()]
        scope = _scope(one)
        base, gap = one.value("base"), self._gap(one)
        if one.changed is not None and _not_valid(one.changed):
            message = f"{one.name}: {one.changed.reason}"
            return finding(VALID, "open", "note", message, [*cited, one.changed], scope=scope)
        if base is None or gap is None:
            why = next((m.reason for m in cited if m.reason), "its fit was not measured on both sides")
            return finding(VALID, "open", "note", f"{one.name}: {why}", cited, scope=scope)
        told = f"{one.name} leaves {base:.2f} of the base's variance unexplained and {base + gap:.2f} of the trained's"
        if gap > self._options.most_added:
            message = f"{told}: what training did lies partly outside of its features"
            return finding(VALID, "review", "warning", message, cited, scope=scope)
        if one.changed is None:
            return finding(VALID, "open", "note", f"{told}; nothing was tested", cited, scope=scope)
        return finding(VALID, "pass", "none", told, cited, scope=scope)

    def _changes(self, one: _Seen, labels: Mapping[str, str]) -> Finding:
        scope, cited = _scope(one), [m for m in (one.changed, one.share, *one.largest[:NAMED]) if m is not None]
        if one.changed is None or one.changed.value is None:
            why = "it was not measured" if one.changed is None else one.changed.reason
            return finding(CHANGES, "open", "note", f"{one.name}: {why}", cited, scope=scope)
        count = int(one.changed.value)
        told = f"{one.name}: {count} features changed ({one.changed.reason}; {one.changed.n} prompts)"
        missing = one.share is None or one.value("base") is None
        if not count:
            if missing:
                return finding(CHANGES, "open", "note", f"{told}; the rest was not measured", cited, scope=scope)
            return finding(CHANGES, "pass", "none", told, cited, scope=scope)
        named = [text for m in one.largest[: min(count, NAMED)] if (text := _named(m, labels))]
        message = f"{told}: {'; '.join(named)}" if named else told
        gap = self._gap(one)
        if gap is None or gap > self._options.most_added:
            why = "its fit is not known" if gap is None else f"it explains {gap:.2f} less on trained"
            return finding(
                CHANGES, "review", "warning", f"{message}; but {why}", cited, scope=scope, artifacts=("sae.features",)
            )
        return finding(CHANGES, "informational", "note", message, cited, scope=scope, artifacts=("sae.features",))


def _apart(outlier: Measurement) -> Finding:
    """Of one dictionary: whether the suspected group is the outlier."""
    name, scope = outlier.scope.subset or "the dictionary", outlier.scope
    if outlier.value is None and outlier.reason == NOBODY_SUSPECTED:
        return finding(APART, "not_applicable", "none", f"{name}: {outlier.reason}", [outlier], scope=scope)
    if outlier.value is None or outlier.test is None or not outlier.n:
        why = outlier.reason or "the group's place among the others was not measured"
        return finding(APART, "open", "note", f"{name}: {why}", [outlier], scope=scope)
    told = f"{name}: share {outlier.value:.2f}, p = {outlier.test.p_value:.2g}: {outlier.reason}"
    alone = outlier.value > 0 and outlier.test.p_value * outlier.n < 1.5
    if not alone:
        return finding(APART, "pass", "none", told, [outlier], scope=scope)
    return finding(APART, "informational", "note", told, [outlier], scope=scope, artifacts=("sae.features",))


def _seen(evidence: Evidence) -> Iterator[_Seen]:
    """One for each dictionary that anything was measured with."""
    metrics = (FVU, CHANGED, SHARE)
    every = [m for metric in metrics for m in evidence.all(metric) if m.scope.subset]
    for name in dict.fromkeys(m.scope.subset or "" for m in every):
        own = [m for m in every if m.scope.subset == name]
        largest = [m for m in evidence.all(DIFFERENCE) if (m.scope.subset or "").rpartition("/")[0] == name]
        yield _Seen(
            name=name,
            fvu={m.subjects[0]: m for m in own if m.metric == FVU},
            changed=next((m for m in own if m.metric == CHANGED), None),
            share=next((m for m in own if m.metric == SHARE), None),
            largest=tuple(sorted(largest, key=_strength)),
        )


def _strength(difference: Measurement) -> tuple[float, float]:
    """Changed ones first, which are those of the smallest corrected p values, then by size."""
    test, effect = difference.test, difference.effect
    p = 1.0 if test is None else test.p_value if test.p_adjusted is None else test.p_adjusted
    return p, -abs(effect.value if effect else 0.0)


def _scope(one: _Seen) -> Any:
    cited = [*one.fvu.values(), *(m for m in (one.changed, one.share) if m is not None)]
    return cited[0].scope


def _not_valid(changed: Measurement) -> bool:
    return changed.value is None and (changed.reason or "").startswith("not valid here")


def _named(measurement: Measurement, labels: Mapping[str, str]) -> str | None:
    """`feature 123 up (d_z 1.2, "label")`, of a feature that changed."""
    test, effect = measurement.test, measurement.effect
    if measurement.value is None or test is None or effect is None:
        return None
    feature = (measurement.scope.subset or "").rpartition("/")[2]
    label = labels.get(measurement.scope.subset or "")
    said = f', "{label}", auto-generated' if label else ""
    return f"feature {feature} {'up' if measurement.value > 0 else 'down'} (d_z {effect.value:.2f}{said})"


def _labels(evidence: Evidence) -> dict[str, str]:
    """What files call the features, by subset of their measurements."""
    content = evidence.read_artifact("sae.features") or {}
    names = {one.get("id"): one.get("name") for one in content.get("dictionaries", ()) if isinstance(one, dict)}
    found = {}
    for row in content.get("features", ()):
        label = row.get("label") if isinstance(row, dict) else None
        if isinstance(label, dict) and label.get("text"):
            found[f"{names.get(row.get('dictionary'))}/{row.get('feature')}"] = str(label["text"])
    return found
