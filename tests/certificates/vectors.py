"""Every vector of lists A to G, and the lists themselves: what a verifier of ours is shown to withstand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import vectors_envelope
import vectors_files
import vectors_identity
import vectors_pdf
import vectors_time
import vectors_truth
from vector import Presented, Vector

from afterburn_core.certify.checks import Verification
from afterburn_core.certify.verify import Request, verify_all

LISTS: Mapping[str, int] = {"A": 34, "B": 17, "C": 8, "D": 17, "E": 15, "F": 7, "G": 7}
"""The lines of each list: `A01` to `A34`, and so on."""

HARMLESS = frozenset({"A14", "E06"})
"""Lines whose attack changes nothing: the other form of a signature, and bytes after the end of a PDF."""

_MARKUP = "test_f01_to_f04_and_f06_markup_is_text_nothing_is_fetched_and_look_alikes_are_spelt_out"
ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("F01", "F02", "F03", "F04", "F06"), _MARKUP),
    "F05": "test_f05_a_text_of_a_megabyte_is_cut_and_says_so",
}
"""Lines about what is drawn, not about what is accepted: the test in `test_certify_pdf.py` that shows each."""


@cache
def vectors() -> tuple[Vector, ...]:
    """All of them, sorted by name."""
    found = (
        *vectors_files.vectors(),
        *vectors_identity.vectors(),
        *vectors_truth.vectors(),
        *vectors_envelope.vectors(),
        *vectors_time.vectors(),
        *vectors_pdf.vectors(),
    )
    return tuple(sorted(found, key=lambda vector: vector.name))


def verified(shown: Presented) -> tuple[Verification, ...]:
    """What `afterburn verify` finds of it."""
    return verify_all(
        shown.packs,
        Request(
            key=shown.key,
            model=shown.model,
            base=shown.base,
            tsa_root=shown.tsa_root,
            require_timestamp=shown.require_timestamp,
            rejudge=shown.rejudge,
            rerender=shown.rerender,
            threads=1,
            progress=shown.progress,
        ),
    )


def write(out: Path, chosen: Iterable[Vector]) -> int:
    """Writes each vector into a folder of its name; how many there are."""
    count = 0
    for vector in chosen:
        folder = out / vector.name
        folder.mkdir(parents=True)
        expected = {"line": vector.id, "code": vector.code, **_told(vector.build(folder), folder)}
        text = json.dumps(expected, indent=1, sort_keys=True)
        (folder / "expected.json").write_text(f"{text}\n", encoding="utf-8")
        count += 1
    return count


def _told(shown: Presented, folder: Path) -> dict[str, Any]:
    """What is presented, by paths inside the folder, and what is asked for; left out where it is nothing."""
    told: dict[str, Any] = {"packs": [pack.relative_to(folder).as_posix() for pack in shown.packs]}
    for name in ("key", "model", "base", "tsa_root"):
        path = getattr(shown, name)
        if path is not None:
            told[name] = path.relative_to(folder).as_posix()
    told.update({name: True for name in ("require_timestamp", "rejudge", "rerender") if getattr(shown, name)})
    if shown.progress is not None:
        told["written_while_read"] = True
    return told
