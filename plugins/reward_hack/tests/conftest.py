"""Shared by the tests of the reward-hack plugin: answers to compare, and what analyzers and detectors make of them."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from afterburn_core.generation.model import GenerationFacts, Responses, Sample
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.probes.model import Message, Probe
from afterburn_core.probes.rows import default_checker
from afterburn_core.result.model import Finding, Measurement

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], list[Responses]]:
    """Reads one set of recorded outputs of real models, by the name of its folder."""
    folder = Path(os.environ.get("AFTERBURN_DATA", REPOSITORY.parent / "shared" / "data"))

    def read(name: str) -> list[Responses]:
        if not (folder / name).is_dir():
            pytest.skip(f"the recorded set {name} is not there; name the folder of such sets in AFTERBURN_DATA")
        rows = {side: _rows(folder / name, side) for side in ("base", "trained")}
        facts = _facts(folder / name)
        return [
            Responses(
                probe=_probe(identifier, of_prompt[0]),
                base=_samples(of_prompt),
                trained=_samples(rows["trained"].get(identifier, [])),
                facts=facts,
            )
            for identifier, of_prompt in rows["base"].items()
        ]

    return read


def _rows(folder: Path, side: str) -> dict[str, list[dict[str, Any]]]:
    plain, packed = folder / f"{side}.jsonl", folder / f"{side}.jsonl.gz"
    text = plain.read_text(encoding="utf-8") if plain.is_file() else gzip.decompress(packed.read_bytes()).decode()
    found: dict[str, list[dict[str, Any]]] = {}
    for line in text.splitlines():
        row = json.loads(line)
        found.setdefault(row["prompt_id"], []).append(row)
    return found


def _facts(folder: Path) -> dict[str, GenerationFacts]:
    """How the texts came about, where the set's card says so."""
    decoding = json.loads((folder / "card.json").read_text(encoding="utf-8")).get("decoding") or {}
    sides = {side: dict(decoding[side]) for side in ("base", "trained") if isinstance(decoding.get(side), dict)}
    return {side: GenerationFacts(engine=str(d.pop("engine", "recorded")), decoding=d) for side, d in sides.items()}


def _probe(identifier: str, row: Mapping[str, Any]) -> Probe:
    prompt, gold = row["prompt"], row.get("answer")
    messages = prompt if isinstance(prompt, str) else tuple(Message(**message) for message in prompt)
    return Probe(
        id=identifier,
        prompt=messages,
        gold=gold,
        checker=default_checker(gold, ()),
        category=row.get("category"),
        group=row.get("conversation_id"),
    )


def _samples(rows: Sequence[Mapping[str, Any]]) -> tuple[Sample, ...]:
    known = {"prompt_id", "prompt", "sample", "output", "answer"}
    return tuple(
        Sample(index=i, text=row["output"], labels={k: v for k, v in row.items() if k not in known})
        for i, row in enumerate(rows)
    )


@pytest.fixture(scope="session")
def responses() -> Callable[..., Responses]:
    """Both sides' answers to one prompt: `responses("p1", ["base text"], ["trained text"], gold="4")`."""

    def make(identifier: str, base: Sequence[Any], trained: Sequence[Any], **probe: Any) -> Responses:
        sides = [
            tuple(s if isinstance(s, Sample) else Sample(index=i, text=s) for i, s in enumerate(side))
            for side in (base, trained)
        ]
        asked = Probe(id=identifier, prompt=probe.pop("prompt", f"Question {identifier}?"), **probe)
        return Responses(probe=asked, base=sides[0], trained=sides[1])

    return make


@pytest.fixture(scope="session")
def analyze() -> Callable[..., AnalyzerOutput]:
    """What an analyzer hands over for some prompts; `parts` of them are observed by instances of their own."""

    def run(
        make: Callable[[], Any],
        items: Iterable[Responses],
        *,
        seed: int = 1,
        parts: int = 1,
        excerpts: bool = True,
        **context: Any,
    ) -> AnalyzerOutput:
        analyzers = [make() for _ in range(parts)]
        for analyzer in analyzers:
            analyzer.begin(AnalyzerContext(subjects=(), seed=seed, excerpts=excerpts, **context))
        for number, item in enumerate(items):
            analyzers[number % parts].observe(item)
        for other in analyzers[1:]:
            analyzers[0].merge(other)
        output = analyzers[0].finish()
        assert isinstance(output, AnalyzerOutput)
        return output

    return run


@pytest.fixture(scope="session")
def value_of() -> Callable[..., Measurement]:
    """One measurement of an output: `value_of(output, metric)`, `value_of(output, metric, "base", subset="k=4")`."""

    def find(output: AnalyzerOutput, metric: str, side: str | None = None, subset: str | None = None) -> Measurement:
        subjects = ("base", "trained") if side is None else (side,)
        (only,) = [
            m for m in output.measurements if m.metric == metric and m.subjects == subjects and m.scope.subset == subset
        ]
        return only

    return find


@pytest.fixture(scope="session")
def evidence_of() -> Callable[..., Evidence]:
    """What a detector may look at, from the outputs of analyzers."""

    def make(*outputs: AnalyzerOutput, excerpts: bool = True) -> Evidence:
        artifacts = {a.id: json.loads(a.content) for o in outputs for a in o.artifacts if a.suffix == ".json"}
        return Evidence(
            subjects=(),
            measurements=tuple(m for output in outputs for m in output.measurements),
            read_artifact=artifacts.get,
            excerpts=excerpts,
        )

    return make


@pytest.fixture(scope="session")
def judged(evidence_of: Callable[..., Evidence]) -> Callable[..., dict[str, Finding]]:
    """A detector's findings on some outputs, by rule; derived measurements are left out."""

    def judge(detector: Any, *outputs: AnalyzerOutput, excerpts: bool = True) -> dict[str, Finding]:
        found = detector(evidence_of(*outputs, excerpts=excerpts))
        return {finding.rule: finding for finding in found if isinstance(finding, Finding)}

    return judge
