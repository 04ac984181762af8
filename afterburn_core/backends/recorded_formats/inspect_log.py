"""Logs of Inspect: one JSON document (`.json`), or a zip archive with a document for each sample (`.eval`).

Read are `eval` and `plan` (model, task, decoding), and of samples `id, epoch, input, target, choices, output, scores`.
The prompt is the sample's `input`: what a solver made of it differs between solvers, and is named in the properties.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from afterburn_core.backends.recorded_files import parse_loosely
from afterburn_core.backends.recorded_formats.entry import (
    Entry,
    Provenance,
    Row,
    path_free,
    read_count,
    read_prompt,
    refuse,
)
from afterburn_core.generation.model import Finish
from afterburn_core.probes.model import Message
from afterburn_core.result.strict_json import faults, is_text, show

MEMBER_LIMIT = 256 << 20
"""Bytes of one document inside an archive."""
ARCHIVE_LIMIT = 64 << 30
"""Bytes of all samples of an archive."""
RATIO_LIMIT = 400
"""How many times larger than its packed form a document of more than `RATIO_FROM` bytes may be."""
RATIO_FROM = 16 << 20

_FINISHES: Mapping[str, Finish] = {
    "stop": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "length": "length",  # in older logs
    "content_filter": "content_filter",
}
_DECODING = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
    "reasoning_tokens",
)
"""Of a log's settings of generation, those that shape a text; the rest says how it was fetched."""
_VERDICTS = {"C": True, "I": False, True: True, False: False}
_ATTACHMENT = "attachment://"


def is_log(value: Any) -> bool:
    """Whether a document is a log."""
    return isinstance(value, dict) and isinstance(value.get("eval"), dict) and ("plan" in value or "version" in value)


def read_log(log: Row, path: Path, about: Provenance) -> Iterator[Entry]:
    """The samples of a log that is one document.

    Raises:
        SubjectError: it has no samples, or one of them is not as it should be.
    """
    header = _Header.read(log, str(path), about)
    samples = log.get("samples")
    if not isinstance(samples, list) or not samples:
        refuse(str(path), "the log has no samples; write it with samples (log_samples)")
    found = (header.entries(sample, f"{path}:$.samples[{number}]") for number, sample in enumerate(samples))
    yield from _some(chain.from_iterable(found), path)


def read_archive(path: Path, about: Provenance) -> Iterator[Entry]:
    """The samples of a log that is an archive, one at a time.

    Raises:
        SubjectError: it is no such archive, is damaged, or unpacks to more than a log does.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            start = members.get("header.json") or members.get("_journal/start.json")
            if start is None:
                refuse(str(path), "is a zip archive without header.json, so no log of Inspect")
            header = _Header.read(_member(archive, start, path), str(path), about)
            samples = [
                m for name, m in sorted(members.items()) if name.startswith("samples/") and name.endswith(".json")
            ]
            if sum(member.file_size for member in samples) > ARCHIVE_LIMIT:
                refuse(str(path), f"unpacks to more than {ARCHIVE_LIMIT >> 30} GiB; refused as a decompression bomb")
            if not samples:
                refuse(str(path), "the log has no samples; write it with samples (log_samples)")
            found = (header.entries(_member(archive, m, path), f"{path}:{m.filename}") for m in samples)
            yield from _some(chain.from_iterable(found), path)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        refuse(str(path), f"the archive is damaged or cut short ({error}); copy or write it again")
    except (NotImplementedError, RuntimeError) as error:  # newer compression; a password
        refuse(str(path), f"cannot be unpacked here ({error}); convert it: inspect log convert --to json")


def _some(found: Iterable[Entry], path: Path) -> Iterator[Entry]:
    """All of them, of which there must be one."""
    count = 0
    for count, entry in enumerate(found, 1):  # noqa: B007 - read after the loop
        yield entry
    if not count:
        refuse(str(path), "every sample of the log failed before the model answered; nothing is recorded")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Any:
    where = f"{path}:{member.filename}"
    packed = max(member.compress_size, 1)
    if member.file_size > MEMBER_LIMIT or (member.file_size > RATIO_FROM and member.file_size > RATIO_LIMIT * packed):
        refuse(where, f"unpacks to {member.file_size} bytes; refused as a decompression bomb")
    with archive.open(member) as stream:
        return parse_loosely(stream.read(member.file_size + 1), where)  # zipfile reads no more than the stated size


@attrs.frozen
class _Header:
    task: str
    about: Provenance

    @classmethod
    def read(cls, log: Any, where: str, about: Provenance) -> _Header:
        if not is_log(log):
            refuse(where, "has no 'eval' and 'plan', so it is no log of Inspect")
        spec, plan = log["eval"], log.get("plan")
        plan = plan if isinstance(plan, dict) else {}
        model = spec.get("model")
        if isinstance(model, str) and model:
            engine, _, name = model.partition("/")
            about.note_model(path_free(name or engine), where)
            about.engine = engine if name else about.engine
        host = _host(spec.get("model_base_url"))
        if host is not None:
            about.properties["host"] = host
        for decoding in (spec.get("model_generate_config"), plan.get("config")):
            if isinstance(decoding, dict):
                about.note_decoding({name: decoding[name] for name in _DECODING if decoding.get(name) is not None})
        steps = plan.get("steps")
        if isinstance(steps, list):
            about.properties["solver"] = [str(step.get("solver")) for step in steps if isinstance(step, dict)]
        task = spec.get("task")
        return cls(task.rpartition("/")[2] if isinstance(task, str) else "inspect", about)

    def entries(self, sample: Any, where: str) -> Iterator[Entry]:
        """The entry of a sample; none where it failed before the model answered."""
        if not isinstance(sample, dict):
            refuse(where, f"must be an object, not {show(sample)}")
        name, epoch = sample.get("id"), read_count(sample, "epoch", where)
        if isinstance(name, bool) or not isinstance(name, (int, str)):
            refuse(where, f"'id' must be text or a number, not {show(name)}")
        output = sample.get("output")
        choices = output.get("choices") if isinstance(output, dict) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(output, dict) or not isinstance(choice, dict) or sample.get("error") is not None:
            self.about.properties["failed_samples"] = self.about.properties.get("failed_samples", 0) + 1
            return
        attachments = sample.get("attachments")
        attached = attachments if isinstance(attachments, dict) else {}
        labels = _labels(sample)
        yield Entry(
            where=where,
            prompt_id=f"{self.task}/{name}",
            prompt=_prompt(sample.get("input"), attached, where),
            output=_output(choice, output, attached, where),
            number=None if epoch is None else max(epoch - 1, 0),
            sample={
                "tokens": _output_tokens(output),
                "finish": _FINISHES.get(str(choice.get("stop_reason"))),
                "labels": labels,
            },
            probe={"suite": self.task, **_question(sample)},
        )


def _host(url: Any) -> str | None:
    """Who served the model: the URL's host, without the password that may stand before it."""
    try:
        return urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:
        return None


def _prompt(value: Any, attached: Mapping[str, Any], where: str) -> str | tuple[Message, ...]:
    if isinstance(value, list):
        value = [
            {**turn, "content": _resolved(turn.get("content"), attached)} if isinstance(turn, dict) else turn
            for turn in value
        ]
    return read_prompt(_resolved(value, attached), where, "input")


def _output(choice: Row, output: Row, attached: Mapping[str, Any], where: str) -> str:
    """What was said; reasoning that the service returns apart is not part of it."""
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else output.get("completion")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(part for part in (_resolved(part, attached) for part in parts) if isinstance(part, str))
    content = _resolved(content, attached)
    if not isinstance(content, str) or not is_text(content):
        refuse(where, f"the output must be text, not {show(content)}")
    return content


def _resolved(value: Any, attached: Mapping[str, Any]) -> Any:
    """Long texts stand apart from the place where they belong."""
    if isinstance(value, str) and value.startswith(_ATTACHMENT):
        return attached.get(value.removeprefix(_ATTACHMENT), value)
    return value


def _output_tokens(output: Row) -> int | None:
    usage = output.get("usage")
    tokens = usage.get("output_tokens") if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and tokens > 0 else None


def _question(sample: Row) -> dict[str, Any]:
    """`gold`, and for a multiple choice `choices` and its checker."""
    target, choices = sample.get("target"), sample.get("choices")
    if isinstance(target, list) and len(target) == 1:
        target = target[0]
    found: dict[str, Any] = {"gold": target} if isinstance(target, str) and target and is_text(target) else {}
    if isinstance(choices, list) and choices and all(isinstance(item, str) and is_text(item) for item in choices):
        found["choices"] = tuple(choices)
        if "gold" in found:
            found["checker"] = "choice"
    return found


def _labels(sample: Row) -> dict[str, Any]:
    """Values of the scorers by name; `is_correct` where the first of them says C (correct) or I (incorrect)."""
    scores = sample.get("scores")
    values = {
        name: score["value"]
        for name, score in (scores.items() if isinstance(scores, dict) else ())
        if isinstance(score, dict) and isinstance(score.get("value"), (str, int, float)) and not faults(score["value"])
    }
    first = next(iter(values.values()), None)
    if isinstance(first, (str, bool)) and first in _VERDICTS:
        values["is_correct"] = _VERDICTS[first]
    return values
