"""What a recorded subject holds: its prompts, and the samples of each, collected from entries of any format."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from afterburn_core.backends.recorded_formats.entry import Entry, refuse
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Sample
from afterburn_core.probes.model import Message, Probe
from afterburn_core.result.strict_json import show

SUITE = "recorded"
"""Suite of prompts whose rows name none."""


@attrs.frozen(kw_only=True)
class Recording:
    """Prompts in the order of the files, and the samples of each in the order of their numbers."""

    probes: Mapping[str, Probe]
    samples: Mapping[str, tuple[Sample, ...]]
    """Numbered from 0 within the prompt, whatever numbers the rows had."""

    @property
    def samples_per_prompt(self) -> int:
        """The most samples that any prompt has."""
        return max((len(samples) for samples in self.samples.values()), default=0)


@attrs.define
class _Prompt:
    """A prompt while its rows come in."""

    prompt: str | tuple[Message, ...]
    fields: dict[str, Any]
    where: str
    samples: dict[int, tuple[Sample, str]] = attrs.field(factory=dict)
    """By recorded number, with the place of the row."""


def collect(entries: Iterable[Entry], what: str) -> Recording:
    """All entries by prompt. Texts are held once: a prompt is kept from its first row and compared in the others.

    Args:
        entries: as the files have them.
        what: the file or directory, for messages.

    Raises:
        SubjectError: nothing is recorded, a sample occurs twice, or rows contradict each other about a prompt.
    """
    prompts: dict[str, _Prompt] = {}
    for entry in entries:
        known = prompts.get(entry.prompt_id)
        if known is None:
            known = prompts[entry.prompt_id] = _Prompt(entry.prompt, dict(entry.probe), entry.where)
        else:
            _require_same(known, entry)
        number = len(known.samples) if entry.number is None else entry.number
        earlier = known.samples.get(number)
        if earlier is not None:
            _refuse_twice(entry, number, earlier[1])
        known.samples[number] = (_sample(entry, number), entry.where)
    if not prompts:
        raise SubjectError(f"{what}: holds no recorded output; give a file with rows of prompt_id, prompt and output")
    return Recording(
        probes={
            name: Probe(id=name, prompt=found.prompt, **{"suite": SUITE, **found.fields})
            for name, found in prompts.items()
        },
        samples={name: _renumbered(found.samples) for name, found in prompts.items()},
    )


def _sample(entry: Entry, number: int) -> Sample:
    fields = dict(entry.sample)
    labels = {sys.intern(name): value for name, value in fields.pop("labels", {}).items()}
    return Sample(index=number, text=entry.output, labels=labels, **fields)


def _renumbered(samples: Mapping[int, tuple[Sample, str]]) -> tuple[Sample, ...]:
    ordered = [samples[number][0] for number in sorted(samples)]
    return tuple(
        sample if sample.index == index else attrs.evolve(sample, index=index) for index, sample in enumerate(ordered)
    )


def _require_same(known: _Prompt, entry: Entry) -> None:
    if known.prompt != entry.prompt:
        refuse(
            entry.where,
            f"prompt {show(entry.prompt_id)} has another text here than at {known.where}; one id stands for one prompt",
        )
    for field, value in entry.probe.items():
        if known.fields.setdefault(field, value) != value:
            hint = "; call the model's own answer something else than 'answer'" if field == "gold" else ""
            earlier = show(known.fields[field])
            refuse(
                entry.where,
                f"prompt {show(entry.prompt_id)} has {field} {show(value)} here and {earlier} before; "
                f"what is said of a prompt must be equal on all its rows{hint}",
            )


def _refuse_twice(entry: Entry, number: int, earlier: str) -> None:
    file, _, _ = entry.where.rpartition(":")
    hint = "number the samples of a prompt 0, 1, 2 …"
    if file != earlier.rpartition(":")[0]:
        hint = "a subject is one model: name its file alone instead of the directory"
    refuse(entry.where, f"prompt {show(entry.prompt_id)}, sample {number} was already at {earlier}; {hint}")
