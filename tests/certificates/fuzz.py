"""Fuzzing of everything a verifier reads: it may be accepted or refused with a code, and nothing else may happen.

`python tests/certificates/fuzz.py` runs 50 000 cases and more, which takes some minutes; `--cases N` changes how many.
Genuine documents are mutated, since random bytes rarely get past the first check.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))

import packs
import tsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vectors_envelope import Ingredients, encoded

from afterburn_core.certify.chain import load_certificates
from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.envelope import BUNDLE_NAME, open_bundle, open_payload
from afterburn_core.certify.keys import load_public_key
from afterburn_core.certify.manifest import parse_sums
from afterburn_core.certify.statement import TRAINED_SUMS
from afterburn_core.certify.timestamp import check as check_timestamp
from afterburn_core.certify.verification_text import lines
from afterburn_core.certify.verify import Request, verify
from afterburn_core.errors import ConfigError

CASES = 51_000
SHARES: Mapping[str, float] = {
    "bundle_bytes": 0.26,
    "bundle_values": 0.26,
    "predicate": 0.2,
    "sums": 0.2,
    "timestamps": 0.05,
    "keys": 0.02,
    "pdf": 0.01,
}
"""Part of all cases that each target gets; those that take longer get fewer."""

Mutation = tuple[float, int, bytes]
"""Where in the bytes (0 to 1), what is done (0 replace, 1 insert, 2 delete, 3 repeat), with which bytes."""
Edit = tuple[float, float, str, Any]
"""A place in a JSON value and another one (0 to 1, in document order), what is done, with which value."""

_WHERE = st.floats(0, 1, exclude_max=True)
_TOKENS = (b'"', b"\\ud800", b"\\u0000", b"[", b"}", b"1e999", b"NaN", b"\xff", b"\x00", b"\n", b"../")
MUTATIONS = st.lists(
    st.tuples(_WHERE, st.integers(0, 3), st.one_of(st.binary(min_size=1, max_size=12), st.sampled_from(_TOKENS))),
    max_size=6,
)
_ODD = ("PASS", "FAIL", "NOT_RUN", "rule", "threshold", "0" * 64, "1.0", "2026-02-30T00:00:00Z", "", "{}", "[]", 1e308)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53) + 1, 2**53 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=30),
        st.sampled_from(_ODD),
    ),
    lambda inside: st.one_of(st.lists(inside, max_size=3), st.dictionaries(st.text(max_size=8), inside, max_size=3)),
    max_leaves=6,
)
EDITS = st.lists(st.tuples(_WHERE, _WHERE, st.sampled_from(("set", "delete", "repeat")), VALUES), max_size=4)
LIKELY = st.lists(
    st.tuples(_WHERE, _WHERE, st.sampled_from(("move", "move", "move", "repeat", "drop", "set")), VALUES), max_size=4
)
"""Edits of which most keep the form of the whole, so that they get past the schema."""


def mutated(data: bytes, mutations: list[Mutation]) -> bytes:
    changed = bytearray(data)
    for where, kind, bytes_ in mutations:
        at = int(where * (len(changed) + 1))
        if kind == 0:
            changed[at : at + len(bytes_)] = bytes_
        elif kind == 1:
            changed[at:at] = bytes_
        elif kind == 2:
            del changed[at : at + len(bytes_) ** 2]
        else:
            changed[at:at] = changed[at : at + 64]
    return bytes(changed)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with each of its keys or indices, in document order."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in list(items):
        yield value, key
        yield from _places(inside)


def edited(value: Any, edits: list[Edit]) -> Any:
    changed = copy.deepcopy(value)
    for where, elsewhere, what, new in edits:
        places = list(_places(changed))
        if not places:
            return changed
        container, key = places[int(where * len(places))]
        lists = [place for place in places if isinstance(place[0], list)]
        if what == "delete":
            del container[key]
        elif what == "move":  # a value of the same type from elsewhere
            alike = [other[at] for other, at in places if type(other[at]) is type(container[key])]
            container[key] = copy.deepcopy(alike[int(elsewhere * len(alike))])
        elif what == "set" or not lists:
            container[key] = new
        else:
            entries, index = lists[int(elsewhere * len(lists))]
            if what == "drop":
                del entries[index]
            else:
                entries.append(copy.deepcopy(entries[index]))
    return changed


@cache
def folder() -> Path:
    """A genuine pack to write into, on the memory's file system where there is one."""
    memory = Path("/dev/shm")
    made = tempfile.TemporaryDirectory(prefix="afterburn-fuzz-", dir=memory if memory.is_dir() else None)
    _KEPT.append(made)
    return packs.write(Path(made.name) / "pack", packs.genuine())


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def presented(name: str, data: bytes) -> None:
    """Verifies the genuine pack with one file replaced. Nothing may crash, and whatever is told is one clean line."""
    (folder() / name).write_bytes(data)
    try:
        found = verify(folder(), Request(key=packs.key().public_key(), threads=1))
        assert not any(check.code == "internal" for check in found.checks), [c for c in found.checks if c.code]
        assert all(line.isprintable() for line in lines(found, width=80))
    finally:
        (folder() / name).write_bytes(packs.genuine()[name])
    if not found.verified:
        raise Invalid(found.codes[0], found.failures[0].message)


def bundle_bytes(mutations: list[Mutation]) -> None:
    data = mutated(packs.genuine()[BUNDLE_NAME], mutations)
    opened = open_bundle(data, packs.key().public_key())
    open_payload(opened.payload)


def bundle_values(edits: list[Edit]) -> None:
    opened = open_bundle(encoded(edited(_bundle(), edits)), packs.key().public_key())
    open_payload(opened.payload)


def predicate(edits: list[Edit]) -> None:
    statement = packs.sound_statement()
    statement["predicate"] = edited(statement["predicate"], edits)
    made = Ingredients(statement=statement, key=packs.key())
    presented(BUNDLE_NAME, encoded(made.bundle()))


def sums(mutations: list[Mutation]) -> None:
    parse_sums(mutated(packs.genuine()[TRAINED_SUMS], mutations))


def timestamps(mutations: list[Mutation]) -> None:
    check_timestamp(b"signature", mutated(_response(), mutations), [tsa.root().certificate])


def keys(mutations: list[Mutation]) -> None:
    file = folder().parent / "mutated.pem"
    file.write_bytes(mutated(packs.genuine()["seal.pub"], mutations))
    load_public_key(file)
    load_certificates(file)


def pdf(mutations: list[Mutation]) -> None:
    from afterburn_core.certify.pdf_check import check_pdf

    files = packs.with_page()
    check_pdf(mutated(files["certificate.pdf"], mutations), files[BUNDLE_NAME], packs.key().public_key())


@cache
def _bundle() -> Any:
    return json.loads(packs.genuine()[BUNDLE_NAME])


@cache
def _response() -> bytes:
    return tsa.response(b"signature", tsa.sound_authority())


TARGETS: Mapping[str, tuple[Callable[[Any], None], st.SearchStrategy[Any]]] = {
    "bundle_bytes": (bundle_bytes, MUTATIONS),
    "bundle_values": (bundle_values, EDITS),
    "predicate": (predicate, LIKELY),
    "sums": (sums, MUTATIONS),
    "timestamps": (timestamps, MUTATIONS),
    "keys": (keys, MUTATIONS),
    "pdf": (pdf, MUTATIONS),
}


def run(name: str, cases: int, *, derandomize: bool = False) -> tuple[int, int]:
    """Runs a target; how many cases were accepted and how many refused."""
    target, strategy = TARGETS[name]
    ends = [0, 0]

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=derandomize,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def case(value: Any) -> None:
        try:
            target(value)
        except Invalid:
            ends[1] += 1
        except ConfigError:
            assert name == "keys"  # a file that was named on the command line, and is none
            ends[1] += 1
        else:
            ends[0] += 1

    case()
    return ends[0], ends[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES)
    wanted = parser.parse_args().cases
    total, began = 0, time.monotonic()
    for target_name, share in SHARES.items():
        accepted, refused_ = run(target_name, round(share * wanted))
        total += accepted + refused_
        seconds = time.monotonic() - began
        print(f"{target_name:14} {accepted + refused_:6} cases, {accepted} accepted  ({seconds:.0f} s)", flush=True)
    if total < 0.98 * wanted:
        sys.exit(f"only {total} cases were run")
    print(f"{total} cases, each accepted or refused with a code")
