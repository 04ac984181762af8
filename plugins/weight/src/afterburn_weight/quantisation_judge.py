"""The finding on quantisation: what of the change it explains, and where there is more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.model import Finding, FindingKind, Level, Measurement
from afterburn_weight.findings import PAIR, finding
from afterburn_weight.quantisation import ADAPTER, NOT_QUANTISED
from afterburn_weight.quantisation_options import QuantisationOptions

_RULE = "weight.quantised"
# quantisers that do more to weights than round them
_BEYOND = {
    "gptq": "GPTQ itself moves weights by more than rounding",
    "awq": "AWQ itself scales inputs, which shows as a change",
}


class Judge:
    """Detector `weight.quantisation_judge`."""

    def __init__(self, options: QuantisationOptions) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        ratio, floor, excess = (evidence.get(f"weight.quantisation.{name}") for name in ("ratio", "floor", "excess"))
        if ratio is None or floor is None or excess is None:
            yield _finding("open", "Not measured: weight.quantisation")
            return
        known = [ratio, floor, excess]
        if floor.value is None or ratio.value is None or excess.value is None:
            if floor.reason == NOT_QUANTISED:
                yield _finding("not_applicable", "Neither side is quantised", known, level="none")
            elif floor.reason == ADAPTER:
                yield _finding("informational", f"{_kinds(evidence)}: {ADAPTER}", known)
            else:
                message = f"{_kinds(evidence)}: its error is not known ({floor.reason or ratio.reason})"
                yield _finding("review", message, known)
            return
        yield self._sized(evidence, ratio, floor, excess)

    def _sized(self, evidence: Evidence, ratio: Measurement, floor: Measurement, excess: Measurement) -> Finding:
        """The change against the floor, tensor by tensor."""
        if ratio.value == 0:
            message = f"{_kinds(evidence)}: no quantised weight differs"
            return _finding("pass", message, [ratio, floor, excess], level="none")
        found = self._beyond(evidence)
        codes = evidence.get("weight.quantisation.codes_changed")
        repeated = codes if codes is not None and codes.value is not None else None
        size = f"quantisation explains a relative change of {_percent(floor.value)} in the quantised tensors"
        used = [ratio, floor, excess, *([repeated] if repeated is not None else []), *found[: self._options.top]]
        if not found:
            message = f"{_kinds(evidence)}: {size}, and the change is {ratio.value:.2g} times that"
            if repeated is None:
                message += "; by size alone it is a quantised copy"
            elif repeated.value is not None and repeated.value <= self._options.codes:
                message += f"; quantising again gives the same codes ({_percent(repeated.value)} differ): a mere copy"
            else:
                message += f"; {_percent(repeated.value)} of the codes differ, so there is a change within rounding"
            return _finding("informational", message, used)
        places = ", ".join(dict.fromkeys(m.scope.tensor or "" for m in found[: self._options.top]))
        message = (
            f"{_kinds(evidence)}: {size}; {len(found)} of them changed by more, "
            f"{_percent(excess.value)} besides over all, most in {places}"
        )
        methods = {entry["method"] for entry in _entries(evidence)}
        remarks = [remark for method, remark in _BEYOND.items() if method in methods]
        return _finding("informational", "; ".join([message, *remarks]), used)

    def _beyond(self, evidence: Evidence) -> list[Measurement]:
        """Ratios of tensors that changed by more than their quantisation, largest first."""
        above = [m for m in evidence.tensors("weight.quantisation.ratio") if (m.value or 0) > self._options.ratio]
        return sorted(above, key=lambda m: (-(m.value or 0.0), m.id))


def _entries(evidence: Evidence) -> list[Mapping[str, Any]]:
    """What the properties of the subjects say of their quantisation."""
    found: list[Mapping[str, Any]] = []
    for subject in evidence.subjects:
        listed = subject.properties.get("quantisation") if subject.role in PAIR else None
        found += [entry for entry in listed or () if isinstance(entry, Mapping)]
    return found


def _kinds(evidence: Evidence) -> str:
    """Which sides are quantised, and how."""
    sides = []
    for subject in evidence.subjects:
        listed = subject.properties.get("quantisation") if subject.role in PAIR else None
        names = sorted({f"{entry.get('method')} {entry.get('code')}" for entry in listed or ()})
        if names:
            sides.append(f"the {subject.role} model is quantised ({', '.join(names)})")
    text = " and ".join(sides) or "a side is quantised"
    return text[0].upper() + text[1:]


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.3g} %"


def _finding(
    kind: FindingKind, message: str, measurements: Sequence[Measurement] = (), *, level: Level = "note"
) -> Finding:
    return finding(_RULE, kind, level, message, measurements)
