"""Installs a plugin into a directory without pip: modules and the metadata that `importlib.metadata` reads.

For tests of discovery itself, where a real installation is needed and an environment of its own would be too slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from afterburn_core.plugin.registry import GROUP


def install_distribution(
    site: Path,
    distribution: str,
    *,
    entry_points: Mapping[str, str],
    modules: Mapping[str, str] | None = None,
    requires: tuple[str, ...] = ("afterburn-core>=0.1,<0.2",),
    version: str = "1.2.3",
) -> Path:
    """Writes a distribution into `site`, which the caller puts on `sys.path`.

    Args:
        site: directory that plays the part of `site-packages`.
        distribution: its name.
        entry_points: plugin name to module, for the group of Afterburn's plugins.
        modules: dotted module name to source; packages in between are made.
        requires: its requirements.
        version: its version.

    Returns:
        `site`.
    """
    for name, source in (modules or {}).items():
        path = site.joinpath(*name.split("."))
        path.parent.mkdir(parents=True, exist_ok=True)
        for package in path.parents:
            if package == site:
                break
            (package / "__init__.py").touch()
        path.with_suffix(".py").write_text(source, encoding="utf-8")
    metadata = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    (metadata / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pointers = [f"[{GROUP}]", *(f"{name} = {module}" for name, module in entry_points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(pointers) + "\n", encoding="utf-8")
    return site
