"""Discovery of plugins: what is registered, what is refused, and that one broken plugin harms nobody else."""

from __future__ import annotations

import random
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from afterburn_core.errors import ConfigError, PluginError
from afterburn_core.plugin import registry as registry_module
from afterburn_core.plugin.registry import DISABLE_VARIABLE, Plugin, Problem, Registry, build_options, load_factory
from afterburn_core.plugin.specs import ComponentFinished, RunFinished, RunStarted
from afterburn_core.run.references import parse_reference
from afterburn_core.testing.distributions import install_distribution

Install = Callable[..., None]

HEAD = """
from afterburn_core.plugin import *
from afterburn_core.plugin import hookimpl
"""

SOUND = """
@hookimpl
def afterburn_analyzers():
    yield AnalyzerSpec(
        name="{name}.zeros",
        summary="Counts zeros",
        needs=(WeightsNeed(),),
        metrics=(MetricSpec(id="{name}.zero_fraction", summary="Share of zeros"),),
        factory="{name}_plugin:Zeros",
    )
"""

REPEATED = """
    yield AnalyzerSpec(
        name="{name}.%s",
        summary="Counts zeros again",
        needs=(WeightsNeed(),),
        metrics=(MetricSpec(id="{name}.zero_fraction", summary="Share of zeros"),),
        factory="{name}_plugin:Zeros",
    )
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a plugin as a real distribution, for this test alone; no other plugin is seen."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    real = registry_module.entry_points
    monkeypatch.setattr(
        registry_module,
        "entry_points",
        lambda **selection: [e for e in real(**selection) if e.dist and Path(str(e.dist.locate_file(""))) == site],
    )
    before = set(sys.modules)

    def make(name: str, source: str, *, distribution: str | None = None, module: str | None = None) -> None:
        module = module or f"{name}_plugin"
        body = HEAD + textwrap.dedent(source).replace("{name}", name)
        install_distribution(
            site, distribution or f"afterburn-{name}", entry_points={name: module}, modules={module: body}
        )

    yield make
    for added in set(sys.modules) - before:
        del sys.modules[added]


def names(registry: Registry, role: str = "analyzer") -> list[str]:
    return [registered.spec.name for registered in registry.specs(role)]


def test_an_installed_plugin_is_found_with_its_distribution_and_version(install: Install) -> None:
    install("good", SOUND)
    registry = Registry.discover(strict=True)
    assert names(registry) == ["good.zeros"]
    descriptor = registry.get("analyzer", "good.zeros").plugin.descriptor()
    assert (descriptor.name, descriptor.distribution, descriptor.version) == ("good", "afterburn-good", "1.2.3")


def test_the_core_registers_through_the_same_hooks(install: Install) -> None:
    registry = Registry.discover()
    assert list(registry.plugins) == ["core"]
    assert registry.problems == []
    assert {"core.html", "core.json", "core.junit", "core.markdown", "core.sarif"} <= set(names(registry, "reporter"))


BROKEN = {
    "a module that does not import": ("raise RuntimeError('no such day')", "import", "RuntimeError: no such day"),
    "a missing dependency": ("import not_installed_anywhere", "import", "No module named 'not_installed_anywhere'"),
    "a syntax error": ("def broken(:", "import", "SyntaxError"),
    "a module that exits": ("raise SystemExit(3)", "import", "SystemExit"),
    "a hook that does not exist": (
        "@hookimpl\ndef afterburn_analyser():\n    return ()",
        "register",
        "there is no hook 'afterburn_analyser', did you mean 'afterburn_analyzers'?",
    ),
    "a hook with an argument that does not exist": (
        "@hookimpl\ndef afterburn_analyzers(session):\n    return ()",
        "register",
        "session",
    ),
    "an implementation that raises": (
        "@hookimpl\ndef afterburn_analyzers():\n    raise ValueError('two\\nlines')",
        "spec",
        "ValueError: two lines",
    ),
    "an implementation that raises half way": (
        SOUND + "    raise ValueError('late')\n",
        "spec",
        "ValueError: late",
    ),
    "a spec of another type": (
        "@hookimpl\ndef afterburn_analyzers():\n    return ['zeros']",
        "spec",
        "expected AnalyzerSpec, got str",
    ),
    "a component outside its namespace": (
        SOUND.replace("{name}.zeros", "weight.zeros"),
        "spec",
        "'weight.zeros' must have the form 'broken.<name>'",
    ),
    "a metric outside its namespace": (
        SOUND.replace("{name}.zero_fraction", "weight.zero_fraction"),
        "spec",
        "'weight.zero_fraction' must have the form 'broken.<name>'",
    ),
    "a name that is not in snake case": (
        SOUND.replace("{name}.zeros", "{name}.Zeros"),
        "spec",
        "'broken.Zeros' must have the form 'broken.<name>'",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_is_one_problem_and_the_others_still_count(install: Install, fault: str) -> None:
    source, stage, message = BROKEN[fault]
    install("broken", source)
    install("good", SOUND)
    registry = Registry.discover()
    assert names(registry) == ["good.zeros"]
    assert [(problem.plugin, problem.stage) for problem in registry.problems] == [("broken", stage)]
    assert message in registry.problems[0].error
    assert "\n" not in registry.problems[0].error


@pytest.mark.parametrize("fault", BROKEN)
def test_strict_stops_at_a_broken_plugin_and_names_it(install: Install, fault: str) -> None:
    source, stage, message = BROKEN[fault]
    install("broken", source)
    install("good", SOUND)
    with pytest.raises(PluginError, match=f"plugin 'broken' failed at {stage}") as raised:
        Registry.discover(strict=True)
    assert message in str(raised.value)


def test_two_distributions_that_claim_one_name_are_both_refused_and_named(install: Install) -> None:
    install("twin", SOUND, distribution="afterburn-twin")
    install("twin", SOUND, distribution="evil-twin")
    install("good", SOUND)
    registry = Registry.discover()
    assert names(registry) == ["good.zeros"]
    (problem,) = registry.problems
    assert problem.plugin == "twin"
    assert "afterburn-twin and evil-twin" in problem.error
    assert "uninstall" in problem.error


@pytest.mark.parametrize("name", ["core", "Bad", "bad-name", "1st"])
def test_an_entry_point_name_that_cannot_be_a_prefix_is_refused(install: Install, name: str) -> None:
    install(name, "", distribution="afterburn-odd", module="odd_plugin")
    registry = Registry.discover()
    assert list(registry.plugins) == ["core"]
    (problem,) = registry.problems
    assert repr(name) in problem.error


def test_one_metric_of_two_analyzers_is_refused_at_the_second(install: Install) -> None:
    install("double", SOUND + REPEATED % "twice")
    registry = Registry.discover()
    assert names(registry) == ["double.twice"]
    (problem,) = registry.problems
    assert "'double.zeros' declares 'double.zero_fraction', which 'double.twice' declares already" in problem.error


def test_one_component_name_offered_twice_is_refused(install: Install) -> None:
    install("double", SOUND + REPEATED % "zeros")
    registry = Registry.discover()
    assert names(registry) == []
    assert "'double.zeros' is offered 2 times" in registry.problems[0].error


def test_the_environment_can_disable_plugins_by_name(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("good", SOUND)
    install("broken", "raise RuntimeError")
    monkeypatch.setenv(DISABLE_VARIABLE, " broken, other ,")
    registry = Registry.discover(strict=True)
    assert sorted(registry.plugins) == ["core", "good"]


def test_a_disabled_plugin_is_not_even_imported(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("broken", "raise RuntimeError")
    monkeypatch.setenv(DISABLE_VARIABLE, "broken")
    Registry.discover()
    assert "broken_plugin" not in sys.modules


def test_only_keeps_the_named_plugins_and_the_core(install: Install) -> None:
    install("good", SOUND)
    install("other", SOUND)
    assert sorted(Registry.discover(only=["other"]).plugins) == ["core", "other"]
    assert sorted(Registry.discover(only=["core"]).plugins) == ["core"]
    assert sorted(Registry.discover(only=[]).plugins) == ["core"]


def test_only_refuses_an_unknown_name_with_a_suggestion(install: Install) -> None:
    install("weight", SOUND)
    with pytest.raises(ConfigError, match=r"no plugin is named 'wieght', did you mean 'weight'"):
        Registry.discover(only=["wieght"])


def test_get_refuses_an_unknown_name_with_a_suggestion_and_the_known_ones(install: Install) -> None:
    install("good", SOUND)
    registry = Registry.discover()
    with pytest.raises(PluginError, match=r"no analyzer is named 'good\.zeroes', did you mean 'good\.zeros'"):
        registry.get("analyzer", "good.zeroes")
    with pytest.raises(PluginError, match="there are: none"):
        registry.get("probe_set", "anything")


EVENTS = (
    RunStarted(run_id="r", components=("a",)),
    ComponentFinished(run_id="r", component="a", status="ok", seconds=1.0),
    RunFinished(run_id="r", status="complete", document={}),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_observer_that_raises_is_recorded_and_the_next_still_hears(install: Install, event: Any) -> None:
    hook = {
        RunStarted: "afterburn_run_started",
        ComponentFinished: "afterburn_component_finished",
        RunFinished: "afterburn_run_finished",
    }[type(event)]
    install("angry", f"@hookimpl\ndef {hook}(event):\n    raise RuntimeError('no')")
    install("later", f"heard = []\n@hookimpl\ndef {hook}(event):\n    heard.append(event)\n    return 'ignored'")
    registry = Registry.discover()
    assert registry.notify(event) is None
    assert registry.problems == [Problem(plugin="angry", stage="observe", error="RuntimeError: no")]
    assert sys.modules["later_plugin"].heard == [event]


def test_an_observer_cannot_change_the_event(install: Install) -> None:
    install("meddler", "@hookimpl\ndef afterburn_run_started(event):\n    event.run_id = 'mine'")
    registry = Registry.discover()
    event = RunStarted(run_id="r", components=())
    registry.notify(event)
    assert event.run_id == "r"
    assert "FrozenInstanceError" in registry.problems[0].error


def test_the_order_of_discovery_does_not_matter(install: Install) -> None:
    generator = random.Random(97)
    module_names = [f"p{number}" for number in range(6)]
    for name in module_names:
        install(name, SOUND)
    install("thief", SOUND.replace("{name}.zeros", "p0.zeros"))
    registry = Registry.discover()
    plugins = list(registry.plugins.values())
    expected = names(registry)
    assert expected == [f"{name}.zeros" for name in module_names]
    for _ in range(97):
        generator.shuffle(plugins)
        again = Registry(plugins)
        assert names(again) == expected
        assert again.problems == registry.problems


def test_a_plugin_can_claim_a_subject_before_the_core_does(install: Install, tmp_path: Path) -> None:
    install(
        "npz",
        """
        @hookimpl
        def afterburn_select_backend(reference):
            return "npz.file" if reference.path.suffix == ".npz" else None
        """,
    )
    registry = Registry.discover()
    (tmp_path / "model.npz").touch()
    assert registry.select_backend(parse_reference(str(tmp_path / "model.npz"))) == "npz.file"
    assert registry.select_backend(parse_reference(str(tmp_path))) == "core.checkpoint"


def test_a_reference_that_nobody_opens_is_refused(install: Install) -> None:
    with pytest.raises(PluginError, match=r"no installed backend opens 'recorded:answers\.jsonl'"):
        Registry([]).select_backend(parse_reference("recorded:answers.jsonl"))


def test_registries_do_not_share_state(install: Install) -> None:
    module = ModuleType("mine_plugin")
    plugin = Plugin(name="mine", distribution="afterburn-mine", version="1", module=module)
    assert "mine" in Registry([plugin]).plugins
    assert "mine" not in Registry([]).plugins


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("not_there:build", "cannot load 'not_there:build'"),
        ("afterburn_core.errors:NoError", "has no attribute 'NoError'"),
        ("afterburn_core.errors", "cannot load 'afterburn_core.errors'"),
    ],
)
def test_a_factory_that_leads_nowhere_is_a_plugin_error(factory: str, message: str) -> None:
    with pytest.raises(PluginError) as raised:
        load_factory(factory)
    assert message in str(raised.value)


def test_a_factory_without_torch_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, install: Install) -> None:
    install("maths", "")
    Registry.discover()
    monkeypatch.setitem(sys.modules, "torch", None)
    install_maths = Path(sys.modules["maths_plugin"].__file__ or "").parent / "maths_inner.py"
    install_maths.write_text("import torch\n", encoding="utf-8")
    with pytest.raises(PluginError, match=r"pip install 'afterburn-core\[run\]'"):
        load_factory("maths_inner:build")


def test_options_for_a_component_without_options_are_refused() -> None:
    assert build_options(None, {}, "mine.zeros") is None
    with pytest.raises(ConfigError, match=r"mine\.zeros takes no options, but was given limit"):
        build_options(None, {"limit": 1}, "mine.zeros")
