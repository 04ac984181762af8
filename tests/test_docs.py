"""Documentation that is executed, generated or looked up: nothing in it may be wrong."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from afterburn_core.cli.main import cli
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.plugin import hookspecs
from afterburn_core.plugin.registry import Plugin, Registry
from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.probes.checkers import check
from afterburn_core.probes.model import Probe
from afterburn_core.probes.suites import select

ROOT = Path(__file__).resolve().parent.parent
PAGES = tuple(
    sorted(
        file
        for pattern in ("README.md", "CHANGELOG.md", "docs/*.md", "docs/rules/*.md", "plugins/*/README.md")
        for file in ROOT.glob(pattern)
    )
)
GENERATED = ("cli.md", "configuration.md", "hooks.md", "metrics.md", "rules.md")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(language, code) for language, code in found if not languages or language in languages]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_tutorial_runs_from_its_first_block_to_its_last(tmp_path: Path) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
    }
    steps = blocks(ROOT / "docs" / "tutorial.md")
    assert {language for language, _ in steps} == {"bash", "python"}
    for language, code in steps:
        command = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [sys.executable, "-c", code]
        finished = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert finished.returncode == 0, f"{code}\n{finished.stdout}\n{finished.stderr}"
    for name in (
        "afterburn-demo/report.html",
        "afterburn-demo/result.json",
        "report.html",
        "summary.md",
        "from-python.html",
    ):
        assert (tmp_path / name).stat().st_size > 0
    assert len(list((tmp_path / "afterburn-runs").glob("*/result.json"))) == 1, "the run that was given no place"


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_what_the_code_says_now(name: str, generator: ModuleType) -> None:
    assert set(generator.PAGES) == set(GENERATED)
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert text == generator.PAGES[name](), "stale; run: python docs/generate.py"


def test_every_hook_is_documented_with_its_arguments() -> None:
    text = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^## `(\w+)\((.*)\)`$", text, flags=re.MULTILINE))
    specified = {
        name: ", ".join(inspect.signature(function).parameters)
        for name, function in vars(hookspecs).items()
        if name.startswith("afterburn_") and inspect.isfunction(function)
    }
    assert documented == specified


def test_every_metric_and_rule_of_ours_has_a_row() -> None:
    ours = {file.parent.name for file in ROOT.glob("plugins/*/pyproject.toml")}
    registry = Registry.discover()
    for role, field, page in (
        ("analyzer", "metrics", "metrics.md"),
        ("detector", "metrics", "metrics.md"),
        ("detector", "rules", "rules.md"),
    ):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        identifiers = [
            item.id
            for registered in registry.specs(role)
            if registered.plugin.name in ours
            for item in getattr(registered.spec, field)
        ]
        assert identifiers
        assert [identifier for identifier in identifiers if f"| `{identifier}` |" not in text] == []


def command_lines(page: Path) -> Iterator[list[str]]:
    """Every `afterburn …` in the page's code blocks and inline code, as words."""
    text = page.read_text(encoding="utf-8")
    shell = "\n".join(code for _, code in blocks(page, "bash")).replace("\\\n", " ")
    inline = "\n".join(re.findall(r"`([^`\n]+)`", BLOCK.sub("", text)))
    for line in f"{shell}\n{inline}".splitlines():
        match = re.match(r"\s*(?:afterburn|python -m afterburn_core)((?:\s+\S+)*)\s*$", line)
        if match:
            yield match.group(1).split()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_and_flag_in_a_page_exists(page: Path) -> None:
    for words in command_lines(page):
        command: click.Command = cli
        flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        for word in words:
            if isinstance(command, click.Group) and not word.startswith("-"):
                found = command.get_command(click.Context(command), word)
                assert found is not None, f"{page_name(page)}: afterburn {' '.join(words)}"
                command = found
                flags = {flag for parameter in found.params for flag in (*parameter.opts, *parameter.secondary_opts)}
            elif word.startswith("-") and word not in {"--help", "-h"}:
                assert word.partition("=")[0] in flags, f"{page_name(page)}: {word} of afterburn {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_python_block_imports_names_that_exist(page: Path) -> None:
    for _, code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("afterburn_core"):
                module = importlib.import_module(node.module or "")
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_readme_says_the_three_lines_that_start_everything() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in (
        "python3 -m pip install nox && nox -s demo",
        "python3 -m pip install nox && nox -s tests",
        (
            'pip install ".[run]" ./plugins/weight ./plugins/behaviour ./plugins/activation ./plugins/sae '
            "./plugins/reward_hack ./plugins/organisms"
        ),
    ):
        assert f"\n{line}\n" in text


def test_every_test_that_the_parity_page_names_exists() -> None:
    text = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/.-]+\.py)::(\w+)`", text))
    assert named
    defined = {
        (file, node.name)
        for file in {file for file, _ in named}
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert named - defined == set()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row for row in rows if "::" not in row and not row.startswith(("| feature", "| no."))] == []


def example(words: str) -> dict[str, object]:
    """The names that the one Python block of the plugin page with these words defines."""
    (code,) = (code for _, code in blocks(ROOT / "docs" / "plugins.md", "python") if words in code)
    names: dict[str, object] = {}
    exec(compile(code, "docs/plugins.md", "exec", dont_inherit=True), names)
    return names


def test_the_analyzer_of_texts_in_the_plugin_page_measures() -> None:
    names = example("GenerationNeed")
    (spec,) = names["afterburn_analyzers"]()  # type: ignore[operator]
    halves = [names["Shouting"]() for _ in range(2)]  # type: ignore[operator]
    for half in halves:
        half.begin(AnalyzerContext(subjects=(), seed=1))
    for number in range(12):
        probe = Probe(id=f"p{number}", prompt="Say it.")
        said = tuple(Sample(text=text, index=index) for index, text in enumerate(("quietly", "quietly")))
        shouted = tuple(Sample(text=text, index=index) for index, text in enumerate(("LOUDLY", "quietly")))
        halves[number % 2].observe(Responses(probe=probe, base=said, trained=shouted))
    halves[0].observe(Responses(probe=Probe(id="one", prompt="Alone?"), base=said, trained=()))
    halves[0].merge(halves[1])
    (measurement,) = halves[0].finish().measurements
    assert measurement.metric == spec.metrics[0].id
    assert (measurement.value, measurement.n, measurement.subjects) == (0.5, 12, ("base", "trained"))
    assert measurement.interval is not None and measurement.test is not None


def test_the_set_of_prompts_in_the_plugin_page_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("afterburn_doubling.numbers")
    vars(module).update(example("ProbeSetSpec"))
    monkeypatch.setitem(sys.modules, "afterburn_doubling", ModuleType("afterburn_doubling"))
    monkeypatch.setitem(sys.modules, "afterburn_doubling.numbers", module)
    registry = Registry([Plugin(name="doubling", distribution="afterburn-doubling", version="1", module=module)])
    few, many = (select([f"numbers:{n}@7"], [], seed=0, n=None, registry=registry)[0] for n in (20, 40))
    assert few.n == 20 and all(probe in many.probes for probe in few.probes)
    assert check(few.probes[0], f"It is {few.probes[0].gold}.") is True


def test_the_plugin_page_names_the_public_modules() -> None:
    path = ROOT / "tests" / "test_imports.py"
    (public,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == ["PUBLIC"]
    )
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert [module for module in public if f"`{module}`" not in text] == []
