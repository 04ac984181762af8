"""What every format of recorded outputs is read into, and how fields of rows are read and refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NoReturn, cast, get_args

import attrs

from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Finish
from afterburn_core.probes.model import Message, Speaker
from afterburn_core.result.strict_json import faults, is_text, show

Row = dict[str, Any]

_SPEAKERS: Mapping[str, Speaker] = {
    "system": "system",
    "developer": "system",  # newer name of the same turn
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}
_FINISHES = get_args(Finish)


@attrs.frozen(kw_only=True)
class Entry:
    """One recorded output."""

    where: str
    """`file:line`, for messages."""
    prompt_id: str
    prompt: str | tuple[Message, ...]
    output: str
    number: int | None = None
    """The sample's number as recorded; `None` counts on within the prompt."""
    sample: Mapping[str, Any] = attrs.field(factory=dict)
    """Further fields of `Sample`, and its `labels`."""
    probe: Mapping[str, Any] = attrs.field(factory=dict)
    """Further fields of `Probe`, equal on all rows of the prompt."""


@attrs.define(kw_only=True)
class Provenance:
    """How the outputs came about, as far as the files say."""

    engine: str | None = None
    """Software or host that served the model: `vllm`, `openai`, `together`."""
    model: str | None = None
    template: str | None = None
    """`chat` or `plain`."""
    decoding: dict[str, Any] | None = None
    """By the names of `Decoding`; parameters that it does not know keep theirs."""
    properties: dict[str, Any] = attrs.field(factory=dict)
    files: set[Path] = attrs.field(factory=set)
    """Files besides the recorded ones that were read, and so belong to the subject."""

    def note_decoding(self, found: Mapping[str, Any]) -> None:
        """Adds decoding parameters; values that differ from those noted before stand beside them in a list."""
        self.decoding = merged_decoding(self.decoding, renamed_decoding(found)) or None

    def note_model(self, name: str, where: str) -> None:
        """Adds the model's name.

        Raises:
            SubjectError: outputs of another model were read before.
        """
        if self.model not in (None, name):
            raise SubjectError(
                f"{where}: holds outputs of {show(name)} beside those of {show(self.model)}; "
                "a subject is one model: give a file with its outputs alone"
            )
        self.model = name


_DECODING_NAMES = {
    "max_tokens": "max_new_tokens",
    "max_completion_tokens": "max_new_tokens",
    "max_gen_toks": "max_new_tokens",
    "max_length": "max_new_tokens",
}
_UNSAID = {"until", "stop", "seed", "n", "num_return_sequences", "num_choices", "engine", "host", "model"}
"""What stands among decoding parameters and is none: how many samples, where they end, who served them."""


def renamed_decoding(found: Mapping[str, Any]) -> dict[str, Any]:
    """Decoding parameters by the names of `Decoding`; `do_sample: false` is temperature 0."""
    renamed = {
        _DECODING_NAMES.get(name, name): value
        for name, value in found.items()
        if name not in _UNSAID and value is not None and not faults(value)
    }
    if renamed.pop("do_sample", None) is False:
        renamed["temperature"] = 0.0
    return renamed


def merged_decoding(first: Mapping[str, Any] | None, second: Mapping[str, Any]) -> dict[str, Any]:
    """Both; a parameter that took several values has the list of them, in the order met."""
    merged = dict(first or {})
    for name, value in second.items():
        known = merged.get(name, value)
        if known == value:
            merged[name] = value
        elif isinstance(known, list) and value in known:
            continue
        else:
            merged[name] = [*known, value] if isinstance(known, list) else [known, value]
    return merged


def path_free(name: str) -> str:
    """A model's name without the folders of somebody's machine; a hub id stays whole."""
    return PurePath(name.rstrip("/")).name if name.startswith(("/", "~", ".")) else name


def refuse(where: str, message: str) -> NoReturn:
    """Raises a `SubjectError` that begins with the place."""
    raise SubjectError(f"{where}: {message}")


def read_text(row: Mapping[str, Any], key: str, where: str, *, empty: bool = True) -> str:
    """A field that must be text."""
    if key not in row:
        refuse(where, f"has no {key!r}; every row needs one")
    value = row[key]
    if not isinstance(value, str):
        refuse(where, f"{key!r} must be text, not {show(value)}")
    if not value and not empty:
        refuse(where, f"{key!r} is empty")
    if not is_text(value):
        refuse(where, f"{key!r} holds half of a surrogate pair, which is no text; write the file as UTF-8")
    return value


def read_count(row: Mapping[str, Any], key: str, where: str) -> int | None:
    """A whole number from 0; `None` where absent or null."""
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        refuse(where, f"{key!r} must be a whole number from 0, not {show(value)}")
    return value


def read_logprob(value: Any, key: str, where: str) -> float | None:
    """A log-probability in nats; `None` where null."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        refuse(where, f"{key!r} must be a finite number, not {show(value)}")
    if value > 1e-3:  # rounding of a probability of 1
        refuse(where, f"{key!r} is {value}, and a log-probability is at most 0; a probability needs its logarithm")
    return min(float(value), 0.0)


def read_finish(value: Any, where: str) -> Finish | None:
    """Why a text ended; `None` where null."""
    if value is None:
        return None
    if value not in _FINISHES:
        refuse(where, f"'finish' must be one of {', '.join(_FINISHES)}, not {show(value)}")
    return cast("Finish", value)


def read_texts(value: Any, key: str, where: str) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list) or not all(isinstance(item, str) and is_text(item) for item in value):
        refuse(where, f"{key!r} must be a list of texts, not {show(value)}")
    return tuple(value)


def read_prompt(value: Any, where: str, key: str = "prompt") -> str | tuple[Message, ...]:
    """A prompt: text, or a conversation as a list of `{role, content}` that ends before the recorded output.

    A conversation of one user turn is the same as its text.
    """
    if isinstance(value, str):
        return read_text({key: value}, key, where)
    if not isinstance(value, list) or not value:
        refuse(where, f"{key!r} must be text or a list of messages, not {show(value)}")
    messages = tuple(_read_message(item, f"{key}[{number}]", where) for number, item in enumerate(value))
    if messages[-1].role == "assistant":
        refuse(where, f"{key!r} ends with a turn of the assistant; what the model wrote belongs into 'output'")
    if len(messages) == 1 and messages[0].role == "user":
        return messages[0].content
    return messages


def _read_message(value: Any, key: str, where: str) -> Message:
    if not isinstance(value, dict):
        refuse(where, f"{key!r} must be an object with role and content, not {show(value)}")
    role = value.get("role")
    speaker = _SPEAKERS.get(role) if isinstance(role, str) else None
    if speaker is None:
        refuse(where, f"{key}.role must be system, user or assistant, not {show(role)}")
    return Message(role=speaker, content=read_content(value.get("content"), f"{key}.content", where))


def read_content(value: Any, key: str, where: str) -> str:
    """The text of a message: as it is, or a list of `{type: text, text}` parts; other parts are refused."""
    if isinstance(value, list):
        parts = [item.get("text") if isinstance(item, dict) else item for item in value]
        if not all(isinstance(part, str) for part in parts):
            refuse(where, f"{key!r} holds something other than text, which no text model was asked")
        value = "".join(cast("Sequence[str]", parts))
    return read_text({key: value}, key, where)
