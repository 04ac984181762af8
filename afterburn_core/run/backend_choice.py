"""Which plugins a run needs for its backend, where the user or the command chose among them.

`--plugins` and commands such as `afterburn behaviour` say what measures and judges. What opens and runs the models is
not meant by that: the plugin of a backend that is asked for, or that is this machine's first choice, takes part too.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import Any

from afterburn_core.plugin.registry import DISABLE_VARIABLE, GROUP, load_factory


def with_backend(plugins: tuple[str, ...] | None, backend: str | None) -> tuple[str, ...] | None:
    """The plugins, with those that the backend needs.

    Args:
        plugins: chosen by name; `None` means all that are installed.
        backend: as the user names it: `mlx.lm` needs `mlx`; absent or `auto` needs the first choices of this machine.
    """
    if plugins is None:
        return None
    if backend in (None, "auto"):
        off = {name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",")}
        others = [entry for entry in entry_points(group=GROUP) if entry.name not in {*plugins, *off}]
        needed = [entry.name for entry in others if _is_first_choice(entry)]
    else:
        owner = str(backend).partition(".")[0]
        needed = [entry.name for entry in entry_points(group=GROUP) if entry.name == owner]
    return tuple(dict.fromkeys((*plugins, *needed)))


def _is_first_choice(entry: Any) -> bool:
    """Whether a plugin brings a backend that is the first choice on some machines, of which this is one."""
    try:
        offered = getattr(entry.load(), "afterburn_backends", None)
        conditions = [spec.unchosen for spec in offered()] if offered is not None else []
        return any(condition is not None and load_factory(condition)() is None for condition in conditions)
    except (Exception, SystemExit):  # noqa: BLE001 - a third party's import may raise anything; nobody asked for it
        return False
