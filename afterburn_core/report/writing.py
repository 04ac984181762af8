"""Picks the reporter for a file name and writes the report."""

from __future__ import annotations

from pathlib import Path

from afterburn_core.errors import AfterburnError, ConfigError
from afterburn_core.plugin.registry import Registered, Registry, load_factory
from afterburn_core.result.files import replace_file
from afterburn_core.result.view import ResultView


def reporter_for(path: Path, registry: Registry) -> Registered:
    """The reporter with the longest suffix that the file's name ends in.

    Raises:
        ConfigError: none fits; the message lists what would.
    """
    fitting = [
        (len(suffix), registered.spec.name, registered)
        for registered in registry.specs("reporter")
        for suffix in registered.spec.suffixes
        if path.name.lower().endswith(suffix)
    ]
    if not fitting:
        known = sorted(suffix for r in registry.specs("reporter") for suffix in r.spec.suffixes)
        raise ConfigError(
            f"-o {path}: no reporter writes {path.suffix or 'files without suffix'!r}; use {', '.join(known)}"
        )
    return max(fitting, key=lambda entry: entry[:2])[2]


def check_output(path: Path, registry: Registry) -> None:
    """Proves before a run that its report can be written after it.

    Raises:
        ConfigError: the suffix is unknown, its reporter lacks something here, or the directory is missing.
    """
    spec = reporter_for(path, registry).spec
    lacking = load_factory(spec.available)() if spec.available else None
    if lacking:
        raise ConfigError(f"-o {path}: {lacking}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"-o {path}: the directory {path.parent} does not exist; create it first")
    if path.is_dir():
        raise ConfigError(f"-o {path}: is a directory; give a file name")


def render_report(view: ResultView, path: Path, registry: Registry) -> Path:
    """Renders with the reporter for the suffix and writes the file atomically.

    Raises:
        ConfigError: the suffix is unknown.
        AfterburnError: the reporter failed or the file cannot be written.
    """
    registered = reporter_for(path, registry)
    render = load_factory(registered.spec.factory)
    try:
        content: bytes = render(view)
    except AfterburnError:
        raise
    except Exception as error:  # a third party's reporter may raise anything; the result is saved already
        raise AfterburnError(
            f"reporter {registered.spec.name} failed ({type(error).__name__}: {error}); the result itself is saved"
        ) from error
    replace_file(path, content)
    return path
