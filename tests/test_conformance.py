"""The conformance kit passes sound plugins, explains itself, and works under pytest and on the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from afterburn_core.cli.plugin_commands import plugin as command
from afterburn_core.errors import ConfigError, PluginError
from afterburn_core.plugin.registry import ROLES
from afterburn_core.plugin.scaffold import KINDS, render_plugin
from afterburn_core.testing import Check, checks_for, parametrize_with_checks, run_checks
from afterburn_core.testing.checks import COMPONENT_CHECKS, PLUGIN_CHECKS, spec
from afterburn_core.testing.distributions import install_distribution

Make = Callable[..., str]

needs_weight = pytest.mark.skipif(find_spec("afterburn_weight") is None, reason="the weight plugin is not installed")


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Renders a new plugin called `tested`, with an edit of one file if given, and installs it for this test alone."""
    before = set(sys.modules)

    def install(kind: str, file: str = "plugin.py", old: str = "", new: str = "") -> str:
        source = render_plugin("tested", kind, tmp_path / "tested") / "src"
        path = source / "afterburn_tested" / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new) if old else text, encoding="utf-8")
        requires = ("afterburn-core[run]>=0.1,<0.2", "attrs", "numpy")
        entry_points = {"tested": "afterburn_tested.plugin"}
        install_distribution(source, "afterburn-tested", entry_points=entry_points, requires=requires)
        monkeypatch.syspath_prepend(str(source))
        return "tested"

    yield install
    for added in set(sys.modules) - before:
        if added.startswith("afterburn_tested"):
            del sys.modules[added]


@pytest.mark.parametrize("kind", KINDS)
def test_every_check_passes_on_a_sound_plugin(kind: str, make: Make) -> None:
    results = run_checks(make(kind))
    assert {result.id.split(".")[0] for result in results} >= {"plugin", "spec", kind}
    assert [(result.id, result.message) for result in results if result.status != "passed"] == []


def test_every_check_explains_its_rule() -> None:
    rules = [*PLUGIN_CHECKS, *spec.CHECKS, *(rule for group in COMPONENT_CHECKS.values() for rule in group)]
    for rule in rules:
        first, _, rest = (rule.__doc__ or "").partition("\n")
        assert first.endswith("."), rule.__name__
        assert len(rest.split()) > 4, f"{rule.__name__} does not say why"
    assert set(COMPONENT_CHECKS) <= set(ROLES)


@needs_weight
@parametrize_with_checks("weight")
def test_the_weight_plugin_conforms(check: Check) -> None:
    check()


@parametrize_with_checks("core")
def test_the_core_conforms(check: Check) -> None:
    check()


def test_an_expected_failure_needs_the_name_of_a_check() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'plugin\.imports_are_light'"):
        parametrize_with_checks("core", {"plugin.import_is_light": "reasons"})


def test_an_expected_failure_is_strict_and_keeps_its_reason() -> None:
    mark = parametrize_with_checks("core", {"spec.factory_resolves[core.html]": "see issue 12"}).mark
    marked = {parameter.id: parameter.marks for parameter in mark.args[1] if parameter.marks}
    assert list(marked) == ["spec.factory_resolves[core.html]"]
    ((expected,),) = marked.values()
    assert expected.name == "xfail"
    assert expected.kwargs["strict"] is True
    assert expected.kwargs["reason"] == "see issue 12"


def test_checks_of_an_unknown_plugin_are_refused_with_a_suggestion() -> None:
    with pytest.raises(PluginError, match="no plugin is named 'cora', did you mean 'core'"):
        list(checks_for("cora"))


def test_checks_of_a_plugin_that_does_not_import_say_why(make: Make) -> None:
    name = make("reporter", "plugin.py", "@hookimpl", "raise RuntimeError('no')")
    with pytest.raises(PluginError, match="plugin 'tested' failed at import: RuntimeError: no"):
        run_checks(name)


def test_the_command_lists_outcomes_and_exits_with_0_when_all_pass(make: Make) -> None:
    result = CliRunner().invoke(command, ["check", make("reporter")], catch_exceptions=False)
    assert result.exit_code == 0
    assert "reporter.hostile_strings_are_escaped" in result.output
    assert "tested: " in result.output.splitlines()[-1]
    assert "failed" not in result.output


def test_the_command_exits_with_1_and_shows_rule_and_finding_when_a_check_fails(make: Make) -> None:
    name = make("reporter", "table.py", "text.getvalue()", "(text.getvalue() + str(__import__('time').time_ns()))")
    result = CliRunner().invoke(command, ["check", name], catch_exceptions=False)
    assert result.exit_code == 1
    assert "rule: Rendering is a pure function" in result.output
    assert "rendered twice gives different bytes" in result.output


def test_the_command_prints_json(make: Make) -> None:
    result = CliRunner().invoke(command, ["check", make("reporter"), "--json"], catch_exceptions=False)
    document = json.loads(result.output)
    assert document["plugin"] == "tested"
    assert {check["status"] for check in document["checks"]} == {"passed"}
    assert {"id", "component", "status", "seconds", "summary", "message"} == set(document["checks"][0])


def test_the_command_lists_rules_without_running_them(make: Make) -> None:
    name = make("analyzer")
    shown = CliRunner().invoke(command, ["check", name, "--list"], catch_exceptions=False).output
    assert "analyzer.merge_equals_single_pass[tested.zeros]" in shown
    listed = json.loads(CliRunner().invoke(command, ["check", name, "--list", "--json"], catch_exceptions=False).output)
    assert all(check["rule"] for check in listed)


def test_the_command_refuses_an_unknown_plugin() -> None:
    result = CliRunner().invoke(command, ["check", "organism"])
    assert isinstance(result.exception, PluginError)
