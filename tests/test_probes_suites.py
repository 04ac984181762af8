"""Choosing probe sets by name and by file, and the command group `probes`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import attrs
import pytest
from click.testing import CliRunner

from afterburn_core.cli.main import cli, run
from afterburn_core.errors import ConfigError, ProbeError
from afterburn_core.plugin import ProbeSetSpec, hookimpl
from afterburn_core.plugin.registry import Plugin, Registry
from afterburn_core.probes.files import Header, read_probes, write_probes
from afterburn_core.probes.model import Probe, probes_digest
from afterburn_core.probes.suites import choose_sets, full_name, select


def items(seed: int, n: int | None) -> Iterable[Probe]:
    for index in range(5 if n is None else n):
        yield Probe(
            id=f"a-s{seed}-{index}", prompt=f"What is {index} + {seed}?", gold=str(index + seed), checker="number"
        )


def other(seed: int, n: int | None) -> Iterable[Probe]:
    return [Probe(id=f"other-{index}", prompt=f"Name {index}.") for index in range(3)][:n]


def few(seed: int, n: int | None) -> Iterable[Probe]:
    return [Probe(id=f"few-{index}", prompt=f"Say {index}.") for index in range(3)][:n]


def faulty(seed: int, n: int | None) -> Iterable[Probe]:
    return [Probe(id="x", prompt=" ")]


def nothing(seed: int, n: int | None) -> Iterable[Probe]:
    return []


def repeated(seed: int, n: int | None) -> Iterable[Probe]:
    return [Probe(id="x", prompt="a"), Probe(id="x", prompt="b")]


def clashing(seed: int, n: int | None) -> Iterable[Probe]:
    return [Probe(id="few-1", prompt="a")]


def plugin(name: str, **factories: str) -> Plugin:
    module = ModuleType(f"fake_{name}")

    def afterburn_probe_sets() -> Iterable[ProbeSetSpec]:
        for short, factory in factories.items():
            yield ProbeSetSpec(
                name=f"{name}.{short}",
                summary="x",
                licence="CC0-1.0",
                factory=f"{__name__}:{factory}",
                default=short == "usual",
            )

    module.afterburn_probe_sets = hookimpl(afterburn_probe_sets)  # type: ignore[attr-defined]
    return Plugin(name=name, distribution=name, version="1", module=module)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setitem(sys.modules, __name__, sys.modules[items.__module__])
    return Registry([
        plugin("one", sums="items", few="few", words="few"),
        plugin("two", words="items", bad="faulty", none="nothing", twice="repeated", clash="clashing"),
        plugin("behaviour", seldom="items"),
        plugin("three", usual="other", rare="items"),
    ])  # fmt: skip


def test_a_suite_is_named_with_number_and_seed_in_either_order(registry: Registry) -> None:
    for wanted in ("sums:4@7", "sums@7:4", "one.sums:4@7"):
        (used,) = select([wanted], [], seed=0, n=None, registry=registry)
        assert (used.name, used.n, used.seed, used.licence) == ("one.sums", 4, 7, "CC0-1.0")
        assert used.sha256 == probes_digest(used.probes)
        assert {probe.suite for probe in used.probes} == {"one.sums"}
    (used,) = select(["sums"], [], seed=3, n=None, registry=registry)
    assert (used.n, used.seed) == (5, 3)
    (used,) = select(["sums@7"], [], seed=3, n=2, registry=registry)
    assert (used.n, used.seed) == (2, 7)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["smus"], "did you mean 'sums'"),
        (["words"], "could be 'one.words' or 'two.words'; write the full name"),
        (["sums", "one.sums@4"], "asked for twice"),
        (["few:4"], "has 3 items, not 4; ask for at most 3"),
        (["sums:0"], "ask for at least 1"),
        (["sums:x"], "not written as NAME"),
        (["sums:3:3"], "not written as NAME"),
        (["sums@1@1"], "not written as NAME"),
        ([""], "not written as NAME"),
        (["my/file.jsonl"], "for a file use --prompts my/file.jsonl"),
        (["bad"], "prompt is missing or empty"),
        (["none"], "holds no prompts"),
        (["twice"], "has the id 'x' twice"),
        (["few", "clash"], "id 'few-1' is in 'one.few' and in 'two.clash'"),
    ],
)
def test_what_cannot_be_asked_is_refused(registry: Registry, names: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        select(names, [], seed=0, n=None, registry=registry)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_files_of_one_name_are_told_apart_by_renaming(registry: Registry, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_probes(tmp_path / folder / "mine.jsonl", [Probe(id=folder, prompt=folder)], Header())
    with pytest.raises(ConfigError, match="'mine' is asked for twice; rename one of the files"):
        select([], sorted(tmp_path.glob("*/mine.jsonl")), seed=0, n=None, registry=registry)


def test_order_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    probes = [Probe(id=f"p{index:02d}", prompt=f"prompt {index}") for index in range(20)]
    write_probes(tmp_path / "a.jsonl", probes, Header(name="mine"))
    write_probes(tmp_path / "b.jsonl", reversed(probes), Header(name="mine"))
    forwards = select(["sums", "few"], [tmp_path / "a.jsonl"], seed=1, n=7, registry=registry)
    backwards = select(["few", "sums"], [tmp_path / "b.jsonl"], seed=1, n=7, registry=registry)
    assert forwards == backwards
    assert [used.n for used in forwards] == [7, 3, 7]
    other = select([], [tmp_path / "a.jsonl"], seed=2, n=7, registry=registry)
    assert other[0].probes != forwards[0].probes


def test_ids_in_a_file_and_in_a_suite_may_not_clash(registry: Registry, tmp_path: Path) -> None:
    write_probes(tmp_path / "a.jsonl", [Probe(id="few-2", prompt="x")])
    with pytest.raises(ConfigError, match="id 'few-2' is in 'a' and in 'one.few'"):
        select(["few"], [tmp_path / "a.jsonl"], seed=0, n=None, registry=registry)


def test_a_twin_that_is_left_out_is_forgotten(registry: Registry, tmp_path: Path) -> None:
    pairs = [
        Probe(id=f"{kind}{index}", prompt=f"{kind} {index}", twin=f"{other}{index}")
        for index in range(8) for kind, other in (("a", "b"), ("b", "a"))
    ]  # fmt: skip
    write_probes(tmp_path / "a.jsonl", pairs)
    (used,) = select([], [tmp_path / "a.jsonl"], seed=0, n=5, registry=registry)
    kept = {probe.id for probe in used.probes}
    assert all(probe.twin is None or probe.twin in kept for probe in used.probes)


def test_a_run_asks_the_default_sets_and_what_analyzers_need(registry: Registry) -> None:
    def names(suites: list[str], needed: list[str]) -> list[str]:
        sets = choose_sets(registry, suites=suites, files=[], needed=needed, seed=0, limit=4)
        assert all(len(one.probes) <= 4 for one in sets)
        return [one.name for one in sets]

    assert names([], []) == ["three.usual"]
    assert names([], ["one.few"]) == ["one.few", "three.usual"]
    assert names(["few:2"], ["one.few"]) == ["one.few"]
    assert names(["sums"], ["one.few"]) == ["one.few", "one.sums"]


def test_short_names_are_completed(registry: Registry) -> None:
    assert full_name("sums", registry) == "one.sums"
    with pytest.raises(ConfigError, match="there are: none"):
        full_name("sums", Registry())


def test_a_faulty_file_stops_the_selection(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": 3}\n')
    with pytest.raises(ProbeError, match="a.jsonl:1: "):
        select([], [tmp_path / "a.jsonl"], seed=0, n=None, registry=registry)


def test_the_command_writes_what_it_lists_and_reads_it_back(tmp_path: Path) -> None:
    pytest.importorskip("afterburn_behaviour")
    runner = CliRunner()
    listed = runner.invoke(cli, ["probes", "list", "--json"])
    rows = {row["name"]: row for row in json.loads(listed.output)}
    assert rows["behaviour.math"]["n"] >= 120 and rows["behaviour.math"]["licence"] == "Apache-2.0"
    path = tmp_path / "math.jsonl.gz"
    written = runner.invoke(cli, ["probes", "write", "math", "-o", str(path)])
    assert written.exit_code == 0 and rows["behaviour.math"]["sha256"] in written.output
    assert read_probes(path).sha256 == rows["behaviour.math"]["sha256"]
    fresh = runner.invoke(cli, ["probes", "write", "math", "--seed", "7", "--n", "20", "-o", str(tmp_path / "f.jsonl")])
    assert fresh.exit_code == 0 and len(read_probes(tmp_path / "f.jsonl").probes) == 20
    checked = runner.invoke(cli, ["probes", "check", str(path), str(tmp_path / "f.jsonl")])
    assert checked.exit_code == 2 and "asked for twice" in checked.output  # one name
    assert runner.invoke(cli, ["probes", "check", str(path)]).exit_code == 0
    shown = runner.invoke(cli, ["probes", "show", "math:5@7", "--n", "2"])
    assert shown.output.count("\n[math-s7-") == 2
    assert "Apache-2.0" in runner.invoke(cli, ["probes", "show", str(path)]).output
    assert "behaviour.math" in runner.invoke(cli, ["probes", "list"]).output


def test_the_command_tells_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a"}\n{"id": "b", "prompt": "x", "gld": "y"}\n')
    assert run(["probes", "check", str(path)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"{path}:1: prompt is missing or empty; write what the model is asked",
        f"{path}:2: 'gld' is not a field of a probe; did you mean 'gold'?",
    ]
    assert run(["probes", "write", "math", "-o", str(tmp_path / "a.csv")]) == 2
    assert "name it .jsonl" in capsys.readouterr().err


def test_digests_follow_content() -> None:
    probe = Probe(id="a", prompt="x")
    assert probes_digest([probe]) != probes_digest([attrs.evolve(probe, gold="4")])
