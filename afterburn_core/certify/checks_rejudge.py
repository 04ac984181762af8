"""Do the detectors, run again over the measurements, find what the certificate says they found?

Needs the plugins that made the findings, at the versions that the certificate names. Texts and files beside the
document are not in a pack, so the wording of a finding may differ; its kind, level, place and numbers may not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterburn_core.certify.checks import DetailedInvalid, Outcome, Skip, clipped
from afterburn_core.certify.encoding import Invalid

if TYPE_CHECKING:
    from afterburn_core.judge.policy import Policy
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.result.model import Result

_COMPARED = ("verdict", "belowBar", "required", "waiver", "finding", "numbers", "threshold", "subjects", "scope")


def rejudged(document: bytes, pack: Path, predicate: Mapping[str, Any]) -> Outcome:
    """Every test made again from the run's document, whose digest was checked, and from tables of numbers beside it.

    Raises:
        Invalid: `rejudged.document`, `rejudged.policy`: they cannot be read; `rejudged.differs`.
    """
    from datetime import date

    from afterburn_core.certify.predicate_tests import rule_tests, threshold_tests
    from afterburn_core.errors import AfterburnError
    from afterburn_core.judge.policy import structured
    from afterburn_core.judge.rejudge import rejudge, unread
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.result import codec
    from afterburn_core.result.view import ResultView

    try:
        result = codec.loads(document)
    except AfterburnError as error:
        raise Invalid("rejudged.document", f"the run's document cannot be read: {error}") from error
    registry = Registry.discover()
    if absent := tuple(_absent(predicate, registry)):
        return Skip(f"needs {' '.join(absent)}, not installed here: pip install {' '.join(absent)}")
    try:
        policy = structured(json.loads(predicate["protocol"]["policy"]["text"]), "policy")
    except AfterburnError as error:
        raise Invalid("rejudged.policy", f"the certificate's policy cannot be read: {error}") from error
    for name, artifact in unread(result, pack, registry).items():
        raise Invalid("rejudged.table", f"{name} judges by {artifact}, which the pack lacks or has otherwise")
    day = date.fromisoformat(predicate["issuedAt"][:10])
    judged = ResultView(rejudge(result, pack, registry, policy, day), pack)
    again = [*threshold_tests(judged, policy), *rule_tests(judged, policy.canonical())]
    if found := list(_differences(predicate["tests"], again)):
        raise DetailedInvalid(
            "rejudged.differs", f"{len(found)} tests come out otherwise when they are judged again", found
        )
    if found := list(_told_otherwise(predicate, result, judged.result, document, policy)):
        raise DetailedInvalid("rejudged.differs", f"says otherwise than the run's document of its {found[0]}", found)
    status = judged.result.verdict.status.upper()
    if status != predicate["summary"]["overall"]:
        raise Invalid("rejudged.differs", f"judged again, the whole comes to {status}")
    return f"{len(again)} tests judged again by the detectors from the run's measurements: the same"


def _told_otherwise(
    predicate: Mapping[str, Any], stored: Result, judged: Result, document: bytes, policy: Policy
) -> Iterator[str]:
    """Whatever else of the certificate is read off the document, taken from it again."""
    from afterburn_core.certify import predicate_run
    from afterburn_core.certify.encoding import canonical, parse
    from afterburn_core.judge.settle import required_by

    held, tool = predicate["protocol"], predicate["tool"]
    declared = {name: value for name, value in held["declared"].items() if name != "origin"}
    met = predicate["completeness"]["requirements"]
    made: dict[str, Any] = {
        "protocol": predicate_run.protocol(stored, policy, declared, held["probeSetsNotAsked"]),
        "completeness": predicate_run.completeness(judged, met),
        "environment": predicate_run.environment(judged),
        "reproducibility": predicate_run.reproducibility(judged),
        "evidence": predicate_run.evidence(judged, document, policy),
    }
    again = parse(canonical(made), what="what was taken from the document")  # as numbers are in a certificate
    yield from (name for name in made if predicate[name] != again[name])
    ran = [(one.name, one.version) for one in judged.descriptors.plugins if one.name != "core"]
    told = [(one["name"], one["version"]) for one in tool["plugins"]]
    if (tool["ranVersion"], told) != (judged.run.tool.version, ran):
        yield "tool"
    required = {(one.kind, one.name): one.met for one in required_by(policy, judged)}
    if {(one["kind"], one["name"]): one["met"] for one in met} != required:
        yield "requirements"


def _absent(predicate: Mapping[str, Any], registry: Registry) -> Iterator[str]:
    """Requirements of plugins that judged and are not installed at their version."""
    judging = {test["rule"]["detector"].partition(".")[0] for test in predicate["tests"] if test["rule"] is not None}
    for plugin in predicate["tool"]["plugins"]:
        if plugin["name"] not in judging:
            continue
        here = registry.plugins.get(plugin["name"])
        if here is None or (here.distribution, here.version) != (plugin["distribution"], plugin["version"]):
            yield clipped(f"{plugin['distribution']}=={plugin['version']}")


def _differences(told: Sequence[Mapping[str, Any]], again: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    before, after = ({test["id"]: test for test in tests} for tests in (told, again))
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"{name}: in the certificate only"
        elif name not in before:
            yield f"{name}: not in the certificate"
        else:
            other = [field for field in _COMPARED if before[name].get(field) != after[name].get(field)]
            if other:
                yield f"{name}: {', '.join(other)}"
