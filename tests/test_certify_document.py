"""A certificate is held against the run's document and the list of files, whoever signed it."""

from __future__ import annotations

import copy
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent / "certificates"))

import packs
from packs import Change, model_files, write

from afterburn_core.certify.checks_files import describes
from afterburn_core.certify.derived import plan_digest
from afterburn_core.certify.manifest import parse_sums
from afterburn_core.certify.recompute import problems
from afterburn_core.certify.statement import TRAINED_SUMS
from afterburn_core.certify.verify import Request, verify


def codes(folder: Path, files: packs.Files, **asked: Any) -> tuple[str, ...]:
    return verify(write(folder / "pack", files), Request(key=packs.key().public_key(), **asked)).codes


def _replanned(predicate: dict[str, Any], **changed: Any) -> None:
    plan = predicate["protocol"]["plan"]
    plan |= changed
    predicate["protocol"]["planSha256"] = plan_digest(plan)


def _number(predicate: dict[str, Any]) -> None:
    """Better than measured, and the verdict the same."""
    number = next(test for test in predicate["tests"] if test["kind"] == "threshold")["numbers"][0]
    number["value"] = number["value"] / 2
    number["interval"] = None


def _backdated_policy(predicate: dict[str, Any]) -> None:
    predicate["protocol"]["runPolicy"]["name"] = "agreed before the run"


TOLD_OTHERWISE: dict[str, Change] = {
    "number": _number,
    "policy of the run": _backdated_policy,
    "seed": lambda predicate: _replanned(predicate, seed="1"),
    "run": lambda predicate: predicate["evidence"]["result"].update(runId="another"),
    "artifacts": lambda predicate: predicate["evidence"]["artifacts"].append(
        {"path": "x", "sha256": "0" * 64, "bytes": 1, "mediaType": "text/plain"}
    ),
}


@pytest.mark.parametrize("change", TOLD_OTHERWISE.values(), ids=TOLD_OTHERWISE)
def test_what_the_document_says_otherwise_is_found_without_detectors(change: Change, tmp_path: Path) -> None:
    def unseen(predicate: dict[str, Any]) -> None:
        change(predicate)
        assert problems(predicate) == [], "the certificate alone does not show it"

    assert codes(tmp_path, packs.resealed(unseen)) == ("result.differs",)


@pytest.mark.parametrize(
    "change",
    [
        lambda predicate: predicate["environment"].update(device="an accelerator nobody has"),
        lambda predicate: predicate["tool"].update(ranVersion="9.9"),
        lambda predicate: predicate["completeness"]["components"][0].update(produced=10**6),
        lambda predicate: predicate["protocol"]["declared"] and predicate["protocol"].update(languages=["de", "en"]),
    ],
)
def test_judging_again_reads_everything_measured_off_the_document(change: Change, tmp_path: Path) -> None:
    def unseen(predicate: dict[str, Any]) -> None:
        change(predicate)
        packs.reworded(predicate)
        assert problems(predicate) == []

    assert codes(tmp_path, packs.resealed(unseen), rejudge=True) == ("rejudged.differs",)


def _resealed_document(change: Callable[[dict[str, Any]], Any] | bytes) -> dict[str, bytes]:
    """A pack around another document, which the certificate names."""
    if isinstance(change, bytes):
        run = change
    else:
        document = json.loads(packs.genuine()["result.json"])
        change(document)
        run = json.dumps(document).encode()
    named = {"sha256": hashlib.sha256(run).hexdigest(), "bytes": len(run)}
    files = packs.resealed(lambda predicate: predicate["evidence"]["result"].update(named))
    return {**files, "result.json": run}


@pytest.mark.parametrize("role", ["trained", "base"])
def test_the_run_of_another_model_certifies_nothing(role: str, tmp_path: Path) -> None:
    def other(document: dict[str, Any]) -> None:
        (subject,) = (one for one in document["subjects"] if one["role"] == role)
        subject["files"][0]["sha256"] = "0" * 64

    assert codes(tmp_path, _resealed_document(other)) == ("result.model",)


@pytest.mark.parametrize("run", [b"", b"[]", b"{}", b'{"run": 1, "run": 2}', b'{"run": NaN}', b"[" * 10**5, b"\xff"])
def test_a_document_that_is_none_is_refused_under_one_code(run: bytes, tmp_path: Path) -> None:
    assert codes(tmp_path, _resealed_document(run)) == ("result.unreadable",)


@pytest.mark.parametrize(
    "change",
    [
        lambda measured: measured["manifest"].update(sha256="0" * 64),
        lambda measured: measured["manifest"].update(files=99),
        lambda measured: measured.update(codeFiles=["run.py"]),
        lambda measured: measured.update(configurationSha256="0" * 64),
        lambda measured: measured["notReadByRun"].append("nowhere"),
    ],
)
def test_what_is_said_of_files_follows_from_their_list(change: Change, tmp_path: Path) -> None:
    measured = copy.deepcopy(packs.sound_statement()["predicate"]["models"]["trained"]["measured"])
    entries = parse_sums(packs.genuine()[TRAINED_SUMS])
    assert list(describes(measured, entries)) == []
    change(measured)
    assert {fault.code for fault in describes(measured, entries)} == {"models.manifest"}


def test_a_false_description_of_either_model_is_refused(tmp_path: Path) -> None:
    for role in ("trained", "base"):
        files = packs.resealed(lambda p, role=role: p["models"][role]["measured"].update(formats=["gguf"]))
        assert codes(tmp_path / role, files) == ("models.manifest",)
    model = write(tmp_path / "model", model_files("trained"))
    files = packs.resealed(lambda p: p["models"]["trained"]["measured"]["manifest"].update(bytes=1))
    assert codes(tmp_path, files, model=model) == ("models.manifest",)
