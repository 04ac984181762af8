"""Passages as token ids: exactly what generation would put before the model, then the passage's own text.

- Plain text: with the tokenizer's own beginning mark and, for encoders, its closing mark.
- With messages: the prompt as generation has it (`Prompts`), then the text by the ids that its writer recorded, else
  tokenised together with the prompt, so that merges at the boundary are those of running text; then the end mark where
  the writer ended. Where prompts are plain and neither side of the boundary has white space, one space is put between.

Classes of tokens (`forward.model.TOKEN_CLASSES`): `template` are special tokens, and tokens that lie wholly in what the
template wrote around the contents of messages, by their character offsets (tokenizers without offsets know special
tokens alone); `end` is the end mark after a text that its writer ended; `first` the first `FIRST_TOKENS` tokens of a
text; `content` all others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.backends.transformers_template import Mode, Prompts, left_open
from afterburn_core.forward.encoded import Encoded
from afterburn_core.forward.model import CONTENT, END, FIRST, FIRST_TOKENS, TEMPLATE, Passage
from afterburn_core.forward.rendering import Renderer, Span, end_mark, special_ids

FEWEST = 2
"""Tokens, beginning marks not counted, below which a passage says nothing of what follows what."""
_NAMED = 3


@attrs.frozen(kw_only=True)
class _Tokens:
    """A text as a tokenizer divides it; no `spans` where it does not say."""

    ids: tuple[int, ...]
    spans: tuple[Span, ...] | None


@attrs.frozen(kw_only=True)
class _Draft:
    """A passage before it is tokenised."""

    passage: Passage
    prompt: str
    own: str
    """The passage's text where it is tokenised with the prompt; empty where its ids are known."""
    contents: tuple[Span, ...] | None
    """Of the prompt; `None` where unknown or where there is no prompt."""
    special: bool
    """Whether the tokenizer adds its marks."""

    @property
    def text(self) -> str:
        return self.prompt + self.own


@attrs.frozen(kw_only=True)
class _Marks:
    """What a tokenizer puts around texts."""

    special: frozenset[int]
    beginning: int | None
    """Of causal models."""
    end: int | None
    """After an answer."""
    closes: bool
    """Whether every plain text stands between two marks, as encoders have it."""


def encode(
    passages: Iterable[Passage], tokenizer: Any, mode: Mode, *, max_tokens: int, label: str = "the trained model"
) -> tuple[list[Encoded], list[str]]:
    """The passages as token ids, in their order, and what to say of those that were cut or left out.

    Plain text and answers are cut at `max_tokens`. Prompts and continuations that do not fit are left out, since what
    counts in them stands at their end; so are answers whose prompt leaves no room, and passages of fewer than `FEWEST`
    tokens. Continuations of one prompt start at the same token: the first one that any of them does not share.

    Raises:
        SubjectError: the chat template refuses a conversation.
    """
    passages, foreign = _own_tokens(list(passages), tokenizer)
    prompts = Prompts(tokenizer=tokenizer, mode=mode, label=label)
    renderer = Renderer(prompts)
    drafts = [_draft(passage, renderer, mode) for passage in passages]
    tokens = _tokenised(drafts, tokenizer)
    closes = _closes(tokenizer)
    marks = _Marks(
        special=special_ids(tokenizer),
        beginning=None if closes else tokenizer.bos_token_id,
        end=end_mark(prompts) if any(passage.ended for passage in passages) else None,
        closes=closes,
    )
    kept, notes = _fitting(_aligned([_encoded(draft, tokens, marks) for draft in drafts]), max_tokens, marks)
    if foreign:
        what = "their recorded tokens are not this tokenizer's, so their text is tokenised"
        notes.append(f"of {len(foreign)} passages {what}: {_named(foreign)}")
    return kept, notes


def speller(tokenizer: Any) -> Callable[[int], str]:
    """How one token reads in running text, with the space before it where it has one; for `Rows.decode`."""
    special = functools.cache(lambda: special_ids(tokenizer))  # few analyzers spell tokens, and of few batches

    def spell(token: int) -> str:
        piece = tokenizer.convert_ids_to_tokens(int(token))
        if piece is None or int(token) in special():
            return str(piece or "")
        text = str(tokenizer.convert_tokens_to_string([piece]))
        return f" {text}" if piece.startswith("▁") and not text.startswith(" ") else text

    return spell


def _own_tokens(passages: list[Passage], tokenizer: Any) -> tuple[list[Passage], list[str]]:
    """The passages without recorded tokens that do not spell their text, and whose they were.

    Answers of an earlier run, or of recorded files, may come from a model with another vocabulary.
    """
    foreign = []
    for number, passage in enumerate(passages):
        ids = passage.token_ids
        if not ids:
            continue
        known = max(ids) < len(tokenizer)
        if not known or tokenizer.decode(list(ids), skip_special_tokens=True) != passage.text:
            passages[number] = attrs.evolve(passage, token_ids=None)
            foreign.append(passage.id)
    return passages, foreign


def _draft(passage: Passage, renderer: Renderer, mode: Mode) -> _Draft:
    if not passage.messages:
        return _Draft(passage=passage, prompt="", own=passage.text, contents=None, special=True)
    rendered = renderer.render(passage.messages, passage.probe.id if passage.probe else passage.id)
    own = "" if passage.token_ids is not None else passage.text
    prompt = rendered.text
    if mode == "plain" and own and prompt and not own[0].isspace() and not prompt[-1].isspace():
        own = f" {own}"
    return _Draft(passage=passage, prompt=prompt, own=own, contents=rendered.contents, special=mode == "plain")


def _tokenised(drafts: Sequence[_Draft], tokenizer: Any) -> Mapping[tuple[str, bool], _Tokens]:
    """Every text once, by itself and whether marks are added."""
    offsets = bool(getattr(tokenizer, "is_fast", False))
    found: dict[tuple[str, bool], _Tokens] = {}
    for special in (False, True):
        wanted = dict.fromkeys(draft.text for draft in drafts if draft.special == special)
        if not offsets:  # then the boundary shows in what prompt and whole have in common
            wanted |= dict.fromkeys(draft.prompt for draft in drafts if draft.special == special)
        texts = list(wanted)
        if not texts:
            continue
        out = tokenizer(texts, add_special_tokens=special, **({"return_offsets_mapping": True} if offsets else {}))
        ids: list[list[int]] = out["input_ids"]
        if special and not _closes(tokenizer):
            left_open(tokenizer, texts, ids)
        for number, (text, own) in enumerate(zip(texts, ids, strict=True)):
            spans = tuple(map(tuple, out["offset_mapping"][number][: len(own)])) if offsets else None
            found[text, special] = _Tokens(ids=tuple(own), spans=spans)
    return found


def _closes(tokenizer: Any) -> bool:
    """Whether plain texts stand between two marks that belong to the text, as BERT reads them."""
    first, last = getattr(tokenizer, "cls_token_id", None), getattr(tokenizer, "sep_token_id", None)
    if first is None or last is None:
        return False
    ids = tokenizer("a", add_special_tokens=True)["input_ids"]
    return len(ids) > 2 and ids[0] == first and ids[-1] == last


def _encoded(draft: _Draft, tokens: Mapping[tuple[str, bool], _Tokens], marks: _Marks) -> Encoded:
    passage, whole = draft.passage, tokens[draft.text, draft.special]
    ids = whole.ids
    if not ids and passage.messages and marks.beginning is not None:  # as generation begins where there is no prompt
        ids = (marks.beginning,)
    start = _text_start(draft, whole, tokens, marks) if draft.own else len(ids)
    classes = bytearray(_prompt_classes(draft, whole, ids[:start], marks))
    ids += passage.token_ids or ()
    for place, token in enumerate(ids[start:]):
        own = FIRST if place < FIRST_TOKENS else CONTENT
        classes.append(TEMPLATE if token in marks.special else own)
    if passage.ended and marks.end is not None:
        ids += (marks.end,)
        classes.append(END)
    leading = next((i for i, token in enumerate(ids) if token != marks.beginning), len(ids))
    return Encoded(passage=passage, ids=ids, classes=bytes(classes), text_start=max(start, leading), leading=leading)


def _text_start(draft: _Draft, whole: _Tokens, tokens: Mapping[tuple[str, bool], _Tokens], marks: _Marks) -> int:
    """Place of the first token that holds some of the passage's own text."""
    if whole.spans is not None:
        boundary = len(draft.prompt)
        held = (i for i, (begin, end) in enumerate(whole.spans) if end > boundary and end > begin)
        return next(held, len(whole.ids))
    if not draft.prompt:
        added = 1 if marks.closes else 0
        return next((i for i, token in enumerate(whole.ids) if token != marks.beginning), 0) + added
    before = tokens[draft.prompt, draft.special].ids
    return next((i for i, (a, b) in enumerate(zip(before, whole.ids)) if a != b), min(len(before), len(whole.ids)))


def _prompt_classes(draft: _Draft, whole: _Tokens, ids: Sequence[int], marks: _Marks) -> Iterable[int]:
    """Classes of the tokens before the passage's own text."""
    if not draft.prompt:  # marks that the tokenizer adds
        return [TEMPLATE] * len(ids)
    if draft.contents is None or whole.spans is None:
        return [TEMPLATE if token in marks.special else CONTENT for token in ids]
    covered = bytearray(len(draft.text))  # characters of contents
    for begin, end in draft.contents:
        covered[begin:end] = b"\1" * (end - begin)
    return [
        CONTENT if token not in marks.special and any(covered[begin:end]) else TEMPLATE
        for token, (begin, end) in zip(ids, whole.spans)
    ]


def _aligned(encoded: Sequence[Encoded]) -> list[Encoded]:
    """Continuations of one prompt from the same token on: where the last token of the prompt merges with the start of
    one of them, it counts for all, or their probabilities would be given different prompts."""
    starts: dict[tuple[str, bool], int] = {}
    for one in encoded:
        if one.passage.source == "continuation":
            key = _prompt_key(one.passage)
            starts[key] = min(one.text_start, starts.get(key, one.text_start))
    return [
        attrs.evolve(one, text_start=starts[_prompt_key(one.passage)]) if one.passage.source == "continuation" else one
        for one in encoded
    ]


def _prompt_key(passage: Passage) -> tuple[str, bool]:
    return (passage.probe.id if passage.probe else passage.unit, passage.swapped)


def _fitting(encoded: Sequence[Encoded], most: int, marks: _Marks) -> tuple[list[Encoded], list[str]]:
    """The passages that can be read, cut where they may be cut; and a note on every kind of change."""
    kept: list[Encoded] = []
    cut: list[str] = []
    whole: list[str] = []
    crowded: list[str] = []
    short: list[str] = []
    for one in encoded:
        passage = one.passage
        if one.length - one.leading < FEWEST:
            short.append(passage.id)
        elif one.length <= most:
            kept.append(one)
        elif passage.source in ("prompt", "continuation"):
            whole.append(passage.id)
        elif one.text_start >= most:
            crowded.append(passage.id)
        else:
            cut.append(passage.id)
            kept.append(_cut(one, most, marks))
    told = (
        (cut, f"longer than {most} tokens and were cut there"),
        (whole, f"prompts or continuations longer than {most} tokens and were left out"),
        (crowded, f"answers to prompts of {most} tokens or more and were left out"),
        (short, f"shorter than {FEWEST} tokens and were left out"),
    )
    return kept, [f"{len(ids)} passages are {what}: {_named(ids)}" for ids, what in told if ids]


def _cut(one: Encoded, most: int, marks: _Marks) -> Encoded:
    """The first `most` tokens; an encoder's closing mark stays at the end."""
    ids, classes = one.ids[:most], one.classes[:most]
    if marks.closes:
        ids, classes = (*ids[:-1], one.ids[-1]), classes[:-1] + one.classes[-1:]
    return attrs.evolve(one, ids=ids, classes=classes)


def _named(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (" …" if len(ids) > _NAMED else "")
