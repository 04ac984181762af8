"""Samples of lm-evaluation-harness (`--log_samples`): `samples_TASK_TIME.jsonl`, with `results_TIME.json` beside it.

A row is one document under one filter: `doc_id, doc, target, arguments, resps, filtered_resps, filter, metrics` and one
field for each metric. `resps` is what the model wrote, before any filter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.backends.recorded_files import read_document
from afterburn_core.backends.recorded_formats.entry import (
    Entry,
    Provenance,
    Row,
    path_free,
    read_count,
    read_prompt,
    refuse,
)
from afterburn_core.errors import SubjectError
from afterburn_core.probes.model import Message
from afterburn_core.result.strict_json import faults, is_text, show

_NAME = re.compile(r"samples_(?P<task>.+?)(?:_(?P<time>\d{4}-\d\d-\d\dT[\d.:-]+))?\.jsonl(?:\.gz)?")
_CORRECT = ("exact_match", "acc")
"""Metrics that are 1 for a correct answer and 0 for a wrong one."""


class NoGeneration(SubjectError):
    """The task compared likelihoods, so the model wrote nothing."""


def is_row(row: Row) -> bool:
    """Whether a row is of this format."""
    return "resps" in row and "arguments" in row


@attrs.define
class Rows:
    """Reads the rows of one file; the first filter that occurs is the one whose metrics count."""

    path: Path
    about: Provenance
    task: str = "lm_eval"
    filter: str | None = None

    def __attrs_post_init__(self) -> None:
        named = _NAME.fullmatch(self.path.name)
        if named:
            self.task = named["task"]
            self._read_results(self.path.parent / f"results_{named['time']}.json")

    def read_row(self, row: Row, where: str) -> list[Entry]:
        """The samples of a row; none under a filter other than the first.

        Raises:
            NoGeneration: the task wrote no text.
            SubjectError: a field is missing or of the wrong type.
        """
        number = read_count(row, "doc_id", where)
        if number is None:
            refuse(where, "has no 'doc_id'; every sample of lm-evaluation-harness has one")
        texts = self._texts(row.get("resps"), where)
        prompt, decoding = _arguments(row.get("arguments"), where)
        name = str(row.get("filter", "none"))
        self.filter = self.filter or name
        if name != self.filter:
            ignored = self.about.properties.setdefault("filters_ignored", [])
            if name not in ignored:
                ignored.append(name)
            return []
        self.about.note_decoding(decoding)
        labels = _labels(row) if len(texts) == 1 else {}
        target = row.get("target")
        gold = {"gold": target} if isinstance(target, str) and target and is_text(target) else {}
        return [
            Entry(
                where=where,
                prompt_id=f"{self.task}/{number}",
                prompt=prompt,
                output=text,
                number=index,
                sample={"labels": labels},
                probe={"suite": self.task, **gold},
            )
            for index, text in enumerate(texts)
        ]

    def _texts(self, resps: Any, where: str) -> list[str]:
        if not isinstance(resps, list) or not resps or not all(isinstance(repeats, list) for repeats in resps):
            refuse(where, f"'resps' must be a list of lists, not {show(resps)}")
        if not all(isinstance(text, str) for repeats in resps for text in repeats) or len(resps) > 1:
            raise NoGeneration(
                f"{where}: task {show(self.task)} compares likelihoods, so the model wrote nothing that could be "
                "compared; give the samples of a generation task"
            )
        if not all(is_text(text) for text in resps[0]):
            refuse(where, "'resps' holds half of a surrogate pair, which is no text")
        return list(resps[0])

    def _read_results(self, path: Path) -> None:
        """Notes model, engine and template from the summary of the same run, where it lies beside the samples."""
        if not path.is_file():
            return
        results = read_document(path)
        if not isinstance(results, dict):
            refuse(str(path), f"must be a JSON object, not {show(results)}")
        self.about.files.add(path)
        if isinstance(results.get("model_name"), str):
            self.about.note_model(path_free(results["model_name"]), str(path))
        if isinstance(results.get("model_source"), str):
            self.about.engine = results["model_source"]
        if "chat_template" in results:
            self.about.template = "chat" if results["chat_template"] else "plain"
        for name in ("chat_template_sha", "system_instruction_sha"):
            if isinstance(results.get(name), str):
                self.about.properties[name] = results[name]


def _arguments(value: Any, where: str) -> tuple[str | tuple[Message, ...], Mapping[str, Any]]:
    """Prompt and decoding parameters; newer files name the arguments `gen_args_0.arg_0`, older ones list them."""
    if isinstance(value, dict):
        first = value.get("gen_args_0")
        given = list(first.values()) if isinstance(first, dict) else []
    else:
        given = value[0] if isinstance(value, list) and value and isinstance(value[0], list) else []
    if not given:
        refuse(where, f"'arguments' must hold a prompt, not {show(value)}")
    decoding = given[1] if len(given) > 1 and isinstance(given[1], dict) else {}
    prompt = given[0]
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        try:  # a conversation that an API was asked, as JSON text
            prompt = json.loads(prompt[0])
        except ValueError:
            prompt = prompt[0]
    return read_prompt(prompt, where, "arguments"), decoding


def _labels(row: Row) -> dict[str, Any]:
    """Values of the metrics, and `is_correct` where one of them says whether the answer is right."""
    names = row.get("metrics")
    found = {
        name: row[name]
        for name in (names if isinstance(names, list) else _CORRECT)
        if isinstance(name, str) and row.get(name) is not None and not faults(row[name])
    }
    correct = next((found[name] for name in _CORRECT if name in found and found[name] in (0, 1)), None)
    return found if correct is None else {**found, "is_correct": bool(correct)}
