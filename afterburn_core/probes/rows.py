"""One line of a probe file and the probe it stands for, in both directions; every fault in words.

A row has the fields of `Probe`, `id` and `prompt` at least. Names that others use for them are taken too (`ALIASES`).
Imports neither NumPy nor torch.
"""

from __future__ import annotations

import difflib
import math
import string
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import attrs

from afterburn_core.probes.constraints import constraint_faults
from afterburn_core.probes.continuations import continuation_faults
from afterburn_core.probes.model import Message, Probe, Speaker, prompt_digest
from afterburn_core.result.strict_json import faults as json_faults
from afterburn_core.result.strict_json import is_text, show

FIELDS = tuple(field.name for field in attrs.fields(Probe))
ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("prompt_id", "question_id", "task_id"),
    "prompt": ("messages", "question", "instruction"),
    "gold": ("answer", "target", "expected"),
    "choices": ("options",),
    "category": ("subject", "subset"),
}
"""Other people's names for a field, the first that occurs counts. They are read in lists and data sets; in a JSONL
file the fields have their own names."""
CHECKERS = ("choice", "code", "constraints", "exact", "list", "number", "set", "text")
LETTERS = string.ascii_uppercase

_TEXTS = ("suite", "category", "twin", "group")


@attrs.frozen(kw_only=True)
class Place:
    """Where a fault lies."""

    file: str
    line: int | None = None

    def fault(self, what: str) -> str:
        """`file:line: what`."""
        return f"{self.file}:{self.line}: {what}" if self.line is not None else f"{self.file}: {what}"


def probe_of(row: Any, suite: str, *, others: bool = False, answered: bool = False) -> Probe | list[str]:
    """The probe of a parsed row, or everything that is wrong with it as `what; what to do`.

    Args:
        row: a JSON value; a text alone is a prompt.
        suite: the probe set's name, for rows that name none.
        others: whether other people's names of fields count, and unknown ones become properties.
        answered: whether a conversation may end with the assistant's turn, as texts to be read may.
    """
    if isinstance(row, str) and others:
        row = {"prompt": row}
    if not isinstance(row, Mapping):
        return [f"is {show(row)}; write an object with id and prompt"]
    if others:
        row = renamed(row)
    problems = [f"{fault.removeprefix('$.')}; write it as JSON can" for fault in json_faults(dict(row))]
    if problems:
        return problems
    problems += _unknown(row)
    prompt = _prompt(row.get("prompt"), problems, answered=answered)
    texts = {name: _optional(row, name, problems) for name in _TEXTS}
    choices = _names(row, "choices", problems)
    gold, accept = _gold(row.get("gold"), problems)
    checker = _checker(row, gold, choices, problems)
    properties = row.get("properties", {})
    if not isinstance(properties, Mapping):
        problems.append(f"properties is {show(properties)}; write an object")
        properties = {}
    unsafe = row.get("unsafe")
    if unsafe is not None and not isinstance(unsafe, bool):
        problems.append(f"unsafe is {show(unsafe)}; write true, false or null")
    problems += continuation_faults(properties)
    requests = _names(row, "requests", problems)
    follow_ups = _names(row, "follow_ups", problems)
    name = _id(row, prompt, problems)
    if problems:
        return problems
    return Probe(
        id=name,
        prompt=prompt,
        suite=texts["suite"] or suite,
        category=texts["category"],
        gold=gold,
        checker=checker,
        choices=choices,
        unsafe=unsafe,
        requests=requests,
        follow_ups=follow_ups,
        twin=texts["twin"],
        group=texts["group"],
        properties=dict(properties) | ({"accept": accept} if accept else {}),
    )


def row_of(probe: Probe, suite: str) -> dict[str, Any]:
    """The row that `probe_of` reads as this probe; what has its default is left out."""
    row: dict[str, Any] = {}
    for field in attrs.fields(Probe):
        value = getattr(probe, field.name)
        if field.name == "prompt" and not isinstance(value, str):
            row["prompt"] = [{"role": message.role, "content": message.content} for message in value]
        elif field.name == "suite":
            row.update({} if value == suite else {"suite": value})
        elif field.name == "properties":
            row.update({"properties": dict(value)} if value else {})
        elif value is not None and value != ():
            row[field.name] = list(value) if isinstance(value, tuple) else value
        elif field.name == "checker" and probe.gold is not None:
            row["checker"] = None  # else a reader would choose one
    return row


def default_checker(gold: str | None, choices: tuple[str, ...]) -> str | None:
    """How an answer is compared where nobody said: by letter, by number, or as a text; `None` without gold."""
    from afterburn_core.probes.numbers import value_of

    if gold is None:
        return None
    if choices:
        return "choice"
    return "number" if value_of(gold) is not None else "text"


def renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row under the names of `Probe`; columns that are none of them become properties."""
    named = {name: value for name, value in row.items() if name in FIELDS}
    taken = set(named)
    for field, names in ALIASES.items():
        found = next((name for name in names if name in row and row[name] is not None), None)
        if field not in named and found is not None:
            named[field] = row[found]
            taken.add(found)
    choices, gold = named.get("choices"), named.get("gold")
    if isinstance(gold, str) and "\n####" in gold:  # a worked solution with its final answer behind the mark
        named["gold"] = gold = gold.rsplit("####", 1)[1].strip()
    if isinstance(choices, Mapping) and isinstance(choices.get("text"), list):  # {"text": [...], "label": [...]}
        labels = choices.get("label")
        named["choices"] = choices = choices["text"]
        if isinstance(labels, list) and gold in labels:
            named["gold"] = gold = LETTERS[labels.index(gold)]
    if isinstance(choices, list) and isinstance(gold, int) and not isinstance(gold, bool) and 0 <= gold < len(choices):
        named["gold"] = LETTERS[gold]  # data sets count options from 0
    elif isinstance(choices, list) and isinstance(gold, str) and choices.count(gold) == 1 and gold not in LETTERS:
        named["gold"] = LETTERS[choices.index(gold)]
    pair = _pair(row)
    if pair:
        taken |= {"chosen", "rejected"}
        if named.get("prompt") is None and isinstance(row["chosen"], list):
            named["prompt"] = row["chosen"][:-1]
    rest = {name: value for name, value in row.items() if name not in taken} | pair
    if rest:
        given = named.get("properties")
        named["properties"] = rest | (dict(given) if isinstance(given, Mapping) else {})
    return named


def _pair(row: Mapping[str, Any]) -> dict[str, Any]:
    """`chosen` and `rejected`, texts or conversations, as continuations; nothing where a row has no such pair."""
    found = []
    for name in ("chosen", "rejected"):
        value = row.get(name)
        if isinstance(value, list) and value and isinstance(value[-1], Mapping):
            value = value[-1].get("content")
        found.append(value)
    if not all(isinstance(text, str) for text in found) or found[0] == found[1]:
        return {}
    return {"continuations": found, "preferred": 0}


def nearest(name: str, known: tuple[str, ...]) -> str:
    """`did you mean 'x'?`, or the names there are."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"


def _unknown(row: Mapping[str, Any]) -> Iterator[str]:
    for name in row:
        if name not in FIELDS:
            close = difflib.get_close_matches(name, FIELDS, n=1)
            alias = next((field for field, names in ALIASES.items() if name in names), close[0] if close else None)
            hint = f"did you mean {alias!r}?" if alias else "put it under 'properties'"
            yield f"{name!r} is not a field of a probe; {hint}"


def _id(row: Mapping[str, Any], prompt: str | tuple[Message, ...], problems: list[str]) -> str:
    value = row.get("id")
    if value is None and "id" not in row and not problems:
        return f"p-{prompt_digest(Probe(id='-', prompt=prompt))[:16]}"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        if "id" in row:
            problems.append(f"id is {show(value)}; write a name that no other probe has")
        return ""
    return value


def _prompt(value: Any, problems: list[str], *, answered: bool) -> str | tuple[Message, ...]:
    if isinstance(value, str) and value.strip():
        return value
    if value is None or value in ("", []) or isinstance(value, str):
        problems.append("prompt is missing or empty; write what the model is asked")
        return ""
    if not isinstance(value, list):
        problems.append(f"prompt is {show(value)}; write a text or a list of messages")
        return ""
    messages = []
    for number, turn in enumerate(value):
        wrong = _turn(turn)
        if wrong:
            problems.append(f"prompt[{number}] {wrong}")
            return ""
        messages.append(Message(role=turn["role"], content=turn["content"]))
    if messages[-1].role != "user" and not (answered and len(messages) > 1 and messages[-1].role == "assistant"):
        problems.append(f"prompt ends with a turn of {messages[-1].role!r}; end it with the user's")
    return tuple(messages)


def _turn(turn: Any) -> str | None:
    if not isinstance(turn, Mapping):
        return f"is {show(turn)}; write {{role, content}}"
    if turn.get("role") not in get_args(Speaker):
        return f"has the role {show(turn.get('role'))}; write one of {', '.join(get_args(Speaker))}"
    if not isinstance(turn.get("content"), str):
        return f"has the content {show(turn.get('content'))}; write a text"
    extra = sorted(str(name) for name in turn if name not in ("role", "content"))
    return f"has the key {extra[0]!r}; a message has role and content alone" if extra else None


def _optional(row: Mapping[str, Any], name: str, problems: list[str]) -> str | None:
    value = row.get(name)
    if value is None or (isinstance(value, str) and value):
        return value
    problems.append(f"{name} is {show(value)}; write a text or leave it out")
    return None


def _names(row: Mapping[str, Any], name: str, problems: list[str]) -> tuple[str, ...]:
    value = row.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        problems.append(f"{name} is {show(value)}; write a list of texts")
        return ()
    return tuple(value)


def _gold(value: Any, problems: list[str]) -> tuple[str | None, list[str]]:
    """The right answer and its other wordings."""
    many = value if isinstance(value, list) else [value]
    texts = []
    for item in many:
        if isinstance(item, int) and not isinstance(item, bool):
            texts.append(str(item))
        elif isinstance(item, float) and math.isfinite(item):
            texts.append(repr(item))
        elif isinstance(item, str) and item and is_text(item):
            texts.append(item)
        elif item is not None or isinstance(value, list):
            problems.append(f"gold is {show(item)}; write the right answer as a text, or leave it out")
            return None, []
    if isinstance(value, list) and not texts:
        problems.append("gold is an empty list; write the right answers, or leave it out")
    return (texts[0], texts[1:]) if texts else (None, [])


def _checker(row: Mapping[str, Any], gold: str | None, choices: tuple[str, ...], problems: list[str]) -> str | None:
    named = row.get("checker")
    checker = default_checker(gold, choices) if "checker" not in row else named
    if checker is not None and (not isinstance(checker, str) or checker not in CHECKERS):
        told = nearest(checker, CHECKERS) if isinstance(checker, str) else f"there are: {', '.join(CHECKERS)}"
        problems.append(f"no checker is named {show(checker)}; {told}")
        return None
    if checker == "choice":
        if not 2 <= len(choices) <= len(LETTERS):
            problems.append(f"{len(choices)} choices; the checker 'choice' needs 2 to {len(LETTERS)}")
        elif gold is not None and gold not in LETTERS[: len(choices)]:
            problems.append(f"gold is {show(gold)}; with choices it is a letter, A to {LETTERS[len(choices) - 1]}")
    tests = row.get("properties")
    if checker == "code" and not (isinstance(tests, Mapping) and isinstance(tests.get("tests"), str)):
        problems.append("no tests; the checker 'code' needs Python in properties.tests")
    if checker == "constraints":
        problems += constraint_faults(tests.get("constraints") if isinstance(tests, Mapping) else None)
    if named not in (None, "code", "constraints") and gold is None:
        problems.append(f"checker is {show(named)} without gold; write the right answer, or leave the checker out")
    return checker
