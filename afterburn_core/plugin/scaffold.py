"""`afterburn plugin new`: renders a working package from `templates/plugin`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

import attrs
from jinja2 import Environment, StrictUndefined

from afterburn_core import __version__
from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import suggestion
from afterburn_core.resources import template_dir

Kind = Literal["analyzer", "detector", "reporter", "backend"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_PLACEHOLDER, _SUFFIX = "NAME", ".j2"


@attrs.frozen(kw_only=True)
class _Sketch:
    """What the templates of a kind need to know besides the name."""

    summary: str
    module: str
    """The module that does the work."""
    extra: str = ""
    """Extra of the core that the work needs."""
    requirements: tuple[str, ...] = ()


_SKETCHES: Mapping[Kind, _Sketch] = {
    "analyzer": _Sketch(
        summary="Counts zero weights before and after training",
        module="zeros",
        extra="[run]",
        requirements=("attrs>=23.2",),
    ),
    "detector": _Sketch(summary="Judges the size of the change", module="limit", requirements=("attrs>=23.2",)),
    "reporter": _Sketch(summary="Writes measurements as a table", module="table"),
    "backend": _Sketch(
        summary="Opens weights in .npz files",
        module="npz",
        extra="[run]",
        requirements=("attrs>=23.2", "numpy>=2.0"),
    ),
}


def render_plugin(name: str, kind: str, destination: Path | None = None) -> Path:
    """Writes a package that installs, registers and passes its own tests.

    Args:
        name: the plugin's name, lower snake case: prefix of all its ids and its entry-point name.
        kind: what its example is: `analyzer`, `detector`, `reporter` or `backend`.
        destination: the directory to create; `afterburn-<name>` in the working directory if absent.

    Returns:
        The directory.

    Raises:
        ConfigError: the name or the kind cannot be used, or the directory is there already or cannot be made.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no valid plugin name; use lower snake case, such as 'my_plugin'")
    if name == "core":
        raise ConfigError("the name 'core' belongs to the core itself; choose another")
    sketch = next((sketch for known, sketch in _SKETCHES.items() if known == kind), None)
    if sketch is None:
        raise ConfigError(f"there is no kind {kind!r}{suggestion(kind, KINDS)}; known: {', '.join(KINDS)}")
    folder = Path(f"afterburn-{name.replace('_', '-')}") if destination is None else destination
    values = {
        "name": name,
        "package": f"afterburn_{name}",
        "distribution": f"afterburn-{name.replace('_', '-')}",
        "core_range": core_range(__version__),
        **attrs.asdict(sketch),
    }
    files = [(Path(place.replace(_PLACEHOLDER, name)), text) for place, text in _rendered(kind, values)]
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise ConfigError(f"{folder}: is there already; give another directory with --out") from None
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be created ({error.strerror}); give another directory") from error
    for place, text in files:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
    return folder


def core_range(version: str) -> str:
    """The releases of the core that keep the contracts of `version`: this one up to the next minor."""
    major, minor, *_ = version.split(".")
    return f">={version},<{major}.{int(minor) + 1}"


def _rendered(kind: str, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(place below the project, content) of the files that all kinds share and of this kind's own."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    for root in (template_dir("plugin") / "common", template_dir("plugin") / kind):
        for path in sorted(root.rglob(f"*{_SUFFIX}")):
            place = path.relative_to(root).as_posix().removesuffix(_SUFFIX)
            yield place, environment.from_string(path.read_text(encoding="utf-8")).render(values)
