"""Measures a step of training a dictionary against the bare matrix products that it would consist of.

    python tests/bench/sae_training.py [--shapes 192x384x32,576x1152x32,768x8192x64] [--batch 1024] [--repeat 7]

A shape is width x latents x k. A step written with dense matrices needs five products of the sizes of the encoder's:
encode, decode, the codes' gradient, the decoder's and the encoder's. All five are timed bare, and so is the encoder's
alone, below which no step can go. One thread is the default, and processor time is taken. Exits with 1 where a step is
slower than half the speed of the five.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping

import torch

from afterburn_sae.optimise import Trainer
from afterburn_sae.train_coder import Coder
from afterburn_sae.train_recipe import Recipe

BOUND = 0.5
"""Least speed of a step, in that of five bare products."""


def best(works: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Seconds of each, the least of all rounds; of the processor where there is one thread."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    found = dict.fromkeys(works, float("inf"))
    for _ in range(repeat):
        for name, work in works.items():
            started = clock()
            work()
            found[name] = min(found[name], clock() - started)
    return found


def measure(d: int, n: int, k: int, batch: int, repeat: int) -> dict[str, float]:
    """Seconds of a step, of the five products and of the encoder's."""
    generator = torch.Generator().manual_seed(0)
    recipe = Recipe(site="bench", k=k, batch=batch, latents=n)
    trainer = Trainer(Coder.drawn(n, d, 1, 0, "cpu"), recipe, 1000)
    x = torch.randn(batch, d, generator=generator)
    w, v = torch.randn(d, n, generator=generator), torch.randn(n, d, generator=generator)
    p, out, of_dec, of_enc = torch.empty(batch, n), torch.empty(batch, d), torch.empty(n, d), torch.empty(d, n)

    def products() -> None:
        torch.mm(x, w, out=p)
        torch.mm(p, v, out=out)
        torch.mm(out, w, out=p)
        torch.mm(p.t(), out, out=of_dec)
        torch.mm(x.t(), p, out=of_enc)

    for _ in range(3):  # the first steps have no bound on the choice yet
        trainer.learn(x)
    works = {"step": lambda: trainer.learn(x), "products": products, "encoder": lambda: torch.mm(x, w, out=p)}
    return best(works, repeat)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="192x384x32,576x1152x32,768x8192x64")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    slow = []
    for shape in arguments.shapes.split(","):
        d, n, k = (int(side) for side in shape.split("x"))
        seconds = measure(d, n, k, arguments.batch, arguments.repeat)
        ratio = seconds["products"] / seconds["step"]
        speed = arguments.batch / seconds["step"]
        print(
            f"width {d}, {n} latents, k {k}: {speed:,.0f} tokens/s, {ratio:.0%} of the speed of five products, "
            f"{seconds['encoder'] / seconds['step']:.0%} of the encoder's alone "
            f"(step {1000 * seconds['step']:.1f} ms, products {1000 * seconds['products']:.1f} ms)"
        )
        if ratio < BOUND:
            slow.append(shape)
    if slow:
        print(f"below {BOUND:.0%}: {'; '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
