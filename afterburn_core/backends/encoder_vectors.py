"""Vectors of texts by one embedding model: what `Encodes.vectors` of opened subjects gives.

Texts are sorted by length before they are batched and equal texts are read once, so that a text's vector depends on the
text alone, up to the rounding of a batch's products.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from afterburn_core.backends.documents import read_json
from afterburn_core.backends.encoder_folder import MODULES, EncoderPlan, read_plan
from afterburn_core.backends.encoder_loading import Encoder, load_encoder
from afterburn_core.backends.encoder_pooling import pool
from afterburn_core.backends.transformers_loading import Origin, threads_for
from afterburn_core.backends.transformers_sites import sites_of, watching
from afterburn_core.errors import SubjectError

if TYPE_CHECKING:
    from afterburn_core.backends.checkpoint import AdapterSubject, Checkpoint
    from afterburn_core.generation.model import Serving
    from afterburn_core.run.progress import Progress

Found = tuple[torch.Tensor, Mapping[str, torch.Tensor], Mapping[str, Any]]
_TOKENS = 1 << 13
"""Padded tokens of one batch."""
_ROWS = 128


def subject_vectors(
    subject: Checkpoint | AdapterSubject,
    texts: Sequence[str],
    kinds: Sequence[str],
    *,
    serving: Serving,
    layers: bool,
    progress: Progress,
) -> Found:
    """See `forward.reading.Encodes`. The model is loaded for this call and freed after it.

    Raises:
        SubjectError: it cannot be loaded, or pools in a way that is not read here.
    """
    origin, plan = encoder_origin(subject)
    encoder = load_encoder(origin, plan, device=serving.device, dtype=serving.dtype)
    return vectors(encoder, texts, kinds, layers=layers, rows=serving.batch, progress=progress)


def encoder_origin(subject: Checkpoint | AdapterSubject) -> tuple[Origin, EncoderPlan]:
    """Where an embedding model's network lies, with the adapter on it where there is one, and how it pools.

    Raises:
        SubjectError: it is no model that can be loaded.
    """
    own = getattr(subject, "base", None)
    if own is None:
        plan = read_plan(subject.directory)
        return Origin(directory=plan.network, label=subject.facts.label), plan
    directory = getattr(own, "directory", None)
    if directory is None:
        raise SubjectError(f"{subject.facts.label}: its base cannot be loaded; merge the adapter and give that")
    if (read_json(subject.directory / "adapter_config.json") or {}).get("task_type") == "CAUSAL_LM":
        raise SubjectError(f"{subject.facts.label}: the adapter was trained on a language model, not on an encoder")
    below = read_plan(directory)
    plan = read_plan(subject.directory) if (subject.directory / MODULES).is_file() else below
    return Origin(directory=below.network, label=subject.facts.label, adapter=subject.directory), plan


def vectors(
    encoder: Encoder,
    texts: Sequence[str],
    kinds: Sequence[str],
    *,
    layers: bool = False,
    rows: int | None = None,
    progress: Progress | None = None,
) -> Found:
    """Vectors (N, d) float32, mean-pooled block outputs (N, d) by site where `layers`, and how the model pools."""
    plan = encoder.plan
    prompts = {kind: plan.prompt(kind) for kind in sorted(set(kinds))}
    skips = {kind: 0 if plan.include_prompt else _length_of_prompt(encoder, text) for kind, text in prompts.items()}
    put = [(prompts[kind] + text, skips[kind]) for text, kind in zip(texts, kinds, strict=True)]
    put = [(text.lower() if plan.lower_case else text, skip) for text, skip in put]
    unique = sorted(set(put))
    ids = [encoder.tokenizer(text, truncation=True, max_length=encoder.longest)["input_ids"] for text, _ in unique]
    cut = sum(
        len(one) == encoder.longest
        and len(encoder.tokenizer(text, truncation=False, verbose=False)["input_ids"]) > encoder.longest
        for (text, _), one in zip(unique, ids, strict=True)
    )
    pooled: dict[int, torch.Tensor] = {}
    inside: dict[str, dict[int, torch.Tensor]] = {}
    if progress is not None:
        progress.begin("encode", sum(map(len, ids)), "tokens")
    with torch.inference_mode(), threads_for(encoder.network), _captured(encoder, layers) as captured:
        for batch in _batches([(len(one), skip) for one, (_, skip) in zip(ids, unique, strict=True)], rows):
            states, mask = _read(encoder, [ids[i] for i in batch])
            found = encoder.finish(pool(states, mask, plan.pooling, skip=unique[batch[0]][1])).float().cpu()
            pooled.update(zip(batch, found))
            for site, inner in captured.items():
                inner = inner.reshape(*mask.shape, -1)
                inside.setdefault(site, {}).update(zip(batch, pool(inner, mask, ("mean",)).cpu()))
            if progress is not None:
                progress.advance(sum(len(ids[i]) for i in batch))
    if progress is not None:
        progress.end()
    place = {key: i for i, key in enumerate(unique)}
    order = [place[key] for key in put]
    properties = plan.properties() | {"max_tokens": encoder.longest, "cut_texts": cut}
    return (
        _stacked(pooled, order),
        {site: _stacked(rows_of, order) for site, rows_of in inside.items()},
        properties | {"dimension": int(next(iter(pooled.values())).shape[0]) if pooled else 0},
    )


def _stacked(rows: Mapping[int, torch.Tensor], order: Sequence[int]) -> torch.Tensor:
    """Rows in the order asked; a text without any token is the zero vector."""
    if not rows:
        return torch.zeros(len(order), 0)
    zero = torch.zeros_like(next(iter(rows.values())))
    return torch.stack([rows.get(i, zero) for i in order])


def _length_of_prompt(encoder: Encoder, prompt: str) -> int:
    """Tokens before the first of the text itself: the prompt's, with the beginning mark and without the end mark."""
    if not prompt:
        return 0
    ids = encoder.tokenizer(prompt)["input_ids"]
    marks = set(encoder.tokenizer.all_special_ids)
    while ids and ids[-1] in marks:
        ids = ids[:-1]
    return len(ids)


def _batches(lengths: Sequence[tuple[int, int]], rows: int | None) -> Iterator[list[int]]:
    """Indices of texts of like length with one prompt length; longest first, so that memory shows at once."""
    batch: list[int] = []
    for i in sorted((i for i, (n, _) in enumerate(lengths) if n), key=lambda i: (lengths[i][1], -lengths[i][0], i)):
        width, skip = lengths[batch[0]] if batch else (0, 0)
        if batch and (lengths[i][1] != skip or width * (len(batch) + 1) > _TOKENS or len(batch) >= (rows or _ROWS)):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _read(encoder: Encoder, ids: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Last hidden states (B, T, d) and mask (B, T)."""
    width = max(map(len, ids))
    padding = encoder.tokenizer.pad_token_id or 0
    grid = torch.tensor([[*one, *[padding] * (width - len(one))] for one in ids], device=encoder.device)
    lengths = torch.tensor([len(one) for one in ids], device=encoder.device)
    mask = (torch.arange(width, device=encoder.device)[None] < lengths[:, None]).long()
    return encoder.network(input_ids=grid, attention_mask=mask).last_hidden_state, mask


@contextmanager
def _captured(encoder: Encoder, wanted: bool) -> Iterator[dict[str, torch.Tensor]]:
    """The outputs (B, T, d) of all blocks at the last reading, by site; of nothing where they are not wanted."""
    latest: dict[str, torch.Tensor] = {}
    if not wanted:
        yield latest
        return
    sites = sites_of(encoder.network)
    with watching({name: sites.taps[name] for name in sites.named(("blocks.*.out",))}, latest.__setitem__):
        yield latest
