"""Schemas and templates are found in a checkout and in a wheel, and their absence is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from afterburn_core import resources
from afterburn_core.errors import AfterburnError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package without any resources."""
    folder = tmp_path / "site-packages" / "afterburn_core"
    folder.mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", folder)
    return folder


def test_the_schema_of_every_version_is_found() -> None:
    assert "1.0" in resources.schema_versions()
    for version in resources.schema_versions():
        schema = json.loads(resources.schema_path(version).read_text(encoding="utf-8"))
        assert schema["$id"] == f"https://w3id.org/afterburn/schemas/run-result-{version}.json"


def test_every_golden_document_is_found_and_none_of_the_invalid_ones() -> None:
    names = [path.name for path in resources.golden_documents()]
    assert names == sorted(names)
    assert {"1.0-identity.json", "1.0-finetune.json", "1.0-incomplete.json", "1.0-hostile.json"} <= set(names)
    assert all(path.parent.name == "examples" for path in resources.golden_documents())


def test_template_folders_are_found_by_name() -> None:
    assert resources.template_dir("report").is_dir()


def test_an_unknown_version_or_template_is_refused_with_the_known_ones() -> None:
    with pytest.raises(AfterburnError, match=r"'9\.9'; known versions: 1\.0"):
        resources.schema_path("9.9")
    with pytest.raises(AfterburnError, match=r"'../schemas'; known: .*report"):
        resources.template_dir("../schemas")


def test_versions_are_ordered_as_numbers(package: Path) -> None:
    schemas = package / "_data" / "schemas"
    schemas.mkdir(parents=True)
    for version in ("1.10", "1.2", "2.0"):
        (schemas / f"run-result-{version}.json").touch()
    assert resources.schema_versions() == ("1.2", "1.10", "2.0")


def test_what_the_wheel_packages_goes_before_a_folder_beside_the_package(package: Path) -> None:
    for folder in (package / "_data" / "templates" / "report", package.parent / "templates" / "report"):
        folder.mkdir(parents=True)
    assert resources.template_dir("report") == package / "_data" / "templates" / "report"


def test_an_installation_without_resources_says_what_to_do(package: Path) -> None:
    with pytest.raises(AfterburnError, match=r"'schemas' is missing from this installation.*reinstall"):
        resources.golden_documents()
