"""Options that several commands share, and how they become settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from afterburn_core.run.configuration import DTYPES, FAIL_ON, METHODS, TEMPLATES, Settings, load_settings
from afterburn_core.run.needs import PRESETS

Command = Callable[..., Any]

_MODEL = "Base model: directory, weight file, hub id[@revision], recorded:FILE or api:URL#MODEL."


def debug_option(command: Command) -> Command:
    """`--debug`, looked up by the outermost error handler."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")(command)


def output_option(command: Command) -> Command:
    """`-o FILE`, repeatable."""
    return click.option(
        "-o",
        "--output",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Write a report; the suffix picks the format: .html .pdf .json .md .junit.xml .sarif. Repeats.",
    )(command)


def subject_options(command: Command) -> Command:
    """What to compare and how to read it: everything `plan` needs."""
    decorators = (
        click.option("--base", metavar="MODEL", help=_MODEL),
        click.option("--trained", metavar="MODEL", help="Trained model: as --base, or a PEFT adapter directory."),
        click.option("--method", type=click.Choice(METHODS), help="Declared training method; recorded."),
        click.option(
            "--preset", type=click.Choice(PRESETS), help="How much to measure [default: standard; of hack-check full]."
        ),
        click.option(
            "--config", type=click.Path(path_type=Path), help="Configuration file [default: .afterburn.yaml]."
        ),
        click.option("--plugins", metavar="A,B", help="Only these plugins, besides the core."),
        click.option("--backend", metavar="NAME", help="Open subjects with this backend."),
        click.option("--threads", type=int, metavar="N", help="Worker threads [default: all cores]."),
        click.option("--strict", is_flag=True, default=None, help="Stop if any plugin has a problem."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output."),
        debug_option,
    )
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def control_option(command: Command) -> Command:
    """`--control KIND[:N]|MODEL`, repeatable."""
    return click.option(
        "--control",
        multiple=True,
        metavar="KIND[:N]|MODEL",
        help="Set the trained model among controls: resample, matched, scrambled (19 of them, or N), rounding, or a "
        "benign fine-tune. Repeats.",
    )(command)


def writing_options(command: Command) -> Command:
    """What models are asked and given to read, and how they write."""
    decorators = (
        click.option(
            "--suite",
            multiple=True,
            metavar="SET[:N][@SEED]",
            help="Probe set to ask [default: those of the behaviour plugin]. Repeats.",
        ),
        click.option("--prompts", multiple=True, type=click.Path(path_type=Path), help="Prompts of your own. Repeats."),
        click.option(
            "--corpus",
            multiple=True,
            metavar="PATH|SET",
            help="Texts to read: your file, directory or data set, or a set of passages by name. Repeats.",
        ),
        click.option(
            "--answers",
            type=click.Path(path_type=Path),
            metavar="RUN_DIR",
            help="Read the answers of an earlier run in place of this run's.",
        ),
        click.option("--samples", type=int, metavar="N", help="Texts per prompt [default: 1]."),
        click.option(
            "--max-new-tokens", type=int, metavar="N", help="Limit of a text [default: 128 to 512, by preset]."
        ),
        click.option("--temperature", type=float, help="0 is greedy [default: 0; 1 with several samples]."),
        click.option("--top-p", type=float, help="Nucleus sampling [default: 1]."),
        click.option("--template", type=click.Choice(TEMPLATES), help="Chat template [default: auto]."),
        click.option("--dtype", type=click.Choice(DTYPES), help="Precision in which models write [default: auto]."),
        click.option("--batch-size", type=int, metavar="N", help="Most texts written at once [default: what fits]."),
        click.option("--judge", metavar="MODEL", help="Third model that compares answers, in both orders."),
        control_option,
        click.option(
            "--reward",
            metavar="SCORER",
            help="What training optimised: module:function, label:FIELD or a reward model.",
        ),
        click.option("--gold", metavar="SCORER", help="What it was meant to improve, named likewise."),
        click.option(
            "--allow-code-execution", is_flag=True, default=None, help="Run code that models wrote, to check it."
        ),
    )
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def without_plugins(command: click.Command) -> click.Command:
    """The command less `--plugins`, for one that takes part with a plugin of its own."""
    command.params = [parameter for parameter in command.params if parameter.name != "plugins"]
    return command


def run_options(command: Command) -> Command:
    """How to run: everything besides the subjects that `diagnose` and its short forms take."""
    decorators = (
        output_option,
        click.option(
            "--run-dir", type=click.Path(path_type=Path), help="Where the run goes [default: afterburn-runs/…]."
        ),
        click.option(
            "--cache-dir", type=click.Path(path_type=Path), help="Where the cache is [default: ~/.cache/afterburn]."
        ),
        click.option("--cache/--no-cache", default=None, help="Reuse results of equal inputs [default: yes]."),
        click.option("--seed", type=int, help="Seed of the run [default: 0]."),
        click.option("--device", metavar="D", help="auto, cpu, cuda or cuda:N [default: auto]."),
        click.option("--policy", type=click.Path(path_type=Path), help="Policy file (YAML) for the verdict."),
        click.option("--fail-on", type=click.Choice(FAIL_ON), help="Lowest level of a failed rule that fails the run."),
        click.option("--excerpts/--no-excerpts", default=None, help="Show texts in the document [default: yes]."),
        click.option("--quiet", is_flag=True, help="No summary and no progress."),
    )
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def settings_from(flags: dict[str, Any], **defaults: Any) -> Settings:
    """Settings from the flags of a command and the configuration file; flags win, `defaults` of the command yield."""
    values = {key: value for key, value in flags.items() if key not in {"as_json", "config", "quiet"}}
    if values.get("plugins") is not None:
        values["plugins"] = tuple(name.strip() for name in values["plugins"].split(",") if name.strip())
    if "output" in values:
        values["output"] = tuple(str(path) for path in values["output"]) or None
    for name in ("suite", "prompts", "corpus", "control"):
        if name in values:
            values[name] = tuple(str(value) for value in values[name]) or None
    values = {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
    return load_settings(flags.get("config"), values, defaults=defaults)
