"""What a policy requires of a run besides its findings: analyzers, rules, controls, plugins, fresh passes.

Each requirement is met or leaves the verdict incomplete. All are read from what the document records, such that less
of a record never meets more of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import attrs

from afterburn_core.judge.policy_model import Policy, specifier
from afterburn_core.result.model import Execution, Finding, Measurement, PluginDescriptor, Run, Subject

__all__ = ["Requirement", "requirements"]

_CONTROLS = "core.controls"  # the component whose execution counts the controls that were measured
_FRESH_NOT = "from_cache"  # counters of what was served from the cache end in it
_NAMED = 3


@attrs.frozen(kw_only=True)
class Requirement:
    """One thing that a policy requires."""

    kind: Literal["analyzer", "rule", "control", "plugin", "cache"]
    """What sort of thing."""
    name: str
    """What is required."""
    met: bool
    """Whether the run has it."""
    message: str
    """What the run has, in a sentence."""


def requirements(
    policy: Policy,
    *,
    run: Run,
    subjects: Sequence[Subject],
    executions: Sequence[Execution],
    findings: Sequence[Finding],
    measurements: Iterable[Measurement],
    plugins: Sequence[PluginDescriptor],
    problems: Sequence[str] = (),
) -> tuple[Requirement, ...]:
    """What comes of each requirement, in the order analyzers, rules, controls, plugins, cache.

    Args:
        policy: whose requirements they are.
        run: what was planned.
        subjects: the controls among them.
        executions: what became of each component.
        findings: of all rules.
        measurements: those whose nulls tell how many controls were measured, where no execution counts them.
        plugins: the versions of those that contributed.
        problems: plugins that could not be loaded, each with the reason.
    """
    require = policy.require
    known = {execution.component: execution for execution in executions}
    return (
        *(_analyzer(name, known.get(name)) for name in require.analyzers),
        *(_rule(name, [finding for finding in findings if finding.rule == name]) for name in require.rules),
        *(_control(one.kind, one.n, subjects, known, measurements) for one in require.controls),
        *_plugins(policy, run, executions, plugins, problems),
        *((_fresh(run, executions),) if policy.cached == "refuse" else ()),
    )


def _analyzer(name: str, execution: Execution | None) -> Requirement:
    met = False
    if execution is None:
        what = "was not part of the run"
    elif execution.kind != "analyzer":
        what = f"is a {execution.kind}, no analyzer"
    elif execution.status != "ok":
        what = f"was {execution.status}: {execution.reason}"
    elif not (execution.produced.measurements or execution.produced.artifacts):
        what = "ended well but measured nothing"
    else:
        met, what = True, f"made {execution.produced.measurements} measurements"
    return Requirement(kind="analyzer", name=name, met=met, message=f"required analyzer {name} {what}")


def _rule(name: str, findings: Sequence[Finding]) -> Requirement:
    undecided = [finding for finding in findings if finding.kind == "open"]
    applied = [finding for finding in findings if finding.kind not in ("open", "not_applicable")]
    if not findings:
        what = "has no finding"
    elif undecided:
        what = f"is undecided: {undecided[0].message}"
    elif not applied:
        what = f"was not applicable: {findings[0].message}"
    else:
        what = "was judged"
    met = bool(applied) and not undecided
    return Requirement(kind="rule", name=name, met=met, message=f"required rule {name} {what}")


def _control(
    kind: str,
    n: int,
    subjects: Sequence[Subject],
    executions: Mapping[str, Execution],
    measurements: Iterable[Measurement],
) -> Requirement:
    named = sum(subject.role == "control" and subject.id.startswith(f"control:{kind}:") for subject in subjects)
    measured = min(named, _measured(kind, executions.get(_CONTROLS), measurements)) if named else 0
    name = f"{kind}:{n}"
    message = f"{n} controls of the kind {kind} are required, {measured} were measured"
    if measured < n:
        message += f"; run again with --control {name if kind != 'given' else 'MODEL'}"
    return Requirement(kind="control", name=name, met=measured >= n, message=message)


def _measured(kind: str, execution: Execution | None, measurements: Iterable[Measurement]) -> int:
    if execution is None or execution.status != "ok":
        return 0
    counted = execution.counters.get(kind)
    if counted is not None:
        return counted
    # documents of before the execution counted them by kind
    return max((m.null.n for m in measurements if m.null is not None and m.null.control == kind), default=0)


def _plugins(
    policy: Policy,
    run: Run,
    executions: Sequence[Execution],
    descriptors: Sequence[PluginDescriptor],
    problems: Sequence[str],
) -> Iterator[Requirement]:
    allow = policy.plugins.allow
    if allow is not None:
        versions = {descriptor.name: descriptor.version for descriptor in descriptors}
        versions.setdefault("core", run.tool.version)
        taking = {"core", *(execution.plugin for execution in executions)}
        taking |= {component.partition(".")[0] for component in run.components}
        for name in sorted(taking):
            if name != "core" or name in allow:
                yield _plugin(name, versions.get(name), allow.get(name))
    if policy.plugins.strict:
        for problem in problems:
            yield Requirement(
                kind="plugin", name=problem.partition(":")[0], met=False, message=f"plugin {problem}; it took no part"
            )


def _plugin(name: str, version: str | None, allowed: str | None) -> Requirement:
    met = False
    if allowed is None:
        what = "took part and is not among those that the policy allows"
    elif version is None:
        what = "took part, and the document does not say in which version"
    elif not _within(version, allowed, name):
        what = f"took part in version {version}, where the policy allows {allowed}"
    else:
        met, what = True, f"took part in version {version}"
    return Requirement(kind="plugin", name=name, met=met, message=f"plugin {name} {what}")


def _within(version: str, allowed: str, name: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return bool(specifier(allowed, name).contains(Version(version)))
    except InvalidVersion:
        return False


def _fresh(run: Run, executions: Sequence[Execution]) -> Requirement:
    served = [
        f"{execution.component} ({name} {count})"
        for execution in executions
        for name, count in sorted(execution.counters.items())
        if count and name.endswith(_FRESH_NOT)
    ]
    answers = run.configuration.get("answers")
    if answers is not None:
        served.append(f"the answers of {answers}")
    if not served:
        return Requirement(kind="cache", name="fresh", met=True, message="nothing was served from the cache")
    more = f" and {len(served) - _NAMED} more" if len(served) > _NAMED else ""
    message = f"the policy refuses what was served from the cache: {', '.join(served[:_NAMED])}{more}; run again "
    message += "without --answers" if answers is not None and len(served) == 1 else "with --no-cache"
    return Requirement(kind="cache", name="fresh", met=False, message=message)
