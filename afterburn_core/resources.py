"""Finds the files that are no Python: schemas with their examples, and templates.

In a wheel they lie inside the package, under `_data/`. In a checkout, and so in an editable install, they lie beside
the package, where build tools do not map them.
"""

from __future__ import annotations

import re
from pathlib import Path

from afterburn_core.errors import AfterburnError

__all__ = ["golden_documents", "schema_kinds", "schema_path", "schema_versions", "template_dir"]

_PACKAGE = Path(__file__).resolve().parent
_RESULT = "run-result"
_FILE = re.compile(r"(?P<kind>[a-z-]+)-(?P<version>[0-9]+\.[0-9]+)\.json")


def schema_path(version: str = "1.0", kind: str = _RESULT) -> Path:
    """The JSON Schema of one version of the result document, or of another kind of file."""
    known = schema_versions(kind)
    if version not in known:
        what = "result" if kind == _RESULT else kind
        raise AfterburnError(f"there is no {what} schema {version!r}; known versions: {', '.join(known)}")
    return _folder("schemas") / f"{kind}-{version}.json"


def schema_versions(kind: str = _RESULT) -> tuple[str, ...]:
    """Every version of a kind of file with a schema, oldest first."""
    versions = (found["version"] for found in _schemas() if found["kind"] == kind)
    return tuple(sorted(versions, key=lambda version: tuple(int(part) for part in version.split("."))))


def schema_kinds() -> tuple[str, ...]:
    """Every kind of file that has a schema, such as `policy` and `run-result`."""
    return tuple(sorted({found["kind"] for found in _schemas()}))


def _schemas() -> tuple[re.Match[str], ...]:
    found = (_FILE.fullmatch(path.name) for path in _folder("schemas").glob("*.json"))
    return tuple(match for match in found if match is not None)


def golden_documents() -> tuple[Path, ...]:
    """The valid example documents of every version, sorted by name."""
    return tuple(sorted((_folder("schemas") / "examples").glob("*.json")))


def template_dir(name: str) -> Path:
    """The folder of templates called `name`, such as `report`."""
    templates = _folder("templates")
    known = sorted(path.name for path in templates.iterdir() if path.is_dir())
    if name not in known:
        raise AfterburnError(f"there is no template folder {name!r}; known: {', '.join(known)}")
    return templates / name


def _folder(name: str) -> Path:
    packaged, checkout = _PACKAGE / "_data" / name, _PACKAGE.parent / name
    for folder in (packaged, checkout):
        if folder.is_dir():
            return folder
    raise AfterburnError(
        f"the folder {name!r} is missing from this installation of afterburn-core; reinstall it "
        "(`afterburn doctor` shows which installation is in use)"
    )
