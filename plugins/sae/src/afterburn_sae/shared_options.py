"""Options that the plugin's analyzers share, set for all of them at once. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs


def sae_options(given: Mapping[str, Mapping[str, Any]], **values: Any) -> dict[str, dict[str, Any]]:
    """Options by component: those given, and over them the values for every analyzer that has an option of the name.

    Args:
        given: of a configuration.
        values: by option; `None` leaves what is given.
    """
    known = {name: value for name, value in values.items() if value is not None}
    found = {name: dict(own) for name, own in given.items()}
    for name, fields in _analyzers():
        own = {key: value for key, value in known.items() if key in fields}
        if own:
            found[name] = {**found.get(name, {}), **own}
    return found


def _analyzers() -> Iterator[tuple[str, frozenset[str]]]:
    """The plugin's analyzers, with the names of their options."""
    from afterburn_sae.plugin import afterburn_analyzers

    for spec in afterburn_analyzers():
        if spec.options is not None:
            yield spec.name, frozenset(field.name for field in attrs.fields(spec.options))
