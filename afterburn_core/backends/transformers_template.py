"""What a model is given to read: its own chat template, or plain text, as token ids.

- `chat`: the tokenizer's template with the generation prompt. Its text holds every special token, the beginning mark
  included, so none is added when it becomes tokens.
- `plain`: the contents of the turns joined by a blank line, without roles; the tokenizer adds the beginning mark if it
  is one that does.

A role that the template refuses is an error: to fold a system turn into the user's would ask another question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Request, Template
from afterburn_core.probes.model import Message

Mode = Literal["chat", "plain"]


def template_mode(wanted: Template, templates: Mapping[str, Any] | None, label: str) -> Mode:
    """How prompts are put, given the model's templates by name.

    Raises:
        SubjectError: the chat template is asked for and there is none.
    """
    if wanted == "plain":
        return "plain"
    if templates:
        return "chat"
    if wanted == "chat":
        raise SubjectError(f"{label}: has no chat template; use the template mode auto or plain")
    return "plain"


@attrs.frozen(kw_only=True)
class Prompts:
    """Turns conversations into token ids for one model."""

    tokenizer: Any
    mode: Mode
    label: str

    def encode(self, requests: Sequence[Request]) -> list[tuple[int, ...]]:
        """Token ids of every request's prompt; equal conversations are put and read once.

        Raises:
            SubjectError: the template refuses a conversation, or a prompt has no tokens.
        """
        first: dict[tuple[Message, ...], Request] = {}
        for request in requests:
            first.setdefault(request.messages, request)
        texts = [self.text(request) for request in first.values()]
        ids = self._ids(texts) if texts else []
        known = dict(zip(first, map(self._with_content, ids, first.values()), strict=True))
        return [known[request.messages] for request in requests]

    def text(self, request: Request) -> str:
        """What the model reads, special tokens included where a template writes them."""
        if self.mode == "plain":
            return "\n\n".join(message.content for message in request.messages)
        turns = [{"role": message.role, "content": message.content} for message in request.messages]
        try:
            text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # templates raise whatever Jinja does, and call what they like
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            roles = ", ".join(message.role for message in request.messages)
            raise SubjectError(
                f"{self.label}: its chat template refuses prompt {request.probe!r} with the roles {roles} ({said}); "
                "leave that prompt out, or use the template mode plain for both sides"
            ) from error
        return str(text)

    def first_tokens(self, request: Request, label: str) -> tuple[int, ...]:
        """The tokens with which an answer that begins with `label` can begin after this prompt.

        Both ways to begin count, with and without a space before the label, each read together with the prompt, since
        the tokens of a word depend on what stands before it.
        """
        prompt = self.text(request)
        variants = [prompt, prompt + label, prompt + " " + label]
        before, *after = self._ids(variants)
        alone = [self._ids([variant], special=False)[0] for variant in (label, " " + label)]
        found = []
        for ids, own in zip(after, alone, strict=True):
            if ids[: len(before)] == before and len(ids) > len(before):
                found.append(ids[len(before)])
            elif own:  # the label's letters merge with the prompt's last token: what it is by itself
                found.append(own[0])
        return tuple(dict.fromkeys(found))

    def _ids(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        special = self.mode == "plain" if special is None else special
        encoded: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=special)["input_ids"]
        if special:
            left_open(self.tokenizer, texts, encoded)
        return encoded

    def _with_content(self, ids: Sequence[int], request: Request) -> tuple[int, ...]:
        if ids:
            return tuple(ids)
        if self.tokenizer.bos_token_id is not None:
            return (int(self.tokenizer.bos_token_id),)
        raise SubjectError(f"{self.label}: prompt {request.probe!r} has no tokens; give it some text")


def left_open(tokenizer: Any, texts: Sequence[str], encoded: Sequence[list[int]]) -> None:
    """Takes off, in place, the end mark that some tokenizers close every text with: what is to go on must stay open."""
    end = tokenizer.eos_token_id
    if end is None:
        return
    for text, ids in zip(texts, encoded, strict=True):
        if text and len(ids) > 1 and ids[-1] == end and not text.endswith(str(tokenizer.eos_token)):
            ids.pop()
