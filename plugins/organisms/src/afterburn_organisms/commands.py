"""`afterburn demo` and `afterburn organisms`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs
import click

from afterburn_organisms.catalog import demo_pair, list_organisms

if TYPE_CHECKING:
    from afterburn_organisms.benchmark import BenchmarkOrganism


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("afterburn-demo"), help="Where to write the run and report."
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.pass_context
def demo(ctx: click.Context, out: Path) -> None:
    """Compare the shipped base model with its fine-tune: weights, texts, activations; report.html and result.json.

    The fine-tune was trained to be long-winded, so the verdict is expected to fail it; the exit code is 0 all the same.
    """
    from afterburn_core import load_report
    from afterburn_core.cli.diagnose import run_and_report
    from afterburn_core.run.configuration import Settings
    from afterburn_core.run.directory import prepare

    base, trained = demo_pair()
    prepare(out, "demo")  # before the run, so that the report's directory exists
    settings = Settings(
        base=str(base),
        trained=str(trained),
        method="sft",
        suite=("organisms.world",),
        corpus=("organisms.plain:120",),
        run_dir=str(out),
        output=(str(out / "report.html"),),
    )
    code = run_and_report("demo", settings, None, as_json=False, quiet=False)
    verdict = load_report(out).verdict.status
    click.echo(
        f"\nThe verdict is {verdict}: `afterburn diagnose` would exit with {code}; a demonstration ends well whatever "
        "the verdict."
    )


@click.group()
def organisms() -> None:
    """Small models with known, planted changes."""


@organisms.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """Every shipped model and organism of the benchmark: kind, what was planted, and how much of it shows."""
    from afterburn_organisms.benchmark import list_benchmark

    entries = [
        {"name": o.name, "role": o.role, "kind": o.kind, "base": o.base, "planted": o.planted, "path": str(o.path)}
        for o in list_organisms()
    ]
    if as_json:
        click.echo(
            json.dumps([*entries, *({**attrs.asdict(o), "role": "trained"} for o in list_benchmark())], indent=1)
        )
        return
    for entry in entries:
        click.echo(f"{entry['name']} ({entry['role']} {entry['kind']})\n  {entry['planted']}\n  {entry['path']}")
    for one in list_benchmark():
        click.echo(f"{one.name} ({one.split}, {'benign' if one.twin else 'planted'})\n  {one.planted}\n  {_truth(one)}")


def _truth(one: BenchmarkOrganism) -> str:
    """`right .81 → .80`: base and trained on held-out prompts, where they differ beyond both intervals."""
    told = []
    for name, sides in sorted(one.truth.items()):
        before, after = sides.get("base"), sides.get("trained")
        if before is None or after is None:
            continue
        if after["low"] > before["high"] or after["high"] < before["low"]:
            told.append(f"{name} {before['value']:.2f} → {after['value']:.2f}")
    return ", ".join(told) or "nothing measured apart from the base"


@organisms.command()
@click.argument("name")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("afterburn-organisms"), help="Where the runs are kept."
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def run(name: str, out: Path) -> None:
    """Check one organism of the benchmark against its base, and print what the rules say."""
    from afterburn_organisms.benchmark import benchmark_organism
    from afterburn_organisms.score import score_one

    one = benchmark_organism(name)
    document = score_one(one, out)
    click.echo(f"{one.name}: {one.planted}\n")
    for rule, said in document["rules"].items():
        strength = "" if said["strength"] is None else f"{said['strength']:.2f}"
        click.echo(f"{rule:18} {said['kind']:14} {strength:>5}  {said['message']}")
    click.echo(f"\nwritten: {out / 'runs' / one.name}")


@organisms.command()
@click.option("--split", type=click.Choice(["dev", "test", "all"]), default="test", help="Which seeds are scored.")
@click.option("--only", multiple=True, help="Score this organism or kind alone; repeats.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("afterburn-organisms"), help="Where the runs are kept."
)
@click.option(
    "--page", type=click.Path(path_type=Path), help="Where scoreboard.md and .json go; the runs' folder if absent."
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Organisms that are scored at the same time.")
@click.option("--resume", is_flag=True, help="Keep what an earlier run found, if weights and thresholds are the same.")
@click.option("--freeze", is_flag=True, help="With --split dev: freeze the thresholds of now for the test seeds.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def score(
    split: Literal["dev", "test", "all"],
    only: tuple[str, ...],
    out: Path,
    page: Path | None,
    jobs: int,
    resume: bool,
    freeze: bool,
) -> None:
    """Run every rule on every organism and write the scoreboard: error rates with their intervals.

    \b
    afterburn organisms score --split dev --freeze
    afterburn organisms score --split test --jobs 2
    """
    from afterburn_core.errors import ConfigError
    from afterburn_organisms import thresholds
    from afterburn_organisms.scoreboard import chosen, rows_of, scoreboard
    from afterburn_organisms.scoreboard_page import write

    if freeze and split != "dev":
        raise ConfigError("--freeze: thresholds are chosen on development seeds; give --split dev")
    digest = None if split == "dev" else thresholds.require_frozen()
    organisms_scored = chosen(split, only)
    from afterburn_organisms.score import score_all  # torch only once everything else is in order

    readings = score_all(organisms_scored, out, jobs=jobs, resume=resume, tell=lambda line: click.echo(line, err=True))
    if freeze:
        thresholds.freeze()
    for path in write(scoreboard(rows_of(organisms_scored, readings), split=split, digest=digest), page or out):
        click.echo(f"written: {path}")
