"""Shared by the tests of the activation plugin: batches made by hand, and what analyzers and detectors make of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from afterburn_core.forward.model import CONTENT, FIRST, FIRST_TOKENS, TEMPLATE, Captured, ForwardBatch, Passage, Rows
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.model import Finding, Measurement


@attrs.frozen(kw_only=True, eq=False)
class Reading:
    """One passage with both sides' activations (tokens, d) by site."""

    passage: Passage
    base: Mapping[str, np.ndarray]
    trained: Mapping[str, np.ndarray]
    prompt: int = 0
    """Tokens before the text; all of them for a prompt alone."""
    template: int = 0
    """How many of the prompt's last tokens the template wrote."""
    controls: Mapping[str, Mapping[str, np.ndarray]] = attrs.field(factory=dict)
    tokens: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        return len(next(iter(self.base.values())))


def passage(name: str, source: str = "text", **fields: Any) -> Passage:
    fields.setdefault("unit", name)
    fields.setdefault("domain", "made")
    return Passage(id=name, source=source, **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def reading() -> Callable[..., Reading]:
    """One passage: `reading("p1", base={site: (n, d)}, trained=…, source="prompt", prompt=4)`."""

    def make(name: str, *, base: Any, trained: Any, source: str = "text", **fields: Any) -> Reading:
        own = {key: fields.pop(key) for key in ("prompt", "template", "controls", "tokens") if key in fields}
        return Reading(passage=passage(name, source, **fields), base=base, trained=trained, **own)

    return make


@pytest.fixture(scope="session")
def batch() -> Callable[[Sequence[Reading]], ForwardBatch]:
    """The batch of some passages, as the forward pass hands it out; leading marks are none."""

    def make(readings: Sequence[Reading]) -> ForwardBatch:
        lengths = [one.length for one in readings]
        position = torch.cat([torch.arange(n) for n in lengths])
        passages = torch.repeat_interleave(torch.arange(len(readings)), torch.tensor(lengths))
        offset = torch.cat([torch.arange(one.length) - one.prompt for one in readings])
        classes = torch.full_like(position, CONTENT)
        classes[(offset >= 0) & (offset < FIRST_TOKENS)] = FIRST
        template = torch.cat([(torch.arange(one.length) - one.prompt).ge(-one.template) for one in readings])
        classes[template & (offset < 0)] = TEMPLATE
        tokens = torch.cat([torch.tensor(one.tokens or range(one.length)) for one in readings])
        rows = Rows(
            passages=tuple(one.passage for one in readings),
            passage=passages,
            position=position,
            token=tokens,
            token_class=classes.to(torch.uint8),
            in_text=offset >= 0,
            offset=offset,
            target=torch.full_like(position, -1),
            target_class=torch.zeros_like(position).to(torch.uint8),
            decode=lambda token: f" t{token}",
        )
        names = sorted({name for one in readings for name in one.controls})
        return ForwardBatch(
            rows=rows,
            base=_captured([one.base for one in readings]),
            trained=_captured([one.trained for one in readings]),
            controls={name: _captured([one.controls[name] for one in readings]) for name in names},
            scored=torch.zeros(0, dtype=torch.int64),
            scores=None,
        )

    return make


def _captured(sides: Sequence[Mapping[str, np.ndarray]]) -> Captured:
    sites = {
        site: torch.tensor(np.concatenate([side[site] for side in sides]), dtype=torch.float32) for site in sides[0]
    }
    return Captured(sites=sites)


@pytest.fixture(scope="session")
def analyze() -> Callable[..., AnalyzerOutput]:
    """What an analyzer hands over for some batches; `parts` of them are observed by instances of their own."""

    def run(
        make: Callable[[], Any],
        batches: Iterable[ForwardBatch],
        *,
        seed: int = 1,
        parts: int = 1,
        excerpts: bool = True,
        subjects: tuple[Any, ...] = (),
    ) -> AnalyzerOutput:
        analyzers = [make() for _ in range(parts)]
        for analyzer in analyzers:
            analyzer.begin(AnalyzerContext(subjects=subjects, seed=seed, excerpts=excerpts))
        for number, item in enumerate(batches):
            analyzers[number % parts].observe(item)
        for other in analyzers[1:]:
            analyzers[0].merge(other)
        output = analyzers[0].finish()
        assert isinstance(output, AnalyzerOutput)
        return output

    return run


@pytest.fixture(scope="session")
def value_of() -> Callable[..., Measurement]:
    """One measurement of an output: `value_of(output, metric, site="blocks.0.out", subset="all")`."""

    def find(output: AnalyzerOutput, metric: str, site: str | None = None, subset: str | None = None) -> Measurement:
        (only,) = [
            m for m in output.measurements if m.metric == metric and m.scope.site == site and m.scope.subset == subset
        ]
        return only

    return find


@pytest.fixture(scope="session")
def judged() -> Callable[..., dict[str, Finding]]:
    """A detector's findings on some outputs, by rule."""

    def judge(detector: Any, *outputs: AnalyzerOutput) -> dict[str, Finding]:
        artifacts = {a.id: json.loads(a.content) for o in outputs for a in o.artifacts if a.suffix == ".json"}
        evidence = Evidence(
            subjects=(),
            measurements=tuple(m for output in outputs for m in output.measurements),
            read_artifact=artifacts.get,
        )
        return {finding.rule: finding for finding in detector(evidence)}

    return judge


@pytest.fixture(scope="session")
def alike() -> Callable[[AnalyzerOutput, AnalyzerOutput], None]:
    """Asserts that two outputs agree to 1e-12, relative, in every number of every measurement."""

    def check(one: AnalyzerOutput, other: AnalyzerOutput) -> None:
        first, second = ({m.id: m for m in output.measurements} for output in (one, other))
        assert first.keys() == second.keys() and first
        for name, m in first.items():
            w = second[name]
            assert (m.status, m.n) == (w.status, w.n), name
            if m.value is not None:
                assert w.value == pytest.approx(m.value, rel=1e-12, abs=1e-300), name
            assert (m.interval is None) == (w.interval is None), name
            if m.interval is not None and w.interval is not None:
                ends = (m.interval.low, m.interval.high)
                assert (w.interval.low, w.interval.high) == pytest.approx(ends, rel=1e-9, abs=1e-15), name

    return check
