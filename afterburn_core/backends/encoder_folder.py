"""How an embedding model turns a text into one vector, as its own files say it; read without torch.

A folder as sentence-transformers writes it lists its steps in `modules.json`: a transformer, a pooling step, perhaps
dense layers and a normalising one. Files without `modules.json` say nothing of pooling: then the mean over tokens is
taken, and `EncoderPlan.stated` is false.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

from afterburn_core.backends.documents import read_json
from afterburn_core.errors import SubjectError

MODULES = "modules.json"
SETTINGS = "config_sentence_transformers.json"
POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""In the order in which several of them are joined."""
_FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
_ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "SiLU", "Sigmoid")
_LIMITS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
HUB_PATTERNS = (MODULES, SETTINGS, *_LIMITS, "*_Pooling/config.json", "*_Dense/*", "*_Transformer/*")
"""What of a hub's folder is fetched besides weights, configuration and tokenizer."""
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
_ENCODERS = (
    *("albert", "bert", "bge-m3", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "eurobert"),
    *("flaubert", "longformer", "modernbert", "mpnet", "nomic_bert", "roberta", "roformer", "xlm-roberta"),
    "xlm-roberta-xl",
)
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


@attrs.frozen(kw_only=True)
class Dense:
    """act(W x + b), and + x (or + R x) where it has a residual."""

    directory: Path
    inputs: int
    outputs: int
    bias: bool
    activation: str
    residual: bool = False

    @property
    def told(self) -> str:
        return f"{self.inputs}→{self.outputs} {self.activation.lower()}{' with residual' if self.residual else ''}"


@attrs.frozen(kw_only=True)
class Normalise:
    """x / ‖x‖."""

    told: str = "normalise"


@attrs.frozen(kw_only=True)
class EncoderPlan:
    """The steps from a text to its vector."""

    network: Path
    """Directory of the transformer."""
    pooling: tuple[str, ...] = ("mean",)
    include_prompt: bool = True
    """Whether the tokens of a prompt are pooled too."""
    steps: tuple[Dense | Normalise, ...] = ()
    """After pooling."""
    prompts: Mapping[str, str] = attrs.field(factory=dict)
    default_prompt: str | None = None
    longest: int | None = None
    """Tokens of a text that are read; `None` leaves it to the tokenizer and the network."""
    lower_case: bool = False
    dimensions: int | None = None
    """So many leading dimensions are kept; `None` keeps all."""
    similarity: str = "cosine"
    stated: bool = True
    """Whether the files say how to pool."""

    def prompt(self, kind: str) -> str:
        """What is put before a text of a kind: `query`, or anything else, which is read as a document."""
        names = ("query",) if kind == "query" else _DOCUMENT_PROMPTS
        chosen = next((name for name in names if name in self.prompts), self.default_prompt)
        return "" if chosen is None else self.prompts.get(chosen, "")

    def properties(self) -> dict[str, Any]:
        """What a changed setting is told from; nothing of it depends on where the files lie."""
        return {
            "pooling": "+".join(self.pooling),
            "stated": self.stated,
            "include_prompt": self.include_prompt,
            "steps": [step.told for step in self.steps],
            "normalise": any(isinstance(step, Normalise) for step in self.steps),
            "query_prompt": self.prompt("query"),
            "document_prompt": self.prompt("document"),
            "lower_case": self.lower_case,
            "kept_dimensions": self.dimensions,
            "similarity": self.similarity,
        }


def can_encode(directory: Path, config: Mapping[str, Any]) -> bool:
    """Whether a directory holds an embedding model: by `modules.json`, or because it is an encoder by its kind.

    Looks at names only: neither torch nor transformers is imported.
    """
    if (directory / MODULES).is_file():
        return True
    known = config.get("model_type") in _ENCODERS and not config.get("is_decoder")
    return known and any((directory / name).is_file() for name in _TOKENIZERS)


def encoder_files(directory: Path) -> tuple[Path, ...]:
    """Files besides weights, configuration and tokenizer that shape the vectors; empty without `modules.json`."""
    if not (directory / MODULES).is_file():
        return ()
    found = [directory / name for name in (MODULES, SETTINGS, *_LIMITS)]
    for place in {place for _, place in _listed(directory) if place != directory}:
        found += (place / name for name in ("config.json", "model.safetensors", "pytorch_model.bin", *_LIMITS))
    return tuple(sorted(path for path in found if path.is_file()))


def network_folder(directory: Path) -> Path:
    """Where an embedding model's network lies: the first folder in `modules.json`, or the directory itself."""
    if not (directory / MODULES).is_file() or (directory / "config.json").is_file():
        return directory
    first = next((place for _, place in _listed(directory)), directory)
    return first if (first / "config.json").is_file() else directory


def read_plan(directory: Path) -> EncoderPlan:
    """The plan of a model directory.

    Raises:
        SubjectError: a step is listed that is not read here, or its file is malformed.
    """
    if not (directory / MODULES).is_file():
        return EncoderPlan(network=directory, stated=False)
    listed = _listed(directory)
    kinds = [kind for kind, _ in listed]
    if kinds[:1] != ["Transformer"] or "Pooling" not in kinds[1:2]:
        raise SubjectError(
            f"{directory / MODULES}: lists {', '.join(kinds) or 'nothing'}; models that begin with a transformer and a "
            "pooling step are read"
        )
    network, pooling = listed[0][1], _object(listed[1][1] / "config.json")
    settings = read_json(directory / SETTINGS) or {}
    limits = next((found for name in _LIMITS if (found := read_json(network / name)) is not None), {})
    prompts = settings.get("prompts") or {}
    return EncoderPlan(
        network=network,
        pooling=_pooling(pooling, listed[1][1]),
        include_prompt=pooling.get("include_prompt") is not False,
        steps=tuple(step for kind, place in listed[2:] if (step := _step(kind, place, directory)) is not None),
        prompts={str(name): str(text) for name, text in prompts.items() if text},
        default_prompt=settings.get("default_prompt_name"),
        longest=_whole(limits.get("max_seq_length")),
        lower_case=limits.get("do_lower_case") is True,
        dimensions=_whole(settings.get("truncate_dim")),
        similarity=str(settings.get("similarity_fn_name") or "cosine"),
    )


def _listed(directory: Path) -> list[tuple[str, Path]]:
    """Kind and directory of every step, in their order."""
    path = directory / MODULES
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        found = [(str(one["type"]).rsplit(".", 1)[-1], PurePosixPath(str(one.get("path", "")))) for one in entries]
    except (ValueError, OSError, TypeError, KeyError, AttributeError) as error:
        raise SubjectError(f"{path}: not a list of steps with a type each ({error}); save the model again") from error
    for _, place in found:
        if place.is_absolute() or ".." in place.parts:
            raise SubjectError(f"{path}: names {str(place)!r}, which does not lie beside it")
    return [(kind, directory / place) for kind, place in found]


def _step(kind: str, place: Path, directory: Path) -> Dense | Normalise | None:
    if kind == "Normalize":
        return Normalise()
    if kind == "Dropout":  # does nothing outside training
        return None
    if kind != "Dense":
        raise SubjectError(f"{directory / MODULES}: {kind} after pooling is not read; Dense and Normalize are")
    config = _object(place / "config.json")
    activation = str(config.get("activation_function") or "Identity").rsplit(".", 1)[-1]
    if activation not in _ACTIVATIONS:
        raise SubjectError(f"{place / 'config.json'}: the activation {activation!r} is not one of {_ACTIVATIONS}")
    inputs, outputs = _whole(config.get("in_features")), _whole(config.get("out_features"))
    if inputs is None or outputs is None:
        raise SubjectError(f"{place / 'config.json'}: in_features and out_features must be whole numbers")
    return Dense(
        directory=place,
        inputs=inputs,
        outputs=outputs,
        bias=config.get("bias") is not False,
        activation=activation,
        residual=config.get("use_residual") is True,
    )


def _pooling(config: Mapping[str, Any], place: Path) -> tuple[str, ...]:
    stated = config.get("pooling_mode")
    if stated is None:
        chosen = tuple(name for name in POOLINGS if config.get(_FLAGS[name]) is True) or ("mean",)
    else:
        chosen = (stated,) if isinstance(stated, str) else tuple(map(str, stated))
    strange = [name for name in chosen if name not in POOLINGS]
    if strange or not chosen:
        raise SubjectError(f"{place / 'config.json'}: pools by {', '.join(strange)}; {', '.join(POOLINGS)} are read")
    return chosen


def _object(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if found is None:
        raise SubjectError(f"{path}: is missing, and {MODULES} lists it; save the model again")
    return found


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
