"""Rules on embedding models: what moved, what it means for retrieval and for an index made before. Pure Python.

| rule | pass | informational or review | open |
|---|---|---|---|
| `embedding_shift` | mean distance's interval below the margin | above it: informational | between |
| `retrieval_shift` | nDCG's change within the margin | better: informational; worse beyond the margin: review | else |
| `index_compatibility` | recall on the old index no worse by the margin | lower: informational | else |
| `embedding_collapse` | no rise beyond the margin | a rise whose interval lies beyond it: review | else |
| `pooling_changed` | nothing differs | something does: review | unknown |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from afterburn_activation.embedding_options import EmbeddingJudgeOptions
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import finding
from afterburn_core.result.model import Example, Finding, Measurement, Scope
from afterburn_core.stats.verdicts import decide, not_worse

AS_IS, MAPPED = "as it is", "mapped"
_MAPS = ("activation.embedding_map",)


class EmbeddingJudge:
    """Detector `activation.embedding_judge`."""

    def __init__(self, options: EmbeddingJudgeOptions) -> None:
        self._options = options

    def __call__(self, evidence: Evidence) -> Iterable[Finding]:
        yield from self._shift(evidence)
        yield from self._retrieval(evidence)
        yield from self._index(evidence)
        yield from self._collapse(evidence)
        yield from self._pooling(evidence)

    def _shift(self, evidence: Evidence) -> Iterator[Finding]:
        rule, margin = "activation.embedding_shift", self._options.distance_margin
        plain = evidence.get("activation.embedding.distance")
        aligned = evidence.get("activation.embedding.distance_aligned")
        main = plain if plain is not None and plain.value is not None else aligned
        if plain is None and aligned is None:
            return
        also = [
            one
            for one in (
                plain,
                aligned,
                evidence.get("activation.embedding.cka"),
                evidence.get("activation.embedding.neighbour_overlap", scope=Scope(subset="k=10")),
            )
            if one is not None
        ]
        if main is None or main.value is None or main.interval is None:
            why = (main.reason if main is not None else None) or "no interval"
            yield finding(rule, "open", "note", f"Vectors of the same texts: open, {why}", also)
            return
        told = f"Mean cosine distance of a text's vectors {_number(main)} (n = {main.n}, margin {margin:g})"
        told += "".join(f"; {noun} {_number(one)}" for noun, one in self._beside(main, also))
        if is_identical(main):
            yield finding(rule, "pass", "none", f"No difference in the vectors of {main.n} texts", also)
        elif main.interval.high < margin:
            yield finding(rule, "pass", "none", f"{told}: equivalent", also)
        elif main.interval.low <= margin:
            yield finding(rule, "open", "note", f"{told}: undecided, about the margin", also)
        else:
            end = "the vectors moved and their geometry stayed" if self._stayed(also) else "the vectors moved"
            examples = _moved(evidence)
            yield finding(rule, "informational", "note", f"{told}: {end}", also, examples, artifacts=_MAPS)

    @staticmethod
    def _stayed(also: Iterable[Measurement]) -> bool:
        """By CKA and the overlap of neighbours: a fitted map needs more texts than dimensions to show it."""
        lows = {one.metric: one.interval.low for one in also if one.interval is not None}
        return lows.get("activation.embedding.cka", 0) >= 0.95 and (
            lows.get("activation.embedding.neighbour_overlap", 0) >= 0.9
        )

    @staticmethod
    def _beside(main: Measurement, also: Iterable[Measurement]) -> Iterator[tuple[str, Measurement]]:
        nouns = {
            "activation.embedding.distance_aligned": "after a map",
            "activation.embedding.cka": "CKA",
            "activation.embedding.neighbour_overlap": "overlap of 10 neighbours",
        }
        for one in also:
            if one is not main and one.metric in nouns and one.value is not None:
                yield nouns[one.metric], one

    def _retrieval(self, evidence: Evidence) -> Iterator[Finding]:
        rule, margin = "activation.retrieval_shift", self._options.retrieval_margin
        change = evidence.get("activation.retrieval.ndcg")
        if change is None:
            return
        if change.value is None:
            if change.n == 0:  # texts alone: nothing was asked that could be left open
                yield finding(rule, "not_applicable", "none", f"Retrieval: not applicable, {change.reason}", [change])
                return
            yield finding(rule, "open", "note", f"Retrieval: open, {change.reason}", [change])
            return
        cited = [
            change,
            *evidence.all("activation.retrieval.win_rate"),
            *evidence.all("activation.retrieval.loss_rate"),
        ]
        sides = [evidence.value("activation.retrieval.ndcg", subjects=(side,)) for side in ("base", "trained")]
        told = f"nDCG@10 changed by {_number(change, signed=True)} (n = {change.n} queries, margin ±{margin:g})"
        if None not in sides:
            told += f", from {sides[0]:.3f} to {sides[1]:.3f}"
        decided = decide(change, margin=margin, alpha=self._options.alpha)
        if is_identical(change):
            yield finding(rule, "pass", "none", f"No difference in the retrieval of {change.n} queries", cited)
        elif decided.decision == "equivalent":
            yield finding(rule, "pass", "none", f"{told}: equivalent", cited)
        elif decided.decision == "inconclusive":
            needed = "" if decided.needed is None else f"; about {decided.needed} queries would decide"
            yield finding(rule, "open", "note", f"{told}: undecided{needed}", cited)
        elif change.value > 0 or not decided.material:
            better = "better" if change.value > 0 else "worse, not surely beyond the margin"
            yield finding(rule, "informational", "note", f"{told}: {better}", cited, _lost(evidence))
        else:
            yield finding(rule, "review", "warning", f"{told}: worse, beyond the margin", cited, _lost(evidence))

    def _index(self, evidence: Evidence) -> Iterator[Finding]:
        rule, margin = "activation.index_compatibility", self._options.retrieval_margin
        metric = "activation.index.recall_change"
        change, mapped = (evidence.get(metric, scope=Scope(subset=subset)) for subset in (AS_IS, MAPPED))
        selves = [evidence.get("activation.index.self_found", scope=Scope(subset=s)) for s in (AS_IS, MAPPED)]
        cited = [one for one in (change, mapped, *selves) if one is not None]
        if not cited:
            return
        if change is None:
            yield from self._index_of_texts(rule, selves[0], selves[1], cited)
            return
        help_of_map = _map_told(mapped, margin, self._options.alpha)
        if change.value is None:
            message = f"New queries cannot search the old index: {change.reason}{help_of_map}"
            yield finding(rule, "informational", "note", message, cited, artifacts=_MAPS)
            return
        told = f"recall@10 of new queries on the old index {_number(change, signed=True)} against the old queries'"
        told += f" (n = {change.n}, margin ±{margin:g})"
        worse = decide(change, margin=margin, alpha=self._options.alpha).decision == "shifted" and change.value < 0
        if is_identical(change) or not_worse(change, margin=margin) == "not_worse":
            yield finding(rule, "pass", "none", f"New queries can search the old index: {told}", cited)
        elif worse:
            message = f"New queries lose on the old index: {told}{help_of_map}"
            yield finding(rule, "informational", "note", message, cited, artifacts=_MAPS)
        else:
            message = f"Whether new queries can search the old index is undecided: {told}{help_of_map}"
            yield finding(rule, "open", "note", message, cited)

    def _index_of_texts(
        self, rule: str, plain: Measurement | None, mapped: Measurement | None, cited: list[Measurement]
    ) -> Iterator[Finding]:
        """Without judged queries: whether a text's new vector finds its own old one."""
        least = 1 - self._options.retrieval_margin
        if plain is None or plain.value is None or plain.interval is None:
            why = "nothing was measured" if plain is None else plain.reason
            after = "" if mapped is None or mapped.value is None else f"; after a map {_number(mapped)} of texts do"
            kind, level = ("open", "note") if plain is None else ("informational", "note")
            message = f"New vectors cannot be compared with the old index: {why}{after}"
            yield finding(rule, kind, level, message, cited)  # type: ignore[arg-type]
            return
        told = f"{_number(plain)} of {plain.n} texts find their own old vector"
        if mapped is not None and mapped.value is not None:
            told += f", {_number(mapped)} after a map"
        if plain.interval.low >= least or plain.value == 1:
            yield finding(rule, "pass", "none", f"New vectors fit the old index: {told}; no query was judged", cited)
        elif plain.interval.high < least:
            message = f"New vectors do not fit the old index: {told}; no query was judged"
            yield finding(rule, "informational", "note", message, cited, artifacts=_MAPS)
        else:
            yield finding(rule, "open", "note", f"Old index undecided: {told}; no query was judged", cited)

    def _collapse(self, evidence: Evidence) -> Iterator[Finding]:
        rule, margin = "activation.embedding_collapse", self._options.collapse_margin
        nouns = {
            "activation.embedding.unrelated_similarity": "mean similarity of different texts",
            "activation.embedding.near_duplicates": "share of near duplicates",
        }
        known = [(noun, one) for metric, noun in nouns.items() if (one := evidence.get(metric)) is not None]
        if not known:
            return
        cited = [one for _, one in known]
        defined = [(noun, one) for noun, one in known if one.value is not None and one.interval is not None]
        told = "; ".join(f"{noun} {_number(one, signed=True)}" for noun, one in defined)
        rose = [one for _, one in defined if one.interval is not None and one.interval.low > margin]
        if rose:
            yield finding(rule, "review", "warning", f"Different texts became alike: {told} (margin {margin:g})", cited)
        elif len(defined) == 2 and all(one.interval is not None and one.interval.high < margin for _, one in defined):
            yield finding(rule, "pass", "none", f"Different texts stayed apart: {told} (margin {margin:g})", cited)
        else:
            why = told or "; ".join(dict.fromkeys(str(one.reason) for one in cited))
            yield finding(rule, "open", "note", f"Collapse undecided: {why} (margin {margin:g})", cited)

    def _pooling(self, evidence: Evidence) -> Iterator[Finding]:
        rule = "activation.pooling_changed"
        changed = evidence.get("activation.embedding.settings_changed")
        if changed is None:
            return
        if changed.value is None:
            yield finding(rule, "open", "note", f"How texts become vectors: open, {changed.reason}", [changed])
        elif changed.value:
            message = f"Texts become vectors in another way, {int(changed.value)} facts differ: {changed.reason}"
            yield finding(rule, "review", "warning", message, [changed])
        else:
            yield finding(rule, "pass", "none", "Both sides turn texts into vectors in the same way", [changed])


def is_identical(measurement: Measurement) -> bool:
    """Whether both sides were seen to be the same."""
    return measurement.interval is not None and measurement.interval.method == "identical"


def _map_told(mapped: Measurement | None, margin: float, alpha: float) -> str:
    if mapped is None or mapped.value is None:
        return ""
    verb = "an orthogonal map may repair it, too few queries tell"
    if not_worse(mapped, margin=margin) == "not_worse":
        verb = "with an orthogonal map they can"
    elif mapped.value < 0 and decide(mapped, margin=margin, alpha=alpha).decision == "shifted":
        verb = "an orthogonal map does not repair it"
    return f"; {verb}: {_number(mapped, signed=True)}"


def _number(m: Measurement, *, signed: bool = False) -> str:
    if m.value is None:
        return "undefined"
    form = "{:+.3f}" if signed else "{:.3f}"

    def told(value: float) -> str:
        return form.format(round(value, 3) + 0.0)

    return told(m.value) + (f" [{told(m.interval.low)}, {told(m.interval.high)}]" if m.interval else "")


def _moved(evidence: Evidence) -> tuple[Example, ...]:
    found = evidence.read_artifact("activation.embedding_texts") or {}
    rows = [row for row in found.get("moved", ()) if isinstance(row, dict)][:3]
    return tuple(
        Example(label=_text(row.get("text"), evidence), note=f"distance {float(row.get('distance', 0)):.3f}")
        for row in rows
    )


def _lost(evidence: Evidence) -> tuple[Example, ...]:
    found = evidence.read_artifact("activation.embedding_retrieval") or {}
    rows = [row for row in found.get("queries", ()) if isinstance(row, dict)][:3]
    return tuple(
        Example(
            label=_text(row.get("text"), evidence),
            base=_text(row.get("top_base_text"), evidence),
            trained=_text(row.get("top_trained_text"), evidence),
            note=f"first document of each side; rank of the right one {row.get('rank_base')} and "
            f"{row.get('rank_trained')}",
        )
        for row in rows
    )


def _text(value: object, evidence: Evidence) -> str:
    text = str(value)
    return text if evidence.excerpts or text.startswith("sha256:") else "withheld"
