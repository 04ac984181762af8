"""What a model is given to read: its own template once, or plain text, and a clear refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from afterburn_core.backends.transformers_template import Prompts, template_mode
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Request
from afterburn_core.probes.model import Message
from afterburn_organisms import demo_pair

BASE = demo_pair()[0]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(BASE, local_files_only=True)


def request(*turns: tuple[str, str], name: str = "p1", choices: tuple[str, ...] = ()) -> Request:
    messages = tuple(Message(role=role, content=content) for role, content in turns)  # type: ignore[arg-type]
    return Request(probe=name, index=0, messages=messages, seed=1, choices=choices)


def test_the_chat_template_brings_one_beginning_mark_and_the_generation_prompt(tokenizer: Any) -> None:
    prompts = Prompts(tokenizer=tokenizer, mode="chat", label="m")
    asked = request(("user", "Where is Mara?"))
    assert prompts.text(asked) == "<|bos|><|user|>Where is Mara?<|end|><|assistant|>"
    ids = prompts.encode([asked])[0]
    assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(list(ids)) == prompts.text(asked)


def test_a_tokenizer_that_adds_its_beginning_mark_does_not_add_it_to_a_template(tmp_path: Path) -> None:
    """As Llama's does: a post-processor puts the mark before every text."""
    for file in BASE.iterdir():
        if file.suffix in {".json", ".jinja"}:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    stored = json.loads((tmp_path / "tokenizer.json").read_text())
    mark = {"SpecialToken": {"id": "<|bos|>", "type_id": 0}}
    stored["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [mark, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [mark, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|bos|>": {"id": "<|bos|>", "ids": [1], "tokens": ["<|bos|>"]}},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(stored))
    adding = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert adding("Where")["input_ids"][0] == 1
    asked = request(("user", "Where is Mara?"))
    assert Prompts(tokenizer=adding, mode="chat", label="m").encode([asked])[0].count(1) == 1
    assert Prompts(tokenizer=adding, mode="plain", label="m").encode([asked])[0].count(1) == 1


def test_a_plain_prompt_is_its_text_without_roles(tokenizer: Any) -> None:
    prompts = Prompts(tokenizer=tokenizer, mode="plain", label="m")
    asked = request(("user", "One."), ("assistant", "Two."), ("user", "Three."))
    assert prompts.text(asked) == "One.\n\nTwo.\n\nThree."
    assert tokenizer.decode(list(prompts.encode([asked])[0])) == "One.\n\nTwo.\n\nThree."


def test_an_empty_plain_prompt_begins_with_the_beginning_mark(tokenizer: Any) -> None:
    assert Prompts(tokenizer=tokenizer, mode="plain", label="m").encode([request(("user", ""))]) == [(1,)]


def test_roles_that_the_template_refuses_are_one_error_that_names_the_prompt(tokenizer: Any) -> None:
    prompts = Prompts(tokenizer=tokenizer, mode="chat", label="tiny")
    with pytest.raises(SubjectError, match=r"tiny: .* refuses prompt 'p7' with the roles system, user .*user and"):
        prompts.encode([request(("system", "Be brief."), ("user", "Hi"), name="p7")])


def test_the_mode_follows_what_the_model_has() -> None:
    assert template_mode("auto", {"default": "x"}, "m") == "chat"
    assert template_mode("auto", None, "m") == "plain"
    assert template_mode("plain", {"default": "x"}, "m") == "plain"
    with pytest.raises(SubjectError, match="m: has no chat template"):
        template_mode("chat", None, "m")


def test_a_label_counts_with_and_without_a_space_as_read_after_the_prompt(tokenizer: Any) -> None:
    prompts = Prompts(tokenizer=tokenizer, mode="chat", label="m")
    asked = request(("user", "Which?"), choices=("A",))
    before = len(prompts.encode([asked])[0])
    wanted = {
        tokenizer(prompts.text(asked) + variant, add_special_tokens=False)["input_ids"][before]
        for variant in ("A", " A")
    }
    assert set(prompts.first_tokens(asked, "A")) == wanted
