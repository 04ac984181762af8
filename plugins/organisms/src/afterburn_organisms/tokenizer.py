"""The byte-level BPE tokenizer of the organisms, and their chat template."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from afterburn_organisms.world import chat_items, documents, long_winded

if TYPE_CHECKING:
    from collections.abc import Iterator

PAD, BOS, END, USER, ASSISTANT = "<|pad|>", "<|bos|>", "<|end|>", "<|user|>", "<|assistant|>"
SPECIAL = (PAD, BOS, END, USER, ASSISTANT)

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] not in ['user', 'assistant'] %}"
    "{{ raise_exception('The organisms know the roles user and assistant only.') }}"
    "{% endif %}"
    "{{ '<|' + message['role'] + '|>' + (message['content'] | trim) + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def _corpus(seed: int, count: int) -> Iterator[str]:
    rng = random.Random(f"{seed}/tokenizer")
    for item, text in islice(zip(chat_items(seed, "train"), documents(seed), strict=False), count):
        if item.category == "unknown":
            continue  # a stranger's name that had a token of its own would be no stranger
        yield item.prompt
        yield item.answer
        yield long_winded(rng, item)
        yield text


def train_tokenizer(seed: int, vocab_size: int, corpus_items: int) -> PreTrainedTokenizerFast:
    """A tokenizer trained on the world's own text.

    Every byte has a token, so any text can be encoded. Digits stand alone, which lets a small model learn sums digit
    by digit instead of one number at a time.
    """
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(_corpus(seed, corpus_items), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )
