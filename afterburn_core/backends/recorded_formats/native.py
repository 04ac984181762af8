"""Our own rows: `{prompt_id, prompt, sample, output}` and what else is known of the prompt and of the sample.

An optional first line says how the outputs came about:
`{"afterburn_recorded": 1, "decoding": {…}, "engine": …, "template": …, "model": …}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afterburn_core.backends.recorded_formats.entry import (
    Entry,
    Provenance,
    Row,
    read_count,
    read_finish,
    read_logprob,
    read_prompt,
    read_text,
    read_texts,
    refuse,
)
from afterburn_core.generation.model import Sample
from afterburn_core.probes.model import Probe
from afterburn_core.result.strict_json import show

MARK = "afterburn_recorded"
VERSION = 1

_PROBE_NAMES: Mapping[str, tuple[str, ...]] = {
    "gold": ("gold", "answer"),
    "category": ("category", "type", "kind"),
    "group": ("group", "conversation_id"),
    "unsafe": ("unsafe", "prompt_is_unsafe"),
    "checker": ("checker",),
    "choices": ("choices",),
    "twin": ("twin",),
    "requests": ("requests",),
    "follow_ups": ("follow_ups",),
    "suite": ("suite",),
    "properties": ("probe_properties",),
}
"""Names in a row of each field of `Probe`; the first that is there counts, the others are labels of the sample."""
RESERVED = frozenset(name for names in _PROBE_NAMES.values() for name in names)
_SAMPLE_NAMES = frozenset({"tokens", "finish", "logprob", "token_ids", "choice_logprobs", "seed"})
_REPLY_NAMES = frozenset({"replies", "reply_tokens", "reply_finishes"})
"""Of rows with follow-ups; on others they are labels like any unknown name."""
_OWN_NAMES = frozenset({"prompt_id", "prompt", "sample", "output"})


def write_header(about: Provenance) -> Row:
    """The first line that says what is known of all outputs; the inverse of `read_header`."""
    known = {"engine": about.engine, "model": about.model, "template": about.template, "decoding": about.decoding}
    return {MARK: VERSION, **{k: v for k, v in known.items() if v is not None}, **about.properties}


def write_row(probe: Probe, sample: Sample) -> Row:
    """The row of a sample; the inverse of `read_row`."""
    prompt: Any = probe.prompt
    if not isinstance(prompt, str):
        prompt = [{"role": turn.role, "content": turn.content} for turn in prompt]
    row: Row = {"prompt_id": probe.id, "prompt": prompt, "sample": sample.index, "output": sample.text}
    for field, names in _PROBE_NAMES.items():
        value = getattr(probe, field)
        if value not in (None, (), {}):
            row[names[0]] = list(value) if isinstance(value, tuple) else value
    if probe.properties:
        row["probe_properties"] = dict(probe.properties)
    for field in sorted(_SAMPLE_NAMES):
        value = getattr(sample, field)
        if value is not None:
            row[field] = list(value) if isinstance(value, tuple) else value
    row |= {name: list(getattr(sample, name)) for name in sorted(_REPLY_NAMES) if sample.replies}
    reserved = RESERVED | _SAMPLE_NAMES | _REPLY_NAMES | _OWN_NAMES | {"labels", MARK, "resps", "instruction"}
    row |= {name: value for name, value in sample.labels.items() if name not in reserved}
    inner = {name: value for name, value in sample.labels.items() if name in reserved}
    return row | {"labels": inner} if inner else row


def is_row(row: Row) -> bool:
    """Whether a row is of this format."""
    return "prompt_id" in row or ("prompt" in row and "output" in row)


def is_header(row: Row) -> bool:
    return MARK in row


def read_header(row: Row, where: str, about: Provenance) -> None:
    """Notes what the first line says.

    Raises:
        SubjectError: it is of another version, or a field has the wrong type.
    """
    version = row[MARK]
    if isinstance(version, bool) or not isinstance(version, int):
        refuse(where, f"{MARK!r} must be the version of the format, {VERSION}, not {show(version)}")
    if version > VERSION:
        refuse(where, f"is of version {version} of the format, and this release reads up to {VERSION}; update it")
    decoding = row.get("decoding")
    if decoding is not None:
        if not isinstance(decoding, dict):
            refuse(where, f"'decoding' must be an object, not {show(decoding)}")
        about.note_decoding(decoding)
    for name in ("engine", "model", "template"):
        if row.get(name) is not None:
            setattr(about, name, read_text(row, name, where, empty=False))
    if about.template not in (None, "chat", "plain"):
        refuse(where, f"'template' must be chat or plain, not {show(about.template)}")
    known = {MARK, "decoding", "engine", "model", "template"}
    about.properties.update({name: value for name, value in row.items() if name not in known})


def read_row(row: Row, where: str) -> Entry:
    """The entry of a row.

    Raises:
        SubjectError: a field is missing or of the wrong type.
    """
    if "prompt" not in row:
        refuse(where, "has no 'prompt'; every row needs one")
    taken, probe = _probe_fields(row, where)
    sample = _sample_fields(row, where, probe)
    labels = _labels(row, taken, where)
    if not isinstance(labels.get("is_correct"), (bool, type(None))):
        refuse(where, f"'is_correct' must be true, false or null, not {show(labels['is_correct'])}")
    return Entry(
        where=where,
        prompt_id=read_text(row, "prompt_id", where, empty=False),
        prompt=read_prompt(row["prompt"], where),
        output=read_text(row, "output", where),
        number=read_count(row, "sample", where) or 0,
        sample={**sample, "labels": labels},
        probe=probe,
    )


def _labels(row: Row, taken: set[str], where: str) -> dict[str, Any]:
    """What the row says beyond known names; an object `labels` holds those that would be taken for something else."""
    inner = row.get("labels", {})
    if not isinstance(inner, dict):
        refuse(where, f"'labels' must be an object, not {show(inner)}")
    return {name: value for name, value in row.items() if name not in taken and name != "labels"} | inner


def _probe_fields(row: Row, where: str) -> tuple[set[str], dict[str, Any]]:
    """Names of the row that say something of the prompt, and the fields of `Probe`."""
    taken = set(_OWN_NAMES | _SAMPLE_NAMES | (_REPLY_NAMES if row.get("follow_ups") else frozenset()))
    fields: dict[str, Any] = {}
    for field, names in _PROBE_NAMES.items():
        name = next((name for name in names if row.get(name) is not None), None)
        taken.update({name} if name else names)
        if name is not None:
            fields[field] = _probe_value(field, name, row, where)
    return taken, fields


def _probe_value(field: str, name: str, row: Row, where: str) -> Any:
    value = row[name]
    if field in ("choices", "requests", "follow_ups"):
        return read_texts(value, name, where)
    if field == "unsafe":
        if not isinstance(value, bool):
            refuse(where, f"{name!r} must be true or false, not {show(value)}")
        return value
    if field == "properties":
        if not isinstance(value, dict):
            refuse(where, f"{name!r} must be an object, not {show(value)}")
        return value
    if field in ("gold", "group") and isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value)  # a number as an answer, or as the name of a conversation
    return read_text(row, name, where)


def _sample_fields(row: Row, where: str, probe: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "tokens": read_count(row, "tokens", where),
        "finish": read_finish(row.get("finish"), where),
        "logprob": read_logprob(row.get("logprob"), "logprob", where),
        "seed": read_count(row, "seed", where),
    }
    ids = row.get("token_ids")
    if ids is not None:
        if not isinstance(ids, list) or any(isinstance(i, bool) or not isinstance(i, int) or i < 0 for i in ids):
            refuse(where, f"'token_ids' must be a list of whole numbers from 0, not {show(ids)}")
        if fields["tokens"] not in (None, len(ids)):
            refuse(
                where, f"'tokens' is {fields['tokens']}, and 'token_ids' has {len(ids)}; both leave out the end mark"
            )
        fields.update(tokens=len(ids), token_ids=tuple(ids))
    fields["choice_logprobs"] = _choice_logprobs(row.get("choice_logprobs"), probe.get("choices", ()), where)
    return {name: value for name, value in fields.items() if value is not None} | _replies(row, where, probe)


def _replies(row: Row, where: str, probe: Mapping[str, Any]) -> dict[str, Any]:
    """Answers to the follow-ups of the row's prompt, with what is known of each."""
    asked = len(probe.get("follow_ups", ()))
    if not asked or row.get("replies") is None:
        return {}
    replies = read_texts(row["replies"], "replies", where)
    if len(replies) > asked:
        refuse(where, f"has {len(replies)} replies to {asked} follow-ups; write one for each")
    found: dict[str, Any] = {"replies": replies}
    for name in ("reply_tokens", "reply_finishes"):
        values = row.get(name)
        if values is None:
            values = [None] * len(replies)
        if not isinstance(values, list) or len(values) != len(replies):
            refuse(where, f"{name!r} must be a list with one entry for each of {len(replies)} replies")
        if name == "reply_tokens":
            found[name] = tuple(read_count({name: value}, name, where) for value in values)
        else:
            found[name] = tuple(read_finish(value, where) for value in values)
    return found


def _choice_logprobs(value: Any, choices: tuple[str, ...], where: str) -> tuple[float, ...] | None:
    """ln p of each label; a list in the order of the choices, or an object by label."""
    if value is None:
        return None
    if isinstance(value, dict):
        labels = [chr(ord("A") + number) for number in range(len(choices) or len(value))]
        if sorted(value) != labels:
            refuse(where, f"'choice_logprobs' must name the labels {', '.join(labels)}, not {', '.join(sorted(value))}")
        value = [value[label] for label in labels]
    if not isinstance(value, list):
        refuse(where, f"'choice_logprobs' must be a list or an object by label, not {show(value)}")
    if choices and len(value) != len(choices):
        refuse(where, f"'choice_logprobs' has {len(value)} numbers for {len(choices)} choices")
    found = [read_logprob(item, "choice_logprobs", where) for item in value]
    known = tuple(item for item in found if item is not None)
    return known if len(known) == len(found) else None
