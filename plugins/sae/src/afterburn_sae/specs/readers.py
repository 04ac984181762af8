"""File formats of dictionaries. Each knows its own by what stands in the files, so the order does not matter."""

from __future__ import annotations

from afterburn_core.plugin import ReaderSpec

_SAFE, _TORCH = (".safetensors", ".json"), (".pt", ".pth")


def _reader(name: str, summary: str, suffixes: tuple[str, ...], factory: str) -> ReaderSpec:
    return ReaderSpec(
        name=f"sae.{name}",
        summary=summary,
        suffixes=suffixes,
        factory=f"afterburn_sae.readers.{factory}",
        of="dictionary",
    )


READERS: tuple[ReaderSpec, ...] = (
    _reader(
        "saelens", "SAELens: cfg.json and sae_weights.safetensors, before and since version 6", _SAFE, "saelens:read"
    ),
    _reader("gemma_scope", "Gemma Scope: params.npz", (".npz",), "gemma_scope:read"),
    _reader("gemma_scope_2", "Gemma Scope 2: config.json and params.safetensors", _SAFE, "gemma_scope:read_2"),
    _reader("llama_scope", "Llama Scope: hyperparams.json and checkpoints", _SAFE, "llama_scope:read"),
    _reader("llama_scope_r1", "Llama Scope R1 and Llamascopium: config.json", _SAFE, "llama_scope:read_later"),
    _reader("qwen_scope", "Qwen Scope: layer{n}.sae.pt", _TORCH, "qwen_scope:read"),
    _reader("dictionary_learning", "dictionary_learning: ae.pt and config.json", _TORCH, "dictionary_learning:read"),
    _reader("sparsify", "sparsify: cfg.json and sae.safetensors", _SAFE, "sparsify:read"),
    _reader("goodfire", "Goodfire: one torch file with encoder_linear", _TORCH, "goodfire:read"),
    _reader("unsupported", "Refuses crosscoders and cross-layer transcoders by name", _SAFE, "unsupported:read"),
)
