"""Findings on adapters: whether they use the rank they have, and what a merge would lose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.model import Example, Finding, FindingKind, Level, Measurement
from afterburn_weight.adapter_options import NO_RANK, AdapterRules
from afterburn_weight.findings import finding

_NOTHING = "nothing changes"  # the reason `merge` gives where there is no change to lose


class AdapterJudge:
    """Detector `weight.adapter_judge`."""

    def __init__(self, options: AdapterRules) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterator[Finding]:
        yield self._rank(evidence)
        yield self._merge(evidence)

    def _rank(self, evidence: Evidence) -> Finding:
        rule = "weight.adapter_rank_collapse"
        collapsed, share = evidence.get("weight.adapter.collapsed"), evidence.get("weight.adapter.collapsed_share")
        untrained, use = evidence.get("weight.adapter.untrained"), evidence.get("weight.adapter.rank_use")
        proof = [m for m in (collapsed, share, untrained, use) if m is not None]
        if collapsed is None or collapsed.value is None or untrained is None or untrained.value is None:
            if len(proof) > 1 and all(m.reason == NO_RANK for m in proof):
                return finding(rule, "not_applicable", "none", f"No rank to use: {NO_RANK}", proof)
            return finding(rule, "open", "note", "No module's factors were measured", proof)
        modules = collapsed.n or 0
        if untrained.value == modules:
            message = f"The adapter changes nothing: B is zero in all {modules} modules"
            return finding(rule, "review", "note", message, proof)
        lowest = sorted(
            (m for m in evidence.tensors("weight.adapter.rank_use") if m.value is not None),
            key=lambda m: (m.value or 0.0, m.id),
        )
        idle = f"; {untrained.value:.0f} of {modules} modules change nothing" if untrained.value else ""
        if share is not None and share.value is not None and share.value >= self._options.collapsed_energy:
            message = (
                f"{collapsed.value:.0f} of {modules} modules, with {100 * share.value:.3g} % of the change, use hardly "
                f"more than one direction of their rank; a smaller rank may do{idle}"
            )
            return finding(rule, "review", "note", message, proof, self._examples(evidence, lowest))
        used = (
            f"uses {100 * use.value:.3g} % of its rank" if use is not None and use.value is not None else "has rank 1"
        )
        some = f"; {collapsed.value:.0f} of {modules} modules use hardly any" if collapsed.value else ""
        kind: FindingKind = "review" if untrained.value else "pass"
        level: Level = "note" if untrained.value else "none"
        return finding(rule, kind, level, f"The adapter {used}{some}{idle}", proof)

    def _examples(self, evidence: Evidence, lowest: Sequence[Measurement]) -> list[Example]:
        rows = []
        for one in lowest[: self._options.examples]:
            effective = evidence.value("weight.adapter.effective_rank", scope=one.scope)
            rank = evidence.value("weight.adapter.rank", scope=one.scope)
            note = f"effective rank {effective:.3g} of {rank:.0f}" if effective is not None and rank else None
            rows.append(Example(label=one.scope.tensor or "", note=note))
        return rows

    def _merge(self, evidence: Evidence) -> Finding:
        rule = "weight.adapter_merge"
        error = evidence.get("weight.adapter.merge_error")
        if error is None:
            return finding(rule, "open", "note", "What a merge would lose was not measured: no tensor changes")
        others = [
            m
            for name in ("bfloat16", "float16")
            if (m := evidence.get(f"weight.adapter.merge_error.{name}")) is not None
        ]
        if error.value is None and error.reason == _NOTHING:
            return finding(rule, "pass", "none", "The adapter changes nothing, so a merge loses nothing", [error])
        if error.value is None:
            return finding(rule, "review", "note", f"The adapter cannot be merged: {error.reason}", [error, *others])
        message = f"Merging {error.reason or 'into the base'} would lose {100 * error.value:.3g} % of the change's norm"
        worst = sorted(
            (m for m in evidence.tensors("weight.adapter.merge_error") if m.value is not None),
            key=lambda m: (-(m.value or 0.0), m.id),
        )
        examples = [
            Example(label=m.scope.tensor or "", note=f"loses {100 * (m.value or 0.0):.3g} %")
            for m in worst[: self._options.examples]
        ]
        if error.value >= self._options.merge_fail:
            advice = "; keep the adapter apart, or merge into a wider dtype"
            return finding(rule, "review", "note", message + advice, [error, *others], examples)
        if error.value >= self._options.merge_warn:
            return finding(rule, "review", "note", message, [error, *others], examples)
        return finding(rule, "pass", "none", message, [error, *others])
