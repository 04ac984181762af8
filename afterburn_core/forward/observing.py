"""One batch as analyzers see it: read by every subject, compared, and handed out.

Log-probabilities exist for a block of rows at a time and are taken in small chunks, so memory does not grow with
tokens. A null that stands in the trained model's place is read while base's reading is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from afterburn_core.forward.encoded import Packed
from afterburn_core.forward.reading import PairReader, SideReading
from afterburn_core.run.needs import LOGITS, ForwardNeed

if TYPE_CHECKING:
    import torch

    from afterburn_core.forward.model import Rows, TokenScores

Observing = tuple[ForwardNeed, Callable[[Any], None]]
"""A need with what takes the observations."""
_BLOCK_ENTRIES = {"cpu": 1 << 25, "cuda": 1 << 28}
"""Log-probabilities of one subject that exist at once: the head is read once for so many rows."""
_CHUNK_ENTRIES = {"cpu": 1 << 19, "cuda": 1 << 26}
"""Those that are compared at once: on a CPU what its caches hold."""


def observe_batch(
    reader: PairReader,
    batch: Packed,
    observers: Sequence[Observing],
    of_controls: Mapping[str, Sequence[Observing]] | None = None,
) -> None:
    """Reads one batch with every subject and hands it out: the pair first, then one further null after the other.

    Args:
        reader: prepared for this batch.
        batch: the tokens.
        observers: needs with what takes the observations of the pair.
        of_controls: the same by null (`PairReader.drawn`), which stands in the trained model's place.
    """
    import torch

    from afterburn_core.forward.encoding import speller
    from afterburn_core.forward.rows import rows_of

    with torch.inference_mode():
        readings = dict(reader.read(batch))
        if len(readings) == 1:  # nobody looks at the other side (`Wanted.only`)
            (alone,) = readings.values()
            readings = {"base": alone, "trained": alone}
        rows = rows_of(batch, reader.device, speller(reader.tokenizer))
        if observers:
            _hand_out(reader, rows, readings, observers)
        for name, own in (of_controls or {}).items():
            if name in reader.drawn:
                _hand_out(reader, rows, {"base": readings["base"], "trained": reader.read_drawn(batch, name)}, own)


def _hand_out(
    reader: PairReader, rows: Rows, readings: Mapping[str, SideReading], observers: Sequence[Observing]
) -> None:
    """Hands out what `base`, `trained` and perhaps controls read of one batch, log-probabilities first."""
    from afterburn_core.forward.model import Captured, ForwardBatch
    from afterburn_core.forward.scores import joined

    index = scored_rows(rows)
    logits = max((need.logits for need, _ in observers), key=LOGITS.index)
    takers = [take for need, take in observers if need.logits == "vocabulary"]
    controls = [name for name in readings if name not in {"base", "trained"}]
    scores: dict[str, list[TokenScores]] = {name: [] for name in ("trained", *controls)}
    if logits != "none" and index.numel():
        for chunk in _chunks(reader, readings, rows, index, controls, scores):
            for take in takers:
                take(chunk)
    observation = ForwardBatch(
        rows=rows,
        base=Captured(sites=readings["base"].sites),
        trained=Captured(sites=readings["trained"].sites),
        controls={name: Captured(sites=readings[name].sites) for name in controls},
        scored=index,
        scores=joined(scores["trained"]) if scores["trained"] else None,
        control_scores={name: joined(scores[name]) for name in controls if scores[name]},
        dtype=str(reader.properties.get("dtype", "float32")),
        readout=getattr(readings["trained"], "readout", None),  # backends may lack it
    )
    for _, take in observers:
        take(observation)


def scored_rows(rows: Rows) -> torch.Tensor:
    """The rows after which a distribution is looked at, (m) int64: all with a target, and the last of a prompt."""
    import torch

    prompt = torch.tensor([passage.source == "prompt" for passage in rows.passages], device=rows.passage.device)
    last = (rows.target < 0) & prompt[rows.passage] if len(rows.passages) else rows.target < 0
    return ((rows.target >= 0) | last).nonzero()[:, 0]


def _chunks(
    reader: PairReader,
    readings: Mapping[str, SideReading],
    rows: Rows,
    index: torch.Tensor,
    controls: Sequence[str],
    scores: Mapping[str, list[TokenScores]],
) -> Iterator[Any]:
    """The log-probabilities chunk by chunk, with the scores of each added to `scores`."""
    from afterburn_core.forward.model import LogitChunk
    from afterburn_core.forward.scores import token_scores

    kind = reader.device.split(":")[0]
    names = ("base", "trained", *controls)
    vocabulary = reader.vocabulary
    block = max(1, _BLOCK_ENTRIES.get(kind, _BLOCK_ENTRIES["cpu"]) // vocabulary)
    step = max(1, _CHUNK_ENTRIES.get(kind, _CHUNK_ENTRIES["cpu"]) // vocabulary)
    for begin in range(0, index.shape[0], block):
        own = index[begin : begin + block]
        logs = {name: readings[name].log_probs(own) for name in names}
        bounds = {name: readings["base"].bound(own, logs[name]) for name in names[1:]}
        for start in range(0, own.shape[0], step):
            part = slice(start, start + step)
            target = rows.target[own[part]]
            for name in names[1:]:
                bound = bounds[name]
                scores[name].append(
                    token_scores(
                        logs["base"][part],
                        logs[name][part],
                        target,
                        bound=None if bound is None else bound[part],
                    )
                )
            yield LogitChunk(
                rows=rows,
                index=own[part],
                base=logs["base"][part],
                trained=logs["trained"][part],
                controls={name: logs[name][part] for name in controls},
                approximate=readings["base"].approximate,
            )
