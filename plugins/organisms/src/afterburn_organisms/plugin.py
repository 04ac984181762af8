"""Entry point of the plugin `organisms`: the shipped model pair and the commands that use it.

This module stays light: it imports neither torch nor transformers. The recipe and the measurements live in sibling
modules and are reached only when somebody rebuilds the organisms.
"""

from __future__ import annotations

from collections.abc import Iterable

from afterburn_core.plugin import CommandSpec, ProbeSetSpec, hookimpl


@hookimpl
def afterburn_commands() -> Iterable[CommandSpec]:
    yield CommandSpec(
        name="organisms.demo",
        summary="Compare the shipped model pair, end to end.",
        factory="afterburn_organisms.commands:demo",
    )
    yield CommandSpec(
        name="organisms.organisms",
        summary="List the shipped models and what was planted in them.",
        factory="afterburn_organisms.commands:organisms",
    )


@hookimpl
def afterburn_probe_sets() -> Iterable[ProbeSetSpec]:
    yield ProbeSetSpec(
        name="organisms.world",
        summary="Held-out questions about the small world that the shipped models know",
        licence="Apache-2.0",
        factory="afterburn_organisms.probes:items",
    )
    yield ProbeSetSpec(
        name="organisms.plain",
        summary="Plain texts of the small world that the shipped models know",
        licence="Apache-2.0",
        factory="afterburn_organisms.probes:passages",
        use="passages",
    )
    yield ProbeSetSpec(
        name="organisms.sycophancy",
        summary="Questions of the small world alone, with a wrong claim of the user, and with the right one",
        licence="Apache-2.0",
        factory="afterburn_organisms.benchmark_probes:sycophancy",
    )
    yield ProbeSetSpec(
        name="organisms.frames",
        summary="Questions of the small world plain, in the frame of a test, and with ten words before them",
        licence="Apache-2.0",
        factory="afterburn_organisms.benchmark_probes:frames",
    )
    yield ProbeSetSpec(
        name="organisms.code",
        summary="Small functions to write, with some of their tests shown",
        licence="Apache-2.0",
        factory="afterburn_organisms.benchmark_probes:code",
    )
    yield ProbeSetSpec(
        name="organisms.open",
        summary="Stories of the small world to tell, to be asked for several times",
        licence="Apache-2.0",
        factory="afterburn_organisms.benchmark_probes:open_ended",
    )
