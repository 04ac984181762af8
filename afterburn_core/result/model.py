"""The result document as frozen attrs classes, mirroring `schemas/run-result-1.0.json` field by field.

These classes hold values and nothing else: no torch, no files, no clocks. The JSON Schema is the product; a drift
test holds the two together. Absent optional values are `None` here and left out of the JSON, except where `null`
carries meaning (`Measurement.value`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

SCHEMA_VERSION = "1.0"

Role = Literal["base", "trained", "control", "checkpoint"]
SubjectKind = Literal["checkpoint", "adapter", "recorded", "api"]
RunStatus = Literal["complete", "interrupted", "failed"]
ExecutionStatus = Literal["ok", "failed", "skipped", "interrupted"]
ComponentKind = Literal["pass", "analyzer", "detector"]
MeasurementStatus = Literal["ok", "undefined"]
FindingKind = Literal["pass", "fail", "review", "open", "informational", "not_applicable"]
Level = Literal["none", "note", "warning", "error"]
VerdictStatus = Literal["pass", "fail", "incomplete"]
Direction = Literal["none", "higher_is_more_change", "higher_is_better", "lower_is_better"]

LEVELS: tuple[Level, ...] = ("none", "note", "warning", "error")


def _mapping() -> Any:
    return attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Tool:
    """The program that wrote the document."""

    name: str
    """Always `afterburn`."""
    version: str
    """Version of the core distribution."""


@attrs.frozen(kw_only=True)
class Environment:
    """What the numbers were computed on: class of hardware and versions, never host or user names."""

    os: str
    """Operating system family and release, such as `Linux`."""
    machine: str
    """Processor architecture, such as `x86_64`."""
    python: str
    """Version of the interpreter."""
    threads: int
    """Worker threads the executor used."""
    device: str
    """Torch device of the passes: `cpu`, `cuda`, `mps`, or `none` when nothing needed torch."""
    packages: Mapping[str, str] = _mapping()
    """Versions of the libraries that took part, by distribution name."""


@attrs.frozen(kw_only=True)
class Run:
    """One execution of a plan."""

    id: str
    """Identity of the run: hex digest over subjects, plan and configuration; equal inputs give equal ids."""
    status: RunStatus
    """`complete` when every planned component ended; otherwise why not."""
    started_at: str
    """UTC time, `YYYY-MM-DDTHH:MM:SSZ`."""
    finished_at: str
    """UTC time, `YYYY-MM-DDTHH:MM:SSZ`."""
    command: str
    """The command or API method, such as `diagnose`."""
    tool: Tool
    """The program that wrote the document."""
    environment: Environment
    """What the numbers were computed on."""
    components: tuple[str, ...]
    """Names of all planned components (passes, analyzers, detectors). A name without an execution makes the
    verdict incomplete, which is how a removed execution is noticed."""
    seed: int = 0
    """Seed of the run, below 2**53; every random stream is a named child of it."""
    method: str = "unknown"
    """Declared training method: sft, dpo, rlhf, rlvr, grpo, lora, qlora or unknown. Never inferred."""
    configuration: Mapping[str, Any] = _mapping()
    """Options that shaped the numbers, after merging file and flags; without paths."""


@attrs.frozen(kw_only=True)
class FileDigest:
    """One file of a subject or of another input."""

    path: str
    """Path relative to the subject's directory, POSIX style."""
    size: int
    """Bytes."""
    sha256: str
    """Lower-case hex digest of the content."""


@attrs.frozen(kw_only=True)
class Subject:
    """A model under test."""

    id: str
    """Unique in the document: the role, or `role:label` when a role occurs more than once."""
    role: Role
    """Part it plays in the comparison."""
    kind: SubjectKind
    """What it is made of: whole weights, an adapter on a base, recorded outputs, or an API endpoint."""
    label: str
    """What a person calls it: the directory's name or the hub id; never an absolute path."""
    digest: str
    """sha256 over the sorted `sha256  path` lines of `files`: the identity of the content."""
    backend: str
    """Name of the backend that opened it."""
    revision: str | None = None
    """Resolved hub commit, when the subject came from a hub."""
    architecture: str | None = None
    """First entry of `architectures` in its configuration, such as `LlamaForCausalLM`."""
    model_type: str | None = None
    """`model_type` of its configuration, such as `llama`."""
    parameters: int | None = None
    """Parameters stored, tied weights counted once, buffers excluded."""
    dtypes: Mapping[str, int] = _mapping()
    """Parameters by stored dtype."""
    base: str | None = None
    """For an adapter: id of the subject it sits on."""
    files: tuple[FileDigest, ...] = ()
    """Its files, sorted by path; empty for an API endpoint."""
    properties: Mapping[str, Any] = _mapping()
    """Facts particular to the kind, such as an adapter's rank."""


@attrs.frozen(kw_only=True)
class Input:
    """Anything besides subjects that shaped the result: probe sets, policies, reference texts."""

    id: str
    """Unique in the document."""
    kind: str
    """`probe_set`, `policy`, `corpus`, …"""
    label: str
    """What a person calls it; never an absolute path."""
    sha256: str
    """Lower-case hex digest of the content."""
    n: int | None = None
    """Number of items, where it has items."""
    licence: str | None = None
    """SPDX identifier or name of its licence, where known."""


@attrs.frozen(kw_only=True)
class MetricDescriptor:
    """What a metric id means."""

    id: str
    """`plugin.noun_phrase`, lower snake case; never reused."""
    summary: str
    """One line a reader without context understands."""
    unit: str
    """`1` for pure numbers, else the unit's name."""
    direction: Direction
    """How to read a larger number."""
    version: int
    """Raised whenever the number can change for equal inputs."""
    low: float | None = None
    """Smallest possible value, if there is one."""
    high: float | None = None
    """Largest possible value, if there is one."""
    detector: str | None = None
    """Name of the detector that derives it from other measurements; absent for what an analyzer measures."""


@attrs.frozen(kw_only=True)
class RuleDescriptor:
    """What a rule id means."""

    id: str
    """`plugin.noun_phrase`, lower snake case; never reused."""
    summary: str
    """What the rule asserts, in one line."""
    help: str
    """What to do about it, in a sentence or two."""
    level: Level
    """Highest level the rule's findings take."""
    detector: str
    """Name of the detector that owns the rule."""
    version: int
    """Raised whenever the judgement can change for equal measurements."""


@attrs.frozen(kw_only=True)
class PluginDescriptor:
    """Where a component came from."""

    name: str
    """Entry-point name, the prefix of its components, metrics and rules."""
    distribution: str
    """Name of the installed distribution that provides it."""
    version: str
    """Version of that distribution."""


@attrs.frozen(kw_only=True)
class Descriptors:
    """The dictionaries a reader needs for the ids used below."""

    metrics: tuple[MetricDescriptor, ...] = ()
    """Every metric that a measurement names."""
    rules: tuple[RuleDescriptor, ...] = ()
    """Every rule that a finding names."""
    plugins: tuple[PluginDescriptor, ...] = ()
    """Every plugin that contributed a component."""


@attrs.frozen(kw_only=True)
class Notification:
    """Something worth saying that is no measurement: a warning, a recovered problem."""

    level: Level
    """How much it matters."""
    message: str
    """One line for a person."""


@attrs.frozen(kw_only=True)
class Produced:
    """How many entries a component contributed; a document with fewer was tampered with or truncated."""

    measurements: int = 0
    """Measurements, inline and in tables together."""
    findings: int = 0
    """Findings of every kind."""
    artifacts: int = 0
    """Files beside the document."""


@attrs.frozen(kw_only=True)
class Execution:
    """What became of one planned component."""

    component: str
    """Name of the component, one of the run's `components`."""
    kind: ComponentKind
    """Stage the component belongs to."""
    plugin: str
    """Name of the plugin that provides it; `core` for the passes."""
    status: ExecutionStatus
    """How it ended."""
    seconds: float
    """Wall time."""
    reason: str | None = None
    """Why it did not end with `ok`; never absent then."""
    applicable: bool = True
    """False when the subjects, by their kind, cannot offer what the component needs."""
    produced: Produced = attrs.field(factory=Produced)
    """What it contributed to the document."""
    counters: Mapping[str, int] = _mapping()
    """Work done: tensors, bytes read, rows served from the cache."""
    notifications: tuple[Notification, ...] = ()
    """Warnings and recovered problems, in the order they occurred."""


@attrs.frozen(kw_only=True)
class Scope:
    """The place a measurement or finding speaks of; all fields absent means the whole model.

    A tensor's scope also names its layer and module, so that a reader can group without parsing names.
    """

    tensor: str | None = None
    """Name of the tensor as stored."""
    layer: int | None = None
    """Index of the block, from 0."""
    module: str | None = None
    """Kind of module: q, k, v, qkv, o, gate, up, gate_up, down, router, embed, head, norm, bias, other, …"""
    site: str | None = None
    """Place in the forward pass, such as `blocks.3.mlp.out`."""
    head: int | None = None
    """Index of the attention head, from 0."""
    token: int | None = None
    """Id in the vocabulary."""
    input: str | None = None
    """Id of a probe or of a row of an input."""
    subset: str | None = None
    """A named part: `encoder`, `decoder`, `vision`, a category of prompts."""

    def key(self) -> str:
        """The scope as text: `model` for the whole, the tensor's name alone for tensors, else `name=value,…`."""
        if self.tensor is not None and self.head is None:
            return f"tensor={self.tensor}"
        parts = [f"{a.name}={getattr(self, a.name)}" for a in attrs.fields(Scope) if getattr(self, a.name) is not None]
        return ",".join(parts) or "model"


@attrs.frozen(kw_only=True)
class Interval:
    """The uncertainty of a value."""

    low: float
    """Lower end."""
    high: float
    """Upper end."""
    level: float
    """Nominal coverage, such as 0.95."""
    method: str
    """How it was made, such as `bootstrap` or `wilson`."""


@attrs.frozen(kw_only=True)
class Test:
    """Outcome of a statistical test."""

    __test__ = False  # keeps pytest from collecting it

    name: str
    """The test, such as `paired_permutation`."""
    p_value: float
    """Probability of a statistic at least as extreme under the null, before any correction."""
    statistic: float | None = None
    """Value of the test statistic, where the test has one."""
    p_adjusted: float | None = None
    """The p value after the correction over its family."""
    correction: str | None = None
    """`holm`, `bh`, …; absent means uncorrected."""
    family: str | None = None
    """Name of the family of tests corrected together."""


@attrs.frozen(kw_only=True)
class Effect:
    """A standardised effect size."""

    name: str
    """Kind of effect size, such as `cohens_d`."""
    value: float
    """The effect size; the sign is that of trained minus base."""


@attrs.frozen(kw_only=True)
class Null:
    """Where the value lies among controls."""

    control: str
    """What the controls were, such as `matched`."""
    n: int
    """Number of controls."""
    quantile: float
    """Share of the controls' values that do not exceed the value."""
    p_value: float
    """Share of controls at least as extreme, the value itself counted among them."""


@attrs.frozen(kw_only=True)
class Measurement:
    """One number, or its stated absence."""

    id: str
    """`metric/subjects/scope`, made by `measurement_id`; unique in the document."""
    metric: str
    """Id of the metric, described in `descriptors`."""
    subjects: tuple[str, ...]
    """Ids of the subjects it speaks of; a contrast names `base` first."""
    status: MeasurementStatus
    """`ok` when there is a value, `undefined` when there is none."""
    value: float | None
    """`None` exactly when the status is `undefined`."""
    scope: Scope = attrs.field(factory=Scope)
    """The place it speaks of."""
    reason: str | None = None
    """Why it is undefined, or a caveat."""
    n: int | None = None
    """Independent units behind the value: entries, tensors, prompts."""
    interval: Interval | None = None
    """Absent for exact values (computed over every entry) and for undefined ones."""
    test: Test | None = None
    """Outcome of a statistical test of this value."""
    effect: Effect | None = None
    """Standardised size of the effect."""
    null: Null | None = None
    """Where the value lies among controls."""
    approximate: bool = False
    """True when the value carries an approximation error, stated in `reason`."""


@attrs.frozen(kw_only=True)
class Example:
    """Evidence side by side. A withheld text is replaced by `sha256:… (n characters)`."""

    label: str
    """What is shown, such as the prompt or the file."""
    base: str | None = None
    """Excerpt of the base's side."""
    trained: str | None = None
    """Excerpt of the trained side."""
    note: str | None = None
    """What to notice."""


@attrs.frozen(kw_only=True)
class Suppression:
    """A waiver: somebody accepts the finding until a day."""

    owner: str
    """Who answers for it."""
    justification: str
    """Why the finding is accepted."""
    expires: str
    """Last day it holds, `YYYY-MM-DD`."""


@attrs.frozen(kw_only=True)
class Finding:
    """A judgement under a rule, with its evidence."""

    rule: str
    """Id of the rule, described in `descriptors`."""
    kind: FindingKind
    """The judgement; `open` when inputs were missing, `review` when a person has to decide."""
    level: Level
    """How much it matters."""
    message: str
    """The judgement in a sentence, with the numbers it rests on."""
    fingerprint: str
    """Stable identity: rule and place, without volatile values; made by `fingerprint`."""
    subjects: tuple[str, ...] = ()
    """Ids of the subjects it speaks of."""
    scope: Scope = attrs.field(factory=Scope)
    """The place it speaks of."""
    measurements: tuple[str, ...] = ()
    """Ids of the measurements it rests on."""
    artifacts: tuple[str, ...] = ()
    """Ids of the artifacts it rests on."""
    examples: tuple[Example, ...] = ()
    """Evidence for the eye."""
    suppression: Suppression | None = None
    """The waiver that covers it, if one does."""


@attrs.frozen(kw_only=True)
class Reason:
    """One line of why the verdict is what it is."""

    effect: Literal["fail", "incomplete"]
    """What the reason does to the verdict."""
    message: str
    """The reason in a sentence."""
    rule: str | None = None
    """Id of the rule concerned."""
    fingerprint: str | None = None
    """Fingerprint of the finding concerned."""


@attrs.frozen(kw_only=True)
class PolicyReference:
    """The policy a verdict was reached under."""

    name: str
    """What the policy calls itself."""
    sha256: str
    """Lower-case hex digest of the policy's content."""


@attrs.frozen(kw_only=True)
class Verdict:
    """The answer under a policy, with its reasons."""

    status: VerdictStatus
    """The answer; `incomplete` when evidence is missing and nothing failed."""
    policy: PolicyReference
    """The policy it was reached under."""
    summary: str
    """The answer in one sentence."""
    reasons: tuple[Reason, ...] = ()
    """Empty exactly when the status is `pass`."""


@attrs.frozen(kw_only=True)
class Artifact:
    """A file beside the document."""

    id: str
    """Unique in the document."""
    path: str
    """Relative to the run directory, POSIX style."""
    media_type: str
    """Media type of the content before compression."""
    sha256: str
    """Lower-case hex digest of the file as stored."""
    size: int
    """Bytes of the file as stored."""
    summary: str
    """What it holds, in one line."""
    producer: str
    """Component that made it."""
    entries: int | None = None
    """For tables of measurements: how many rows it holds."""


@attrs.frozen(kw_only=True)
class Result:
    """The whole document."""

    schema_version: str
    """`major.minor` of the schema it was written under."""
    run: Run
    """The execution of the plan."""
    subjects: tuple[Subject, ...]
    """The models under test."""
    verdict: Verdict
    """The answer under a policy."""
    inputs: tuple[Input, ...] = ()
    """Everything besides subjects that shaped the result."""
    descriptors: Descriptors = attrs.field(factory=Descriptors)
    """The meaning of every id used below."""
    executions: tuple[Execution, ...] = ()
    """What became of each planned component."""
    measurements: tuple[Measurement, ...] = ()
    """The numbers; tables in `artifacts` may hold more of them."""
    findings: tuple[Finding, ...] = ()
    """The judgements."""
    artifacts: tuple[Artifact, ...] = ()
    """Files beside the document."""
    properties: Mapping[str, Any] = _mapping()
    """Facts no field is made for; readers may ignore them."""
