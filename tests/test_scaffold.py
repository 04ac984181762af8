"""`afterburn plugin new`: what it writes is a plugin that works, and what it cannot write it refuses."""

from __future__ import annotations

import ast
import csv
import os
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy
import pytest
from click.testing import CliRunner

from afterburn_core import __version__
from afterburn_core.cli.plugin_commands import plugin
from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import GROUP
from afterburn_core.plugin.scaffold import KINDS, core_range, render_plugin
from afterburn_core.result import codec
from afterburn_core.testing import planted_pair
from afterburn_core.testing.checkpoints import load_weights
from afterburn_core.testing.distributions import install_distribution

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_renders_a_complete_package(kind: str, tmp_path: Path) -> None:
    folder = render_plugin("my_thing", kind, tmp_path / "made")
    assert folder == tmp_path / "made"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    package = "src/afterburn_my_thing"
    assert {"pyproject.toml", "README.md", f"{package}/plugin.py", "tests/test_my_thing.py"} <= files
    assert len([file for file in files if file.startswith(package)]) == 4  # __init__, plugin, the work, py.typed
    for file in files:
        text = (folder / file).read_text(encoding="utf-8")
        assert "{{" not in text and "{%" not in text and "NAME" not in text, file
        if file.endswith(".py"):
            assert ast.get_docstring(ast.parse(text)), f"{file} has no docstring"


@pytest.mark.parametrize("kind", KINDS)
def test_the_metadata_name_the_plugin_and_bound_the_core(kind: str, tmp_path: Path) -> None:
    project = tomllib.loads((render_plugin("my_thing", kind, tmp_path / "made") / "pyproject.toml").read_text())[
        "project"
    ]
    assert project["name"] == "afterburn-my-thing"
    assert project["entry-points"][GROUP] == {"my_thing": "afterburn_my_thing.plugin"}
    (core,) = (text for text in project["dependencies"] if text.startswith("afterburn-core"))
    assert core.endswith(core_range(__version__))


def test_the_range_of_the_core_ends_before_the_next_minor() -> None:
    assert core_range("0.1.0") == ">=0.1.0,<0.2"
    assert core_range("2.13.5") == ">=2.13.5,<2.14"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_rendered_is_clean_for_ruff(kind: str, tmp_path: Path) -> None:
    folder = render_plugin("my_thing", kind, tmp_path / "made")
    for arguments in (["check", "--select", "B,C4,E,F,I,PIE,RUF,SIM,UP,W"], ["format", "--check"]):
        ruff = Path(sys.executable).with_name("ruff")
        if not ruff.exists():
            pytest.skip("ruff is not installed beside this interpreter")
        finished = subprocess.run(
            [ruff, *arguments, "--no-cache", "."], cwd=folder, capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stdout


def installed(kind: str, tmp_path: Path) -> tuple[Path, list[Path]]:
    """A new plugin called `my_<kind>`, and what its users' `sys.path` would hold."""
    folder = render_plugin(f"my_{kind}", kind, tmp_path / f"my_{kind}")
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    site = install_distribution(
        tmp_path / "site",
        project["name"],
        entry_points=project["entry-points"][GROUP],
        requires=tuple(project["dependencies"]),
        version=project["version"],
    )
    return folder, [folder / "src", site]


def run(arguments: list[str], folder: Path, paths: list[Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*paths, ROOT)))},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_its_own_tests_and_the_conformance_kit(kind: str, tmp_path: Path) -> None:
    folder, paths = installed(kind, tmp_path)
    finished = run(["pytest", "-q", "-W", "error", "-p", "no:cacheprovider"], folder, paths)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-2000:]
    summary = finished.stdout.strip().splitlines()[-1]
    assert "passed" in summary and "failed" not in summary and "skipped" not in summary, finished.stdout[-2000:]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("afterburn_weight") is None, reason="the weight plugin is not installed")
def test_new_plugins_of_every_kind_work_together_in_a_real_run(tmp_path: Path) -> None:
    paths = [path for kind in KINDS for path in installed(kind, tmp_path)[1]]
    pair = planted_pair(tmp_path / "pair", rows=(0, 3), dtype="float32")
    for side in (pair.base, pair.trained):
        numpy.savez(side.with_suffix(".npz"), **{name: value.numpy() for name, value in load_weights(side).items()})
    subjects = ["--base", str(pair.base.with_suffix(".npz")), "--trained", str(pair.trained.with_suffix(".npz"))]
    finished = run(["afterburn_core", "diagnose", *subjects, "-o", "out.csv", "-o", "out.json"], tmp_path, paths)
    assert finished.returncode == 0, finished.stderr[-3000:]
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["metric"], row["scope"]): row["value"] for row in csv.DictReader(file)}
    assert rows["my_analyzer.newly_zero_fraction", f"tensor={pair.planted}"] == str(2 / 16)
    assert rows["my_analyzer.newly_zero_fraction", "layer=0"] == "0.0"
    result = codec.read(tmp_path / "out.json")
    assert {subject.backend for subject in result.subjects} == {"my_backend.npz"}
    (finding,) = (finding for finding in result.findings if finding.rule == "my_detector.change_within_limit")
    assert finding.kind == "pass"
    assert {execution.status for execution in result.executions if execution.plugin.startswith("my_")} == {"ok"}


@pytest.mark.parametrize(
    "name", ["", "My_plugin", "my-plugin", "1st", "_my", "my__plugin", "my_", "my.plugin", "über", "a/b"]
)
def test_a_name_that_is_not_lower_snake_case_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lower snake case"):
        render_plugin(name, "analyzer", tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_the_core_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="belongs to the core"):
        render_plugin("core", "analyzer", tmp_path / "made")


def test_an_unknown_kind_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'analyzer'"):
        render_plugin("mine", "analyser", tmp_path / "made")


def test_a_directory_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("kept")
    with pytest.raises(ConfigError, match="is there already; give another directory"):
        render_plugin("mine", "analyzer", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_place_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be created"):
        render_plugin("mine", "analyzer", tmp_path / "file" / "made")


def test_the_command_writes_into_the_working_directory_and_says_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(plugin, ["new", "my_thing", "--kind", "reporter"], catch_exceptions=False)
    assert result.exit_code == 0
    assert (tmp_path / "afterburn-my-thing" / "pyproject.toml").is_file()
    assert "pip install ./afterburn-my-thing" in result.output
    assert "afterburn plugin check my_thing" in result.output


def test_the_command_lets_errors_through_for_one_line_on_the_terminal(tmp_path: Path) -> None:
    result = CliRunner().invoke(plugin, ["new", "mine", "--kind", "reporter", "--out", str(tmp_path)])
    assert isinstance(result.exception, ConfigError)
