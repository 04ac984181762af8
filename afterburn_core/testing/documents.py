"""Result documents for tests: the golden ones, small ones around given content, and arbitrary valid ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from afterburn_core.resources import golden_documents
from afterburn_core.result import codec
from afterburn_core.result.model import (
    SCHEMA_VERSION,
    Artifact,
    Descriptors,
    Environment,
    Execution,
    Finding,
    Measurement,
    MetricDescriptor,
    PolicyReference,
    Produced,
    Result,
    Role,
    RuleDescriptor,
    Run,
    Subject,
    Tool,
    Verdict,
)

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["HOSTILE", "golden", "result_of", "results"]

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]>",
    "-->",
    "**bold** [link](javascript:alert(1)) | cell | `code`",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe\u202c",
    "two\nlines\r\n\u2028",
    "{{ 7*7 }}",
    "=1+1",
    "\x00",
)
"""Texts that must arrive in a report as the texts they are."""

_ZEROS = "0" * 64


def golden() -> Mapping[str, Result]:
    """The golden documents by name, such as `1.0-finetune`."""
    return {path.stem: codec.read(path) for path in golden_documents()}


def result_of(
    measurements: tuple[Measurement, ...] = (),
    findings: tuple[Finding, ...] = (),
    artifacts: tuple[Artifact, ...] = (),
) -> Result:
    """A small valid result with this content; every subject, metric and rule it names is described."""
    named = {"base", "trained"}
    named.update(*(measurement.subjects for measurement in measurements), *(finding.subjects for finding in findings))
    metrics = sorted({measurement.metric for measurement in measurements})
    rules = sorted({finding.rule for finding in findings})
    produced = Produced(measurements=len(measurements), findings=len(findings), artifacts=len(artifacts))
    return Result(
        schema_version=SCHEMA_VERSION,
        run=Run(
            id="0123456789abcdef",
            status="complete",
            started_at="2026-01-15T09:30:00Z",
            finished_at="2026-01-15T09:30:02Z",
            command="diagnose",
            tool=Tool(name="afterburn", version="0.1.0"),
            environment=Environment(os="Linux", machine="x86_64", python="3.11.7", threads=1, device="cpu"),
            components=("weight.delta",),
        ),
        subjects=tuple(_subject(identifier) for identifier in sorted(named)),
        verdict=Verdict(
            status="pass",
            policy=PolicyReference(name="default", sha256=_ZEROS),
            summary="Nothing fails the policy.",
        ),
        descriptors=Descriptors(
            metrics=tuple(
                MetricDescriptor(id=metric, summary=metric, unit="1", direction="none", version=1) for metric in metrics
            ),
            rules=tuple(
                RuleDescriptor(id=rule, summary=rule, help="Look.", level="error", detector="weight.changes", version=1)
                for rule in rules
            ),
        ),
        executions=(
            Execution(
                component="weight.delta",
                kind="analyzer",
                plugin="weight",
                status="ok",
                seconds=0.5,
                produced=produced,
            ),
        ),
        measurements=measurements,
        findings=findings,
        artifacts=artifacts,
    )


def results(*, most: int = 3) -> SearchStrategy[Result]:
    """A hypothesis strategy: arbitrary valid results with up to `most` entries in each list, hostile texts included."""
    from afterburn_core.testing.arbitrary import arbitrary_results  # needs hypothesis, which no other function does

    return arbitrary_results(most)


def _subject(identifier: str) -> Subject:
    roles: dict[str, Role] = {
        "base": "base",
        "trained": "trained",
        "control": "control",
        "checkpoint": "checkpoint",
    }
    return Subject(
        id=identifier,
        role=roles[identifier.partition(":")[0]],
        kind="checkpoint",
        label="toy",
        digest=_ZEROS,
        backend="core.checkpoint",
    )
