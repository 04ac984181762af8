"""A metric of what blends make of passages: the forward pass with base on one side and a blend on the other.

Passages are those of the run, cut down to whole units by a keyed hash. Every group of the jackknife has batches of its
own, so that an analyzer instance sees a group and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import attrs

from afterburn_core.forward.encoded import Encoded, Packed
from afterburn_core.forward.live import BASE, Blend
from afterburn_core.forward.model import Passage
from afterburn_core.forward.observing import observe_batch
from afterburn_core.run.needs import ForwardNeed
from afterburn_core.run.progress import Progress
from afterburn_core.run.seeds import child_seed
from afterburn_core.trace.measuring import Gauge, Measured
from afterburn_core.trace.shares import GROUPS, deal

if TYPE_CHECKING:
    import torch

    from afterburn_core.forward.live import Live

BATCH_TOKENS = 2048
_FACTS = ("source", "domain", "author")
"""Of a passage, by which parts are named."""


class ForwardMeasure:
    """Measures blends by what they make of passages."""

    def __init__(
        self,
        live: Live,
        gauge: Gauge,
        encoded: Sequence[Encoded],
        *,
        tokenizer: Any,
        device: str,
        dtype: str,
        seed: int,
        groups: int = GROUPS,
    ) -> None:
        self._live, self._gauge = live, gauge
        self._tokenizer, self._device, self._dtype = tokenizer, device, dtype
        self._need = next(need for need in gauge.registered.spec.needs if isinstance(need, ForwardNeed))
        units = (one.passage.unit for one in encoded)
        self.groups = deal(units, seed=child_seed(seed, "trace/groups"), groups=groups)
        self._encoded = tuple(encoded)
        self._batches = _batches(encoded, self.groups)

    @property
    def identity(self) -> Mapping[str, object]:
        """What the numbers depend on besides models, metric and options."""
        digest = hashlib.sha256()
        for one in sorted(self._encoded, key=lambda one: one.passage.id):
            digest.update(f"{one.passage.id} {one.text_start} {one.leading} {one.ids}\n".encode())
        return {"passages": digest.hexdigest(), "dtype": self._dtype, "device": self._device}

    def __call__(self, blend: Blend, progress: Progress) -> Measured:
        """The metric of base against the blend.

        Raises:
            KeyboardInterrupt: the user stopped it.
            Undefined: the metric has no value on these passages.
        """
        instances = [self._gauge.begin() for _ in range(1 + max(self.groups.values()))]
        progress.begin("both models read", sum(batch.counted for batch in self._batches), "tokens")
        try:
            with self._live.blended(blend):
                for batch in self._batches:
                    instance = instances[self.groups[batch.encoded[0].passage.unit]]
                    reader = _BlendReader(
                        live=self._live,
                        blend=blend,
                        sites=self._need.sites,
                        tokenizer=self._tokenizer,
                        device=self._device,
                        dtype=self._dtype,
                    )
                    observe_batch(cast("Any", reader), batch, [(self._need, instance.observe)])
                    progress.advance(batch.counted)
        finally:
            progress.end()
        return self._gauge.read(instances)


def limited(
    passages: Sequence[Passage], *, limit: int | None, seed: int, subset: str | None
) -> tuple[tuple[Passage, ...], bool]:
    """The passages that are traced, whole units by a keyed hash, and whether they are those of the subset alone.

    A subset that names sources, domains or authors (`source=text`, or the bare name of a domain) is read by itself.
    """
    named = dict(pair.split("=", 1) for pair in (subset or "").split(",") if "=" in pair)
    if subset and not named:
        named = {"domain": subset}
    known = {key: value for key, value in named.items() if key in _FACTS}
    inside = [p for p in passages if known and all(getattr(p, key) == value for key, value in known.items())]
    alone = bool(inside) and known == named
    inside = inside or list(passages)
    sizes: dict[str, int] = {}
    for passage in inside:
        sizes[passage.unit] = sizes.get(passage.unit, 0) + 1
    kept: set[str] = set()
    total = 0
    for unit in sorted(sizes, key=lambda unit: hashlib.sha256(f"{seed}/{unit}".encode()).digest()):
        if limit is None or not kept or total + sizes[unit] <= limit:
            kept.add(unit)
            total += sizes[unit]
    return tuple(passage for passage in inside if passage.unit in kept), alone


def _batches(encoded: Sequence[Encoded], groups: Mapping[str, int]) -> tuple[Packed, ...]:
    """Batches of one group and one source each."""
    from afterburn_core.forward.packing import pack

    apart: dict[tuple[int, str], list[Encoded]] = {}
    for one in encoded:
        apart.setdefault((groups[one.passage.unit], one.passage.source), []).append(one)
    packed = [batch for key in sorted(apart) for batch in pack(apart[key], budget=BATCH_TOKENS)]
    return tuple(attrs.evolve(batch, number=number) for number, batch in enumerate(packed))


@attrs.frozen(kw_only=True)
class _BlendReader:
    """A pair reader of base and a blend: what `observe_batch` asks of one."""

    live: Live
    blend: Blend
    sites: tuple[str, ...]
    tokenizer: Any
    device: str
    dtype: str

    subjects = ("base", "trained")

    @property
    def vocabulary(self) -> int:
        return self.live.vocabulary

    @property
    def properties(self) -> Mapping[str, Any]:
        return {"dtype": self.dtype}

    def read(self, batch: Packed) -> Mapping[str, _Side]:
        return {name: _Side(self, batch, blend) for name, blend in (("base", BASE), ("trained", self.blend))}


class _Side:
    """One blend's reading of one batch: activations at once, log-probabilities sequence by sequence as asked for."""

    approximate = False

    def __init__(self, reader: _BlendReader, batch: Packed, blend: Blend) -> None:
        self._live, self._batch, self._blend = reader.live, batch, blend
        self._sequences = [one.ids for one in batch.encoded]
        self.sites = self._activations(reader.sites)
        self._stretches = self._by_sequence()
        self._stretch: _Stretch | None = None

    def log_probs(self, index: torch.Tensor) -> torch.Tensor:
        """(m, V) after the rows `index`, which never go back, neither in a call nor from one call to the next."""
        import torch

        wanted, parts = index.tolist(), []
        while wanted:
            if self._stretch is None or wanted[0] >= self._stretch.end:
                self._stretch = next(self._stretches)
                continue
            count = sum(row < self._stretch.end for row in wanted)
            parts.append(self._stretch.rows[[row - self._stretch.start for row in wanted[:count]]])
            wanted = wanted[count:]
        return torch.cat(parts)

    def bound(self, index: torch.Tensor, trained: torch.Tensor) -> None:
        """Nothing is a sketch here."""

    def _by_sequence(self) -> Iterator[_Stretch]:
        start = 0
        logs = self._live.log_probs(self._sequences, blend=self._blend)
        for one, own in zip(self._batch.encoded, logs, strict=True):
            rows = own[one.leading :]
            yield _Stretch(start=start, rows=rows)
            start += rows.shape[0]

    def _activations(self, sites: Sequence[str]) -> Mapping[str, torch.Tensor]:
        import torch

        if not sites:
            return {}
        found: dict[str, list[torch.Tensor]] = {}
        captured = self._live.activations(self._sequences, sites, blend=self._blend)
        for one, states in zip(self._batch.encoded, captured, strict=True):
            for site, values in states.items():
                found.setdefault(site, []).append(values[one.leading :])
        return {site: torch.cat(values) for site, values in found.items()}


@attrs.frozen(kw_only=True, eq=False)
class _Stretch:
    """The rows of one sequence."""

    start: int
    """Row of the batch at which they begin."""
    rows: torch.Tensor

    @property
    def end(self) -> int:
        return self.start + int(self.rows.shape[0])
