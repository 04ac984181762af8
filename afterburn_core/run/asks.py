"""What analyzers need given their options: the needs they declare, others, or none at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from afterburn_core.errors import PluginError
from afterburn_core.plugin.registry import Registered, build_options, load_factory


@attrs.frozen(kw_only=True)
class Asked:
    """Analyzers with the needs that they have in this run."""

    analyzers: tuple[Registered, ...]
    idle: Mapping[str, str]
    """By name, why one has nothing to do."""


def asked(analyzers: Iterable[Registered], options: Mapping[str, Mapping[str, Any]]) -> Asked:
    """Settles what each analyzer needs, where its spec leaves that to its options.

    Raises:
        ConfigError: options of such an analyzer are not valid.
        PluginError: it answers with something else than needs of the kinds it declares, or a reason.
    """
    settled, idle = [], {}
    for registered in analyzers:
        spec = registered.spec
        if spec.asks is not None:
            answer = load_factory(spec.asks)(build_options(spec.options, options.get(spec.name, {}), spec.name))
            if isinstance(answer, str) and answer:
                idle[spec.name] = answer
            elif isinstance(answer, tuple) and answer and {type(n) for n in answer} <= {type(n) for n in spec.needs}:
                registered = attrs.evolve(registered, spec=attrs.evolve(spec, needs=answer))
            else:
                raise PluginError(f"{spec.name}: {spec.asks!r} answers {answer!r}, neither declared needs nor a reason")
        settled.append(registered)
    return Asked(analyzers=tuple(settled), idle=idle)
