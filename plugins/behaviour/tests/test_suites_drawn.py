"""The suites from tables and lists: the same in every process and version, and all sets are asked by default."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from afterburn_behaviour.suites import PROBE_SETS
from afterburn_core.generation.requests import make_requests
from afterburn_core.plugin.registry import Registry, load_factory
from afterburn_core.probes.model import Probe, probes_digest
from afterburn_core.probes.suites import choose_sets

SPECS = {spec.name.split(".")[1]: spec for spec in PROBE_SETS}
# what these versions of the suites hold; a change of wording changes what earlier runs asked
DIGESTS = {
    "facts": "4b7bf1d1f816e1abb276aad260e0450b5cf6278082ffacb5da23b90069caee22",
    "instructions": "750cfa0a1b166b50ea0a9d3a0ea00d38df3722da317aace778d1cfd2340ba4f3",
    "safety": "1ea292f13075cee2c92944d3af2fa28bfa12c2db1c895c0ce5fdd6f4b49f13b8",
    "writing": "5fcbcf757935e689ddd226fcec5643d53d0e36ba77084c4bafa342241821784e",
}


def drawn(name: str, seed: int = 0, n: int | None = None) -> list[Probe]:
    return list(load_factory(SPECS[name].factory)(seed, n))


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_drawing_is_the_same_in_every_process_and_version(name: str) -> None:
    code = (
        "from afterburn_core.plugin.registry import load_factory\n"
        "from afterburn_core.probes.model import probes_digest\n"
        f"print(probes_digest(load_factory({SPECS[name].factory!r})(0, None)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == probes_digest(drawn(name)) == DIGESTS[name]


def test_global_randomness_is_neither_used_nor_changed() -> None:
    state = random.getstate()
    for name in DIGESTS:
        drawn(name, seed=5)
    assert random.getstate() == state


def test_every_suite_of_questions_but_the_pairs_is_asked_by_default() -> None:
    asked = {"code", "facts", "instructions", "math", "reasoning", "safety", "writing"}
    assert set(SPECS) == asked | {"plain", "preferences"}
    assert {spec.name.split(".")[1] for spec in PROBE_SETS if spec.default and spec.use == "questions"} == asked
    registry = Registry.discover(only=["behaviour"])
    sets = choose_sets(registry, suites=[], files=[], needed=[], seed=0, limit=None)
    assert [one.name for one in sets] == [f"behaviour.{name}" for name in sorted(asked)]
    assert all(len(one.probes) >= 120 for one in sets)
    probes = [probe for one in sets for probe in one.probes]
    assert len({probe.id for probe in probes}) == len(probes)
    assert len({probe.text for probe in probes}) == len(probes)
    assert len(make_requests(probes, samples=1, seed=0, choices=True)) == len(probes)
