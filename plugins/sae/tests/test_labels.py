"""Labels of features from the files that people have, with where they come from."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest

from afterburn_core.errors import ConfigError
from afterburn_sae.labels import read_labels, require


def test_a_bulk_export_gives_the_best_label_of_the_dictionary_meant(tmp_path: Path) -> None:
    folder = tmp_path / "v1" / "gemma-2-2b" / "12-res-16k" / "explanations"
    folder.mkdir(parents=True)
    (folder.parent / "features").mkdir()
    (folder.parent / "features" / "batch-0.jsonl").write_text('{"index": 7, "description": "not an explanation"}\n')
    rows = [
        {"modelId": "gemma-2-2b", "layer": "12-res-16k", "index": "7", "description": "  cats\n and dogs",
         "explanationModelName": "gpt-4o-mini", "embedding": "[0.1, 0.2]"},
        {"modelId": "gemma-2-2b", "layer": "12-res-16k", "index": 7, "description": "pets", "typeName": "np_max",
         "explanationModelName": "gpt-3.5-turbo"},
        {"modelId": "gemma-2-2b", "layer": "12-res-16k", "index": 9, "description": "low", "scoreV1": 0.1},
        {"modelId": "gemma-2-2b", "layer": "12-res-16k", "index": 9, "description": "high", "scoreV1": "0.9"},
        {"modelId": "gemma-2-2b", "layer": "13-res-16k", "index": 7, "description": "another layer", "scoreV1": 1},
    ]  # fmt: skip
    with gzip.open(folder / "batch-0.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))

    found, notes = read_labels((str(tmp_path),), (7, 9, 11), "gemma-2-2b/12-res-16k")
    assert {feature: label.text for feature, label in found.items()} == {7: "cats and dogs", 9: "high"}
    assert found[7].to_dict() == {
        "text": "cats and dogs",
        "source": "batch-0.jsonl.gz: gemma-2-2b/12-res-16k",
        "explainer": "gpt-4o-mini",
        "score": None,
        "auto_generated": True,
    }
    assert found[9].score == 0.9 and "1 labels speak of other dictionaries" in notes[0]


def test_csv_jsonl_and_mappings_are_read(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerows([["feature_id", "label", "score"], [3, "from csv", 0.5], ["x", "no number", 1]])
    (tmp_path / "b.jsonl").write_text(
        '{"id": 4, "text": "from jsonl", "explainer": "me"}\n\n{"id": 3, "text": "later"}\n'
    )
    (tmp_path / "c.json").write_text('{"5": "from a mapping"}')
    found, _ = read_labels([str(tmp_path / name) for name in ("a.csv", "b.jsonl", "c.json")], range(9))
    assert {n: (one.text, one.explainer, one.score) for n, one in sorted(found.items())} == {
        3: ("from csv", None, 0.5),
        4: ("from jsonl", "me", None),
        5: ("from a mapping", None, None),
    }


def test_what_holds_no_labels_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"id": 1, "text": "fine"}\n{"id": 2,')
    with pytest.raises(ConfigError, match=r"bad\.jsonl: cannot be read at line 2"):
        read_labels((str(tmp_path / "bad.jsonl"),), (1,))
    (tmp_path / "empty").mkdir()
    for path, told in (("missing", "no such file"), ("empty", "holds no file"), ("notes.txt", "not one of")):
        if path.endswith("txt"):
            (tmp_path / path).write_text("")
        with pytest.raises(ConfigError, match=told):
            require([str(tmp_path / path)])
