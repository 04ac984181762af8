"""The backend of recorded outputs: texts that a model wrote before, read from files. Needs neither NumPy nor torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.backends.recorded_card import NAME as CARD
from afterburn_core.backends.recorded_card import read_card
from afterburn_core.backends.recorded_content import Recording, collect
from afterburn_core.backends.recorded_formats.entry import Provenance
from afterburn_core.backends.recorded_reading import entries
from afterburn_core.backends.tensors import WeightSource
from afterburn_core.errors import NeedUnavailable, SubjectError
from afterburn_core.generation.model import Completed, Decoding, GenerationFacts, Request, Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.model import Message, Probe
from afterburn_core.result.model import Role
from afterburn_core.result.strict_json import show
from afterburn_core.run.digests import SubjectFile
from afterburn_core.run.references import SubjectReference
from afterburn_core.run.subjects import OpenSubject, SubjectFacts

NAME = "core.recorded"


@attrs.frozen(kw_only=True)
class RecordedSubject:
    """Recorded outputs of one model."""

    facts: SubjectFacts
    files: tuple[SubjectFile, ...]
    recording: Recording = attrs.field(repr=False)
    generation: GenerationFacts

    def probes(self) -> tuple[Probe, ...]:
        """The prompts that the files define, in their order."""
        return tuple(self.recording.probes.values())

    @property
    def samples_per_prompt(self) -> int:
        """The most samples that any prompt has."""
        return self.recording.samples_per_prompt

    def generator(self, decoding: Decoding, serving: Serving) -> RecordedGenerator:
        """Answers from the files; both arguments have no bearing on what was written before."""
        return RecordedGenerator(self.recording, self.generation)

    def weights(self) -> WeightSource:
        raise NeedUnavailable(f"{self.facts.label}: recorded outputs have no weights; give the model itself")

    def documents(self) -> Mapping[str, Mapping[str, Any] | None]:
        return {}

    def close(self) -> None:
        """Nothing is held open."""


class RecordedGenerator:
    """Gives the recorded samples; for what nobody recorded it yields nothing."""

    def __init__(self, recording: Recording, facts: GenerationFacts) -> None:
        self._recording = recording
        self.facts = facts

    def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
        """The recorded sample of every request that has one.

        Where earlier turns of the assistant differ from those that are asked, because each model talked on with its
        own answers, the sample has the label `own_history`.

        Raises:
            SubjectError: a prompt was recorded under the same id with another text.
        """
        for request in requests:
            probe = self._recording.probes.get(request.probe)
            samples = self._recording.samples.get(request.probe, ())
            if probe is None or request.turn or request.index >= len(samples):  # replies come with their sample
                continue
            sample = samples[request.index]
            if probe.messages != request.messages:
                _require_same_questions(probe, request)
                sample = attrs.evolve(sample, labels={**sample.labels, "own_history": True})
            yield Completed(request=request, sample=sample)

    def groups(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        return [(request,) for request in requests]

    def close(self) -> None:
        """Nothing is held open."""


def _require_same_questions(probe: Probe, request: Request) -> None:
    if _questions(probe.messages) != _questions(request.messages):
        raise SubjectError(
            f"prompt {show(probe.id)}: the recorded text is not the one that is asked; both sides must have been "
            "asked the same under one id: rename one of them or correct its text"
        )


def _questions(messages: Sequence[Message]) -> list[tuple[str, str | None]]:
    """The turns, without what the assistant said in them."""
    return [(turn.role, None if turn.role == "assistant" else turn.content) for turn in messages]


def open_subject(
    reference: SubjectReference, *, role: Role, base: OpenSubject | None, registry: Registry
) -> RecordedSubject:
    """Reads what a reference names, whole: a fault in the last line shows before anything else begins.

    Raises:
        SubjectError: nothing is there, or it is wrong; the message names file and line.
    """
    path = reference.path or Path()
    paths = _paths(path)
    about = Provenance()
    recording = collect(entries(paths, about), str(path))
    for file in paths:
        read_card(file, about)
    root, read = path if path.is_dir() else path.parent, (*paths, *sorted(about.files))
    facts = SubjectFacts(
        role=role,
        kind="recorded",
        label=reference.label,
        backend=NAME,
        capabilities=("generate",),
        bytes=sum(file.stat().st_size for file in paths),
        tensors=0,
        parameters=0,
        properties={
            "prompts": len(recording.probes),
            "samples": sum(len(samples) for samples in recording.samples.values()),
            **_known(engine=about.engine, model=about.model, template=about.template, decoding=about.decoding),
            **about.properties,
        },
    )
    return RecordedSubject(
        facts=facts,
        files=tuple(SubjectFile(path=file, relative=file.relative_to(root).as_posix()) for file in read),
        recording=recording,
        generation=_generation(about),
    )


def _generation(about: Provenance) -> GenerationFacts:
    rest = dict(about.properties)
    context = rest.pop("context", None)
    return GenerationFacts(
        engine=about.engine or "recorded",
        template=about.template,
        template_sha256=_text(rest.pop("template_sha256", None)),
        tokenizer_sha256=_text(rest.pop("tokenizer_sha256", None)),
        decoding=about.decoding,
        context=context if isinstance(context, int) else None,
        properties={**_known(engine=about.engine, model=about.model), **rest},
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _paths(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise SubjectError(f"{path}: no such file or directory; check the path after recorded:")
    found = tuple(sorted(file for file in path.iterdir() if file.is_file() and _is_candidate(file.name)))
    if not found:
        raise SubjectError(f"{path}: holds no recorded outputs (.jsonl, .jsonl.gz, .json, .eval)")
    return found


def _is_candidate(name: str) -> bool:
    """Cards and summaries of runs lie beside recorded outputs and are none."""
    return name.endswith(_SUFFIXES) and name != CARD and not name.startswith("results_")


_SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".eval")


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
