"""Which module may import what, and rules of the source that no linter knows."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("huggingface_hub", "numpy", "pandas", "peft", "safetensors", "scipy", "tokenizers", "torch", "transformers")
PLUGIN_SOURCES = tuple(sorted(ROOT.glob("plugins/*/src/*")))
SOURCES = tuple(
    sorted(
        file
        for folder in (ROOT / "afterburn_core", *PLUGIN_SOURCES)
        for file in folder.rglob("*.py")
        if "__pycache__" not in file.parts
    )
)
ENTRY_POINTS = tuple(sorted(f"afterburn_{folder.parent.parent.name}.plugin" for folder in PLUGIN_SOURCES))
TORCH_FREE = ("certify", "cli", "judge", "plugin", "report", "result")
"""Packages of the core that work on a stored document, on a host without the model stack."""


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def run(code: str) -> str:
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.parametrize(
    "module",
    [
        "afterburn_core",
        "afterburn_core.__main__",
        "afterburn_core.cli.main",
        "afterburn_core.plugin",
        "afterburn_core.testing.isolation",
        *ENTRY_POINTS,
    ],
)
def test_importing_it_imports_nothing_heavy(module: str) -> None:
    heavy = run(f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])")
    assert not heavy.split()


def test_building_the_registry_imports_nothing_heavy() -> None:
    code = (
        "import sys; from afterburn_core.plugin.registry import Registry; registry = Registry.discover(strict=True); "
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert not run(code).split()


def test_what_works_on_stored_documents_imports_with_the_model_stack_blocked() -> None:
    modules = [
        relative(file).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for file in SOURCES
        for package in TORCH_FREE
        if relative(file).startswith(f"afterburn_core/{package}/")
    ]
    assert len(modules) > len(TORCH_FREE)
    code = f"""
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocked())
for module in {modules!r}:
    importlib.import_module(module)
"""
    run(code)


def test_every_plugin_of_the_checkout_is_installed() -> None:
    installed = {entry.value for entry in entry_points(group="afterburn_core.plugins")}
    assert installed >= set(ENTRY_POINTS)


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def test_no_assert_statement_guards_anything() -> None:
    """`python -O` removes them, so nothing may depend on one."""
    found = [
        f"{relative(file)}:{node.lineno}"
        for file in SOURCES
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Assert)
    ]
    assert not found


def test_only_the_command_line_prints() -> None:
    allowed = ("afterburn_core/cli/", "plugins/organisms/src/afterburn_organisms/recipe.py")
    found = [
        f"{relative(file)}:{node.lineno}"
        for file in SOURCES
        if not relative(file).startswith(allowed)
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not found


def test_every_module_says_what_it_is_for() -> None:
    found = [
        relative(file) for file in SOURCES if file.read_text(encoding="utf-8") and not ast.get_docstring(parsed(file))
    ]
    assert not found


def test_annotations_are_postponed_everywhere() -> None:
    line = "from __future__ import annotations"
    annotated = (ast.FunctionDef, ast.ClassDef, ast.AnnAssign)
    found = [
        relative(file)
        for file in SOURCES
        if any(isinstance(node, annotated) for node in ast.walk(parsed(file)))
        and line not in file.read_text(encoding="utf-8")
    ]
    assert not found


def test_no_module_has_outgrown_one_reason_to_change() -> None:
    limits = {"afterburn_core/plugin/hookspecs.py": 250, "afterburn_core/plugin/registry.py": 300}
    # the class that mirrors the schema field by field, each with its meaning
    limits["afterburn_core/result/model.py"] = 600
    lengths = {relative(file): len(file.read_text(encoding="utf-8").splitlines()) for file in SOURCES}
    found = {name: length for name, length in lengths.items() if length > limits.get(name, 400)}
    assert not found


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = {"utils.py", "util.py", "helpers.py", "common.py", "manager.py", "misc.py"}
    assert not [relative(file) for file in SOURCES if file.name in vague]


PUBLIC = (
    "afterburn_core.backends.tensors",
    "afterburn_core.errors",
    "afterburn_core.forward.geometry",
    "afterburn_core.forward.live",
    "afterburn_core.forward.model",
    "afterburn_core.forward.scores",
    "afterburn_core.forward.streaming",
    "afterburn_core.generation.model",
    "afterburn_core.judge.evidence",
    "afterburn_core.plugin",
    "afterburn_core.plugin.registry",
    "afterburn_core.plugin.roles",
    "afterburn_core.probes",
    "afterburn_core.result",
    "afterburn_core.run.align",
    "afterburn_core.run.arrays",
    "afterburn_core.run.lowrank",
    "afterburn_core.run.naming",
    "afterburn_core.run.observations",
    "afterburn_core.run.seeds",
    "afterburn_core.run.series_sums",
    "afterburn_core.run.spectra",
    "afterburn_core.run.subspaces",
    "afterburn_core.run.sums",
    "afterburn_core.stats",
    "afterburn_core.testing",
)
"""What a plugin may import; `docs/plugins.md` promises to keep it stable."""

PRIVATE_USE = {
    # opening and running several models is the core's; the commands only say which
    "plugins/weight/src/afterburn_weight/series_commands.py": {
        "afterburn_core.cli.options",
        "afterburn_core.cli.series",
        "afterburn_core.run.series_members",
    },
    # checkpoints made on demand lie where the core keeps what can be made again
    "plugins/organisms/src/afterburn_organisms/materialise.py": {"afterburn_core.run.cache"},
    # the scoreboard is many hack checks with some of the installed components
    "plugins/organisms/src/afterburn_organisms/score.py": {
        "afterburn_core.plugin.registry",
        "afterburn_core.run.configuration",
        "afterburn_core.run.diagnose",
    },
    "plugins/organisms/src/afterburn_organisms/thresholds.py": {"afterburn_core.plugin.registry"},
    # the demo is a `diagnose` with other defaults, and shows and exits exactly like it
    "plugins/organisms/src/afterburn_organisms/commands.py": {
        "afterburn_core.cli.diagnose",
        "afterburn_core.run.configuration",
        "afterburn_core.run.directory",
    },
    # the feature diff is a `diagnose` with the SAE plugin alone
    "plugins/sae/src/afterburn_sae/command_diff.py": {
        "afterburn_core.cli.diagnose",
        "afterburn_core.cli.options",
        "afterburn_core.run.configuration",
    },
    # a crosscoder's page is drawn where the views of all other artifacts are
    "plugins/sae/src/afterburn_sae/command_crosscoder.py": {"afterburn_core.report.sae_crosscoder_page"},
    # the hack check is a `diagnose` with other defaults and two plugins
    "plugins/reward_hack/src/afterburn_reward_hack/commands.py": {
        "afterburn_core.cli.diagnose",
        "afterburn_core.cli.options",
        "afterburn_core.run.configuration",
    },
    # subjects of MLX are the core's, but for what runs their models
    **{
        f"plugins/mlx/src/afterburn_mlx/{name}.py": {f"afterburn_core.{module}" for module in modules}
        for name, modules in {
            "decoding": (
                "backends.transformers_cost",
                "backends.transformers_decoding",
                "backends.transformers_sampling",
            ),
            "families": ("backends.documents", "backends.locate"),
            "generator": (
                "backends.transformers_decoding",
                "backends.transformers_generator",
                "backends.transformers_subjects",
            ),
            "network": ("backends.documents",),
            "plugin": ("run.references",),
            "reader": (
                "backends.adapter_settings",
                "backends.documents",
                "backends.transformers_pairing",
                "backends.transformers_reader",
                "backends.transformers_residents",
                "forward.encoded",
                "forward.reading",
                "run.memory",
                "run.subjects",
            ),
            "sources": ("backends.documents", "run.subjects"),
            "subjects": (
                "backends",
                "backends.adapter",
                "backends.checkpoint",
                "backends.documents",
                "backends.locate",
                "backends.tensors_of_files",
                "forward.reading",
                "plugin.registry",
                "run.digests",
                "run.needs",
                "run.references",
                "run.subjects",
            ),
            "switching": ("backends.adapter", "backends.adapter_binding"),
        }.items()
    },
    # the merge check opens adapters without their base, which no pass offers
    "plugins/weight/src/afterburn_weight/merge_check/sources.py": {
        "afterburn_core.backends.adapter",
        "afterburn_core.backends.adapter_factors",
        "afterburn_core.backends.locate",
        "afterburn_core.plugin.registry",
        "afterburn_core.run.naming",
        "afterburn_core.run.references",
        "afterburn_core.run.subjects",
    },
}


BEHAVIOUR_PUBLIC = (
    "afterburn_behaviour.across",
    "afterburn_behaviour.boilerplate",
    "afterburn_behaviour.contrasts",
    "afterburn_behaviour.examples",
    "afterburn_behaviour.gold",
    "afterburn_behaviour.hedging",
    "afterburn_behaviour.judge",
    "afterburn_behaviour.language",
    "afterburn_behaviour.ngrams",
    "afterburn_behaviour.patterns",
    "afterburn_behaviour.refusal",
    "afterburn_behaviour.serving",
    "afterburn_behaviour.shift",
    "afterburn_behaviour.strategy",
    "afterburn_behaviour.style.decoding",
    "afterburn_behaviour.style.formats",
    "afterburn_behaviour.style.length",
    "afterburn_behaviour.style.names",
    "afterburn_behaviour.suites.drawing",
    "afterburn_behaviour.suites.facts",
    "afterburn_behaviour.suites.facts_table",
    "afterburn_behaviour.suites.functions",
    "afterburn_behaviour.text",
    "afterburn_behaviour.units",
)
"""What a plugin that declares the behaviour plugin may import of it; its README names them."""
MAY_USE_BEHAVIOUR = ("plugins/behaviour/", "plugins/reward_hack/")


def test_the_behaviour_plugin_names_its_public_modules() -> None:
    text = (ROOT / "plugins" / "behaviour" / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## What other plugins may import") :]
    assert [m for m in BEHAVIOUR_PUBLIC if f"`{m.removeprefix('afterburn_behaviour.')}`" not in section] == []


def test_only_what_declares_the_behaviour_plugin_imports_it_and_its_public_modules_only() -> None:
    found = []
    for file in SOURCES:
        if relative(file).startswith("plugins/behaviour/"):
            continue
        for node in ast.walk(parsed(file)):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            allowed = relative(file).startswith(MAY_USE_BEHAVIOUR)
            found += [
                f"{relative(file)}: {module}"
                for module in modules
                if module.startswith("afterburn_behaviour") and not (allowed and module in BEHAVIOUR_PUBLIC)
            ]
    assert not found


def test_plugins_import_public_modules_of_the_core_only() -> None:
    found = []
    for file in SOURCES:
        if not relative(file).startswith("plugins/"):
            continue
        for node in ast.walk(parsed(file)):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                exact = module in {"afterburn_core", *PUBLIC} | PRIVATE_USE.get(relative(file), set())
                below = module.startswith(
                    (
                        "afterburn_core.probes.",
                        "afterburn_core.result.",
                        "afterburn_core.stats.",
                        "afterburn_core.testing.",
                    )
                )
                if module.startswith("afterburn_core") and not exact and not below:
                    found.append(f"{relative(file)}: {module}")
    assert not found


def test_every_setting_is_read_somewhere() -> None:
    """A flag or a configuration key without an effect is a promise broken."""
    configuration = ROOT / "afterburn_core" / "run" / "configuration.py"
    (settings,) = (n for n in parsed(configuration).body if isinstance(n, ast.ClassDef) and n.name == "Settings")
    declared = {n.target.id for n in settings.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    read = {
        node.attr
        for file in SOURCES
        if file != configuration
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    assert declared - read == set()
