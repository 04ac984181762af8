"""Reward models: sequence classifiers with one output, which score a conversation that ends with the answer.

The text is the tokenizer's chat template over the prompt's turns and the answer, as such models are trained; without a
template, prompt and answer with an empty line between them. The score is the one logit, in float32. Texts that are too
long for the model lose their beginning, because the answer stands at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.backends.documents import read_json
from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.generation.model import Serving
from afterburn_core.generation.scoring import Answer
from afterburn_core.run.cache import RowCache, cache_key
from afterburn_core.run.digests import SubjectFile, combined_digest, digest_files

_FILES = ("*.safetensors", "*.json", "*.model", "*.jinja")
_BATCH = 16


@attrs.frozen(kw_only=True, eq=False)
class RewardModel:
    """A reward model in a directory; loaded when it is first asked, freed after each call."""

    directory: Path
    label: str
    sha256: str
    serving: Serving
    cache: Path | None

    def __call__(self, answers: Sequence[Answer]) -> list[float | None]:
        """The logit of every answer; those scored before come from the cache.

        Raises:
            ConfigError: the model cannot be loaded, or has more than one output.
        """
        parts = {"kind": "reward", "version": 1, "model": self.sha256, "serving": attrs.asdict(self.serving)}
        rows = RowCache(self.cache, cache_key(parts), parts) if self.cache is not None else None
        try:
            known = rows.load() if rows else {}
            names = [_name(answer) for answer in answers]
            waiting = sorted({n: a for n, a in zip(names, answers, strict=True) if n not in known}.items(), key=_length)
            if waiting:
                network, tokenizer = self._load()
                for start in range(0, len(waiting), self.serving.batch or _BATCH):
                    batch = waiting[start : start + (self.serving.batch or _BATCH)]
                    scores = _score(network, tokenizer, [answer for _, answer in batch], self.serving.device)
                    for (name, _), score in zip(batch, scores, strict=True):
                        known[name] = score
                        if rows:
                            rows.append(name, score)
        finally:
            if rows:
                rows.close()
        return [known[name] for name in names]

    def _load(self) -> tuple[Any, Any]:
        try:
            from transformers import AutoModelForSequenceClassification

            from afterburn_core.backends.transformers_loading import Origin, load_model, load_tokenizer
        except ImportError as error:
            raise ConfigError(f"reward model {self.label}: needs the model stack; pip install '.[run]'") from error
        origin = Origin(directory=self.directory, label=self.label)
        try:
            tokenizer = load_tokenizer(origin)
            network = load_model(
                origin, device=self.serving.device, dtype=self.serving.dtype, kind=AutoModelForSequenceClassification
            )
        except SubjectError as error:
            raise ConfigError(f"reward model {error}") from error
        tokenizer.truncation_side = "left"
        tokenizer.padding_side = "right"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        if network.config.pad_token_id is None:  # else the last token of a padded row is not found
            network.config.pad_token_id = tokenizer.pad_token_id
        return network, tokenizer

    def close(self) -> None:
        """Nothing is kept between calls."""


def open_reward_model(directory: Path, *, serving: Serving, cache: Path | None) -> RewardModel:
    """The reward model in a directory, known by its configuration; no weights are read but for their digest.

    Raises:
        ConfigError: it is no sequence classifier, or has more than one output.
    """
    config = read_json(directory / "config.json")
    label = directory.resolve().name
    architectures = list((config or {}).get("architectures") or ())
    if not any(str(name).endswith("ForSequenceClassification") for name in architectures):
        told = f"it is {architectures[0]}" if architectures else "it has no config.json that says so"
        raise ConfigError(f"reward model {label}: must be a sequence classifier with one output; {told}")
    outputs = (config or {}).get("num_labels") or len((config or {}).get("id2label") or {0: "", 1: ""})
    if outputs != 1:
        raise ConfigError(f"reward model {label}: has {outputs} outputs; a reward has one")
    files = [
        SubjectFile(path=path, relative=path.name) for pattern in _FILES for path in sorted(directory.glob(pattern))
    ]
    (digests,) = digest_files(files, threads=2)
    return RewardModel(directory=directory, label=label, sha256=combined_digest(digests), serving=serving, cache=cache)


def _score(network: Any, tokenizer: Any, answers: Sequence[Answer], device: str) -> list[float]:
    import torch

    texts = [_text(tokenizer, answer) for answer in answers]
    longest = min(int(getattr(network.config, "max_position_embeddings", None) or 1 << 20), 1 << 15)
    templated = bool(tokenizer.chat_template)
    encoded = tokenizer(
        texts,
        return_tensors="pt",
        padding=True,
        truncation=True,
        max_length=longest,
        add_special_tokens=not templated,  # a template brings its own
    ).to(device)
    with torch.inference_mode():
        logits = network(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits  # (n, 1)
    return [float(value) for value in logits.float()[:, 0].cpu()]


def _text(tokenizer: Any, answer: Answer) -> str:
    probe, sample = answer
    if tokenizer.chat_template:
        turns = [{"role": turn.role, "content": turn.content} for turn in probe.messages]
        text: str = tokenizer.apply_chat_template(
            [*turns, {"role": "assistant", "content": sample.text}], tokenize=False
        )
        return text
    return f"{probe.text}\n\n{sample.text}"


def _name(answer: Answer) -> str:
    probe, sample = answer
    turns = "\x1e".join(f"{turn.role}\x1f{turn.content}" for turn in probe.messages)
    return hashlib.sha256(f"{turns}\x1d{sample.text}".encode()).hexdigest()


def _length(entry: tuple[str, Answer]) -> tuple[int, str]:
    name, (probe, sample) = entry
    return len(probe.text) + len(sample.text), name
