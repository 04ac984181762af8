"""The cache of the weights pass: found by content, safe against kills and damage, never in the way."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.plugin.registry import Registry
from afterburn_core.result.model import Result
from afterburn_core.run.cache import RowCache, cache_key, default_cache_dir
from afterburn_core.run.configuration import Settings
from afterburn_core.run.diagnose import diagnose
from afterburn_core.testing.checkpoints import load_weights, read_json, save_weights, write_json
from afterburn_core.testing.pairs import Pair, planted_pair

TENSORS = 21
Runner = Callable[..., Result]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return planted_pair(tmp_path / "pair", noise=1e-2)


@pytest.fixture
def run(tmp_path: Path, pair: Pair) -> Runner:
    """Runs the pair with a cache of its own; keyword arguments are settings."""
    registry, numbers = Registry.discover(only=("weight",)), iter(range(100))

    def call(**changes: Any) -> Result:
        settings = Settings(
            base=str(pair.base), trained=str(pair.trained), run_dir=str(tmp_path / f"run-{next(numbers)}"),
            cache_dir=str(tmp_path / "cache"), device="cpu", threads=2,
        )  # fmt: skip
        return diagnose(attrs.evolve(settings, **changes), registry).result

    return call


def counters(result: Result) -> dict[str, int]:
    (execution,) = [e for e in result.executions if e.component == "core.weights_pass"]
    return {name: execution.counters[name] for name in ("from_cache", "bytes_read")}


def rows_file(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "cache").glob("*/*/rows.jsonl")
    return path


def weight_bytes(pair: Pair) -> int:
    return 2 * sum(value.nbytes for value in load_weights(pair.base).values())


def test_a_second_run_reads_no_weights_and_measures_the_same(run: Runner, pair: Pair) -> None:
    first, second = run(), run()
    assert counters(first) == {"from_cache": 0, "bytes_read": weight_bytes(pair)}
    assert counters(second) == {"from_cache": TENSORS, "bytes_read": 0}
    assert second.measurements == first.measurements
    assert second.findings == first.findings
    assert second.run.id == first.run.id


def test_without_the_cache_everything_is_read_and_nothing_written(run: Runner, tmp_path: Path, pair: Pair) -> None:
    run(cache=False)
    assert not (tmp_path / "cache").exists()
    run()
    assert counters(run(cache=False)) == {"from_cache": 0, "bytes_read": weight_bytes(pair)}


@pytest.mark.parametrize("side", ["base", "trained"])
def test_another_weight_on_either_side_is_another_entry(run: Runner, pair: Pair, side: str) -> None:
    first = run()
    folder: Path = getattr(pair, side)
    tensors = load_weights(folder)
    tensors["model.norm.weight"] = tensors["model.norm.weight"] * 2
    save_weights(folder, tensors)
    second = run()
    assert counters(second) == {"from_cache": 0, "bytes_read": weight_bytes(pair)}
    assert second.measurements != first.measurements
    assert second.run.id != first.run.id


def test_another_configuration_is_another_entry(run: Runner, pair: Pair) -> None:
    """It decides how tensors are paired."""
    run()
    config = read_json(pair.trained / "config.json")
    write_json(pair.trained / "config.json", {**config, "tie_word_embeddings": True})
    assert counters(run())["from_cache"] == 0


def test_a_moved_copy_of_the_checkpoints_is_the_same_entry(run: Runner, pair: Pair, tmp_path: Path) -> None:
    run()
    pair.base.rename(tmp_path / "elsewhere")
    assert counters(run(base=str(tmp_path / "elsewhere")))["from_cache"] == TENSORS


def test_a_torn_last_line_costs_one_tensor(run: Runner, tmp_path: Path) -> None:
    first = run()
    path = rows_file(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    second = run()
    assert counters(second)["from_cache"] == TENSORS - 1
    assert second.measurements == first.measurements
    assert counters(run())["from_cache"] == TENSORS, "the row that follows a torn line is whole"


@pytest.mark.parametrize(
    "damage",
    [b"\x00" * 40, b"{", b"[]", b"null", b'{"name": "x"}', b'"text"', b"\xff\xfe", b'{"name": ["x"], "value": {}}'],
    ids=repr,
)
def test_a_damaged_line_is_computed_again(run: Runner, tmp_path: Path, damage: bytes) -> None:
    first = run()
    path = rows_file(tmp_path)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:3], damage, *lines[4:]]))
    second = run()
    assert counters(second)["from_cache"] == TENSORS - 1
    assert second.measurements == first.measurements


@pytest.mark.parametrize(
    "value",
    [{}, None, 3, {"n": 5}, {"unknown": 1.0}, "text"],
    ids=repr,
)
def test_a_row_of_another_shape_is_computed_again(run: Runner, tmp_path: Path, value: Any) -> None:
    first = run()
    path = rows_file(tmp_path)
    lines = path.read_bytes().split(b"\n")
    row = json.loads(lines[5])
    lines[5] = json.dumps({"name": row["name"], "value": value}).encode()
    path.write_bytes(b"\n".join(lines))
    second = run()
    assert counters(second)["from_cache"] == TENSORS - 1
    assert second.measurements == first.measurements


def test_a_row_of_another_number_of_elements_is_computed_again(run: Runner, tmp_path: Path) -> None:
    first = run()
    path = rows_file(tmp_path)
    lines = path.read_bytes().split(b"\n")
    row = json.loads(lines[5])
    row["value"]["n"] += 1
    lines[5] = json.dumps(row).encode()
    path.write_bytes(b"\n".join(lines))
    second = run()
    assert counters(second)["from_cache"] == TENSORS - 1
    assert second.measurements == first.measurements


def test_a_killed_run_is_resumed_where_it_stopped(run: Runner, tmp_path: Path) -> None:
    first = run()
    path = rows_file(tmp_path)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:8], b""]))
    second = run()
    assert counters(second)["from_cache"] == 8
    assert second.measurements == first.measurements


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_stops_the_run_before_it_begins(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="cannot be written.*--cache-dir.*--no-cache"):
        run()


def test_a_cache_below_a_file_is_refused_with_what_to_do(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cache .*file.* cannot be created .*--cache-dir or --no-cache"):
        run(cache_dir=str(tmp_path / "file" / "cache"))


def test_rows_that_cannot_be_read_are_an_error_and_not_an_empty_cache(run: Runner, tmp_path: Path) -> None:
    run()
    path = rows_file(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match="cannot be read.*--no-cache"):
        run()


def test_a_full_disk_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    cache = RowCache(tmp_path, cache_key({"a": 1}), {})
    folder = next(iter(_entry_folder(tmp_path)))
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").symlink_to("/dev/full")
    with pytest.raises(SubjectError, match="No space left.*free some space"):
        cache.append("w", {"n": 1})


def _entry_folder(root: Path) -> list[Path]:
    key = cache_key({"a": 1})
    return [root / key[:2] / key]


def test_rows_come_back_as_they_were_and_the_last_of_a_name_counts(tmp_path: Path) -> None:
    cache = RowCache(tmp_path, "ab" * 32, {"kind": "test"})
    assert cache.load() == {}
    cache.append("w", {"x": 0.1})
    cache.append("v", {"x": 1e-300})
    cache.append("w", {"x": 0.2})
    cache.close()
    again = RowCache(tmp_path, "ab" * 32, {"kind": "test"})
    assert again.load() == {"w": {"x": 0.2}, "v": {"x": 1e-300}}
    again.discard()
    assert RowCache(tmp_path, "ab" * 32, {}).load() == {}


def test_keys_depend_on_content_and_not_on_order() -> None:
    assert cache_key({"a": 1, "b": 2}) == cache_key({"b": 2, "a": 1})
    assert cache_key({"a": 1, "b": 2}) != cache_key({"a": 1, "b": 3})


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AFTERBURN_CACHE_DIR", str(tmp_path / "own"))
    assert default_cache_dir() == tmp_path / "own"
    monkeypatch.delenv("AFTERBURN_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "afterburn"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache_dir() == tmp_path / "home" / ".cache" / "afterburn"


def test_a_file_that_changes_during_the_run_spoils_the_entry(
    run: Runner, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = RowCache.append

    def touch(self: RowCache, name: str, value: Any) -> None:
        append(self, name, value)
        os.utime(pair.trained / "model.safetensors", ns=(1, 1))

    monkeypatch.setattr(RowCache, "append", touch)
    with pytest.raises(SubjectError, match="changed while it was being read"):
        run()
    assert not list((tmp_path / "cache").glob("*/*/rows.jsonl")), "rows of a mixture must not be found again"
