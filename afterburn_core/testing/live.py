"""Opens a base and a trained model for the live pass, for tests of analyzers that ask it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterburn_core.generation.model import Serving, Template
from afterburn_core.plugin.registry import Registry
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import open_subject
from afterburn_core.testing.forward import passages_of

if TYPE_CHECKING:
    from afterburn_core.backends.transformers_live import TransformersLive
    from afterburn_core.probes.model import Probe


@contextmanager
def live_pair(
    base: Path | str,
    trained: Path | str,
    *,
    texts: Sequence[str] = (),
    prompts: Sequence[Probe] = (),
    template: Template = "auto",
    seed: int = 0,
) -> Iterator[TransformersLive]:
    """The pair in memory, named as on the command line; closed afterwards.

    Args:
        base: the base's directory.
        trained: the trained model's, or an adapter's on this base.
        texts: what the forward pass would have read.
        prompts: what the generation pass would have asked.
        template: how conversations are put.
        seed: as in `forward.reading.Steers.live`.
    """
    registry = Registry.discover(only=())
    left = open_subject(parse_reference(str(base)), "base", registry)
    try:
        right: Any = open_subject(parse_reference(str(trained)), "trained", registry, base=left)
        try:
            live = right.live(left, serving=Serving(), template=template, seed=seed, prompts=prompts)
            try:
                live.passages = _encoded(texts, trained if (Path(trained) / "tokenizer.json").is_file() else base)
                yield live
            finally:
                live.close()
        finally:
            right.close()
    finally:
        left.close()


def _encoded(texts: Sequence[str], tokenizer: Path | str) -> tuple[Any, ...]:
    from transformers import AutoTokenizer

    from afterburn_core.forward.encoding import encode

    if not texts:
        return ()
    loaded = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
    return tuple(encode(passages_of(texts), loaded, "plain", max_tokens=512)[0])
