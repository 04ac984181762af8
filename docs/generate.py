"""Writes the pages of `docs/` that follow from the code: hooks, metrics, rules, settings and commands.

python docs/generate.py            rewrites them
python docs/generate.py --check    exits with 1 when one is stale
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import click

from afterburn_core.judge.policy_model import Control, Plugins, Policy, Require, Suppression, Threshold
from afterburn_core.plugin import MetricSpec, hookspecs
from afterburn_core.plugin.registry import Registry
from afterburn_core.run.configuration import Settings

DOCS = Path(__file__).resolve().parent
FIRST_PARTY = tuple(sorted(file.parent.name for file in DOCS.parent.glob("plugins/*/pyproject.toml")))
NOTICE = "<!-- Written by docs/generate.py from the code; edit the code. -->"

HOOKS_HEAD = """
A plugin is a module with functions of these names, each marked `@hookimpl`. Implement those you need. A hook
may gain arguments in a later version; an implementation names only the ones it uses. How to write a plugin from
the start: [plugins.md](plugins.md). What the specs hold: the docstrings of `afterburn_core.plugin`.

Hooks that return specs are called once, when the registry is built. Each implementation is called alone: one
that raises becomes a recorded problem, and the others still count.
"""
METRICS_HEAD = """
Every number that the plugins of this repository can put into a result document. An id is never given another
meaning; the version rises when the number can change for equal inputs. An `undefined` measurement carries a
reason instead of a value.
"""
METRIC_HEADS = ("metric", "meaning", "unit", "range", "direction", "version")
RULES_HEAD = """
Every judgement that the plugins of this repository can make. Each registered rule yields at least one finding
in each run; a rule whose measurements are missing is `open`, never silent. A rule's level is the highest one
its findings take; the policy decides which level fails a verdict.
"""
CLI_HEAD = """
`afterburn` and `python -m afterburn_core` are the same program; use the second where another package owns the
name. Errors are one line; `--debug` adds the traceback. `-o` picks the reporter by the file's suffix and
repeats.
"""
CONFIGURATION_HEAD = """
`.afterburn.yaml` (or `.afterburn.yml`), looked for from the working directory upwards, or the file given by `--config`,
holds what the flags hold, with underscores for hyphens. Flags win. Unknown keys and values of a wrong type are refused.
Relative paths in the file are relative to it.
"""
POLICY_HEAD = """
A policy is a YAML file, given by `--policy` or the key `policy`. It says what makes a verdict `fail` or `incomplete`.
What each key does, with examples: [policy.md](policy.md).
"""
LISTS = ("require.controls", "thresholds", "suppressions")
POLICY_PARTS = (
    ("require", Require),
    ("require.controls", Control),
    ("thresholds", Threshold),
    ("suppressions", Suppression),
    ("plugins", Plugins),
)
EXIT_CODES = [
    ("0", "done; where a verdict was reached, it is `pass`"),
    ("1", "findings at or above the bar: the verdict is `fail`"),
    ("2", "usage, configuration or input; one line says what, where and what to do"),
    ("3", "incomplete: something planned did not run, or nothing was analysed; also after Ctrl-C"),
    ("4", "a certificate does not verify"),
]


def hook_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every hook specification with its name, in the order of the source."""
    marker = f"{hookspecs.PROJECT}_spec"
    return ((name, value) for name, value in vars(hookspecs).items() if hasattr(value, marker))


def hooks_page() -> str:
    parts = [
        "# Hooks",
        NOTICE,
        HOOKS_HEAD,
    ]
    for name, function in hook_functions():
        signature = ", ".join(inspect.signature(function).parameters)
        returns = str(inspect.signature(function).return_annotation)
        parts += [f"## `{name}({signature})`", f"Returns `{returns}`.", fenced(inspect.getdoc(function) or "")]
    return page(parts)


def fenced(docstring: str) -> str:
    """A docstring with its `Example::` block as a fenced one."""
    text, marker, example = docstring.partition("Example::")
    if not marker:
        return text.strip()
    return f"{text.strip()}\n\n```python\n{textwrap.dedent(example).strip()}\n```"


def metrics_page() -> str:
    parts = [
        "# Metrics",
        NOTICE,
        METRICS_HEAD,
    ]
    for registered in registry().specs("analyzer"):
        spec = registered.spec
        rows = [metric_row(metric) for metric in spec.metrics]
        needs = ", ".join(sorted({need.kind for need in spec.needs}))
        parts += [
            f"## `{spec.name}`",
            f"{spec.summary}. Rides on the {needs} pass.",
            table(METRIC_HEADS, rows),
            *options(spec.options),
        ]
    for registered in registry().specs("detector"):
        if registered.spec.metrics:
            rows = [metric_row(metric) for metric in registered.spec.metrics]
            parts += [
                f"## `{registered.spec.name}`",
                f"{registered.spec.summary}. Derived from other measurements when they are judged.",
                table(METRIC_HEADS, rows),
            ]
    return page(parts)


def metric_row(metric: MetricSpec) -> tuple[Any, ...]:
    return (
        f"`{metric.id}`", metric.summary, metric.unit, span(metric.low, metric.high), metric.direction, metric.version
    )  # fmt: skip


def rules_page() -> str:
    parts = [
        "# Rules",
        NOTICE,
        RULES_HEAD,
    ]
    for registered in registry().specs("detector"):
        spec = registered.spec
        rows = [
            (
                f"`{rule.id}`",
                rule.level,
                rule.summary,
                rule.help,
                ", ".join(f"`{m}`" for m in rule.metrics),
                rule.version,
            )
            for rule in spec.rules
        ]
        parts += [
            f"## `{spec.name}`",
            f"{spec.summary}.",
            table(("rule", "level", "meaning", "what to do", "rests on", "version"), rows),
            *options(spec.options),
        ]
    return page(parts)


def configuration_page() -> str:
    parts = [
        "# Configuration",
        NOTICE,
        CONFIGURATION_HEAD,
        *fields(Settings),
        "## Policies",
        POLICY_HEAD,
        *fields(Policy),
        *(
            part
            for key, kind in POLICY_PARTS
            for part in (f"Each entry of `{key}`:" if key in LISTS else f"`{key}`:", *fields(kind))
        ),
    ]
    return page(parts)


def options(kind: type | None) -> list[str]:
    return [] if kind is None else ["Options:", *fields(kind)]


def fields(kind: type) -> list[str]:
    documented = field_docstrings(kind)
    rows = [
        (
            f"`{field.name}`",
            default(field.default),
            documented.get(field.name) or f"as `--{field.name.replace('_', '-')}`",
        )
        for field in attrs.fields(kind)
    ]
    return [table(("key", "default", "meaning"), rows)]


def default(value: Any) -> str:
    """A default as YAML would have it; nothing where there is none."""
    if value is None or value is attrs.NOTHING or attrs.has(type(value)):
        return ""
    return f"`{json.dumps(value.factory() if hasattr(value, 'factory') else value)}`"


def field_docstrings(kind: type) -> dict[str, str]:
    """The string under each field of a class."""
    source = textwrap.dedent(inspect.getsource(kind))
    value = r"[^\n]*\n(?: {5,}[^\n]*\n|    \)\n)*"  # on one line, or with its arguments on lines of their own
    found = re.findall(rf'^    (\w+):{value}    """(.*?)"""', source, flags=re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in found}


def cli_page() -> str:
    from afterburn_core.cli.main import cli

    parts = [
        "# Commands",
        NOTICE,
        CLI_HEAD,
        "## Exit codes",
        table(("code", "meaning"), EXIT_CODES),
    ]
    for path, command in commands(cli, ("afterburn",)):
        context = click.Context(command, info_name=" ".join(path))
        parts += [
            f"## `{' '.join(path)}`",
            " ".join(inspect.cleandoc(command.help or "").replace("\b", "").split("\n\n")[0].split()),
            f"```text\n{' '.join(path)} {' '.join(command.collect_usage_pieces(context))}\n```",
        ]
        rows = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
        # click adds its own help option in another spelling once a command has run in this process
        rows = [(f"`{names}`", text) for names, text in rows if not names.endswith("--help")]
        if rows:
            parts.append(table(("option", "meaning"), rows))
    return page(parts)


def commands(group: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below a group that the core or a first-party plugin brings, with the words that reach it."""
    if not isinstance(group, click.Group):
        return
    context = click.Context(group, info_name=path[-1])
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield (*path, name), command
            yield from commands(command, (*path, name))


def registry() -> Registry:
    return Registry.discover(only=FIRST_PARTY, strict=True)


def span(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return "any"
    left = "(−∞" if low is None else f"[{low:g}"
    right = "∞)" if high is None else f"{high:g}]"
    return f"{left}, {right}"


def table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in lines)


def page(parts: list[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "configuration.md": configuration_page,
    "hooks.md": hooks_page,
    "metrics.md": metrics_page,
    "rules.md": rules_page,
}


def main(arguments: list[str]) -> int:
    stale = []
    for name, render in PAGES.items():
        file = DOCS / name
        text = render()
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                file.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{'stale' if '--check' in arguments else 'written'}: docs/{name}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
