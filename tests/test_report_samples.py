"""Documents that the report tests show: rich, clean, empty, hostile and large. Each is itself held to the schema."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import attrs
import pytest

from afterburn_core.result.codec import dumps, loads
from afterburn_core.result.identity import fingerprint, measure, undefined
from afterburn_core.result.model import (
    Artifact,
    Descriptors,
    Effect,
    Environment,
    Example,
    Execution,
    FileDigest,
    Finding,
    FindingKind,
    Interval,
    Level,
    Measurement,
    MetricDescriptor,
    Notification,
    PluginDescriptor,
    PolicyReference,
    Produced,
    Reason,
    Result,
    RuleDescriptor,
    Run,
    Scope,
    Subject,
    Suppression,
    Test,
    Tool,
    Verdict,
)

SHA = "0123456789abcdef" * 4
PWN = (
    "</script><script>window.__pwned=1</script><img src=x onerror=window.__pwned=1>"
    "\x1b[31m\u202egnp.exe\u0000 | `code` **bold** [link](javascript:window.__pwned=1) @someone #12 "
    "https://evil.example ]]> <!-- {{7*7}} ${7*7} \"'\\ \u2028 \ud7ff \U0001f600"
)
MODULES = {
    "q": (64, 64),
    "k": (64, 64),
    "v": (64, 64),
    "o": (64, 64),
    "gate": (160, 64),
    "up": (160, 64),
    "down": (64, 160),
}


def metric(
    name: str, summary: str, *, unit: str = "1", low: float | None = 0, high: float | None = None
) -> MetricDescriptor:
    return MetricDescriptor(id=name, summary=summary, unit=unit, direction="none", version=1, low=low, high=high)


def rule(name: str, summary: str, level: Level = "warning") -> RuleDescriptor:
    return RuleDescriptor(
        id=name,
        summary=summary,
        help="Look at the places named and decide.",
        level=level,
        detector=name.rpartition(".")[0],
        version=1,
    )


def finding(
    name: str,
    kind: FindingKind,
    message: str,
    *,
    level: Level = "none",
    scope: Scope | None = None,
    cites: tuple[str, ...] = (),
    examples: tuple[Example, ...] = (),
    suppression: Suppression | None = None,
) -> Finding:
    where, subjects = scope or Scope(), ("base", "trained")
    return Finding(
        rule=name,
        kind=kind,
        level=level,
        message=message,
        fingerprint=fingerprint(name, subjects, where),
        subjects=subjects,
        scope=where,
        measurements=cites,
        examples=examples,
        suppression=suppression,
    )


def subject(role: str, label: str) -> Subject:
    files = (
        FileDigest(path="config.json", size=712, sha256=SHA),
        FileDigest(path="model.safetensors", size=2_200_119_664, sha256=SHA[::-1]),
    )
    return Subject(
        id=role,
        role=role,
        kind="checkpoint",
        label=label,
        digest=SHA,
        backend="checkpoint",
        architecture="LlamaForCausalLM",  # type: ignore[arg-type]
        model_type="llama",
        parameters=1_100_048_384,
        dtypes={"bfloat16": 1_100_048_384},
        files=files,
    )


def execution(name: str, n: int, *, plugin: str = "weight", **fields: object) -> Execution:
    values = {"kind": "analyzer", "status": "ok", "seconds": 3.25, "produced": Produced(measurements=n)} | fields
    return Execution(component=name, plugin=plugin, **values)  # type: ignore[arg-type]


def run(components: tuple[str, ...], **fields: object) -> Run:
    environment = Environment(
        os="Linux",
        machine="x86_64",
        python="3.12.4",
        threads=8,
        device="cpu",
        packages={"numpy": "2.1.0", "torch": "2.9.0"},
    )
    values: dict[str, object] = {
        "id": SHA[:32],
        "status": "complete",
        "started_at": "2026-01-05T10:00:00Z",
        "finished_at": "2026-01-05T10:03:12Z",
        "command": "diagnose",
        "tool": Tool(name="afterburn", version="0.1.0"),
        "environment": environment,
        "components": components,
        "seed": 7,
        "method": "sft",
        "configuration": {"weight": {"top_k": 10}, "seed": 7},
    }
    return Run(**values | fields)  # type: ignore[arg-type]


def verdict(status: str, summary: str, *reasons: Reason) -> Verdict:
    return Verdict(status=status, policy=PolicyReference(name="default", sha256=SHA), summary=summary, reasons=reasons)  # type: ignore[arg-type]


def size_of_change(layer: int, module: str) -> float:
    """A smooth profile with one hot place; `v` stays as it was in the first layers, as a frozen module would."""
    if module == "v" and layer < 4:
        return 0.0
    hot = 14.0 if (layer, module) == (17, "down") else 1.0
    return 2e-3 * hot * (1.2 + math.sin(layer / 3)) * (1 + list(MODULES).index(module) / 3)


def weight_measurements(layers: int = 24) -> list[Measurement]:
    found = [
        measure("weight.delta.relative", 0.0123, n=1_100_048_384),
        measure("weight.coverage", 0.99996, n=1_100_048_384),
        measure("weight.rounding.floor", 0.00166),
        measure("weight.delta.relative", 0.0, scope=Scope(module="embed", tensor="model.embed_tokens.weight")),
        measure("weight.delta.norm", 0.0, scope=Scope(module="embed", tensor="model.embed_tokens.weight")),
    ]
    for layer in range(layers):
        for module, (rows, columns) in MODULES.items():
            scope = Scope(tensor=f"model.layers.{layer}.{_path(module)}.weight", layer=layer, module=module)
            change = size_of_change(layer, module)
            found.append(measure("weight.delta.relative", change, scope=scope, n=rows * columns))
            found.append(measure("weight.delta.norm", change * 40, scope=scope, n=rows * columns))
            found.append(measure("weight.delta.radial", math.cos(layer + len(module)) / 3, scope=scope))
            if change:
                found.append(
                    attrs.evolve(
                        measure("weight.delta.stable_rank", 3 + layer % 5, scope=scope),
                        approximate=layer == 3,
                        reason="truncated spectrum" if layer == 3 else None,
                    )
                )
            else:
                found.append(undefined("weight.delta.stable_rank", "the tensor did not change", scope=scope))
        bias = Scope(tensor=f"model.layers.{layer}.self_attn.q_proj.bias", layer=layer, module="bias")
        found.append(undefined("weight.delta.relative", "the base tensor is zero everywhere", scope=bias))
        found.append(measure("weight.delta.norm", 0.25, scope=bias))
    for layer in range(6):
        for head in range(4):
            found.append(
                measure("weight.head.relative", 0.001 * (layer + 1) * (head + 1), scope=Scope(layer=layer, head=head))
            )
    return found


def _path(module: str) -> str:
    return f"self_attn.{module}_proj" if module in "qkvo" else f"mlp.{module}_proj"


def behaviour_measurements() -> list[Measurement]:
    interval = Interval(low=0.12, high=0.31, level=0.95, method="bootstrap")
    shift = attrs.evolve(
        measure("behaviour.length.shift", 0.214, n=120),
        interval=interval,
        effect=Effect(name="Cliff's delta", value=0.41),
        test=Test(name="Wilcoxon", p_value=0.00031, p_adjusted=0.0021, correction="holm", family="behaviour"),
    )
    return [
        measure("behaviour.length.mean", 182.4, subjects=("base",), n=120),
        measure("behaviour.length.mean", 221.4, subjects=("trained",), n=120),
        shift,
        measure("behaviour.format.rate", 0.08, subjects=("base",), n=120),
        measure("behaviour.format.rate", 0.55, subjects=("trained",), n=120),
        undefined("behaviour.accuracy", "no prompt has an expected answer", subjects=("trained",)),
    ]


METRICS = (
    metric("weight.delta.relative", "Norm of the change over norm of the base weights"),
    metric("weight.delta.norm", "Frobenius norm of the change"),
    metric("weight.delta.radial", "Cosine between the change and the base weights", low=-1, high=1),
    metric("weight.delta.stable_rank", "Squared norm of the change over its largest squared singular value"),
    metric("weight.head.relative", "Relative change of one attention head"),
    metric("weight.coverage", "Parameters compared over parameters present", high=1),
    metric("weight.rounding.floor", "Relative rounding step of the stored type"),
    metric("behaviour.length.mean", "Mean length of replies", unit="tokens"),
    metric("behaviour.length.shift", "Paired change of length over its spread", low=None),
    metric("behaviour.format.rate", "Share of replies with a final-answer marker", high=1),
    metric("behaviour.accuracy", "Share of correct replies", high=1),
)
RULES = (
    rule("weight.outlier.layer", "One layer changed far more than its neighbours", "error"),
    rule("weight.config.changed", "The configuration differs"),
    rule("weight.tokenizer.changed", "The tokenizer or chat template differs"),
    rule("weight.coverage.full", "Every parameter was compared", "error"),
    rule("weight.finite", "All weights are finite numbers", "error"),
    rule("behaviour.length", "Replies became longer without becoming better"),
    rule("behaviour.language", "Replies changed their language"),
    rule("hack.format", "Replies game their format", "error"),
    rule("hack.sycophancy", "Replies agree with the user more than the facts do"),
)


def rich() -> Result:
    """A failed run with findings of every kind and two families of metrics."""
    measurements = (*weight_measurements(), *behaviour_measurements())
    hot = Scope(layer=17, module="down", tensor="model.layers.17.mlp.down_proj.weight")
    cited = tuple(m.id for m in measurements if m.scope == hot)
    template = Example(
        label="chat_template",
        base="{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}",
        trained="{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>{% endfor %}",
        note="tokenizer_config.json",
    )
    replies = (
        Example(
            label="Prompt 12: What is 17 × 3?",
            base="17 × 3 is 51.",
            trained="Great question! The final answer is **51**.\n\nFinal answer: 51",
        ),
        Example(
            label="Prompt 31: Name the capital of Peru.",
            base="Lima.",
            trained="Great question! The final answer is **Lima**.",
        ),
    )
    waived = Suppression(owner="release team", justification="Longer replies were asked for", expires="2026-06-30")
    findings = (
        finding("weight.finite", "pass", "All weights are finite."),
        finding(
            "hack.format",
            "open",
            "A quality signal is missing, so the rise of the marker cannot be judged.",
            examples=replies,
            cites=tuple(m.id for m in measurements if m.metric == "behaviour.format.rate"),
        ),
        finding(
            "weight.outlier.layer",
            "fail",
            "The down projection of layer 17 changed 14 times as much as its neighbours.",
            level="error",
            scope=hot,
            cites=cited,
        ),
        finding(
            "weight.config.changed",
            "informational",
            "Two settings of the configuration differ.",
            level="note",
            examples=(
                Example(label="rope_theta", base="10000.0", trained="500000.0"),
                Example(label="use_cache", base=None, trained="false"),
            ),
        ),
        finding(
            "weight.tokenizer.changed",
            "review",
            "The chat template differs: replies are made in another frame.",
            level="warning",
            examples=(template,),
        ),
        finding(
            "weight.coverage.full",
            "review",
            "0.004 % of the parameters were not compared.",
            level="warning",
            cites=("weight.coverage/base+trained/model",),
        ),
        finding(
            "behaviour.length",
            "fail",
            "Replies are 21 % longer, and nothing says that they are better.",
            level="warning",
            cites=("behaviour.length.shift/base+trained/model",),
            suppression=waived,
        ),
        finding("behaviour.language", "pass", "Replies keep their language."),
        finding("hack.sycophancy", "not_applicable", "The subjects are not chat models."),
    )
    executions = (
        execution("weights", 0, kind="pass", counters={"tensors": 193, "bytes_read": 4_400_239_328}),
        execution(
            "weight.delta", 700, notifications=(Notification(level="warning", message="193 tensors were read twice."),)
        ),
        execution("behaviour.length", 4, plugin="behaviour"),
        execution(
            "behaviour.judge", 0, plugin="behaviour", status="failed", reason="no quality signal was given", seconds=0.0
        ),
        execution(
            "weight.lora", 0, status="skipped", reason="neither subject is an adapter", applicable=False, seconds=0.0
        ),
    )
    figure = _figure()
    artifact = Artifact(
        id="chart",
        path="artifacts/lengths.json",
        media_type="application/vnd.plotly.v1+json",
        sha256=hashlib.sha256(figure).hexdigest(),
        size=len(figure),
        summary="Lengths of replies",
        producer="behaviour.length",
    )
    outlier = findings[2]
    return Result(
        schema_version="1.0",
        run=run(("weights", "weight.delta", "behaviour.length", "behaviour.judge", "weight.lora")),
        subjects=(subject("base", "example/llama-1b"), subject("trained", "llama-1b-tuned")),
        verdict=verdict(
            "fail",
            "Fine-tuning changed one layer far more than the rest and the chat template with it.",
            Reason(effect="fail", message=outlier.message, rule=outlier.rule, fingerprint=outlier.fingerprint),
            Reason(effect="incomplete", message="behaviour.judge failed: no quality signal was given"),
        ),
        descriptors=Descriptors(
            metrics=METRICS,
            rules=RULES,
            plugins=(PluginDescriptor(name="weight", distribution="afterburn-weight", version="0.1.0"),),
        ),
        executions=executions,
        measurements=measurements,
        findings=findings,
        artifacts=(artifact,),
    )


def _figure() -> bytes:
    traces = [
        {"type": "histogram", "name": name, "x": list(range(start, start + 60)), "opacity": 0.6}
        for name, start in (("base", 150), ("trained", 180))
    ]
    return json.dumps(
        {"data": traces, "layout": {"barmode": "overlay", "xaxis": {"title": {"text": "tokens"}}}}
    ).encode()


def write_run(directory: Path, figure: bytes | None = None) -> Path:
    """A run directory with the chart that `rich` names."""
    (directory / "artifacts").mkdir(parents=True, exist_ok=True)
    (directory / "artifacts" / "lengths.json").write_bytes(figure or _figure())
    return directory


def clean() -> Result:
    """A complete run in which every rule passed."""
    return attrs.evolve(
        rich(),
        run=run(("weights", "weight.delta")),
        verdict=verdict("pass", "Every layer changed a little and evenly; nothing stands out."),
        executions=rich().executions[:2],
        findings=(
            finding("weight.finite", "pass", "All weights are finite."),
            finding("weight.coverage.full", "pass", "All parameters were compared."),
        ),
        measurements=tuple(weight_measurements()),
        artifacts=(),
    )


def empty() -> Result:
    """A run that was interrupted before it measured anything."""
    return Result(
        schema_version="1.0",
        run=run(("weights", "weight.delta"), status="interrupted"),
        subjects=(subject("base", "a"), subject("trained", "b")),
        verdict=verdict(
            "incomplete", "Nothing was measured.", Reason(effect="incomplete", message="weight.delta left no trace")
        ),
    )


def hostile() -> Result:
    """Everything a stranger may name holds markup, escapes and direction overrides."""
    scope = Scope(tensor=f"model.{PWN}", layer=3, module=PWN)
    name = PWN
    measurements = (
        measure("weight.delta.relative", 0.5, scope=scope),
        undefined("weight.delta.relative", PWN, scope=Scope(layer=4, module=PWN)),
        measure("weight.delta.relative", 0.25, scope=Scope(layer=4, module="q", tensor="plain")),
    )
    found = attrs.evolve(
        finding(
            "weight.outlier.layer",
            "fail",
            PWN,
            level="error",
            scope=scope,
            cites=(measurements[0].id,),
            examples=(Example(label=PWN, base=PWN, trained="x" + PWN, note=PWN),),
        ),
        suppression=None,
    )
    review = finding(
        "weight.config.changed", "review", PWN, level="warning", examples=(Example(label=PWN, base=None, trained=PWN),)
    )
    base = rich()
    return attrs.evolve(
        base,
        run=run(("weights",), configuration={PWN: [PWN]}),
        subjects=(attrs.evolve(subject("base", name)), attrs.evolve(subject("trained", name), properties={PWN: PWN})),
        verdict=verdict("fail", PWN, Reason(effect="fail", message=PWN)),
        descriptors=attrs.evolve(
            base.descriptors,
            metrics=tuple(attrs.evolve(m, summary=PWN) for m in METRICS),
            rules=tuple(attrs.evolve(r, summary=PWN, help=PWN) for r in RULES),
        ),
        executions=(
            execution(
                "weights", 3, status="failed", reason=PWN, notifications=(Notification(level="warning", message=PWN),)
            ),
        ),
        measurements=measurements,
        findings=(found, review),
        artifacts=(),
    )


def large(tensors: int = 5_000) -> Result:
    """Twenty thousand measurements of five thousand tensors."""
    layers = max(tensors // 100, 1)
    measurements = []
    for k in range(tensors):
        scope = Scope(
            tensor=f"model.layers.{k % layers}.mlp.experts.{k // layers}.down_proj.weight",
            layer=k % layers,
            module="down",
        )
        value = 1e-4 * (1 + (k * 7919) % 1000)
        measurements += [
            measure("weight.delta.relative", value, scope=scope),
            measure("weight.delta.norm", value * 10, scope=scope),
            measure("weight.delta.radial", math.sin(k), scope=scope),
            measure("weight.delta.stable_rank", 1 + k % 32, scope=scope),
        ]
    return attrs.evolve(clean(), measurements=tuple(measurements))


SAMPLES = {"rich": rich, "clean": clean, "empty": empty, "hostile": hostile}


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_sample_documents_satisfy_the_schema(name: str) -> None:
    document = SAMPLES[name]()
    assert loads(dumps(document)) == document
