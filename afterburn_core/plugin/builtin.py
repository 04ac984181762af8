"""What the core itself brings, through the same hooks as everybody else."""

from __future__ import annotations

from collections.abc import Iterable

from afterburn_core.plugin.hookspecs import hookimpl
from afterburn_core.plugin.specs import BackendSpec, ExecutorSpec, ReaderSpec, ReporterSpec, SignerSpec
from afterburn_core.run.references import SubjectReference


@hookimpl
def afterburn_backends() -> Iterable[BackendSpec]:
    yield BackendSpec(
        name="core.checkpoint",
        summary="Hugging Face directories, hub ids, PEFT adapters and single weight files",
        capabilities=("documents", "weights", "lora", "generate", "forward", "logits", "encode", "steer"),
        factory="afterburn_core.backends.checkpoint:open_subject",
    )
    yield BackendSpec(
        name="core.recorded",
        summary="Recorded outputs: JSONL rows, AlpacaEval, lm-evaluation-harness samples, Inspect logs",
        capabilities=("generate",),
        factory="afterburn_core.backends.recorded:open_subject",
    )
    yield BackendSpec(
        name="core.api",
        summary="Models served behind an OpenAI-compatible endpoint",
        capabilities=("generate",),
        factory="afterburn_core.backends.api:open_subject",
    )


@hookimpl(trylast=True)
def afterburn_select_backend(reference: SubjectReference) -> str | None:
    return _BACKENDS.get(reference.scheme)


_BACKENDS = {"path": "core.checkpoint", "hub": "core.checkpoint", "recorded": "core.recorded", "api": "core.api"}


@hookimpl
def afterburn_readers() -> Iterable[ReaderSpec]:
    yield ReaderSpec(
        name="core.safetensors",
        summary="safetensors files, header validated, bytes read in place",
        suffixes=(".safetensors",),
        factory="afterburn_core.backends.safetensors_file:read_index",
    )
    yield ReaderSpec(
        name="core.torch",
        summary="torch.save files, weights only, memory-mapped",
        suffixes=(".bin", ".pt", ".pth"),
        factory="afterburn_core.backends.torch_file:read_index",
    )
    yield ReaderSpec(
        name="core.gguf",
        summary="GGUF files, dequantised, under Hugging Face names",
        suffixes=(".gguf",),
        factory="afterburn_core.backends.gguf_file:read_index",
    )


@hookimpl
def afterburn_executors() -> Iterable[ExecutorSpec]:
    yield ExecutorSpec(
        name="core.local",
        summary="Threads of this process, one per core",
        factory="afterburn_core.run.executor:LocalExecutor",
    )


@hookimpl
def afterburn_signers() -> Iterable[SignerSpec]:
    # its options are a class, and a spec must not import what only signing needs
    from afterburn_core.certify.command_options import CommandSignerOptions

    yield SignerSpec(
        name="core.command",
        summary="Any program that signs: an HSM's, a smart card's, a cloud's",
        factory="afterburn_core.certify.command_signer:command_signer",
        options=CommandSignerOptions,
    )


@hookimpl
def afterburn_reporters() -> Iterable[ReporterSpec]:
    for name, summary, suffixes, media_type in (
        ("json", "The result document itself", (".json",), "application/json"),
        ("html", "One file that opens offline, with charts", (".html", ".htm"), "text/html"),
        ("markdown", "For pull requests and model cards", (".md", ".markdown"), "text/markdown"),
        ("junit", "Findings as test cases", (".junit.xml", ".xml"), "application/xml"),
        ("sarif", "Findings for code scanning", (".sarif", ".sarif.json"), "application/sarif+json"),
        ("pdf", "Numbered pages for paper and files, with drawn charts", (".pdf",), "application/pdf"),
    ):
        yield ReporterSpec(
            name=f"core.{name}",
            summary=summary,
            suffixes=suffixes,
            media_type=media_type,
            factory=f"afterburn_core.report.{name}:render",
            available="afterburn_core.report.pdf:unavailable" if name == "pdf" else None,
        )
