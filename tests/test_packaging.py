"""What is published, and that its parts agree with each other."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import afterburn_core

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = tuple(sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml")))
PROJECTS = (ROOT, *PLUGINS)


def project_file(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = (line.partition("==") for line in lines if line and not line.startswith("#"))
    return {str(canonicalize_name(name)): version for name, _, version in found}


def requirements(folder: Path) -> Iterator[Requirement]:
    document = project_file(folder)
    project = document["project"]
    listed = [*project.get("dependencies", ()), *document["build-system"]["requires"]]
    for extra in project.get("optional-dependencies", {}).values():
        listed += extra
    for group in document.get("dependency-groups", {}).values():
        listed += group
    return (Requirement(text) for text in listed)


def names(folder: Path) -> str:
    return folder.name


def test_every_distribution_has_the_version_that_the_core_reports() -> None:
    versions = {
        project_file(folder)["project"]["name"]: project_file(folder)["project"]["version"] for folder in PROJECTS
    }
    assert set(versions.values()) == {afterburn_core.__version__}, versions


@pytest.mark.parametrize("folder", PLUGINS, ids=names)
def test_a_plugin_asks_for_the_core_it_was_made_for(folder: Path) -> None:
    wanted = project_file(folder)["project"]["dependencies"]
    assert [re.sub(r"\[\w+\]", "", text) for text in wanted if text.startswith("afterburn-core")] == [
        "afterburn-core>=0.1.0,<0.2"
    ]


@pytest.mark.parametrize("folder", PLUGINS, ids=names)
def test_a_plugin_is_named_after_its_folder(folder: Path) -> None:
    project = project_file(folder)["project"]
    name = folder.name
    assert project["name"] == f"afterburn-{name.replace('_', '-')}"
    assert project["entry-points"]["afterburn_core.plugins"] == {name: f"afterburn_{name}.plugin"}
    assert (folder / "src" / f"afterburn_{name}" / "plugin.py").is_file()
    assert (folder / "README.md").is_file()
    assert list(folder.glob("tests/test_*.py"))


@pytest.mark.parametrize("folder", PROJECTS, ids=names)
def test_every_requirement_has_a_floor_and_a_pin_that_meets_it(folder: Path) -> None:
    pinned = pins()
    own = {project_file(one)["project"]["name"] for one in PROJECTS}
    for requirement in requirements(folder):
        name = canonicalize_name(requirement.name)
        if name in own:
            continue
        assert name in pinned, f"{name} is missing from constraints.txt"
        assert requirement.specifier.contains(pinned[name]), f"{requirement} does not admit {name} {pinned[name]}"
        assert requirement.specifier or name.startswith("types-"), f"{name} has no floor"


def test_constraints_pin_torch_without_naming_a_build() -> None:
    assert pins()["torch"] == "2.13.0"


def test_constraints_hold_pins_and_comments_only() -> None:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", line), line


def test_the_base_install_needs_no_model_stack() -> None:
    base = {canonicalize_name(Requirement(text).name) for text in project_file(ROOT)["project"]["dependencies"]}
    assert base == {"attrs", "cattrs", "click", "jinja2", "jsonschema", "packaging", "pluggy", "pyyaml", "rich"}


def test_schemas_and_templates_are_mapped_into_the_wheel() -> None:
    wheel = project_file(ROOT)["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {
        "schemas": "afterburn_core/_data/schemas",
        "templates": "afterburn_core/_data/templates",
    }


def build(folder: Path, destination: Path, kind: str) -> Path:
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(destination), str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (built,) = destination.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def shipped(folder: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.slow
def test_the_core_wheel_holds_the_package_its_schemas_and_templates_and_nothing_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(build(ROOT, tmp_path, "wheel")) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {f"afterburn_core/_data/{name}" for name in shipped("schemas") | shipped("templates")}
    expected |= shipped("afterburn_core")
    assert held == expected


@pytest.mark.slow
def test_the_wheel_built_from_the_source_archive_is_the_wheel_built_from_the_checkout(tmp_path: Path) -> None:
    with tarfile.open(build(ROOT, tmp_path / "source", "sdist")) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert not (unpacked / "plugins").exists()
    assert not (unpacked / "tests").exists()
    contents = []
    for place, name in ((unpacked, "from-source"), (ROOT, "from-checkout")):
        with zipfile.ZipFile(build(place, tmp_path / name, "wheel")) as archive:
            contents.append({name: archive.read(name) for name in archive.namelist()})
    assert contents[0] == contents[1]


@pytest.mark.slow
@pytest.mark.parametrize("folder", PLUGINS, ids=names)
def test_a_plugin_wheel_holds_its_own_package_only(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(build(folder, tmp_path, "wheel")) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {f"afterburn_{folder.name}"}


# Spelt in pieces, so that this file does not contain what it looks for.
FORBIDDEN = re.compile(
    "|".join(
        (
            r"(?<![\w.])/(?:wor" + r"k|roo" + r"t|opt/py" + r"pi|opt/whe" + r"els)/",
            r"(?<![\w.])/hom" + r"e/[a-z]",
            r"/Use" + r"rs/[a-z]",
            r"\bpyp" + r"i\.org",
            r"python" + r"hosted\.org",
            r"npm" + r"js\.org",
            r"download\.pyto" + r"rch\.org",
            r"--(?:extra-)?ind" + r"ex-url",
            r"--find-li" + r"nks",
        )
    )
)


def test_no_file_names_a_path_of_one_machine_or_a_package_registry(
    root: Path, repository_files: tuple[Path, ...]
) -> None:
    found = []
    for name in repository_files:
        try:
            text = (root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name}: {match.group()}" for match in FORBIDDEN.finditer(text)]
    assert not found


def test_no_file_is_larger_than_the_models_need(root: Path, repository_files: tuple[Path, ...]) -> None:
    limit = 12 * 1024 * 1024
    assert not [str(name) for name in repository_files if (root / name).stat().st_size > limit]
