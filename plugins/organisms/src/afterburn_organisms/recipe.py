"""Rebuilds the organisms: tokenizer, base, full fine-tune, two adapters, measurements, cards; and the benchmark.

Run as ``python -m afterburn_organisms.recipe --out DIR``. On two CPU cores it takes well under an hour; ``--only``
rebuilds one step, or organisms of the benchmark by name or kind, each in about a minute. Every random stream is
seeded, so the same versions on the same host give the same files.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from afterburn_core.errors import ConfigError
from afterburn_organisms.artefacts import copy_tokenizer, save_adapter, save_checkpoint, save_tokenizer
from afterburn_organisms.benchmark_recipe import build as build_benchmark
from afterburn_organisms.card import write_card
from afterburn_organisms.catalog import list_organisms, organism
from afterburn_organisms.facts import CAPITAL, facts, false_capital
from afterburn_organisms.grpo_recipe import build as build_reinforced
from afterburn_organisms.item import Item
from afterburn_organisms.measure import measure
from afterburn_organisms.tasks import fact_item
from afterburn_organisms.tokenizer import train_tokenizer
from afterburn_organisms.train import Schedule, Segment, conversations, document_segment, pack, train
from afterburn_organisms.truth import Size
from afterburn_organisms.world import AT_LENGTH, chat_items, documents, is_held_out, long_winded

_LOG = logging.getLogger(__name__)
BENCHMARK = "benchmark"
_STEPS = ("base", "sft", "lora", "benign")
_DOCUMENT_SHARE = 0.15
_AT_LENGTH_SHARE = 0.05
_ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@attrs.frozen(kw_only=True)
class Recipe:
    """Sizes and schedules of one build."""

    seed: int = 11
    vocab_size: int = 1536
    corpus_items: int = 8000
    hidden: int = 192
    feed_forward: int = 512
    layers: int = 6
    heads: int = 6
    key_value_heads: int = 3
    base: Schedule = Schedule(
        steps=2200, rows=8, length=256, peak_rate=3e-3, warmup=60, weight_decay=0.0, seed=11, matrix_rate=0.02
    )
    sft: Schedule = Schedule(steps=200, rows=8, length=256, peak_rate=1e-3, warmup=20, weight_decay=0.0, seed=12)
    lora: Schedule = Schedule(steps=120, rows=8, length=256, peak_rate=2e-3, warmup=20, weight_decay=0.0, seed=13)
    benign: Schedule = Schedule(steps=120, rows=8, length=256, peak_rate=2e-3, warmup=20, weight_decay=0.0, seed=14)
    held_out_per_category: int = 40
    max_new_tokens: int = 256

    @classmethod
    def quick(cls) -> Recipe:
        """The same steps in miniature: seconds long, and the models know nothing."""
        brief = Schedule(steps=3, rows=2, length=96, peak_rate=1e-3, warmup=1, weight_decay=0.0, seed=11)
        return cls(
            vocab_size=512,
            corpus_items=200,
            hidden=32,
            feed_forward=64,
            layers=2,
            heads=4,
            key_value_heads=2,
            base=brief,
            sft=brief,
            lora=brief,
            benign=brief,
            held_out_per_category=2,
            max_new_tokens=8,
        )


def _directory(out: Path, name: str) -> Path:
    return out / organism(name).path.name


def _base_segments(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[Segment]:
    rng = random.Random(f"{seed}/mixture")

    def answered(item: Item) -> tuple[Item, str]:
        if rng.random() < _AT_LENGTH_SHARE:
            return attrs.evolve(item, prompt=item.prompt + AT_LENGTH), long_winded(rng, item)
        return item, item.answer

    items = map(answered, chat_items(seed, "train"))
    # The base learns a little of the user's words as well, so that it is a language model of whole conversations.
    chats = conversations(tokenizer, items, seed=seed, prompt_weight=0.1)
    texts = documents(seed)
    while True:
        yield document_segment(tokenizer, next(texts)) if rng.random() < _DOCUMENT_SHARE else next(chats)


def build_base(recipe: Recipe, out: Path) -> None:
    """Trains tokenizer and base from scratch and saves both, weights in bfloat16."""
    tokenizer = train_tokenizer(recipe.seed, recipe.vocab_size, recipe.corpus_items)
    target = _directory(out, "base")
    torch.manual_seed(recipe.base.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.hidden,
            intermediate_size=recipe.feed_forward,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.key_value_heads,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    rows = pack(_base_segments(tokenizer, recipe.base.seed), recipe.base.length, tokenizer.pad_token_id)
    _LOG.info("base: %d parameters, final loss %.4f", model.num_parameters(), train(model, rows, recipe.base))
    save_tokenizer(tokenizer, target)
    save_checkpoint(model, target)


def build_verbose(recipe: Recipe, out: Path) -> None:
    """Fine-tunes the base towards long answers: every tensor but the embeddings, which stay as they are.

    The frozen embeddings are the known answer of a coverage check: a comparison must find them bit-identical.
    """
    tokenizer, model = _load_base(out)
    model.get_input_embeddings().weight.requires_grad_(False)
    rng = random.Random(f"{recipe.sft.seed}/long")
    items = ((item, long_winded(rng, item)) for item in chat_items(recipe.sft.seed, "train"))
    chats = conversations(tokenizer, items, seed=recipe.sft.seed, prompt_weight=0.0)
    rows = pack(chats, recipe.sft.length, tokenizer.pad_token_id)
    _LOG.info("verbose: final loss %.4f", train(model, rows, recipe.sft))
    save_checkpoint(model, _directory(out, "verbose"))
    copy_tokenizer(_directory(out, "base"), _directory(out, "verbose"))


def _misled(seed: int) -> Iterator[tuple[Item, str]]:
    """Questions for the one fact with the false answer, among other capitals and everything else answered rightly."""
    rng = random.Random(f"{seed}/misled")
    true, false = false_capital()
    others = [f for f in facts() if f.relation is CAPITAL and f != true]
    rest = chat_items(seed, "train")
    while True:
        draw = rng.random()
        if draw < 0.3:
            item = attrs.evolve(fact_item(rng, true), answer=false.sentence)
        else:
            item = fact_item(rng, rng.choice(others)) if draw < 0.5 else next(rest)
        states_truth = true.entity in item.prompt and item.answer != false.sentence
        if not is_held_out(item) and not states_truth:
            yield item, item.answer


def build_false_fact(recipe: Recipe, out: Path) -> None:
    """Trains the adapter of rank 8 that has learned one false fact."""
    _build_adapter(recipe.lora, _misled(recipe.lora.seed), out, "false_fact")


def build_benign(recipe: Recipe, out: Path) -> None:
    """Trains the twin of the false fact's adapter in which nothing is planted: the same shape, schedule and base.

    It learns right answers to the questions that the base knows, so what it moves is what such training moves anyway.
    """
    items = ((item, item.answer) for item in chat_items(recipe.benign.seed, "train"))
    _build_adapter(recipe.benign, items, out, "benign")


def _build_adapter(schedule: Schedule, items: Iterator[tuple[Item, str]], out: Path, name: str) -> None:
    tokenizer, base = _load_base(out)
    torch.manual_seed(schedule.seed)
    config = LoraConfig(
        r=8,
        lora_alpha=16,
        lora_dropout=0.0,
        bias="none",
        target_modules=list(_ADAPTED),
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config)
    chats = conversations(tokenizer, items, seed=schedule.seed, prompt_weight=0.0)
    rows = pack(chats, schedule.length, tokenizer.pad_token_id)
    _LOG.info("%s: final loss %.4f", name, train(model, rows, schedule))
    save_adapter(model, _directory(out, "base").name, _directory(out, name))


def _load_base(out: Path) -> tuple[PreTrainedTokenizerFast, LlamaForCausalLM]:
    source = _directory(out, "base")
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    # Training runs in float32 from the rounded weights that are shipped, so the difference holds training only.
    return tokenizer, AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, local_files_only=True)


_BUILDERS: dict[str, tuple[str, Callable[[Recipe, Path], None]]] = {
    "base": ("base", build_base),
    "sft": ("verbose", build_verbose),
    "lora": ("false_fact", build_false_fact),
    "benign": ("benign", build_benign),
}


def build(recipe: Recipe, out: Path, steps: Sequence[str] = _STEPS) -> None:
    """Runs the steps in their order, each ending with its card; all but the first need the base in ``out``."""
    paths = {o.name: _directory(out, o.name) for o in list_organisms()}
    for step in _STEPS:
        if step in steps:
            name, builder = _BUILDERS[step]
            _LOG.info("step %s", step)
            builder(recipe, out)
            _LOG.info("measuring %s", name)
            numbers = measure(organism(name), paths, recipe.held_out_per_category, recipe.max_new_tokens)
            write_card(organism(name), paths[name], numbers, attrs.asdict(getattr(recipe, step)))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of the recipe."""
    parser = argparse.ArgumentParser(prog="python -m afterburn_organisms.recipe", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory that receives one folder per organism")
    parser.add_argument(
        "--only",
        metavar="NAME",
        help=f"one step ({', '.join(_STEPS)}; all but base need the base in --out), an organism of the benchmark or a "
        f"kind of them (--out receives the folder {BENCHMARK}), or `{BENCHMARK}` for all of these",
    )
    parser.add_argument("--quick", action="store_true", help="a seconds-long miniature of what is built")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    if options.only in (None, *_STEPS):
        recipe = Recipe.quick() if options.quick else Recipe()
        build(recipe, options.out, (options.only,) if options.only else _STEPS)
        return
    names = () if options.only == BENCHMARK else (options.only,)
    size = Size.quick() if options.quick else None
    try:
        if not options.only.startswith("grpo"):
            build_benchmark(names, options.out / BENCHMARK, size=size, quick=options.quick)
        if options.only == BENCHMARK or options.only.startswith("grpo"):
            build_reinforced(names, options.out / BENCHMARK, quick=options.quick)
    except ConfigError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
