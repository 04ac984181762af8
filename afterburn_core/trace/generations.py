"""A metric of what blends write: the run's prompts, asked of base and of every blend with the same seeds.

Base writes anew rather than being read from the run's samples, so that both sides of every comparison come from one
network, device and batch layout. Samples are kept by content, so an interrupted trace goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.forward.live import BASE, Blend
from afterburn_core.generation.asking import Asking
from afterburn_core.generation.generation_pass import GenerationPass
from afterburn_core.generation.model import Decoding, GenerationFacts, Generator, Responses, Sample, Serving
from afterburn_core.generation.sides import Side
from afterburn_core.probes.model import Probe
from afterburn_core.probes.suites import AskedSet
from afterburn_core.result.model import Subject
from afterburn_core.run.progress import Progress
from afterburn_core.run.seeds import child_seed
from afterburn_core.trace.measuring import Gauge, Measured
from afterburn_core.trace.shares import GROUPS, deal

if TYPE_CHECKING:
    from afterburn_core.forward.live import Live


@attrs.frozen(kw_only=True)
class Written:
    """What one blend wrote."""

    samples: Mapping[str, tuple[Sample, ...]]
    """By probe."""
    facts: GenerationFacts


class GenerationMeasure:
    """Measures blends by what they write."""

    def __init__(
        self,
        live: Live,
        gauge: Gauge,
        asks: GenerationPass,
        subjects: Mapping[str, Subject],
        *,
        groups: int = GROUPS,
    ) -> None:
        self._live, self._gauge, self._asks, self._subjects = live, gauge, asks, subjects
        self._base: Written | None = None
        probes = [probe for asked in asks.asking.sets for probe in asked.probes]
        self.groups = deal((probe.unit for probe in probes), seed=child_seed(asks.seed, "trace/groups"), groups=groups)

    @property
    def identity(self) -> Mapping[str, object]:
        """What the numbers depend on besides models, metric and options."""
        return {
            "probes": [asked.sha256 for asked in self._asks.asking.sets],
            "asked": [probe.id for asked in self._asks.asking.sets for probe in asked.probes],
            "samples": self._asks.asking.samples,
            "decoding": attrs.asdict(self._asks.decoding),
            "choices": self._asks.choices,
            "executed": self._asks.allow_code_execution,
            "dtype": self._asks.serving.dtype,
            "device": self._asks.serving.device,
        }

    def __call__(self, blend: Blend, progress: Progress) -> Measured:
        """The metric of base against the blend.

        Raises:
            KeyboardInterrupt: the user stopped it; the samples are kept.
            Undefined: the metric has no value on these prompts.
        """
        if self._base is None:
            self._base = self._write("base", BASE, progress)
        base = self._base
        other = base if blend == BASE else self._write("trained", blend, progress)
        instances = [self._gauge.begin() for _ in range(1 + max(self.groups.values()))]
        for asked in self._asks.asking.sets:
            for probe in asked.probes:
                instances[self.groups[probe.unit]].observe(
                    Responses(
                        probe=probe,
                        base=base.samples.get(probe.id, ()),
                        trained=other.samples.get(probe.id, ()),
                        facts={"base": base.facts, "trained": other.facts},
                    )
                )
        return self._gauge.read(instances)

    def _write(self, role: str, blend: Blend, progress: Progress) -> Written:
        subject = attrs.evolve(
            self._subjects[role],
            # samples are kept by the digest of who wrote them
            digest=_digest(blend, [self._subjects[role].digest for role in ("base", "trained")]),
        )
        side = Side(subject=subject, opened=_Blended(live=self._live, blend=blend))  # type: ignore[arg-type]
        generated = attrs.evolve(self._asks, progress=progress).run([side])
        if generated.stopped:
            raise KeyboardInterrupt
        return Written(
            samples={response.probe.id: getattr(response, role) for response in generated.responses},
            facts=generated.facts[role],
        )


@attrs.frozen(kw_only=True)
class _Blended:
    """A blend where the generation pass expects an opened subject that writes."""

    live: Live
    blend: Blend

    def generator(self, decoding: Decoding, serving: Serving) -> Generator:
        return self.live.generator(decoding, self.blend)


def limited(sets: Sequence[AskedSet], *, limit: int | None, seed: int, subset: str | None) -> tuple[Asking, bool]:
    """The prompts that are traced, whole units of them, and whether they are those of the subset alone.

    Args:
        sets: what the run asked.
        limit: most prompts, by keyed hash of their units; `None` for all.
        seed: of the hash.
        subset: part whose prompts are asked alone, where it is a suite, a category, or `safe` or `unsafe`.

    Raises:
        ConfigError: there are none.
    """
    probes = [probe for asked in sets for probe in asked.probes]
    inside = [probe for probe in probes if subset in _parts(probe)]
    chosen = inside or probes
    if not chosen:
        raise ConfigError("the run asked no prompts; trace a run that did, such as one of `afterburn behaviour`")
    units: dict[str, int] = {}
    for probe in chosen:
        units[probe.unit] = units.get(probe.unit, 0) + 1
    kept: set[str] = set()
    total = 0
    for unit in sorted(units, key=lambda unit: hashlib.sha256(f"{seed}/{unit}".encode()).digest()):
        if limit is not None and kept and total + units[unit] > limit:
            continue
        kept.add(unit)
        total += units[unit]
    ids = {probe.id for probe in chosen if probe.unit in kept}
    return Asking(sets=tuple(_only(sets, ids))), bool(inside)


def _only(sets: Iterable[AskedSet], ids: set[str]) -> Iterable[AskedSet]:
    for asked in sets:
        probes = tuple(_without_twin(probe, ids) for probe in asked.probes if probe.id in ids)
        if probes:
            yield attrs.evolve(asked, probes=probes)


def _without_twin(probe: Probe, ids: set[str]) -> Probe:
    return attrs.evolve(probe, twin=None) if probe.twin is not None and probe.twin not in ids else probe


def _parts(probe: Probe) -> set[str]:
    """The names under which measurements speak of a probe's part."""
    parts = {probe.suite}
    if probe.category is not None:
        parts |= {probe.category, f"{probe.suite}/{probe.category}"}
    if probe.unsafe is not None:
        parts.add("unsafe" if probe.unsafe else "safe")
    return parts


def _digest(blend: Blend, models: Sequence[str]) -> str:
    parts = [list(models), blend.default, sorted(blend.scales.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
