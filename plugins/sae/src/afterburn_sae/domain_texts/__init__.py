"""Sets of questions with answers from four domains, written for Afterburn; imports no torch.

Each item is a conversation that ends with a short answer of the assistant. Both models read it, and neither is asked to
write anything: what is compared is how they take in the domain's questions and a proper answer to them. The sets are
read only where an analyzer names them, which those of this plugin do when a dictionary or a risk pack is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from afterburn_core.plugin import ProbeSetSpec
from afterburn_core.probes.model import Message, Probe
from afterburn_sae.domain_texts import finance, legal, safety, support

PAIRS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "sae.finance": finance.PAIRS,
    "sae.legal": legal.PAIRS,
    "sae.support": support.PAIRS,
    "sae.safety": safety.PAIRS,
}
SETS = tuple(PAIRS)
"""Their names, in the order in which they are shown."""


def finance_items(seed: int, n: int | None) -> Iterator[Probe]:
    """Questions about money; the first `n`, or all."""
    return _items("sae.finance", n)


def legal_items(seed: int, n: int | None) -> Iterator[Probe]:
    """Questions about law; the first `n`, or all."""
    return _items("sae.legal", n)


def support_items(seed: int, n: int | None) -> Iterator[Probe]:
    """Messages of customers; the first `n`, or all."""
    return _items("sae.support", n)


def safety_items(seed: int, n: int | None) -> Iterator[Probe]:
    """Requests that touch on harm; the first `n`, or all."""
    return _items("sae.safety", n)


def _items(name: str, n: int | None) -> Iterator[Probe]:
    for number, (question, answer) in enumerate(PAIRS[name][:n], start=1):
        yield Probe(
            id=f"{name}/{number}",
            prompt=(Message(role="user", content=question), Message(role="assistant", content=answer)),
            suite=name,
        )


_SUMMARIES = {
    "finance": "Questions about money with sober answers",
    "legal": "Questions about contracts, rights and procedure with general answers",
    "support": "What customers write to a help desk, with the replies of a good agent",
    "safety": "Requests that touch on harm, deceit, privacy or the assistant's role, with calm and honest answers",
}
PROBE_SETS = tuple(
    ProbeSetSpec(
        name=f"sae.{short}",
        summary=summary,
        licence="Apache-2.0",
        factory=f"afterburn_sae.domain_texts:{short}_items",
        use="passages",
    )
    for short, summary in _SUMMARIES.items()
)
