"""Detector `activation.drift_judge`: in which layers activations moved. Pure Python, no NumPy.

A block has moved where the interval of the relative difference ‖δ‖/½(‖b‖ + ‖f‖) over all tokens lies above the margin,
and is equivalent where it lies below; distances have no sign, so that a test against 0 would say nothing.

| blocks | kind | level |
|---|---|---|
| one has moved | `informational` | note |
| all are equivalent | `pass` | none |
| else | `open` | note |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from afterburn_activation.options import DriftJudgeOptions
from afterburn_activation.sites import block_of
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import finding
from afterburn_core.result.model import Finding, Measurement

RULE = "activation.drift"
_METRIC = "activation.drift.relative"
_ARTIFACTS = ("activation.drift_by_layer",)


class DriftJudge:
    """Detector `activation.drift_judge`."""

    def __init__(self, options: DriftJudgeOptions) -> None:
        self._margin = options.margin

    def __call__(self, evidence: Evidence) -> Iterable[Finding]:
        """One finding."""
        everywhere = [
            m for m in evidence.all(_METRIC) if m.scope.subset == "all" and block_of(m.scope.site or "") is not None
        ]
        blocks = sorted((m for m in everywhere if m.value is not None), key=_block)
        if not blocks:
            why = next((m.reason for m in evidence.all(_METRIC) if m.reason), "nothing was measured")
            yield finding(RULE, "open", "note", f"Drift of activations: open, {why}", everywhere)
            return
        moved = [m for m in blocks if m.interval is not None and m.interval.low > self._margin]
        still = [m for m in blocks if m.interval is not None and m.interval.high < self._margin]
        margin, count = f"{100 * self._margin:.3g} %", len(blocks)
        if moved:
            largest = max(moved, key=lambda m: m.value or 0.0)
            first = moved[0]
            message = (
                f"Activations moved by more than {margin} of their length in {len(moved)} of {count} blocks, "
                f"from block {_block(first)} on{_unchanged(blocks)}; most after block {_block(largest)}: "
                f"{_told(largest)}"
            )
            cited = list(dict.fromkeys([largest, first]))
            yield finding(RULE, "informational", "note", message, cited, artifacts=_present(evidence))
            return
        largest = max(blocks, key=lambda m: m.value or 0.0)
        if len(still) == len(blocks) == len(everywhere):
            same = all(m.interval is not None and m.interval.method == "identical" for m in blocks)
            message = (
                f"Activations after all {count} blocks are the same, bit for bit, in {blocks[0].n} passages"
                if same
                else f"Activations moved by less than {margin} of their length after all {count} blocks; "
                f"most after block {_block(largest)}: {_told(largest)}"
            )
            yield finding(RULE, "pass", "none", message, blocks, artifacts=_present(evidence))
            return
        unsure = len(everywhere) - len(still)
        message = (
            f"Drift of activations is undecided in {unsure} of {len(everywhere)} blocks at a margin of {margin}; "
            f"largest after block {_block(largest)}: {_told(largest)}"
        )
        yield finding(RULE, "open", "note", message, blocks, artifacts=_present(evidence))


def _block(measurement: Measurement) -> int:
    return block_of(measurement.scope.site or "") or 0


def _unchanged(blocks: Sequence[Measurement]) -> str:
    """Blocks below the first difference, where an edit cannot lie."""
    same = 0
    while same < len(blocks) and blocks[same].value == 0:
        same += 1
    if not same:
        return ""
    return f" (up to block {same - 1} they are the same, bit for bit)"


def _told(m: Measurement) -> str:
    text = f"{100 * (m.value or 0.0):.3g} %"
    if m.interval is not None:
        text += f" [{100 * m.interval.low:.3g}, {100 * m.interval.high:.3g}]"
    text += f" (n = {m.n})"
    if m.null is None or not m.reason:
        return text
    return ", ".join([text, *(_spoken(part) for part in m.reason.replace("; ", ", ").split(", "))])


def _spoken(part: str) -> str:
    """`control:scrambled 0.08184`, as the reason has it, in the unit of the value that it stands beside."""
    name, _, number = part.rpartition(" ")
    if not name.startswith("control:"):
        return part
    return f"control {name.removeprefix('control:')} {100 * float(number):.3g} %"


def _present(evidence: Evidence) -> tuple[str, ...]:
    return tuple(name for name in _ARTIFACTS if evidence.read_artifact(name) is not None)
