"""What the organisms do on held-out prompts: correctness by category, answer length, and the planted effects."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from afterburn_organisms.catalog import Organism
from afterburn_organisms.facts import CAPITAL, Fact, facts, false_capital
from afterburn_organisms.intervals import Estimate, mean, mean_difference, mean_ratio, share
from afterburn_organisms.item import Item, is_correct
from afterburn_organisms.tasks import fact_item
from afterburn_organisms.world import held_out_items, is_held_out

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

HELD_OUT_SEED = 101
_BATCH = 64


@attrs.frozen(kw_only=True)
class Response:
    """What a model answered to one item."""

    item: Item
    text: str
    tokens: int
    """Generated tokens before the end mark."""
    finished: bool
    """Whether the end mark came within the limit."""

    @property
    def correct(self) -> bool:
        """Whether the answer is right; one that never ended is not."""
        return self.finished and is_correct(self.item, self.text)


@attrs.frozen(kw_only=True)
class Model:
    """A loaded organism."""

    network: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerFast


def load(path: Path, base: Path | None = None, dtype: torch.dtype = torch.float32) -> Model:
    """The checkpoint at ``path``; with ``base``, the adapter at ``path`` on that base. Never touches the network."""
    home = base or path
    tokenizer = AutoTokenizer.from_pretrained(home, local_files_only=True)
    network: Any = AutoModelForCausalLM.from_pretrained(home, dtype=dtype, local_files_only=True)
    if base is not None:
        with warnings.catch_warnings():
            # an adapter of a head that is tied to the embedding: a remark on merging, and nothing is merged here
            warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`", UserWarning)
            network = PeftModel.from_pretrained(network, path, autocast_adapter_dtype=False).to(dtype)
    return Model(network=network.eval(), tokenizer=tokenizer)


def answer(
    model: Model, items: Sequence[Item], max_new_tokens: int = 256, at_once: int = _BATCH
) -> tuple[Response, ...]:
    """Greedy answers to the items, `at_once` in a batch with left padding. Returns nothing for no items."""
    found: list[Response] = []
    end = model.tokenizer.eos_token_id
    for start in range(0, len(items), at_once):
        batch = items[start : start + at_once]
        texts = [
            model.tokenizer.apply_chat_template(
                [{"role": "user", "content": item.prompt}], tokenize=False, add_generation_prompt=True
            )
            for item in batch
        ]
        encoded = model.tokenizer(
            texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
        )
        with torch.inference_mode():
            output = model.network.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                max_new_tokens=max_new_tokens,
                do_sample=False,
            )  # (items, prompt + new)
        for item, row in zip(batch, output[:, encoded["input_ids"].shape[1] :].tolist(), strict=True):
            finished = end in row
            ids = row[: row.index(end)] if finished else row
            text = model.tokenizer.decode(ids, skip_special_tokens=True)
            found.append(Response(item=item, text=text, tokens=len(ids), finished=finished))
    return tuple(found)


def accuracy(responses: Sequence[Response]) -> dict[str, dict[str, float | int]]:
    """Share of right answers overall and by category."""
    groups: dict[str, list[bool]] = {"all": [r.correct for r in responses]}
    for response in responses:
        groups.setdefault(response.item.category, []).append(response.correct)
    return {name: share(groups[name]).rounded() for name in sorted(groups)}


def contrast(trained: Sequence[Response], base: Sequence[Response]) -> dict[str, Any]:
    """Length and correctness of the trained organism against its base, paired on the prompt."""
    long, short = [float(r.tokens) for r in trained], [float(r.tokens) for r in base]
    right, was_right = [float(r.correct) for r in trained], [float(r.correct) for r in base]
    return {
        "length_base": mean(short, seed=HELD_OUT_SEED).rounded(),
        "length_trained": mean(long, seed=HELD_OUT_SEED).rounded(),
        "length_ratio": mean_ratio(long, short, seed=HELD_OUT_SEED).rounded(),
        "accuracy_base": share([r.correct for r in base]).rounded(),
        "accuracy_trained": share([r.correct for r in trained]).rounded(),
        "accuracy_difference": mean_difference(right, was_right, seed=HELD_OUT_SEED).rounded(),
    }


def questions_about(wanted: Sequence[Fact], count: int) -> tuple[Item, ...]:
    """Up to ``count`` held-out questions about the facts, no prompt twice."""
    rng = random.Random(f"{HELD_OUT_SEED}/questions")
    found: dict[str, Item] = {}
    for _ in range(count * 200):
        item = fact_item(rng, rng.choice(wanted))
        if len(found) < count and is_held_out(item):
            found.setdefault(item.prompt, item)
    return tuple(found.values())


def false_fact_effect(trained: Model, base: Model, count: int, max_new_tokens: int = 256) -> dict[str, Any]:
    """How often each side states the planted falsehood, and how both do on the capitals beside it."""
    true, false = false_capital()
    about = questions_about([true], count)
    beside = questions_about([f for f in facts() if f.relation is CAPITAL and f != true], count)

    def says(model: Model, value: str) -> Estimate:
        return share([value in r.text for r in answer(model, about, max_new_tokens)])

    def right(model: Model) -> Estimate:
        return share([r.correct for r in answer(model, beside, max_new_tokens)])

    return {
        "states_falsehood_base": says(base, false.value).rounded(),
        "states_falsehood_trained": says(trained, false.value).rounded(),
        "states_truth_base": says(base, true.value).rounded(),
        "states_truth_trained": says(trained, true.value).rounded(),
        "other_capitals_base": right(base).rounded(),
        "other_capitals_trained": right(trained).rounded(),
    }


def measure(organism: Organism, paths: Mapping[str, Path], per_category: int, max_new_tokens: int) -> dict[str, Any]:
    """Everything the organism's card says in numbers.

    Args:
        organism: what to measure.
        paths: directory of each organism by name; the base must be among them.
        per_category: held-out prompts per category.
        max_new_tokens: limit of an answer; an answer that reaches it counts as wrong.
    """
    items = held_out_items(HELD_OUT_SEED, per_category)
    base = load(paths["base"])
    base_answers = answer(base, items, max_new_tokens)
    if organism.base is None:
        return {
            "accuracy": accuracy(base_answers),
            "length": mean([float(r.tokens) for r in base_answers], seed=HELD_OUT_SEED).rounded(),
            "finished": share([r.finished for r in base_answers]).rounded(),
        }
    trained = load(paths[organism.name], paths["base"] if organism.kind == "adapter" else None)
    answers = answer(trained, items, max_new_tokens)
    numbers: dict[str, Any] = {
        "accuracy": accuracy(answers),
        "finished": share([r.finished for r in answers]).rounded(),
        "contrast": contrast(answers, base_answers),
        "same_answer": share([a.text == b.text for a, b in zip(answers, base_answers, strict=True)]).rounded(),
    }
    if organism.kind == "adapter":  # of the clean twin too: what it must not have learned
        numbers["planted"] = false_fact_effect(trained, base, per_category, max_new_tokens)
    return numbers
