"""Measures what the forward pass and all its analyzers cost, against two plain forwards of the same batches.

    python tests/bench/forward.py [--pair DIRECTORY] [--passages 32] [--tokens 64] [--repeat 3] [--profile] [--out FILE]

The pair has the shape of a 0.5B model (`make_pair.py` writes it), float32 on the CPU. A plain forward is `model(ids)`
with its logits, nothing read from them. The pass captures every site that some analyzer asks for, computes scores over
the whole vocabulary and feeds all analyzers of the preset `standard`; with `--controls` these are read too, which
are further forwards, and the bound is not for them. Loading and what analyzers do at the end are told apart. With
`--threads 1` processor time is taken in place of wall time. Exits with 1 above 1.3 times two plain forwards.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from afterburn_core.forward.encoded import Encoded
from afterburn_core.forward.forward_pass import Rider
from afterburn_core.forward.model import Passage
from afterburn_core.forward.observing import observe_batch
from afterburn_core.forward.packing import pack
from afterburn_core.forward.reading import PairReader, Wanted
from afterburn_core.forward.rows import grid
from afterburn_core.generation.model import Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.run.heap import kept_heap
from afterburn_core.run.needs import ForwardNeed
from afterburn_core.run.progress import Silent
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import open_subject
from afterburn_core.testing.feeding import make_analyzer
from afterburn_organisms import organism

BOUND = 1.3
"""Times two plain forwards."""
IDS = 1400
"""Tokens that texts are made of: those the tokenizer knows."""


def with_tokenizer(model: Path, folder: Path) -> Path:
    """The model's directory with a tokenizer beside its files; it decides nothing here but has to be there."""
    folder.mkdir(parents=True)
    for file in model.iterdir():
        (folder / file.name).symlink_to(file.resolve())
    for file in organism("base").path.glob("tokenizer*"):
        (folder / file.name).symlink_to(file.resolve())
    return folder


def passages(count: int, tokens: int) -> list[Encoded]:
    """Plain texts of so many tokens each."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, IDS, (count, tokens), generator=generator).tolist()
    return [
        Encoded(
            passage=Passage(id=f"t/{i:04d}", source="text", domain="t", unit=f"t/{i:04d}"),
            ids=tuple(own),
            classes=bytes(len(own)),
            text_start=0,
        )
        for i, own in enumerate(ids)
    ]


def riders(registry: Registry, *, controls: bool) -> list[Rider]:
    """Every analyzer of the forward pass that takes part at `standard` and reads texts."""
    found = []
    for registered in registry.specs("analyzer"):
        spec = registered.spec
        need = next((need for need in spec.needs if isinstance(need, ForwardNeed)), None)
        if need is None or spec.preset == "full" or "text" not in need.sources:
            continue
        need = need if controls else attrs.evolve(need, controls=())
        found.append(Rider(need=need, instances=[make_analyzer(spec)]))
    return found


def wanted_of(on_it: Sequence[Rider]) -> Wanted:
    """What they need of every batch, together."""
    return Wanted(
        logits=True,
        sites=tuple(sorted({site for rider in on_it for site in rider.need.sites})),
        controls=tuple(sorted({kind for rider in on_it for kind in rider.need.controls})),
    )


def timed(work: Any) -> float:
    """Seconds, of the processor where there is one thread: other processes then matter little."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    started = clock()
    work()
    return clock() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", type=Path, help="where make_pair.py wrote base/ and trained/")
    parser.add_argument("--passages", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--controls", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = arguments.pair or folder / "pair"
        if arguments.pair is None:
            from make_pair import make_pair  # type: ignore[import-not-found]

            list(make_pair(source))
        base = with_tokenizer(source / "base", folder / "base")
        trained = with_tokenizer(source / "trained", folder / "trained")
        return _measure(base, trained, arguments)


def _measure(base: Path, trained: Path, arguments: argparse.Namespace) -> int:
    registry = Registry.discover()
    on_it = riders(registry, controls=arguments.controls)
    wanted = wanted_of(on_it)
    left = open_subject(parse_reference(str(base)), "base", registry)
    right = open_subject(parse_reference(str(trained)), "trained", registry, base=left)
    reader: PairReader = right.pair_reader(  # type: ignore[attr-defined]
        left, serving=Serving(), template="plain", wanted=wanted, seed=0
    )
    batches = pack(passages(arguments.passages, arguments.tokens), budget=2048)
    tokens = sum(batch.counted for batch in batches)
    started = time.perf_counter()
    reader.prepare(batches, wanted, Silent())
    loaded = time.perf_counter() - started
    networks = _networks(reader)

    def plain() -> None:
        with torch.inference_mode():
            for batch in batches:
                ids, _, _ = grid(batch, "cpu")
                for network in networks:
                    network(input_ids=ids, use_cache=False)

    def everything() -> None:
        for batch in batches:
            observe_batch(reader, batch, [(rider.need, rider.instances[0].observe) for rider in on_it])

    with kept_heap():
        everything()
        plain()
        profile = cProfile.Profile()
        ours_seconds, plain_seconds = [], []
        for _ in range(arguments.repeat):  # in turns, so that a busy machine is busy for both
            plain_seconds.append(timed(plain))
            if arguments.profile:
                profile.enable()
            ours_seconds.append(timed(everything))
            profile.disable()
        ours, bare = statistics.median(ours_seconds), statistics.median(plain_seconds)
    started = time.perf_counter()
    for rider in on_it:
        rider.instances[0].finish()  # type: ignore[attr-defined]
    finished = time.perf_counter() - started
    reader.close()
    found = {
        "tokens": tokens,
        "analyzers": len(on_it),
        "sites": len(wanted.sites),
        "loading_seconds": round(loaded, 2),
        "finish_seconds": round(finished, 2),
        "plain_tokens_per_second": round(tokens / bare, 1),
        "pass_tokens_per_second": round(tokens / ours, 1),
        "ratio": round(ours / bare, 3),
        "bound": BOUND,
    }
    print(json.dumps(found, indent=1))
    if arguments.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(35)
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if arguments.controls or ours <= BOUND * bare else 1


def _networks(reader: Any) -> list[Any]:
    """The two models that the reader holds."""
    return [resident.sites.network for _, resident in sorted(reader._residents.items())]


if __name__ == "__main__":
    sys.exit(main())
