"""What a run asks: the probe sets the user chose, those that analyzers need, or the prompts of recorded outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.probes.model import Probe, probes_digest, prompt_digest
from afterburn_core.probes.suites import AskedSet, choose_sets
from afterburn_core.run.needs import Preset
from afterburn_core.run.subjects import OpenSubject, Recorded

if TYPE_CHECKING:
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.run.configuration import Settings


@attrs.frozen(kw_only=True)
class Asking:
    """Everything the generation pass asks of every subject."""

    sets: tuple[AskedSet, ...] = ()
    samples: int = 1

    @property
    def prompts(self) -> int:
        return sum(asked.n for asked in self.sets)

    @property
    def turns(self) -> int:
        """Answers to one sample of everything, those to follow-ups included."""
        return sum(1 + len(probe.follow_ups) for asked in self.sets for probe in asked.probes)


def choose(settings: Settings, registry: Registry, subjects: Sequence[OpenSubject], needed: Sequence[str]) -> Asking:
    """The probes of a run, the same for every subject.

    Recorded outputs answer their own prompts and nothing else, so where one subject is recorded its prompts are
    asked of all. Else the sets that the user named, or the default ones, and those that analyzers need.

    Args:
        settings: `suite`, `prompts`, `samples`, `seed` and `preset`.
        registry: where probe sets are looked up.
        subjects: opened, base first.
        needed: names of sets that analyzers ask for.

    Raises:
        ConfigError: a set is unknown or malformed, or suites were named for recorded outputs.
        SubjectError: two recorded subjects give one id to different prompts.
    """
    recorded = [subject for subject in subjects if isinstance(subject, Recorded)]
    if recorded:
        if settings.suite or settings.prompts:
            raise ConfigError("recorded outputs answer their own prompts only; leave out --suite and --prompts")
        samples = max(subject.samples_per_prompt for subject in recorded)
        _refuse_idle(settings, samples, alone=len(recorded) == len(subjects))
        probes = _recorded_probes(recorded)
        asked = AskedSet(name="recorded", probes=probes, sha256=probes_digest(probes))
        return Asking(sets=one_unit_each((asked,)), samples=samples)
    sets = choose_sets(
        registry,
        suites=settings.suite,
        files=settings.prompts,
        needed=needed,
        seed=settings.seed,
        limit=None if settings.suite or settings.prompts else _UNASKED[settings.preset],
    )
    return Asking(sets=one_unit_each(sets), samples=settings.samples)


_UNASKED: Mapping[Preset, int | None] = {"quick": 20, "standard": 60, "full": None}
"""Prompts of each default set, by preset; sets that the user names are asked whole, or as many as `:N` says."""


def one_unit_each(sets: Sequence[AskedSet]) -> tuple[AskedSet, ...]:
    """The sets with probes of equal prompts in one group, unless they name a group of their own.

    A prompt that is asked twice, under two ids or in two sets, is one prompt to statistics: its answers share their
    seeds, and greedy ones are copies of each other. Digests of the sets stay those of their files.
    """
    digests = {id(probe): prompt_digest(probe) for asked in sets for probe in asked.probes if probe.group is None}
    times = Counter(digests.values())

    def grouped(probe: Probe) -> Probe:
        digest = digests.get(id(probe))
        if digest is None or times[digest] == 1:
            return probe
        return attrs.evolve(probe, group=f"prompt {digest[:16]}")

    return tuple(attrs.evolve(asked, probes=tuple(map(grouped, asked.probes))) for asked in sets)


def _refuse_idle(settings: Settings, samples: int, *, alone: bool) -> None:
    """What was written before cannot be written otherwise; a flag without an effect would promise it."""
    if settings.samples not in {1, samples}:
        raise ConfigError(f"the recorded outputs hold up to {samples} samples per prompt; leave out --samples")
    if not alone:  # the other side still writes
        return
    fields = attrs.fields_dict(type(settings))
    for name in _WRITING:
        if getattr(settings, name) != fields[name].default:
            flag = name.replace("_", "-")
            raise ConfigError(f"both sides are recorded, so nobody writes; leave out --{flag} (or the key {name})")


_WRITING = ("max_new_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "template")


def _recorded_probes(recorded: Sequence[Recorded]) -> tuple[Probe, ...]:
    """All prompts of the recorded subjects, those of the first one first; equal ids must be equal prompts."""
    known: dict[str, Probe] = {}
    for subject in recorded:
        for probe in subject.probes():
            first = known.setdefault(probe.id, probe)
            if _asked(first) != _asked(probe):
                raise SubjectError(
                    f"prompt {probe.id!r} is not the same text on both sides; record the same prompts for both"
                )
            if first.gold is None and probe.gold is not None:  # known to one side is known
                known[probe.id] = attrs.evolve(first, gold=probe.gold, checker=probe.checker, choices=probe.choices)
            elif probe.gold is not None and (first.gold, first.choices) != (probe.gold, probe.choices):
                raise SubjectError(
                    f"prompt {probe.id!r} has the right answer {_short(first.gold)} on one side and "
                    f"{_short(probe.gold)} on the other; give both the same"
                )
    return tuple(known.values())


def _short(text: str | None) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"


def _asked(probe: Probe) -> list[tuple[str, str]]:
    """The turns less the assistant's: in a conversation each model talks on with its own answers."""
    turns = [(message.role, message.content) for message in probe.messages if message.role != "assistant"]
    return [*turns, *(("user", turn) for turn in probe.follow_ups)]
