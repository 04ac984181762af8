"""Given continuations as passages: every one after its prompt, and after the prompt that lists them in reverse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from afterburn_core.forward.model import Passage
from afterburn_core.forward.sampling import evenly
from afterburn_core.probes.continuations import continuations_of, swapped_prompt
from afterburn_core.probes.model import Probe

if TYPE_CHECKING:
    from afterburn_core.run.configuration import Settings

CHOICES = {"quick": 10, "standard": 30, "full": None}
"""Multiple-choice probes whose options are read, of all sets together; continuations that a probe names itself are
read in every preset."""


def continued(probes: Sequence[Probe], settings: Settings) -> list[Probe]:
    """The probes whose continuations are read, in their order."""
    own = {probe.id for probe in probes if probe.properties.get("continuations")}
    others = [probe for probe in probes if probe.id not in own and len(probe.choices) > 1]
    own |= {probe.id for probe in evenly(others, CHOICES[settings.preset], settings.seed)}
    return [probe for probe in probes if probe.id in own]


def continuation_passages(probe: Probe) -> Iterator[Passage]:
    """Every continuation after the prompt, then after the prompt that lists them in the other order."""
    texts = continuations_of(probe)
    if len(texts) < 2:
        return
    for swapped, messages in ((False, probe.messages), (True, swapped_prompt(probe))):
        for index, text in enumerate(texts if messages is not None else ()):
            yield Passage(
                id=f"{probe.id}/continuation/{index}" + ("/swapped" if swapped else ""),
                source="continuation",
                domain=probe.suite,
                unit=probe.unit,
                messages=messages or (),
                text=text,
                continuation=index,
                swapped=swapped,
                probe=probe,
            )
