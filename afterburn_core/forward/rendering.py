"""Conversations as the text that a model reads, and where in it the contents of their messages stand.

A template is rendered a second time with a mark in the place of every content; what stands between the marks is what
the template itself writes. The contents put between these pieces must give the first rendering again, as they are or
stripped of outer white space; for a template that does more to them, nothing is said of where they stand.
"""

from __future__ import annotations

import functools

import attrs

from afterburn_core.backends.transformers_template import Prompts
from afterburn_core.errors import SubjectError
from afterburn_core.forward.model import Passage
from afterburn_core.generation.model import Request
from afterburn_core.probes.model import Message, Speaker

Span = tuple[int, int]


@attrs.frozen(kw_only=True)
class Rendered:
    """A prompt's text up to where the answer begins."""

    text: str
    contents: tuple[Span, ...] | None
    """Where the contents of messages stand, in characters; `None` where the template hides it."""


class Renderer:
    """Renders conversations for one tokenizer; equal ones once."""

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts
        self.render = functools.cache(self._render)
        self._pieces = functools.cache(self._find_pieces)

    def _render(self, messages: tuple[Message, ...], name: str) -> Rendered:
        text = self._prompts.text(_request(messages, name))
        pieces = self._pieces(tuple(message.role for message in messages))
        for contents in ([m.content for m in messages], [m.content.strip() for m in messages]):
            spans = _spans(text, pieces, contents)
            if spans is not None:
                return Rendered(text=text, contents=spans)
        return Rendered(text=text, contents=None)

    def _find_pieces(self, roles: tuple[Speaker, ...]) -> tuple[str, ...]:
        """What the template writes before, between and after contents; empty where it cannot be told."""
        marks = [f"\ue000{number}\ue001" for number in range(len(roles))]
        messages = tuple(Message(role=role, content=mark) for role, mark in zip(roles, marks, strict=True))
        try:
            rest = self._prompts.text(_request(messages, "-"))
        except SubjectError:  # a template may refuse these contents and take others
            return ()
        pieces = []
        for mark in marks:
            before, found, rest = rest.partition(mark)
            if not found or mark in rest:
                return ()
            pieces.append(before)
        return (*pieces, rest)


def end_mark(prompts: Prompts) -> int | None:
    """The token that ends an answer: the first special one that the template writes after an assistant's turn, else
    the tokenizer's end mark."""
    tokenizer = prompts.tokenizer
    own: int | None = tokenizer.eos_token_id
    if prompts.mode == "plain":
        return own
    mark = "\ue000answer\ue001"
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": mark}]
    try:
        _, found, rest = str(tokenizer.apply_chat_template(turns, tokenize=False)).rpartition(mark)
    except Exception:  # noqa: BLE001 - templates raise whatever Jinja does, and call what they like
        return own
    if not found or not rest:
        return own
    special = special_ids(tokenizer)
    after: list[int] = tokenizer(rest, add_special_tokens=False)["input_ids"]
    return next((token for token in after if token in special), own)


def special_ids(tokenizer: object) -> frozenset[int]:
    """Ids that stand for no text: named special tokens and added ones that are marked as special."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    marked = {int(number) for number, token in added.items() if getattr(token, "special", False)}
    return frozenset(marked | set(getattr(tokenizer, "all_special_ids", ())))


def request_of(passage: Passage) -> Request:
    """What generation would be asked for the passage's messages."""
    return _request(passage.messages, passage.id)


def _request(messages: tuple[Message, ...], name: str) -> Request:
    return Request(probe=name, index=0, messages=messages, seed=0)


def _spans(text: str, pieces: tuple[str, ...], contents: list[str]) -> tuple[Span, ...] | None:
    """Where `contents` stand between `pieces`; `None` where the two do not make up `text`."""
    if len(pieces) != len(contents) + 1:
        return None
    spans: list[Span] = []
    built = pieces[0]
    for content, piece in zip(contents, pieces[1:], strict=True):
        spans.append((len(built), len(built) + len(content)))
        built += content + piece
    return tuple(spans) if built == text else None
