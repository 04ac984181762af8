"""Loading a model for writing: from local files, without foreign code, with every weight accounted for."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from afterburn_core.errors import SubjectError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt")
_SMALL = 1 << 20
_WORTH_COLLECTING = 1 << 24


@attrs.frozen(kw_only=True)
class Origin:
    """Where a model's files lie."""

    directory: Path
    """The model, or the base of the adapter."""
    label: str
    adapter: Path | None = None
    rows: int | None = None
    """Rows of the embedding that the adapter was saved for, where they differ from the base's."""

    @property
    def tokenizer(self) -> Path:
        """The adapter's own tokenizer where it has one, otherwise the base's."""
        own = self.adapter
        return own if own is not None and any((own / n).is_file() for n in _TOKENIZER_FILES) else self.directory


def load_tokenizer(origin: Origin) -> Any:
    """The tokenizer of a model.

    Raises:
        SubjectError: it cannot be loaded.
    """
    with _explained(origin, "tokenizer"):
        return AutoTokenizer.from_pretrained(origin.tokenizer, local_files_only=True, trust_remote_code=False)


def load_model(
    origin: Origin, *, device: str, dtype: str, kind: Any = AutoModelForCausalLM, unread: tuple[str, ...] = ()
) -> Any:
    """The network, on its device and in evaluation mode, with the adapter on it where there is one.

    Args:
        origin: where the files lie.
        device: `cpu`, `cuda`, `cuda:1`.
        dtype: `auto` is the stored one on a GPU and float32 on a CPU.
        kind: the class that picks the network.
        unread: beginnings of the names of weights that nothing is computed from; those may be absent.

    Raises:
        SubjectError: the files cannot be loaded, or lack weights that would otherwise be random.
    """
    wanted: Any = _DTYPES.get(dtype, torch.float32 if torch.device(device).type == "cpu" else "auto")
    with _explained(origin, "weights"), _quiet_bars():
        model, loaded = kind.from_pretrained(
            origin.directory,
            local_files_only=True,
            trust_remote_code=False,
            dtype=wanted,
            output_loading_info=True,
        )
        absent = sorted(key for key in loaded.get("missing_keys") or () if not key.startswith(unread))
        if absent:
            raise SubjectError(
                f"{origin.label}: {len(absent)} weights that {type(model).__name__} needs are not in its files, such "
                f"as {absent[0]!r}; they would be random, so save the model again"
            )
        if origin.adapter is not None:
            model = _with_adapter(model, origin)
        return model.to(device).eval().requires_grad_(False)


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Keeps warnings of a library's logger from people who cannot do anything about them."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _with_adapter(model: Any, origin: Origin) -> Any:
    with quiet("bitsandbytes"):  # which peft imports where it is there; what it has to say is of its own kernels
        from peft import PeftModel

    if origin.rows is not None and origin.rows != model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(origin.rows, mean_resizing=False)
    # the factors are cast to the model's dtype where that is narrower, so that nothing is computed twice
    with warnings.catch_warnings():
        # what one library's next release will say to the other; nothing that a user could do
        warnings.simplefilter("ignore", FutureWarning)
        # an adapter of a head that is tied to the embedding: a remark on merging, and nothing is merged here
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`", UserWarning)
        return PeftModel.from_pretrained(
            model, origin.adapter, is_trainable=False, autocast_adapter_dtype=False, local_files_only=True
        ).to(model.dtype)


@contextmanager
def _explained(origin: Origin, what: str) -> Iterator[None]:
    """Whatever a loader raises becomes one line."""
    try:
        yield
    except (SubjectError, KeyboardInterrupt):
        raise
    except Exception as error:  # loaders raise of everything: missing packages, shapes, formats, memory
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SubjectError(
            f"{origin.label}: transformers {transformers.__version__} cannot load its {what} ({said}); "
            "check the files, or leave out what needs the model to write"
        ) from error


@contextmanager
def _quiet_bars() -> Iterator[None]:
    """Progress bars of the library are off for a while: the run shows its own. Warnings stay."""
    from transformers.utils import logging as bars

    if not bars.is_progress_bar_enabled():
        yield
        return
    bars.disable_progress_bar()
    try:
        yield
    finally:
        bars.enable_progress_bar()


def network_of(model: Any) -> Any:
    """The transformers model inside an adapter's wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def end_marks(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends an answer: those of the generation settings, the configuration and the tokenizer."""
    named = (getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id)
    flat = [one for value in named for one in (value if isinstance(value, (list, tuple)) else (value,))]
    return frozenset(int(one) for one in flat if one is not None)


class ResidentModel:
    """One model in memory that serves several generators: loaded when the first asks, freed when the last lets go.

    With an adapter on it, `use(False)` makes it the base and `use(True)` the trained model; neither copies a weight.
    """

    def __init__(self, load: Callable[[], Any], holders: int = 1) -> None:
        self._load = load
        self._model: Any = None
        self._holders = holders
        self._adapted = True

    def model(self) -> Any:
        """The loaded model."""
        if self._model is None:
            if self._holders <= 0:
                raise SubjectError("this generator is closed; ask the subject for another")
            self._model = self._load()
            self._adapted = True
        return self._model

    @property
    def loaded(self) -> bool:
        """Whether the weights are in memory."""
        return self._model is not None

    def use(self, adapted: bool) -> None:
        """Switches the adapter on or off; nothing happens where there is none or it stands right."""
        if self._adapted == adapted:
            return
        tuner = self.model().base_model
        if adapted:
            tuner.enable_adapter_layers()
        else:
            tuner.disable_adapter_layers()
        self._adapted = adapted

    def release(self) -> None:
        """One holder lets go; after the last the memory is free."""
        self._holders -= 1
        if self._holders > 0 or self._model is None:
            return
        on_gpu = any(p.is_cuda for p in self._model.parameters())
        large = sum(p.numel() for p in self._model.parameters()) > _WORTH_COLLECTING
        self._model = None
        if large or on_gpu:  # to look through all objects of the process takes half a second
            gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()


@contextmanager
def threads_for(model: Any) -> Iterator[None]:
    """One thread per product while a model writes whose matrices are all small; afterwards what was configured.

    Products of a million weights and less are done before a second thread has woken, and where other processes want
    the cores, waiting for it makes them ten times slower. The rule looks at sizes and not at the clock, because the
    number of threads can touch the last digits of what is computed.
    """
    largest = max((p.numel() for p in model.parameters() if p.dim() > 1), default=0)
    configured = torch.get_num_threads()
    if largest > _SMALL or configured == 1 or next(model.parameters()).device.type != "cpu":
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(configured)
