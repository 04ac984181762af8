"""Discovery of plugins, in isolation: a broken one is a recorded problem, never a crash of the others.

There is no module-global registry. `Registry.discover()` builds one, and it is passed down.
"""

from __future__ import annotations

import difflib
import importlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import pluggy

from afterburn_core.errors import ConfigError, PluginError
from afterburn_core.plugin import hookspecs, specs
from afterburn_core.plugin.specs import ComponentFinished, RunFinished, RunStarted

if TYPE_CHECKING:
    from afterburn_core.result.model import PluginDescriptor

GROUP = "afterburn_core.plugins"
DISABLE_VARIABLE = "AFTERBURN_DISABLE_PLUGINS"

ROLES: Mapping[str, tuple[str, type]] = {
    "analyzer": ("afterburn_analyzers", specs.AnalyzerSpec),
    "detector": ("afterburn_detectors", specs.DetectorSpec),
    "reporter": ("afterburn_reporters", specs.ReporterSpec),
    "backend": ("afterburn_backends", specs.BackendSpec),
    "reader": ("afterburn_readers", specs.ReaderSpec),
    "probe_set": ("afterburn_probe_sets", specs.ProbeSetSpec),
    "signer": ("afterburn_signers", specs.SignerSpec),
    "executor": ("afterburn_executors", specs.ExecutorSpec),
    "command": ("afterburn_commands", specs.CommandSpec),
}
NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")

S = TypeVar("S")


@attrs.frozen(kw_only=True)
class Problem:
    """Something that kept a plugin, or a part of it, from being used."""

    plugin: str
    stage: str
    """`discover`, `import`, `register`, `spec` or `observe`."""
    error: str


@attrs.frozen(kw_only=True)
class Plugin:
    """A loaded plugin and where it came from."""

    name: str
    distribution: str
    version: str
    module: ModuleType = attrs.field(repr=False, eq=False)

    def descriptor(self) -> PluginDescriptor:
        """Its entry in the document."""
        from afterburn_core.result.model import PluginDescriptor

        return PluginDescriptor(name=self.name, distribution=self.distribution, version=self.version)


@attrs.frozen(kw_only=True)
class Registered:
    """A spec with the plugin that brought it."""

    spec: Any
    plugin: Plugin


class Registry:
    """All plugins and specs of one process. Read only after `discover`, apart from recording observers' problems."""

    def __init__(self, plugins: Iterable[Plugin] = (), problems: Iterable[Problem] = ()) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self.plugins: dict[str, Plugin] = {}
        self.problems: list[Problem] = list(problems)
        self._specs: dict[str, dict[str, Registered]] = {role: {} for role in ROLES}
        for plugin in plugins:
            self._register(plugin)
        self._collect()

    @classmethod
    def discover(cls, *, only: Iterable[str] | None = None, strict: bool = False) -> Registry:
        """The core and every installed plugin.

        Args:
            only: names to keep besides the core; unknown names are refused with a suggestion.
            strict: raise `PluginError` on the first problem instead of recording it.

        Raises:
            ConfigError: a name in `only` belongs to no installed plugin.
            PluginError: with `strict`, if anything at all went wrong.
        """
        wanted = None if only is None else set(only)
        problems: list[Problem] = []
        plugins = [_core_plugin()]
        found: dict[str, list[EntryPoint]] = defaultdict(list)
        for entry in entry_points(group=GROUP):
            found[entry.name].append(entry)
        disabled = {name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",") if name.strip()}
        if wanted is not None:
            for name in sorted(wanted - found.keys() - {"core"}):
                raise ConfigError(f"no plugin is named {name!r}{suggestion(name, found)}; see `afterburn plugins`")
            for name in sorted(wanted & disabled):
                raise ConfigError(f"plugin {name!r} is needed here and switched off by ${DISABLE_VARIABLE}")
        for name in sorted(found):
            if name in disabled or (wanted is not None and name not in wanted):
                continue
            try:
                plugins.append(_load(name, found[name]))
            except (Exception, SystemExit) as error:  # a third party's import may raise anything
                problems.append(Problem(plugin=name, stage="import", error=_describe(error)))
        registry = cls(plugins, problems)
        if strict and registry.problems:
            first = registry.problems[0]
            raise PluginError(f"plugin {first.plugin!r} failed at {first.stage}: {first.error} (--strict)")
        return registry

    def _register(self, plugin: Plugin) -> None:
        try:
            self._refuse_unknown_hooks(plugin)
            self._manager.register(plugin.module, name=plugin.name)
            self.plugins[plugin.name] = plugin
        except Exception as error:  # pluggy validates signatures here
            self.problems.append(Problem(plugin=plugin.name, stage="register", error=_describe(error)))

    def _refuse_unknown_hooks(self, plugin: Plugin) -> None:
        known = {name for name in vars(hookspecs) if name.startswith("afterburn_")}
        for name, value in vars(plugin.module).items():
            # pluggy itself would only notice an unknown hook at `check_pending`, for all plugins at once
            if hasattr(value, f"{hookspecs.PROJECT}_impl") and name not in known:
                raise PluginError(f"there is no hook {name!r}{suggestion(name, known)}")

    def _collect(self) -> None:
        for role, (hook, kind) in ROLES.items():
            claimed: dict[str, list[Registered]] = defaultdict(list)
            for name, implementation in self._implementations(hook):
                plugin = self.plugins[name]
                try:
                    offered = tuple(implementation() or ())
                    for spec in offered:
                        _check_spec(spec, kind, plugin)
                except (Exception, SystemExit) as error:  # isolated: the others still count
                    self.problems.append(Problem(plugin=name, stage="spec", error=_describe(error)))
                    continue
                for spec in offered:
                    claimed[spec.name].append(Registered(spec=spec, plugin=plugin))
            for spec_name in sorted(claimed):
                owners = claimed[spec_name]
                if len(owners) > 1:
                    repeated = f"{role} {spec_name!r} is offered {len(owners)} times"
                    self.problems.append(Problem(plugin=owners[0].plugin.name, stage="spec", error=repeated))
                else:
                    self._specs[role][spec_name] = owners[0]
        self._refuse_shared_ids()

    def _refuse_shared_ids(self) -> None:
        """No two components may declare one metric, nor two detectors one rule, nor may both roles share a name."""
        for name in sorted(self._specs["analyzer"].keys() & self._specs["detector"].keys()):
            plugin = self._specs["detector"].pop(name).plugin
            error = f"detector {name!r} has the name of an analyzer; executions are told apart by name"
            self.problems.append(Problem(plugin=plugin.name, stage="spec", error=error))
        for roles, field in ((("analyzer", "detector"), "metrics"), (("detector",), "rules")):
            owner: dict[str, str] = {}
            for own, name in [(self._specs[role], name) for role in roles for name in sorted(self._specs[role])]:
                registered = own[name]
                clash = [item.id for item in getattr(registered.spec, field) if item.id in owner]
                if clash:
                    error = f"{name!r} declares {clash[0]!r}, which {owner[clash[0]]!r} declares already"
                    self.problems.append(Problem(plugin=registered.plugin.name, stage="spec", error=error))
                    del own[name]
                else:
                    owner.update({item.id: name for item in getattr(registered.spec, field)})

    def _implementations(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        return sorted((impl.plugin_name, impl.function) for impl in implementations)

    def specs(self, role: str) -> tuple[Registered, ...]:
        """Everything registered for `role` (a key of `ROLES`), sorted by name."""
        return tuple(self._specs[role][name] for name in sorted(self._specs[role]))

    def get(self, role: str, name: str) -> Registered:
        """One spec by name.

        Raises:
            PluginError: nothing of that name is registered; the message suggests the nearest one.
        """
        try:
            return self._specs[role][name]
        except KeyError:
            known = self._specs[role]
            listed = ", ".join(sorted(known)) or "none"
            raise PluginError(f"no {role} is named {name!r}{suggestion(name, known)}; there are: {listed}") from None

    def select_backend(self, reference: Any) -> str:
        """The backend for a reference: the first plugin that claims it, else the core's choice."""
        chosen = self._manager.hook.afterburn_select_backend(reference=reference)
        if chosen is None:
            raise PluginError(f"no installed backend opens {reference.text!r}; see `afterburn plugins`")
        return str(chosen)

    def notify(self, event: RunStarted | ComponentFinished | RunFinished) -> None:
        """Tells observers of an event; whatever they raise becomes a problem."""
        hook = {
            RunStarted: "afterburn_run_started",
            ComponentFinished: "afterburn_component_finished",
            RunFinished: "afterburn_run_finished",
        }[type(event)]
        for name, implementation in self._implementations(hook):
            try:
                implementation(event)
            except (Exception, SystemExit) as error:  # an observer can neither stop nor change a run
                self.problems.append(Problem(plugin=name, stage="observe", error=_describe(error)))


def load_factory(factory: str) -> Any:
    """The object behind `"module:attr"`.

    Raises:
        PluginError: the module cannot be imported or has no such attribute.
    """
    module_name, _, attribute = factory.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        hint = ""
        missing = getattr(error, "name", None)
        if isinstance(error, ModuleNotFoundError) and missing in {"torch", "transformers", "safetensors", "peft"}:
            hint = "; install the model stack with: pip install 'afterburn-core[run]'"
        raise PluginError(f"cannot load {factory!r}: {error}{hint}") from error


def build_options(kind: type | None, values: Mapping[str, Any], where: str) -> Any:
    """An instance of a spec's options class from configuration values.

    Raises:
        ConfigError: an unknown key or a value of the wrong type, named with its place.
    """
    if kind is None:
        if values:
            raise ConfigError(f"{where} takes no options, but was given {', '.join(sorted(values))}")
        return None
    from afterburn_core.run.configuration import structure

    return structure(values, kind, where)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` for the nearest known name, or nothing."""
    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    return f", did you mean {nearest[0]!r}?" if nearest else ""


def _core_plugin() -> Plugin:
    from afterburn_core import __version__
    from afterburn_core.plugin import builtin

    return Plugin(name="core", distribution="afterburn-core", version=__version__, module=builtin)


def _load(name: str, entries: list[EntryPoint]) -> Plugin:
    owners = sorted({entry.dist.name if entry.dist else "unknown" for entry in entries})
    if len(owners) > 1:
        raise PluginError(f"claimed by {' and '.join(owners)}; uninstall all but one")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name == "core":
        raise PluginError(f"{name!r} is no valid plugin name: lower snake case, and not 'core'")
    entry = entries[0]
    version = entry.dist.version if entry.dist else "unknown"
    return Plugin(name=name, distribution=owners[0], version=version, module=entry.load())


def _check_spec(spec: Any, kind: type, plugin: Plugin) -> None:
    if not isinstance(spec, kind):
        raise PluginError(f"expected {kind.__name__}, got {type(spec).__name__}")
    identifiers = [spec.name]  # type: ignore[attr-defined]
    identifiers += [item.id for field in ("metrics", "rules") for item in getattr(spec, field, ())]
    for identifier in identifiers:
        if not NAME.fullmatch(identifier) or identifier.split(".")[0] != plugin.name:
            raise PluginError(f"{identifier!r} must have the form '{plugin.name}.<name>', lower snake case")


def _describe(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"
