"""Rules for a plugin as a whole."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

from afterburn_core.plugin import hookspecs
from afterburn_core.plugin.registry import NAME, ROLES
from afterburn_core.testing.kit import Target, expect, skip
from afterburn_core.testing.processes import python_json

HEAVY = ("jax", "mlx", "numpy", "pandas", "peft", "safetensors", "scipy", "tensorflow", "torch", "transformers")
"""Packages that naming a plugin must not import; each costs between a tenth of a second and several."""

_IMPORT_AND_REGISTER = """
import importlib, json, sys
name, hooks, project, heavy = argument
before = set(sys.modules)
module = importlib.import_module(name)
for hook in hooks:
    implementation = getattr(module, hook, None)
    if hasattr(implementation, project + "_impl"):
        list(implementation() or ())
answer = sorted(set(heavy) & (set(sys.modules) - before))
"""


def check_registers_without_problems(target: Target) -> None:
    """Every hook implementation of the plugin is accepted by the registry.

    A hook with an unknown name, an implementation that raises, a spec of the wrong type or a name that somebody else
    owns makes the registry leave part of the plugin out. The run goes on without it, so nobody would notice.
    """
    faults = [f"{p.stage}: {p.error}" for p in target.registry.problems if p.plugin == target.plugin.name]
    expect(not faults, "; ".join(faults))


def check_names_lie_inside_the_namespace(target: Target) -> None:
    """Every component, metric and rule is called `<plugin>.<something>`, in lower snake case.

    Ids are kept in documents for years and are compared between runs. The prefix is the entry-point name, so that two
    plugins can never mean different things by one id.
    """
    for role, (hook, _) in ROLES.items():
        implementation: Any = getattr(target.plugin.module, hook, None)
        if not hasattr(implementation, f"{hookspecs.PROJECT}_impl"):
            continue
        offers: Iterable[Any] = implementation() or ()
        for offered in offers:
            identifiers = [offered.name]
            identifiers += [item.id for field in ("metrics", "rules") for item in getattr(offered, field, ())]
            for identifier in identifiers:
                expect(
                    NAME.fullmatch(identifier) and identifier.split(".")[0] == target.plugin.name,
                    f"{role} {offered.name!r}: {identifier!r} must be '{target.plugin.name}.<name>', lower snake case",
                )


def check_imports_are_light(target: Target) -> None:
    """Importing the entry point's module and asking it for its specs imports no array or model library.

    `afterburn --help` asks every installed plugin what it offers. One that imports torch there costs everybody
    seconds, and breaks machines that only verify certificates and have no torch. Reach the mathematics through the
    spec's `"module:attr"` factory instead.
    """
    hooks = [hook for hook, _ in ROLES.values()]
    argument = [target.plugin.module.__name__, hooks, hookspecs.PROJECT, list(HEAVY)]
    loaded = python_json(_IMPORT_AND_REGISTER, argument)
    expect(
        not loaded,
        f"importing {target.plugin.module.__name__} imports {', '.join(map(str, loaded or ()))}; "
        "move that import into the module that the factory names",
    )


def check_core_range_is_declared(target: Target) -> None:
    """The distribution requires `afterburn-core` with a lower and an upper bound.

    Without the upper bound an old plugin is installed beside a core whose contracts have moved on, and fails at run
    time instead of at installation.
    """
    core = [text for text in _requirements(target) if _distribution(text) == "afterburn_core"]
    expect(core, f"{target.plugin.distribution} does not require afterburn-core; add it to the dependencies")
    bounded = any(("~=" in text) or ("==" in text) or (">" in text and "<" in text) for text in core)
    expect(bounded, f"{target.plugin.distribution} requires {core[0]!r}; give both bounds, such as >=0.1,<0.2")


def check_dependencies_are_declared(target: Target) -> None:
    """Whatever the plugin's package imports is in the standard library, in the core, or required by its distribution.

    A missing requirement goes unnoticed where something else happens to have installed it, and breaks for the first
    user with a fresh environment.
    """
    declared = {_distribution(text) for text in _requirements(target)}
    declared |= {_distribution(text) for text in _required_by("afterburn-core")}
    declared |= {_distribution(target.plugin.distribution), "afterburn_core"}
    owners = packages_distributions()
    package = target.plugin.module.__name__.partition(".")[0]
    for file, imported in _imports(target):
        if imported in sys.stdlib_module_names or imported in {package, "afterburn_core"}:
            continue
        providers = {_distribution(name) for name in owners.get(imported, ())} or {_distribution(imported)}
        expect(
            providers & declared,
            f"{file} imports {imported!r}; add it to the dependencies of {target.plugin.distribution}",
        )


def _requirements(target: Target) -> list[str]:
    if target.plugin.name == "core":
        skip("the core requires itself")
    return _required_by(target.plugin.distribution)


def _required_by(distribution: str) -> list[str]:
    try:
        return requires(distribution) or []
    except PackageNotFoundError:
        skip(f"{distribution} is not installed as a distribution")


def _distribution(text: str) -> str:
    """The name at the start of a requirement, normalised."""
    matched = re.match(r"[A-Za-z0-9._-]+", text)
    return re.sub(r"[-_.]+", "_", matched.group()).lower() if matched else ""


def _imports(target: Target) -> Iterator[tuple[str, str]]:
    """(file, top-level package) for every absolute import in the plugin's package."""
    origin = Path(target.plugin.module.__file__ or "")
    root = origin.parent if "." in target.plugin.module.__name__ else origin
    for file in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), filename=file.name)):
            if isinstance(node, ast.Import):
                yield from ((file.name, alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield file.name, node.module.partition(".")[0]


CHECKS = (
    check_registers_without_problems,
    check_names_lie_inside_the_namespace,
    check_imports_are_light,
    check_core_range_is_declared,
    check_dependencies_are_declared,
)
