"""Every attack of lists A to G is refused for its own reason and never with a traceback; genuine packs are accepted."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "certificates"))

import vectors as every

VECTORS = {vector.name: vector for vector in every.vectors()}


@pytest.mark.parametrize("name", VECTORS)
def test_each_vector_ends_as_its_list_says(name: str, tmp_path: Path) -> None:
    vector = VECTORS[name]
    found = every.verified(vector.build(tmp_path))
    codes = {code for verification in found for code in verification.codes}
    told = [f"{check.id}: {check.message}" for verification in found for check in verification.failures]
    assert codes == ({vector.code} if vector.code else set()), told
    assert all(verification.verified for verification in found) == (vector.code is None), told


def test_every_line_of_every_list_has_a_hostile_vector() -> None:
    lines = {f"{letter}{n:02}" for letter, count in every.LISTS.items() for n in range(1, count + 1)}
    refused = {vector.id for vector in VECTORS.values() if vector.code is not None}
    accepted = {vector.id for vector in VECTORS.values() if vector.code is None}
    assert lines - refused - every.HARMLESS - every.ELSEWHERE.keys() == set()
    assert accepted >= every.HARMLESS and not every.HARMLESS & refused
    shown = Path(__file__).with_name("test_certify_pdf.py").read_text(encoding="utf-8")
    assert all(f"def {name}(" in shown for name in every.ELSEWHERE.values())
    assert len(VECTORS) == len(every.vectors()), "two vectors have one name"


def test_a_vector_is_named_for_its_line_and_its_end() -> None:
    for vector in VECTORS.values():
        assert re.fullmatch(rf"{vector.id.lower()}_[a-z0-9_]+", vector.name)
        assert vector.name.endswith("_fail") == (vector.code is not None)


def test_the_vectors_can_be_written_for_other_verifiers(tmp_path: Path) -> None:
    every.write(
        tmp_path, [VECTORS["b01_shard_replaced_fail"], VECTORS["c05_superseded_fail"], VECTORS["c00_sound_pack"]]
    )
    expected = {file.parent.name: json.loads(file.read_bytes()) for file in tmp_path.glob("*/expected.json")}
    key = {"key": "key.pub"}
    assert expected == {
        "c00_sound_pack": {"code": None, "line": "C00", "packs": ["pack"], **key},
        "b01_shard_replaced_fail": {
            "code": "model.changed",
            "line": "B01",
            "model": "model",
            "packs": ["pack"],
            **key,
        },
        "c05_superseded_fail": {"code": "others.superseded", "line": "C05", "packs": ["pack", "second"], **key},
    }
    assert (tmp_path / "b01_shard_replaced_fail" / "pack" / "certificate.sigstore.json").is_file()
