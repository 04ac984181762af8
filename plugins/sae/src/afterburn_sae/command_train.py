"""`afterburn sae train`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]
DTYPES = ("auto", "float32", "bfloat16", "float16")


def training_options(command: Command) -> Command:
    """What `train` and `crosscoder` share."""
    decorators = (
        click.option("--base", required=True, metavar="MODEL", help="Base model: directory or hub id[@revision]."),
        click.option("--site", required=True, metavar="SITE", help="What is read, such as blocks.3.out."),
        click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory for the dictionary."),
        click.option("--latents", type=int, metavar="N", help="Latents [default: --expansion times the width]."),
        click.option("--expansion", type=float, default=2.0, show_default=True, help="Latents per width of the site."),
        click.option("--k", type=int, default=32, show_default=True, help="Active latents of a token, on average."),
        click.option("--tokens", type=int, default=1_000_000, show_default=True, help="Tokens to learn from."),
        click.option("--steps", type=int, metavar="N", help="Steps, in place of --tokens."),
        click.option("--corpus", multiple=True, metavar="PATH|SET", help="Texts to read, as of diagnose. Repeats."),
        click.option("--lr", type=float, help="Learning rate [default: follows from the number of latents]."),
        click.option("--batch", type=int, default=1024, show_default=True, help="Tokens of a step."),
        click.option("--seed", type=int, default=0, show_default=True, help="Seed of texts, weights and order."),
        click.option("--device", default="auto", show_default=True, metavar="D", help="auto, cpu, cuda or cuda:N."),
        click.option("--dtype", type=click.Choice(DTYPES), default="auto", help="Precision in which models read."),
        click.option("--backend", metavar="NAME", help="Open models with this backend."),
        click.option("--resume", is_flag=True, help="Go on with an unfinished training in --out."),
        click.option("--quiet", is_flag=True, help="No progress."),
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
        click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."),
    )
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


@click.command()
@click.option(
    "--on",
    type=click.Choice(("base", "trained", "difference")),
    default="base",
    show_default=True,
    help="Activations to learn from: of one model, or trained - base.",
)
@click.option("--trained", metavar="MODEL", help="Trained model: as --base, or a PEFT adapter directory.")
@training_options
def train(trained: str | None, **flags: Any) -> None:
    """Train a dictionary (BatchTopK) on base, trained or difference activations.

    \b
    afterburn sae train --base B --site blocks.3.out --out dictionary
    afterburn sae train --base B --trained T --on difference \\
        --site blocks.3.out --out d

    The dictionary is written in the layout of SAELens 6 (cfg.json and sae_weights.safetensors). A training that was
    stopped goes on with the same command and --resume.
    """
    from afterburn_core.forward.streaming import named_device, open_models
    from afterburn_sae.streaming import divided
    from afterburn_sae.train import Interrupted, Setting
    from afterburn_sae.train import train as run
    from afterburn_sae.train_progress import ProgressLine
    from afterburn_sae.train_recipe import Recipe

    names = ("on", "site", "latents", "expansion", "k", "tokens", "steps", "lr", "batch", "seed")
    recipe = Recipe(**{name: flags[name] for name in names})
    progress = ProgressLine(quiet=flags["quiet"])
    setting = Setting(
        out=flags["out"],
        device=named_device(flags["device"]),
        dtype=flags["dtype"],
        resume=flags["resume"],
        report=progress,
    )
    with open_models(flags["base"], trained, backend=flags["backend"]) as models:
        division = divided(flags["corpus"], seed=recipe.seed, tokens=recipe.wanted_tokens)
        try:
            content = run(models, division, recipe, setting)
        except Interrupted as stopped:
            progress.end()
            click.echo(str(stopped), err=True)
            raise click.exceptions.Exit(3) from None
    progress.end()
    facts = content["metadata"]["afterburn"]
    if flags["as_json"]:
        click.echo(json.dumps(facts, sort_keys=True))
        return
    for line in summary(facts, flags["out"]):
        click.echo(line)


def summary(facts: dict[str, Any], out: Path) -> list[str]:
    """What the command prints at its end."""
    held = facts["held_out"]
    over = facts["epochs"]
    epochs = f", each passage {over:.1f} times" if over > 1 else ""
    return [
        f"{out}: learned from {facts['tokens']:,} tokens of {facts['passages']:,} passages{epochs}",
        f"on {held['tokens']:,} tokens of {held['passages']:,} texts that were kept back:",
        f"  unexplained variance  {shown(held['fvu'])}",
        f"  active latents        {shown(held['l0'])}  (k {facts['k']})",
        f"  dead latents          {shown(held['dead'])}",
    ]


def shown(estimate: dict[str, Any]) -> str:
    """`0.213 [0.201, 0.226]`."""
    if estimate["low"] is None:
        return f"{estimate['value']:.3g} (n = {estimate['n']}: too few for an interval)"
    return f"{estimate['value']:.3g} [{estimate['low']:.3g}, {estimate['high']:.3g}]"
