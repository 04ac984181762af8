"""Finds the files that are no Python: schemas with their examples, and templates.

In a wheel they lie inside the package, under `_data/`. In a checkout, and so in an editable install, they lie beside
the package, where build tools do not map them.
"""

from __future__ import annotations

from pathlib import Path

from afterburn_core.errors import AfterburnError

__all__ = ["golden_documents", "schema_path", "schema_versions", "template_dir"]

_PACKAGE = Path(__file__).resolve().parent
_PREFIX, _SUFFIX = "run-result-", ".json"


def schema_path(version: str = "1.0") -> Path:
    """The JSON Schema of one version of the result document."""
    path = _folder("schemas") / f"{_PREFIX}{version}{_SUFFIX}"
    if version not in schema_versions():
        raise AfterburnError(f"there is no result schema {version!r}; known versions: {', '.join(schema_versions())}")
    return path


def schema_versions() -> tuple[str, ...]:
    """Every version with a schema, oldest first."""
    names = (path.name for path in _folder("schemas").glob(f"{_PREFIX}*{_SUFFIX}"))
    versions = (name.removeprefix(_PREFIX).removesuffix(_SUFFIX) for name in names)
    return tuple(sorted(versions, key=lambda version: tuple(int(part) for part in version.split("."))))


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
