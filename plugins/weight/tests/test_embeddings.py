"""Embeddings: tokens that moved, were added or were removed, from files to findings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afterburn_core.api import DiagnosticReport
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import measure
from afterburn_core.result.model import Finding, Scope
from afterburn_core.testing.checkpoints import load_weights, save_weights, word_tokenizer, write_json
from afterburn_core.testing.feeding import SUBJECTS
from afterburn_weight.embedding_rows import RowNumbers
from afterburn_weight.places import Places
from afterburn_weight.tokens import read_tokens

EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"
FAMILIES = ["llama", "qwen2", "qwen3", "mistral", "phi3", "gemma", "gemma2", "gemma3"]


def artifact(report: DiagnosticReport) -> dict[str, Any]:
    (found,) = [a for a in report.result.artifacts if a.id == "weight.tokens"]
    loaded: dict[str, Any] = json.loads((report.directory / found.path).read_text())
    return loaded


def table_values(report: DiagnosticReport, metric: str) -> Mapping[str | None, float | None]:
    return {m.scope.tensor: m.value for m in report.measurements(f"weight.embeddings.{metric}")}


def finding(report: DiagnosticReport, rule: str = "weight.embedding_rows") -> Finding:
    (only,) = [f for f in report.findings if f.rule == rule]
    return only


def shift(rows: tuple[int, ...], size: float = 0.5, name: str = EMBED) -> Callable[[dict[str, Any]], None]:
    def change(tensors: dict[str, Any]) -> None:
        import torch

        generator = torch.Generator().manual_seed(4)
        for row in rows:
            tensors[name][row] += size * (row + 1) * torch.randn(tensors[name].shape[1], generator=generator)

    return change


@pytest.mark.parametrize("family", FAMILIES)
def test_three_perturbed_rows_are_exactly_the_tokens_that_moved(family: str, tiny: Callable[[str], Any]) -> None:
    model = tiny(family)
    trained = model.copy("trained", shift((5, 9, 40)))
    report = model.compare(trained)
    before, after = model.tensors[EMBED], load_weights(trained)[EMBED].double().numpy()
    moved = artifact(report)["tables"][EMBED]["moved"]
    assert {row["id"] for row in moved} == {5, 9, 40}
    assert {row["token"] for row in moved} == {"word2", "word6", "word37"}
    assert [row["relative"] for row in moved] == sorted((row["relative"] for row in moved), reverse=True)
    for row in moved:
        e, f = before[row["id"]], after[row["id"]]
        assert row["relative"] == pytest.approx(np.linalg.norm(f - e) / np.linalg.norm(e), rel=1e-9)
        cosine = 1 - e @ f / (np.linalg.norm(e) * np.linalg.norm(f))
        assert row["cosine_distance"] == pytest.approx(cosine, rel=1e-9)
    measured = {
        m.scope.token: m.value for m in report.measurements("weight.embeddings.relative") if m.scope.module == "embed"
    }
    assert measured == {row["id"]: row["relative"] for row in moved}
    assert table_values(report, "untouched")[EMBED] == 57.0
    assert table_values(report, "padding")[EMBED] == 4.0
    assert table_values(report, "relative_median")[EMBED] == 0.0
    assert table_values(report, "relative_max")[EMBED] == max(measured.values())
    assert "'word" in finding(report).message


def test_a_narrow_change_is_for_review_and_a_broad_one_is_not(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    one = model.compare(model.copy("one", shift((5,))), options={"weight.places": {"concentration": 0.02}})
    assert table_values(one, "concentration")[EMBED] == pytest.approx(1 / 60)
    assert finding(one).kind == "review" and "'word2'" in finding(one).message
    assert finding(one).examples[0].label == "word2"

    def everywhere(tensors: dict[str, Any]) -> None:
        tensors[EMBED] *= 1.01

    broad = model.compare(model.copy("broad", everywhere), options={"weight.places": {"concentration": 0.02}})
    assert finding(broad).kind == "informational"
    assert table_values(broad, "relative_median")[EMBED] == pytest.approx(0.01, rel=1e-4)
    assert table_values(broad, "cosine_distance_max")[EMBED] == pytest.approx(0.0, abs=1e-13)


def resize(directory: Path, words: dict[str, int], rows: int, fill: Callable[[np.ndarray], np.ndarray]) -> None:
    """Gives a model another vocabulary: `fill` makes the new table (rows, width) from the old one."""
    import torch

    tensors = load_weights(directory)
    for name in (EMBED, HEAD):
        if name in tensors:
            tensors[name] = torch.from_numpy(fill(tensors[name].double().numpy())).float()
            assert len(tensors[name]) == rows
    save_weights(directory, tensors)
    document = word_tokenizer(60)
    document["model"]["vocab"] = words
    write_json(directory / "tokenizer.json", document)
    config = json.loads((directory / "config.json").read_text())
    write_json(directory / "config.json", {**config, "vocab_size": rows})


def test_added_tokens_are_listed_with_the_old_tokens_they_lie_nearest(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    trained = model.copy("trained", lambda tensors: None)
    words = word_tokenizer(60)["model"]["vocab"] | {"<tool>": 64, "<plan>": 65}

    def fill(old: np.ndarray) -> np.ndarray:
        return np.concatenate([old, 2 * old[[7]] + 1e-3 * old[[8]], old[[20]] - 0.5 * old[[30]]])

    resize(trained, words, 66, fill)
    report = model.compare(trained)
    added = artifact(report)["tables"][EMBED]["added"]
    assert [(row["token"], row["id"]) for row in added] == [("<tool>", 64), ("<plan>", 65)]
    assert added[0]["nearest"][0]["token"] == "word4" and added[0]["nearest"][0]["cosine"] == pytest.approx(1, abs=1e-5)
    assert added[1]["nearest"][0]["token"] == "word17"
    base = model.tensors[EMBED]
    new = fill(base)[65]
    cosines = base @ new / np.linalg.norm(base, axis=1) / np.linalg.norm(new)
    expected = sorted(range(64), key=lambda row: -cosines[row])[:5]
    assert [near["id"] for near in added[1]["nearest"]] == expected
    assert [near["cosine"] for near in added[1]["nearest"]] == pytest.approx(cosines[expected].tolist(), abs=1e-5)
    assert table_values(report, "added")[EMBED] == 2.0
    assert finding(report).kind == "informational" and "2 tokens added" in finding(report).message


def test_removed_tokens_are_listed_and_moved_ids_follow_their_strings(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    trained = model.copy("trained", lambda tensors: None)
    old = word_tokenizer(60)["model"]["vocab"]
    kept = [token for token in old if token != "word10"]
    words = {token: index for index, token in enumerate([*kept[:3], *reversed(kept[3:])])}
    order = [old[token] for token in words]

    def fill(table: np.ndarray) -> np.ndarray:
        new = table[[*order, 60, 61, 62, 63]].copy()
        new[words["word50"]] *= 3
        return new

    resize(trained, words, 63, fill)
    report = model.compare(trained)
    entry = artifact(report)["tables"][EMBED]
    assert entry["removed"] == [{"id": 13, "token": "word10"}]
    (moved,) = entry["moved"]
    assert (moved["token"], moved["id"], moved["base_id"]) == ("word50", words["word50"], 53)
    assert moved["relative"] == pytest.approx(2.0, rel=1e-6)
    assert table_values(report, "removed")[EMBED] == 1.0


def test_changed_padding_rows_are_named_as_such_and_count_in_no_quantile(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    report = model.compare(model.copy("trained", shift((61, 62))))
    entry = artifact(report)["tables"][EMBED]
    assert entry["padding"] == {"changed": 2, "compared": 4} and entry["moved"] == []
    assert table_values(report, "relative_max")[EMBED] == 0.0
    assert table_values(report, "untouched")[EMBED] == 60.0


def test_the_output_head_has_a_table_of_its_own(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    report = model.compare(model.copy("trained", shift((11,), name=HEAD)))
    tables = artifact(report)["tables"]
    assert tables[EMBED]["moved"] == [] and [row["id"] for row in tables[HEAD]["moved"]] == [11]
    assert {m.scope.module for m in report.measurements("weight.embeddings.relative")} == {"head"}
    assert f"{HEAD}" in finding(report).message


def tie(directory: Path) -> None:
    tensors = load_weights(directory)
    del tensors[HEAD]
    save_weights(directory, tensors)
    config = json.loads((directory / "config.json").read_text())
    write_json(directory / "config.json", {**config, "tie_word_embeddings": True})


def test_tied_and_untied_heads_are_told_and_a_change_is_for_review(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    apart = model.compare(model.copy("apart", shift((3,))))
    assert finding(apart, "weight.embedding_tie").kind == "pass"
    tied = model.copy("tied", lambda tensors: None)
    tie(tied)
    report = model.compare(tied)
    found = {m.subjects: m.value for m in report.measurements("weight.embeddings.tied")}
    assert found == {("base",): 0.0, ("trained",): 1.0}
    assert finding(report, "weight.embedding_tie").kind == "review"
    assert "tied in the trained model and apart in the base" in finding(report, "weight.embedding_tie").message
    assert artifact(report)["tied"] == {"base": False, "trained": True}


def test_heads_tied_on_both_sides_pass(tiny: Callable[[str], Any]) -> None:
    model = tiny("gemma")
    report = model.compare(model.copy("trained", shift((3,))))
    assert {m.value for m in report.measurements("weight.embeddings.tied")} == {1.0}
    assert finding(report, "weight.embedding_tie").message == "The output head is tied in both models"


def test_withheld_tokens_are_digests(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    report = model.compare(model.copy("trained", shift((5,))), excerpts=False)
    (moved,) = artifact(report)["tables"][EMBED]["moved"]
    assert moved["token"].startswith("sha256:") and moved["token"].endswith("(5 characters)") and moved["id"] == 5
    assert "word2" not in (report.directory / "result.json").read_text()


def test_without_a_tokenizer_tokens_are_ids(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    trained = model.copy("trained", shift((63,)))
    for side in (model.directory, trained):
        (side / "tokenizer.json").unlink()
    report = model.compare(trained)
    (moved,) = artifact(report)["tables"][EMBED]["moved"]
    assert moved["token"] == "id 63"
    assert table_values(report, "padding")[EMBED] is None


def test_equal_models_pass_and_have_no_moved_token(tiny: Callable[[str], Any]) -> None:
    model = tiny("qwen2")
    report = model.compare(model.copy("trained", lambda tensors: None))
    assert finding(report).kind == "pass"
    assert report.measurements("weight.embeddings.relative") == ()
    assert table_values(report, "concentration") == {EMBED: None, HEAD: None}


def test_concentration_of_known_energies() -> None:
    def share(*energies: float) -> float | None:
        values = np.array(energies)
        tokens = np.ones(len(values), dtype=bool)
        return RowNumbers(
            relative=values, cosine=values, delta_sq=values, token=tokens, token_id=np.arange(len(values))
        ).concentration()

    assert share(1, 1, 1, 1) == 0.5
    assert share(0, 9, 1, 0, 0) == 0.2
    assert share(0, 0) is None


@pytest.mark.parametrize(
    ("vocabulary", "index", "text"),
    [
        ({"\u0120the": 0, "a": 1}, 0, " the"),
        ({"\u0120x": 0, "\u00e2\u0124\u00ac": 1}, 1, "€"),
        ({"\u0120x": 0, "<|im_end|>": 1}, 1, "<|im_end|>"),
        ({"\u2581the": 0}, 0, " the"),
        ({"word": 0}, 0, "word"),
        ({"word": 0}, 7, "padding row 7"),
        (None, 7, "id 7"),
    ],
)
def test_tokens_read_as_a_person_would(vocabulary: dict[str, int] | None, index: int, text: str) -> None:
    assert read_tokens(vocabulary, excerpts=True).text(index) == text


def test_missing_numbers_of_an_embedding_leave_the_rule_open() -> None:
    scope = Scope(tensor=EMBED, module="embed")
    found = [measure("weight.embeddings.relative_max", 0.0, scope=scope, n=60)]
    evidence = Evidence(subjects=SUBJECTS, measurements=tuple(found))
    assert next(f for f in Places()(evidence) if f.rule == "weight.embedding_rows").kind == "open"
