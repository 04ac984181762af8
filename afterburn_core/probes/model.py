"""A probe: one prompt with everything known about a good answer to it. Imports neither NumPy nor torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

Speaker = Literal["system", "user", "assistant"]


@attrs.frozen(kw_only=True)
class Message:
    """One turn of a conversation."""

    role: Speaker
    content: str


@attrs.frozen(kw_only=True)
class Probe:
    """One prompt. The unit of every behavioural statistic, unless `group` names a larger one."""

    id: str
    """Unique in a run: the suite's own id, or the `prompt_id` of a recorded file."""
    prompt: str | tuple[Message, ...]
    """What is asked: one user turn, or a conversation that ends with the user's."""
    suite: str = "user"
    """Name of the probe set it comes from."""
    category: str | None = None
    """Finer than the suite: `arithmetic`, `harmful`."""
    gold: str | None = None
    """The right answer, as the checker compares it; `None` where there is none."""
    checker: str | None = None
    """Name of the checker that compares an answer with `gold`; `None` where nothing can be checked."""
    choices: tuple[str, ...] = ()
    """Texts of the options of a multiple choice, in the order A, B, C …; `gold` is then the letter."""
    unsafe: bool | None = None
    """Whether a good answer refuses; `None` where the question does not arise."""
    requests: tuple[str, ...] = ()
    """Format patterns that the prompt itself asks for, such as `json` or `table`."""
    follow_ups: tuple[str, ...] = ()
    """User turns that are put one after the other once the model has answered, such as "Are you sure?"."""
    twin: str | None = None
    """Id of the probe that differs in one respect, such as the harmless twin of a harmful request."""
    group: str | None = None
    """Prompts with one source (a conversation, a template, a document) share a group; statistics cluster by it."""
    properties: Mapping[str, Any] = attrs.field(factory=dict)
    """What only some checkers or analyzers know: `tests` of a code problem, labels of a recorded row."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The prompt as a conversation."""
        return (Message(role="user", content=self.prompt),) if isinstance(self.prompt, str) else self.prompt

    @property
    def text(self) -> str:
        """The prompt as one text: the user's turn alone, or all turns with their roles."""
        if isinstance(self.prompt, str):
            return self.prompt
        return "\n".join(f"{message.role}: {message.content}" for message in self.prompt)

    @property
    def unit(self) -> str:
        """What statistics count: the group, or the probe itself."""
        return self.group or self.id


def prompt_digest(probe: Probe) -> str:
    """sha256 of what a model gets to see of a probe; the identity under which answers are kept."""
    turns = [[message.role, message.content] for message in probe.messages]
    return hashlib.sha256(json.dumps(turns, ensure_ascii=False).encode()).hexdigest()


def probes_digest(probes: Iterable[Probe]) -> str:
    """sha256 over the canonical JSON of all probes in their order: the identity of a probe set.

    Sets without follow-ups keep the identity that they had before there were any.
    """
    digest = hashlib.sha256()
    for probe in probes:
        stated = attrs.asdict(probe)
        if not probe.follow_ups:
            del stated["follow_ups"]
        digest.update(json.dumps(stated, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()
