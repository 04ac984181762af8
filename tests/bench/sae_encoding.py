"""Measures encoding with sparse dictionaries against the bare matrix product of the same shapes.

    python tests/bench/sae_encoding.py [--shapes 768x24576,2304x16384] [--tokens 256] [--repeat 7] [--threads N]

For each kind: what x·W_enc alone takes, what encoding takes, and their ratio; for top-k also what the choice of the k
largest costs beside `torch.topk`, and the pairs (token, latent) without the dense matrix they stand for. Each round
runs all of them one after the other, and the best of each counts. One thread is the default, and processor time is
taken: other processes then matter little. Exits with 1 where a kind reaches less than 70 % of the product's speed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping

import torch

from afterburn_sae.dictionary import Dictionary, largest

BOUND = 0.7
"""Least speed of encoding, in that of the product."""
K = 64


def dictionaries(d: int, n: int) -> dict[str, Dictionary]:
    """One of every kind over the same weights."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    w_dec = draw(n, d)
    shared = {"format": "bench", "w_dec": w_dec, "b_dec": draw(d), "b_enc": draw(n), "subtract_b_dec": True}
    plain = draw(d, n)
    threshold = draw(n).abs()
    return {
        "relu": Dictionary(kind="relu", w_enc=plain, **shared),
        "relu, stored (n, d)": Dictionary(kind="relu", w_enc=w_dec.T, **shared),
        "jumprelu": Dictionary(kind="jumprelu", w_enc=plain, threshold=threshold, **shared),
        "batch_topk": Dictionary(kind="batch_topk", w_enc=plain, threshold=0.5, **shared),
        "gated": Dictionary(kind="gated", w_enc=plain, r_mag=draw(n), b_mag=draw(n), **shared),
        "topk": Dictionary(kind="topk", w_enc=plain, k=K, **shared),
    }


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


def measure(d: int, n: int, tokens: int, repeat: int) -> dict[str, dict[str, float]]:
    """Figures by kind at one shape."""
    made = dictionaries(d, n)
    x = torch.randn((tokens, d), generator=torch.Generator().manual_seed(1))
    some = torch.arange(0, n, n // 100)
    found: dict[str, dict[str, float]] = {}
    for kind, dictionary in made.items():
        works: dict[str, Callable[[], object]] = {
            "product": lambda w=dictionary.w_enc: x @ w,  # type: ignore[misc]
            "encode": lambda one=dictionary: one.encode(x),  # type: ignore[misc]
        }
        if kind == "topk":
            values = x @ dictionary.w_enc
            works |= {
                "pairs": lambda one=dictionary: one.top(x),  # type: ignore[misc]
                "choice": lambda v=values: largest(v, K),
                "torch.topk": lambda v=values: v.topk(K, dim=1),
            }
        else:
            works["hundred latents"] = lambda one=dictionary: one.encode_some(x, some)  # type: ignore[misc]
        seconds = best(works, repeat)
        found[kind] = seconds | {"ratio": seconds["product"] / seconds["encode"]}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="768x24576,2304x16384")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    slow = []
    for shape in arguments.shapes.split(","):
        d, n = (int(side) for side in shape.split("x"))
        report = measure(d, n, arguments.tokens, arguments.repeat)
        print(f"{arguments.tokens} tokens of width {d}, {n} latents, {torch.get_num_threads()} thread(s)")
        for kind, figures in report.items():
            rest = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in figures.items() if name != "ratio")
            print(f"  {kind:20} {figures['ratio']:4.0%} of the product's speed: {rest}")
            if figures["ratio"] < BOUND:
                slow.append(f"{kind} at {shape}")
    if slow:
        print(f"below {BOUND:.0%}: {'; '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
