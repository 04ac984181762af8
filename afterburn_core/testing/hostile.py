"""A valid document whose every free text tries to break out of the format it is written into.

Names of tensors, tokens, prompts and outputs come from strangers' models. A report is opened by people who trust it.
"""

from __future__ import annotations

from afterburn_core.result.identity import fingerprint, measure, undefined
from afterburn_core.result.model import (
    SCHEMA_VERSION,
    Descriptors,
    Environment,
    Example,
    Execution,
    FileDigest,
    Finding,
    Input,
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
    Tool,
    Verdict,
)

ELEMENT = "hostile-element"
"""Name of an element that must not exist in any report."""

TEXTS = (
    f"<{ELEMENT} onload=hostile()>",
    f"</script><{ELEMENT}>",
    f'"><{ELEMENT}>',
    f"'><{ELEMENT} x='",
    f"--><{ELEMENT}>",
    f"]]><{ELEMENT}/>",
    f"</title></style></textarea><{ELEMENT}>",
    "[hostile](javascript:hostile())",
    "![hostile](https://hostile.invalid/pixel.png)",
    "| hostile | cell |",
    '=HYPERLINK("https://hostile.invalid","hostile")',
    "@SUM(1+1)*hostile()",
    "{{ hostile() }}{% hostile %}",
    "\x1b[31mhostile\x1b[0m\x07",
    "hostile\u202etxt.exe\u2066",
    "hostile\u2028line\u2029end",
    "```hostile\n~~~\n# hostile\n",
    "::error file=hostile::hostile",
)
"""One text for each way out that is known."""


def hostile_document() -> Result:
    """A finished run whose labels, tensor names, messages, reasons and excerpts are taken from `TEXTS`."""
    everything = " ".join(TEXTS)
    places = tuple(Scope(tensor=text, layer=index, module=text) for index, text in enumerate(TEXTS))
    metric, rule = "kit.hostile", "kit.hostile_rule"
    measurements = (
        *(measure(metric, index / 7, scope=place, n=index + 1) for index, place in enumerate(places)),
        *(undefined(metric, text, scope=Scope(layer=index), n=0) for index, text in enumerate(TEXTS)),
    )
    findings = tuple(
        Finding(
            rule=rule,
            kind="fail" if index % 2 else "review",
            level="error" if index % 2 else "warning",
            message=f"{text} {text}",
            fingerprint=fingerprint(rule, ("base", "trained"), place),
            subjects=("base", "trained"),
            scope=place,
            measurements=(measurement.id,),
            examples=(Example(label=text, base=text, trained=everything, note=text),),
        )
        for index, (text, place, measurement) in enumerate(zip(TEXTS, places, measurements, strict=False))
    )
    return Result(
        schema_version=SCHEMA_VERSION,
        run=_run(everything),
        subjects=(_subject("base", everything), _subject("trained", everything)),
        inputs=(Input(id="policy", kind="policy", label=everything, sha256="0" * 64, licence=everything),),
        descriptors=Descriptors(
            metrics=(
                MetricDescriptor(
                    id=metric, summary=everything, unit=TEXTS[0], direction="higher_is_more_change", version=1
                ),
            ),
            rules=(
                RuleDescriptor(
                    id=rule, summary=everything, help=everything, level="error", detector="kit.judge", version=1
                ),
            ),
            plugins=(PluginDescriptor(name="kit", distribution="afterburn-kit", version="1"),),
        ),
        executions=(
            Execution(
                component="kit.measure",
                kind="analyzer",
                plugin="kit",
                status="ok",
                seconds=0.5,
                produced=Produced(measurements=len(measurements)),
                notifications=(Notification(level="warning", message=everything),),
            ),
            Execution(
                component="kit.judge",
                kind="detector",
                plugin="kit",
                status="ok",
                seconds=0.5,
                produced=Produced(findings=len(findings)),
            ),
            Execution(
                component="kit.absent", kind="analyzer", plugin="kit", status="failed", seconds=0.0, reason=everything
            ),
        ),
        measurements=measurements,
        findings=findings,
        verdict=Verdict(
            status="fail",
            policy=PolicyReference(name=everything, sha256="0" * 64),
            summary=everything,
            reasons=(Reason(effect="fail", message=everything, rule=rule, fingerprint=findings[0].fingerprint),),
        ),
        properties={"kit.note": everything},
    )


def _run(text: str) -> Run:
    return Run(
        id="0" * 64,
        status="complete",
        started_at="2026-01-01T00:00:00Z",
        finished_at="2026-01-01T00:00:01Z",
        command=text,
        tool=Tool(name="afterburn", version="0.1.0"),
        environment=Environment(os=text, machine=text, python="3.11", threads=1, device="cpu", packages={text: text}),
        components=("kit.measure", "kit.judge", "kit.absent"),
        configuration={"note": text},
    )


def _subject(role: str, text: str) -> Subject:
    return Subject(
        id=role,
        role="base" if role == "base" else "trained",
        kind="checkpoint",
        label=text,
        digest="0" * 64,
        backend="core.checkpoint",
        architecture=text,
        model_type=text,
        parameters=10,
        dtypes={"BF16": 10},
        files=(FileDigest(path="model.safetensors", size=20, sha256="0" * 64),),
        properties={"note": text},
    )
