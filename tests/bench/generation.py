"""Measures how fast texts are written, against transformers' own `generate` on the same model and prompts.

    python tests/bench/generation.py [--prompts 120] [--max-new-tokens 256] [--repeat 3] [--threads N] [--out FILE]

Both write greedy answers to the shipped pair's held-out prompts, both models in float32 on the CPU of one process, in
turns. The other side is `generate` as the peer calls it: four prompts at a time in the order given, right-padded.
What counts is answer tokens up to the end mark, over wall time; padding and what comes after the end do not count.
Exits with 1 if either model is written with at less than 3 times the other side's tokens per second.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from afterburn_core.backends.transformers_generator import open_generator
from afterburn_core.backends.transformers_loading import Origin
from afterburn_core.generation.model import Decoding, Request
from afterburn_core.probes.model import Message
from afterburn_organisms import demo_pair
from afterburn_organisms.world import held_out_items

RATIO = 3.0
"""How many times the tokens per second of `generate` at batch 4 are asked for."""
_PEER_BATCH = 4


@attrs.frozen(kw_only=True)
class Speed:
    """What one side did."""

    tokens: int
    seconds: float
    """Median over the repetitions."""

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds


def peer(path: Path, prompts: Sequence[str], max_new_tokens: int) -> Callable[[], int]:
    """`generate` on four right-padded prompts at a time; a call writes all and returns the answer tokens."""
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, local_files_only=True).eval()
    texts = [
        tokenizer.apply_chat_template([{"role": "user", "content": p}], tokenize=False, add_generation_prompt=True)
        for p in prompts
    ]

    def write() -> int:
        tokens = 0
        for start in range(0, len(texts), _PEER_BATCH):
            batch: Any = tokenizer(
                texts[start : start + _PEER_BATCH],
                return_tensors="pt",
                padding=True,
                padding_side="right",
                add_special_tokens=False,
            )
            with torch.inference_mode():
                written = model.generate(
                    input_ids=batch["input_ids"],
                    attention_mask=batch["attention_mask"],
                    max_new_tokens=max_new_tokens,
                    do_sample=False,
                )
            for row in written[:, batch["input_ids"].shape[1] :].tolist():
                tokens += row.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in row else len(row)
        return tokens

    return write


def ours(path: Path, prompts: Sequence[str], max_new_tokens: int) -> Callable[[], int]:
    """The generator; a call writes all and returns the answer tokens. The model is loaded beforehand."""
    generator = open_generator(
        Decoding(max_new_tokens=max_new_tokens),
        origin=Origin(directory=path, label=path.name),
        parameters=1,
    )
    requests = [
        Request(probe=str(number), index=0, messages=(Message(role="user", content=prompt),), seed=number)
        for number, prompt in enumerate(prompts)
    ]
    list(generator.generate(requests[:2]))
    return lambda: sum(done.sample.tokens or 0 for done in generator.generate(requests))


def side_by_side(first: Callable[[], int], second: Callable[[], int], repeat: int) -> tuple[Speed, Speed]:
    """Both in turns, so that whatever else the machine does falls on both."""
    times: tuple[list[float], list[float]] = ([], [])
    tokens = [0, 0]
    for _ in range(repeat):
        for number, write in enumerate((first, second)):
            started = time.perf_counter()
            tokens[number] = write()
            times[number].append(time.perf_counter() - started)
    return (
        Speed(tokens=tokens[0], seconds=statistics.median(times[0])),
        Speed(tokens=tokens[1], seconds=statistics.median(times[1])),
    )


def compared(path: Path, prompts: Sequence[str], max_new_tokens: int, repeat: int) -> dict[str, Any]:
    """One model's figures as they are printed and kept."""
    mine, other = side_by_side(ours(path, prompts, max_new_tokens), peer(path, prompts, max_new_tokens), repeat)
    ratio = mine.rate / other.rate
    print(
        f"{path.name:14} {mine.tokens:7} tokens {mine.seconds:7.2f} s {mine.rate:8.0f}/s   generate at batch 4 "
        f"{other.tokens:7} tokens {other.seconds:7.2f} s {other.rate:8.0f}/s   ratio {ratio:.1f}",
        flush=True,
    )
    return {
        "model": path.name,
        "prompts": len(prompts),
        "tokens": mine.tokens,
        "seconds": mine.seconds,
        "tokens_per_second": mine.rate,
        "peer_tokens": other.tokens,
        "peer_seconds": other.seconds,
        "peer_tokens_per_second": other.rate,
        "ratio": ratio,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--prompts", type=int, default=120, help="how many held-out prompts, evenly from all categories"
    )
    parser.add_argument("--max-new-tokens", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, help="threads of torch; absent leaves them as they are")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    items = held_out_items(101, 40)
    prompts = [item.prompt for item in items[:: max(1, len(items) // options.prompts)]][: options.prompts]
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}", flush=True)
    rows = [compared(path, prompts, options.max_new_tokens, options.repeat) for path in demo_pair()]
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    slow = [row for row in rows if row["ratio"] < RATIO]
    for row in slow:
        print(f"too slow: {row['model']} at {row['ratio']:.1f} times `generate`, not {RATIO}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
