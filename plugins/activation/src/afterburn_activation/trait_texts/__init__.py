"""Questions with an answer that shows a trait and one that does not, written for Afterburn; imports no torch.

One probe per answer: a conversation that ends with the assistant, with `properties` `trait`, `side` (`positive` or
`negative`) and `pair`, and the pair as its group, so that both answers to one question are one unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from afterburn_activation.trait_texts import deception, flattery, hostility, overclaiming, refusal, verbosity
from afterburn_core.plugin import ProbeSetSpec
from afterburn_core.probes.model import Message, Probe

Pair = tuple[str, str, str]
TRAITS: Mapping[str, tuple[Pair, ...]] = {
    "deception": deception.PAIRS,
    "flattery": flattery.PAIRS,
    "hostility": hostility.PAIRS,
    "overclaiming": overclaiming.PAIRS,
    "refusal": refusal.PAIRS,
    "verbosity": verbosity.PAIRS,
}
SIDES = ("positive", "negative")
SET = "activation.traits"


def items(seed: int, n: int | None) -> Iterator[Probe]:
    """The answers of all traits, positive and negative in turn; the first `n`, or all."""
    every = (
        probe
        for trait, pairs in TRAITS.items()
        for number, pair in enumerate(pairs)
        for probe in _probes(trait, number, pair)
    )
    for count, probe in enumerate(every):
        if n is not None and count >= n:
            return
        yield probe


def _probes(trait: str, number: int, pair: Pair) -> Iterator[Probe]:
    question, *answers = pair
    name = f"{trait}-{number + 1}"
    for side, answer in zip(SIDES, answers, strict=True):
        yield Probe(
            id=f"{SET}/{name}-{side}",
            prompt=(Message(role="user", content=question), Message(role="assistant", content=answer)),
            suite=SET,
            category=trait,
            group=f"{SET}/{name}",
            properties={"trait": trait, "side": side, "pair": name},
        )


PROBE_SETS = (
    ProbeSetSpec(
        name=SET,
        summary="Answers that show a trait and answers that do not: deception, flattery, hostility, overclaiming, "
        "refusal, verbosity",
        licence="Apache-2.0",
        factory="afterburn_activation.trait_texts:items",
        use="passages",
    ),
)
