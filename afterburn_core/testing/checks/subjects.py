"""What the rules for analyzers are put to: observations of tiny pairs, and what the analyzer makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.run.needs import DocumentsNeed, WeightsNeed
from afterburn_core.testing.feeding import analyze, observations
from afterburn_core.testing.kit import Target, skip


def weights_need(target: Target) -> WeightsNeed | None:
    """What the analyzer asks of the weights pass, or `None`."""
    return next((need for need in target.spec.needs if isinstance(need, WeightsNeed)), None)


def present(target: Target, names: Iterable[str]) -> Iterable[str]:
    """`names`, if the kit can make the observations this analyzer asks for; otherwise the check is skipped."""
    foreign = [need for need in target.spec.needs if not isinstance(need, (DocumentsNeed, WeightsNeed))]
    if foreign:
        skip(f"the kit makes no observations for {type(foreign[0]).__name__} yet")
    return names


def items_of(target: Target, name: str) -> tuple[Any, ...]:
    """The observations of the pair called `name` that the analyzer asked for."""
    present(target, ())
    weights = target.workbench.weight_pairs(name)
    documents = target.workbench.document_pairs(name)
    return observations(target.spec, weights, documents)


def output_of(target: Target, name: str) -> AnalyzerOutput:
    """What the analyzer makes of the pair called `name`, seen whole and in order; computed once."""
    output: AnalyzerOutput = target.workbench.keep(
        ("output", target.name, name), lambda: analyze(target.spec, items_of(target, name))
    )
    return output
