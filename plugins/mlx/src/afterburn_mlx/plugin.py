"""The MLX plugin's hooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from afterburn_core.plugin import BackendSpec, hookimpl

if TYPE_CHECKING:
    from afterburn_core.run.references import SubjectReference

NAME = "mlx.lm"


@hookimpl
def afterburn_backends() -> Iterable[BackendSpec]:
    yield BackendSpec(
        name=NAME,
        summary="Hugging Face and MLX language models, PEFT and mlx-lm adapters on them; run by MLX",
        capabilities=("documents", "weights", "lora", "generate", "forward", "logits"),
        factory="afterburn_mlx.subjects:open_subject",
        available="afterburn_mlx.availability:unavailable",
        unchosen="afterburn_mlx.availability:unchosen",
        example="afterburn_mlx.example:write",
    )


@hookimpl
def afterburn_select_backend(reference: SubjectReference) -> str | None:
    from afterburn_mlx.availability import chosen

    return NAME if chosen(reference.scheme, reference.path) else None
