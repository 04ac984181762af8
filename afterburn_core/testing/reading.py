"""What the forward pass hands out over a tiny pair, kept for the rules that analyzers are put to."""

from __future__ import annotations

import fnmatch
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.forward.model import Captured, ForwardBatch, LogitChunk, Passage
from afterburn_core.plugin.registry import Registry
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.plugin.specs import AnalyzerSpec
from afterburn_core.probes.model import Message, Probe
from afterburn_core.result.model import Measurement
from afterburn_core.run.needs import ForwardNeed
from afterburn_core.testing.feeding import SEED, by_id, make_analyzer
from afterburn_core.testing.pairs import Pair

Bundle = tuple[Any, ...]
"""The observations of one batch, in their order: its chunks, then the batch."""

ALL_SITES = ("embed", "blocks.*.in", "blocks.*.attn.out", "blocks.*.mlp.out", "blocks.*.out", "final_norm")
TEXTS = 48


def bundles_of(pair: Pair, need: ForwardNeed, registry: Registry) -> tuple[Bundle, ...]:
    """Everything that the pass hands out for a need, batch by batch."""
    from afterburn_core.forward.forward_pass import Rider
    from afterburn_core.testing.forward import read_pair
    from afterburn_core.testing.observing import Collector

    collector = Collector()
    everything = attrs.evolve(need, sites=need.sites or ("blocks.*.out",))
    passages = [*_passages(need), *_given(need, registry)]
    read_pair(pair.base, pair.trained, passages, [Rider(need=everything, instances=[collector])], batch_tokens=160)
    return tuple(_bundled(collector.items))


def restricted(bundles: Sequence[Bundle], need: ForwardNeed) -> tuple[Bundle, ...]:
    """The same observations without what the need does not list."""
    return tuple(tuple(_restricted(item, need) for item in bundle if _handed(item, need)) for bundle in bundles)


def analyze_bundles(
    spec: AnalyzerSpec,
    parts: Sequence[Sequence[Bundle]],
    *,
    seed: int = SEED,
    options: Mapping[str, Any] | None = None,
) -> AnalyzerOutput:
    """What is found by one analyzer per part, the later ones merged into the first in order."""
    analyzers = [make_analyzer(spec, seed=seed, options=options) for _ in parts]
    for analyzer, part in zip(analyzers, parts, strict=True):
        for bundle in part:
            for item in bundle:
                analyzer.observe(item)
    first, *others = analyzers
    for other in others:
        first.merge(other)
    return first.finish()


def unlike(left: AnalyzerOutput, right: AnalyzerOutput, rel: float = 1e-9) -> str | None:
    """The first measurement that two outputs do not share up to rounding, in words, or `None`."""
    ours, theirs = by_id(left.measurements), by_id(right.measurements)
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            return f"{name} is only in the {'first' if name in ours else 'second'}"
        one, other = _numbers(ours[name]), _numbers(theirs[name])
        if len(one) != len(other) or not all(
            math.isclose(a, b, rel_tol=rel, abs_tol=1e-12) for a, b in zip(one, other, strict=True)
        ):
            return f"{name} is {one} in the first and {other} in the second"
    return None


def _numbers(measurement: Measurement) -> tuple[float, ...]:
    interval, test = measurement.interval, measurement.test
    found = [measurement.value, measurement.n]
    found += [interval.low, interval.high] if interval else []
    found += [test.p_value] if test else []
    return tuple(float(number) for number in found if number is not None)


def _bundled(items: Sequence[Any]) -> Iterator[Bundle]:
    waiting: list[Any] = []
    for item in items:
        waiting.append(item)
        if isinstance(item, ForwardBatch):
            yield tuple(waiting)
            waiting = []


def _handed(item: Any, need: ForwardNeed) -> bool:
    return need.logits == "vocabulary" or not isinstance(item, LogitChunk)


def _restricted(item: Any, need: ForwardNeed) -> Any:
    if not isinstance(item, ForwardBatch):
        return item

    def sites(captured: Captured) -> Captured:
        last = f"blocks.{max((int(n.split('.')[1]) for n in captured.sites if n.startswith('blocks.')), default=0)}."
        wanted = [pattern.replace("blocks.last.", last) for pattern in need.sites]
        chosen = {n: t for n, t in captured.sites.items() if any(fnmatch.fnmatchcase(n, p) for p in wanted)}
        return Captured(sites=chosen)

    return ForwardBatch(
        rows=item.rows,
        base=sites(item.base),
        trained=sites(item.trained),
        controls={name: sites(own) for name, own in item.controls.items()},
        scored=item.scored,
        scores=None if need.logits == "none" else item.scores,
        control_scores={} if need.logits == "none" else item.control_scores,
        dtype=item.dtype,
        readout=item.readout if need.readout else None,
    )


def _words(number: int, length: int) -> str:
    return " ".join(f"word{(7 * number + k * k + 3 * k) % 45}" for k in range(length))


def _passages(need: ForwardNeed) -> Iterator[Passage]:
    """Passages of every source that the need names, in the words of the tiny tokenizer."""
    for number in range(TEXTS):
        unit = f"unit-{number:02d}"
        ask = (Message(role="user", content=_words(number, 4)),)
        probe = Probe(id=unit, prompt=ask, suite="kit", properties={"continuations": ["a", "b"], "preferred": 0})
        shared: dict[str, Any] = {"domain": "kit", "unit": unit, "messages": ask, "probe": probe}
        if "text" in need.sources:
            plain = _words(number, 6 + number % 12)
            yield Passage(id=f"kit/{unit}", source="text", domain="kit", unit=unit, text=plain)
        if "prompt" in need.sources:
            yield Passage(id=unit, source="prompt", **shared)
        if "answer" in need.sources:
            for author in ("base", "trained"):
                text = _words(number + len(author), 5 + number % 3)
                yield Passage(id=f"{unit}/{author}/0", source="answer", text=text, ended=True, author=author, **shared)
        if "continuation" in need.sources:
            for index in range(2):
                text = _words(number + index, 2)
                yield Passage(
                    id=f"{unit}/continuation/{index}", source="continuation", text=text, continuation=index, **shared
                )


def _given(need: ForwardNeed, registry: Registry) -> tuple[Passage, ...]:
    from afterburn_core.forward.passages import gather, given_of
    from afterburn_core.generation.asking import Asking
    from afterburn_core.run.configuration import Settings

    if "given" not in need.sources:
        return ()
    settings = Settings()
    sets = given_of(need.passage_sets, settings, registry)
    given = gather(sources=("given",), asking=Asking(), settings=settings, given=sets)
    return tuple(
        attrs.evolve(
            one,
            text=_known(one.text),
            messages=tuple(attrs.evolve(message, content=_known(message.content)) for message in one.messages),
        )
        for one in given
    )


def _known(text: str) -> str:
    """The text with every word replaced by one that the tiny tokenizer knows, equal ones by equal ones."""
    return " ".join(f"word{zlib.crc32(word.encode()) % 45}" for word in text.split())
