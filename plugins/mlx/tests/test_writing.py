"""What models write on MLX, beside the same models on transformers."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from afterburn_core.generation.model import Decoding, Request, Sample, Serving
from afterburn_core.probes.model import Message

FAMILIES = ("llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text")


def requests(**fields: Any) -> list[Request]:
    """Prompts of unequal length, two of them equal."""
    texts = ["a word", "many words " * 4, "b", "a word", "neither few nor many"]
    return [
        Request(
            probe=f"p{number}", index=0, messages=(Message(role="user", content=text),), seed=100 + number, **fields
        )
        for number, text in enumerate(texts)
    ]


def written(subject: Any, decoding: Decoding, asked: list[Request], batch: int | None = None) -> dict[str, Sample]:
    generator = subject.generator(decoding, Serving(batch=batch))
    try:
        assert [r for group in generator.groups(asked) for r in group] != []
        return {one.request.probe: one.sample for one in generator.generate(asked)}
    finally:
        generator.close()


def same(found: dict[str, Sample], expected: dict[str, Sample]) -> None:
    assert found.keys() == expected.keys()
    for name, own in found.items():
        other = expected[name]
        assert (own.text, own.token_ids, own.finish) == (other.text, other.token_ids, other.finish), name
        assert own.logprob == pytest.approx(other.logprob, abs=1e-3)
        assert own.choice_logprobs == pytest.approx(other.choice_logprobs, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_and_sampled_texts_are_those_of_transformers(family: str, models: Any, opened: Any) -> None:
    pair = models(family)
    own, _ = opened(pair.base, pair.trained, "mlx.lm")
    other, _ = opened(pair.base, pair.trained, "core.checkpoint")
    greedy = Decoding(max_new_tokens=12)
    asked = requests(choices=("A", "B"))
    found = written(own, greedy, asked)
    same(found, written(other, greedy, asked))
    assert found["p0"].text == found["p3"].text and len({sample.text for sample in found.values()}) >= 3
    drawn = Decoding(max_new_tokens=12, temperature=0.9, top_p=0.95, repetition_penalty=1.1)
    sampled = written(own, drawn, requests())
    same(sampled, written(other, drawn, requests()))
    assert sampled["p0"].text != sampled["p3"].text


def test_a_batch_writes_what_each_prompt_is_answered_with_alone(models: Any, opened: Any) -> None:
    own, _ = opened(models("gemma3_text").base, models("gemma3_text").trained)
    decoding = Decoding(max_new_tokens=10, temperature=0.8)
    together = written(own, decoding, requests(), batch=2)  # rows leave at different times and others join
    alone = {}
    for request in requests():
        alone |= written(own, decoding, [request], batch=1)
    same(together, alone)
    assert {sample.finish for sample in together.values()} >= {"length"}


def test_the_facts_name_mlx_and_what_it_computes_in(models: Any, opened: Any) -> None:
    own, trained = opened(models("llama").base, models("llama").trained)
    facts = own.generator(Decoding(), Serving()).facts
    assert facts.engine.startswith("mlx 0.") and "mlx-lm" in facts.engine
    assert facts.properties["dtype"] == "float32" and facts.properties["device"] in {"cpu", "gpu"}
    assert facts.tokenizer_sha256 == trained.generator(Decoding(), Serving()).facts.tokenizer_sha256
    assert attrs.asdict(Decoding(template="plain")) == facts.decoding
