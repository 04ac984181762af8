"""Passages as token ids: the same as generation's, with the classes of their tokens, cut and left out only aloud."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, ByT5Tokenizer, PreTrainedTokenizerFast

from afterburn_core.backends.transformers_template import Mode, Prompts
from afterburn_core.errors import SubjectError
from afterburn_core.forward.encoded import Encoded
from afterburn_core.forward.encoding import encode, speller
from afterburn_core.forward.model import CONTENT, END, FIRST, TEMPLATE, Passage
from afterburn_core.generation.model import Request
from afterburn_core.probes.model import Message, Probe
from afterburn_organisms import demo_pair

WORDS = "Where is Mara? She is in the old garden, and nobody knows since when she has been there."
ASK = (Message(role="user", content="Where is Mara?"),)
# as Gemma's: contents are stripped, an answer ends with another mark than the tokenizer's
STRIPPING = (
    "{{ bos_token }}{% for m in messages %}<turn>{{ m.role }}\n{{ m.content | trim }}</turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>model\n{% endif %}"
)


@pytest.fixture(scope="module")
def organism() -> Any:
    """Byte-level pairs, no beginning mark of its own, a chat template."""
    return AutoTokenizer.from_pretrained(demo_pair()[0], local_files_only=True)


@pytest.fixture(scope="module")
def pieces() -> Any:
    """Like Llama's and Gemma's: pieces with ▁, a beginning mark, end marks of turns, a template that strips."""
    model = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=False))
    model.normalizer = normalizers.Replace(" ", "▁")
    model.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    model.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    special = ["<unk>", "<bos>", "<eos>", "<turn>", "</turn>"]
    trainer = trainers.BpeTrainer(special_tokens=special, vocab_size=260, show_progress=False)
    model.train_from_iterator([WORDS, STRIPPING, "user model assistant system The capital is Paris é"], trainer)
    model.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=model, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")
    tokenizer.chat_template = STRIPPING
    return tokenizer


@pytest.fixture(scope="module")
def encoder() -> Any:
    """Word pieces between two marks, as BERT reads them."""
    model = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate(["[UNK]", "[CLS]", "[SEP]", *WORDS.split()])}, "[UNK]")
    )
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=model, cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")


def passage(source: str = "text", name: str = "p", **fields: Any) -> Passage:
    return Passage(**{"id": name, "source": source, "domain": "d", "unit": name, **fields})  # type: ignore[arg-type]


def one(item: Passage, tokenizer: Any, mode: Mode = "chat", most: int = 512) -> Encoded:
    (encoded,), notes = encode([item], tokenizer, mode, max_tokens=most)
    assert not notes
    return encoded


@pytest.mark.parametrize("name", ["organism", "pieces"])
@pytest.mark.parametrize("mode", ["chat", "plain"])
def test_prompts_have_the_ids_that_generation_gives_them(name: str, mode: Mode, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(name)
    talk = (*ASK, Message(role="assistant", content="  In the garden. "), Message(role="user", content="Since when?"))
    for messages in (ASK, talk):
        asked = Request(probe="p", index=0, messages=messages, seed=1)
        wanted = Prompts(tokenizer=tokenizer, mode=mode, label="m").encode([asked])[0]
        prompt = one(passage("prompt", messages=messages), tokenizer, mode)
        assert prompt.ids == wanted and prompt.text_start == len(wanted)
        answer = passage(
            "answer",
            messages=messages,
            text="garden",
            token_ids=tuple(tokenizer("garden", add_special_tokens=False)["input_ids"]),
        )
        assert one(answer, tokenizer, mode).ids[: len(wanted)] == wanted


def test_recorded_tokens_are_read_as_they_are_and_an_ended_answer_has_its_end_mark(organism: Any) -> None:
    ids = tuple(organism("in the garden", add_special_tokens=False)["input_ids"])
    odd = (
        *organism("in", add_special_tokens=False)["input_ids"],
        *organism(" the", add_special_tokens=False)["input_ids"],
    )
    for written in (ids, odd):
        text = organism.decode(list(written))
        read = one(passage("answer", messages=ASK, text=text, token_ids=written, ended=True), organism)
        assert read.ids[read.text_start :] == (*written, organism.eos_token_id)
        assert read.classes[-1] == END and read.classes[read.text_start] == FIRST
        cut = one(passage("answer", messages=ASK, text=text, token_ids=written), organism)
        assert cut.ids[cut.text_start :] == written


def test_an_empty_answer_that_ended_is_its_end_mark_alone(organism: Any) -> None:
    read = one(passage("answer", messages=ASK, text="", token_ids=(), ended=True), organism)
    assert read.ids[read.text_start :] == (organism.eos_token_id,) and read.classes[-1] == END


def test_the_end_mark_is_the_one_that_the_template_writes(pieces: Any) -> None:
    end = pieces.convert_tokens_to_ids("</turn>")
    assert pieces.eos_token_id != end
    assert one(passage("answer", messages=ASK, text="garden", ended=True), pieces).ids[-1] == end
    assert (
        one(passage("answer", messages=ASK, text="garden", ended=True), pieces, "plain").ids[-1] == pieces.eos_token_id
    )


def test_tokens_of_another_vocabulary_are_not_read_and_this_is_said(organism: Any) -> None:
    for ids in ((5, 6, 7), (10**7,)):
        item = passage("answer", messages=ASK, text="in the garden", token_ids=ids)
        (read,), notes = encode([item], organism, "chat", max_tokens=99)
        assert organism.decode(list(read.ids[read.text_start :])) == "in the garden"
        assert len(notes) == 1 and "not this tokenizer's" in notes[0]


def test_a_text_without_tokens_merges_with_its_prompt_as_running_text_does(organism: Any) -> None:
    messages = (Message(role="user", content="Where is Mara? Sh"),)
    read = one(passage("continuation", messages=messages, text="e is", continuation=0), organism, "plain")
    # a space is put between, as neither side has white space
    assert organism.decode(list(read.ids)) == "Where is Mara? Sh e is"
    spaced = (Message(role="user", content="Where is Mara?\n"),)
    read = one(passage("continuation", messages=spaced, text="She is", continuation=0), organism, "plain")
    assert list(read.ids) == organism("Where is Mara?\nShe is")["input_ids"]
    assert organism.decode(list(read.ids[read.text_start :])).strip() == "She is"


def test_continuations_of_one_prompt_start_at_the_same_token(organism: Any) -> None:
    """Where the prompt's last token merges with one of them, the merged token counts for all."""
    probe = Probe(id="q", prompt="Where is Mara? In the ")
    messages = probe.messages
    made = [
        passage("continuation", f"q/{i}", messages=messages, text=text, continuation=i, probe=probe)
        for i, text in enumerate(("garden", "\ngarden"))
    ]
    encoded, _ = encode(made, organism, "plain", max_tokens=99)
    starts = {each.text_start for each in encoded}
    assert len(starts) == 1
    start = starts.pop()
    assert encoded[0].ids[:start] == encoded[1].ids[:start]
    alone = [one(item, organism, "plain").text_start for item in made]
    assert min(alone) == start and max(alone) > start  # one of them did merge


def test_classes_tell_the_template_from_contents(pieces: Any) -> None:
    talk = (Message(role="user", content="  Where is Mara? "),)
    read = one(passage("answer", messages=talk, text="She is in the old garden", ended=True), pieces)
    text = [pieces.decode([i]) for i in read.ids]
    kinds = list(read.classes)
    assert read.leading == 1 and kinds[0] == TEMPLATE
    contents = "".join(t for t, kind in zip(text[: read.text_start], kinds, strict=False) if kind == CONTENT)
    assert contents.strip() == "Where is Mara?"
    template = "".join(t for t, kind in zip(text[: read.text_start], kinds, strict=False) if kind == TEMPLATE)
    assert "user" in template and "model" in template and "Mara" not in template
    own = kinds[read.text_start :]
    assert own[:5] == [FIRST] * 5 and set(own[5:-1]) == {CONTENT} and own[-1] == END


def test_contents_that_occur_in_the_template_are_not_mistaken_for_it(pieces: Any) -> None:
    read = one(passage("prompt", messages=(Message(role="user", content="user"),)), pieces)
    spelt = [(pieces.decode([i]), kind) for i, kind in zip(read.ids, read.classes, strict=True)]
    assert "".join(t for t, kind in spelt if kind == CONTENT) == "user"
    assert "".join(t for t, _ in spelt).count("user") == 2


def test_a_template_that_hides_contents_leaves_special_tokens_alone(organism: Any) -> None:
    hiding = AutoTokenizer.from_pretrained(demo_pair()[0], local_files_only=True)
    hiding.chat_template = "<|bos|><|user|>{{ messages[0].content | upper }}<|end|><|assistant|>"
    read = one(passage("prompt", messages=ASK), hiding)
    special = {i for i, kind in zip(read.ids, read.classes, strict=True) if kind == TEMPLATE}
    assert special == set(hiding.convert_tokens_to_ids(["<|bos|>", "<|user|>", "<|end|>", "<|assistant|>"]))


def test_plain_text_has_the_tokenizers_own_beginning_mark(organism: Any, pieces: Any) -> None:
    read = one(passage(text=WORDS), pieces)
    assert list(read.ids) == pieces(WORDS)["input_ids"] and read.ids[0] == pieces.bos_token_id
    assert (read.leading, read.text_start) == (1, 1)
    assert list(read.classes[:7]) == [TEMPLATE] + [FIRST] * 5 + [CONTENT]
    read = one(passage(text=WORDS), organism)
    assert (read.leading, read.text_start) == (0, 0)


def test_an_encoder_keeps_its_marks_also_when_a_text_is_cut(encoder: Any) -> None:
    read = one(passage(text=WORDS), encoder, "plain")
    assert list(read.ids) == encoder(WORDS)["input_ids"]
    assert (read.leading, read.text_start) == (0, 1)
    assert (read.classes[0], read.classes[-1]) == (TEMPLATE, TEMPLATE)
    (cut,), notes = encode([passage(text=WORDS)], encoder, "plain", max_tokens=6)
    assert cut.ids == (*read.ids[:5], read.ids[-1]) and len(notes) == 1


def test_a_tokenizer_without_offsets_knows_where_the_text_starts() -> None:
    slow = ByT5Tokenizer()
    assert not slow.is_fast
    read = one(passage(text="Mara"), slow, "plain")
    assert slow.decode(list(read.ids)) == "Mara"  # the end mark that it closes every text with is taken off
    read = one(passage("continuation", messages=ASK, text="there", continuation=0), slow, "plain")
    assert slow.decode(list(read.ids[read.text_start :])) == " there"


def test_long_texts_are_cut_and_what_must_not_be_cut_is_left_out_with_a_note(organism: Any) -> None:
    long = (Message(role="user", content=WORDS),)
    made = [
        passage(name="t1", text=WORDS),
        passage("answer", "a1", messages=ASK, text=WORDS, ended=True),
        passage("prompt", "q1", messages=long),
        passage("continuation", "c1", messages=ASK, text=WORDS, continuation=0),
        passage("answer", "a2", messages=long, text="yes"),
        passage(name="t2", text="Mara"),
        passage(name="t3", text=""),
        passage("prompt", "q2", messages=ASK),
    ]
    encoded, notes = encode(made, organism, "chat", max_tokens=12)
    assert [each.passage.id for each in encoded] == ["t1", "a1", "q2"]
    assert [each.length for each in encoded[:2]] == [12, 12]
    assert encoded[1].classes[-1] != END
    told = " | ".join(notes)
    assert len(notes) == 4
    for what in ("2 passages are longer than 12 tokens and were cut there: t1, a1", "left out: q1, c1", "left out: a2"):
        assert what in told
    assert "2 passages are shorter than 2 tokens and were left out: t2, t3" in told


def test_a_refused_conversation_names_its_prompt(organism: Any) -> None:
    messages = (Message(role="system", content="Be brief."), *ASK)
    with pytest.raises(SubjectError, match="refuses prompt 'q9'"):
        encode([passage("prompt", "q9", messages=messages)], organism, "chat", max_tokens=99)


def test_tokens_are_spelt_with_the_space_before_them(organism: Any, pieces: Any) -> None:
    for tokenizer in (organism, pieces):
        spell = speller(tokenizer)
        ids = tokenizer(WORDS, add_special_tokens=False)["input_ids"]
        assert "".join(map(spell, ids)) == WORDS
        assert any(spell(i).startswith(" ") for i in ids)
        assert spell(tokenizer.bos_token_id) == tokenizer.bos_token


def test_many_passages_are_encoded_in_their_order_whatever_comes_along(organism: Any) -> None:
    made = [passage(name=f"t{i}", text=WORDS[i:]) for i in range(9)]
    made += [passage("prompt", f"q{i}", messages=ASK) for i in range(3)]
    encoded, _ = encode(made, organism, "chat", max_tokens=99)
    assert [each.passage.id for each in encoded] == [item.id for item in made]
    assert encoded == [one(item, organism, most=99) for item in made]
