"""What the predicate says of the run: what was planned before it, what became of it, on what it was computed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from afterburn_core import __version__
from afterburn_core.certify.derived import clip, clip_or_none, jsonable, plan_digest
from afterburn_core.certify.wording import LIMITATIONS
from afterburn_core.judge.policy import Policy
from afterburn_core.judge.rejudge import started_under
from afterburn_core.result.consistency import TABLE_MEDIA_TYPE
from afterburn_core.result.model import Input, PluginDescriptor, Result

RESULT_NAME = "result.json"
_PRODUCED = ("measurements", "findings", "artifacts")


def completeness(result: Result, requirements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every planned component and what became of it, and whether all that was recorded is still there."""
    executions = {execution.component: execution for execution in result.executions}
    tables = [artifact for artifact in result.artifacts if artifact.media_type == TABLE_MEDIA_TYPE]
    tabled = sum(table.entries or 0 for table in tables)
    derived = {metric.id for metric in result.descriptors.metrics if metric.detector is not None}
    components: list[dict[str, Any]] = []
    for name in result.run.components:
        execution = executions.get(name)
        if execution is None:
            components.append(
                {"name": name, "kind": None, "status": "missing", "applicable": True, "reason": None, "produced": 0}
            )
            continue
        components.append(
            {
                "name": name,
                "kind": execution.kind,
                "status": execution.status,
                "applicable": execution.applicable,
                "reason": None if execution.reason is None else clip(execution.reason),
                "produced": execution.produced.measurements + execution.produced.artifacts,
            }
        )
    return {
        "origin": "measured",
        "run": result.run.status,
        "components": components,
        "recorded": {name: sum(getattr(e.produced, name) for e in result.executions) for name in _PRODUCED},
        "present": {
            "measurements": len(result.measurements) + tabled,
            "findings": len(result.findings),
            "artifacts": len(result.artifacts) - len(tables),
        },
        "measured": tabled > 0 or any(m.status == "ok" and m.metric not in derived for m in result.measurements),
        "requirements": [dict(one) for one in requirements],
    }


def plan_of(result: Result, policy_sha256: str) -> dict[str, Any]:
    """What was fixed before anything was measured: components, settings, what was asked and read, seed, policy."""
    return {
        "components": list(result.run.components),
        "configuration": jsonable(dict(result.run.configuration)),
        "inputs": [{"id": entry.id, "kind": entry.kind, "sha256": entry.sha256} for entry in _asked(result.inputs)],
        "method": result.run.method,
        "policySha256": policy_sha256,
        "seed": str(result.run.seed),
    }


def run_policy(result: Result) -> Mapping[str, str] | None:
    """Name and digest of the policy that the run was started under, as the run recorded it; `None` where it did not."""
    found = started_under(result)
    return None if found is None else {"name": clip(found.label), "sha256": found.sha256}


def protocol(result: Result, policy: Policy, declared: Mapping[str, Any], not_asked: Sequence[str]) -> dict[str, Any]:
    """The plan with its digest, the policy in full, and where this certificate departs from them."""
    reference = policy.reference()
    ran_under = run_policy(result)
    plan = plan_of(result, ran_under["sha256"] if ran_under else reference.sha256)
    configuration = result.run.configuration
    written = result.properties.get("generation", {})
    deviations = []
    if ran_under is None:
        deviations.append({"id": "policy_not_recorded", "text": LIMITATIONS["policy_not_recorded"]})
    elif ran_under["sha256"] != reference.sha256:
        deviations.append({"id": "policy_after_run", "text": LIMITATIONS["policy_after_run"]})
    if configuration.get("answers") is not None:
        deviations.append({"id": "answers_of_earlier_run", "text": LIMITATIONS["answers_of_earlier_run"]})
    return {
        "origin": "measured",
        "planSha256": plan_digest(plan),
        "plan": plan,
        "policy": {"name": clip(policy.name), "sha256": reference.sha256, "text": policy_text(policy)},
        "runPolicy": None if ran_under is None else dict(ran_under),
        "deviations": deviations,
        "datasets": [_dataset(entry) for entry in _asked(result.inputs)],
        "probeSetsNotAsked": list(not_asked),
        "languages": _languages(result),
        "controls": _controls(result),
        "judgeModel": next((clip(entry.label) for entry in result.inputs if entry.kind == "judge"), None),
        "servedFromCache": _cached(result),
        "samplesPerPrompt": configuration.get("samples"),
        "decoding": jsonable({side: facts.get("decoding") for side, facts in written.items()}) or None,
        "declared": {"origin": "declared", **declared},
    }


def policy_text(policy: Policy) -> str:
    """The text whose SHA-256 is the policy's digest."""
    import json

    return json.dumps(policy.canonical(), sort_keys=True, allow_nan=False)


def _asked(inputs: Iterable[Input]) -> list[Input]:
    return sorted((entry for entry in inputs if entry.kind != "policy"), key=lambda entry: entry.id)


def _languages(result: Result) -> list[str]:
    """Languages found in what the models wrote, as ISO 639-1 codes, where an analyzer told them apart."""
    prefix = "behaviour.language."
    found = {m.metric.removeprefix(prefix) for m in result.measurements if m.metric.startswith(prefix) and m.value}
    return sorted(code for code in found if len(code) == 2)


def _controls(result: Result) -> list[dict[str, Any]]:
    """Kinds of controls that numbers were set among, with the most of each."""
    most: dict[str, int] = {}
    for measurement in result.measurements:
        if measurement.null is not None:
            kind = measurement.null.control
            most[kind] = max(most.get(kind, 0), measurement.null.n)
    return [{"kind": clip(kind), "n": n} for kind, n in sorted(most.items())]


def _cached(result: Result) -> bool:
    return any(
        count and name.endswith("from_cache")
        for execution in result.executions
        for name, count in execution.counters.items()
    )


def _dataset(entry: Input) -> dict[str, Any]:
    return {
        "id": entry.id,
        "kind": entry.kind,
        "name": clip(entry.label),
        "sha256": entry.sha256,
        "n": entry.n,
        "licence": clip_or_none(entry.licence),
    }


def tool(result: Result, declared: Mapping[str, Any]) -> dict[str, Any]:
    """The program: what ran, and what signed with digests of its installed files."""
    return {
        "origin": "measured",
        "name": result.run.tool.name,
        "ranVersion": result.run.tool.version,
        "certifiedWithVersion": __version__,
        "sourceSha256": source_digest("afterburn-core"),
        "plugins": [_plugin(plugin) for plugin in result.descriptors.plugins if plugin.name != "core"],
        "declared": {"origin": "declared", **declared},
    }


def _plugin(plugin: PluginDescriptor) -> dict[str, Any]:
    """A plugin as it ran; the digest is that of the same version installed here, if there is one."""
    digest = None
    try:
        if distribution(plugin.distribution).version == plugin.version:
            digest = source_digest(plugin.distribution)
    except PackageNotFoundError:
        pass
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "sourceSha256": digest,
    }


@cache
def source_digest(name: str) -> str | None:
    """SHA-256 over the sorted `sha256  path` lines of a distribution's Python sources; `None` if they are not found."""
    from importlib.util import find_spec
    from pathlib import Path

    package = {"afterburn-core": "afterburn_core"}.get(name, name.replace("-", "_"))
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}\n".encode()
        for file in sorted(folder.rglob("*.py"))
    ]
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def environment(result: Result) -> dict[str, Any]:
    """What the numbers were computed on, as the run recorded it."""
    found = result.run.environment
    forward = result.properties.get("forward", {})
    return {
        "origin": "measured",
        "os": clip(found.os),
        "machine": clip(found.machine),
        "python": clip(found.python),
        "device": clip(found.device),
        "threads": found.threads,
        "packages": [
            {"name": clip(name), "version": clip(version)} for name, version in sorted(found.packages.items())
        ],
        "attention": _text(forward.get("attention")),
        "dtype": _text(forward.get("dtype")),
        "engine": _text(forward.get("engine")),
    }


def reproducibility(result: Result) -> dict[str, Any]:
    """How the run could be repeated. That it would give the same numbers is claimed only where it was tried."""
    return {
        "origin": "measured",
        "command": f"afterburn {result.run.command}",
        "configurationSha256": plan_digest(jsonable(dict(result.run.configuration))),
        "repeats": 1,
        "largestDifference": None,
        "level": "not demonstrated",
    }


def evidence(result: Result, document: bytes, policy: Policy) -> dict[str, Any]:
    """The run's document, by digest, and the files beside it."""
    return {
        "origin": "measured",
        "result": {
            "name": RESULT_NAME,
            "sha256": hashlib.sha256(document).hexdigest(),
            "bytes": len(document),
            "schemaVersion": result.schema_version,
            "runId": result.run.id,
            "startedAt": result.run.started_at,
            "finishedAt": result.run.finished_at,
        },
        "policySha256": policy.reference().sha256,
        "artifacts": [
            {"path": artifact.path, "sha256": artifact.sha256, "bytes": artifact.size, "mediaType": artifact.media_type}
            for artifact in result.artifacts
        ],
    }


def _text(value: Any) -> str | None:
    return None if value is None else clip(str(value))
