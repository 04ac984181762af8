"""`afterburn sae crosscoder`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from afterburn_sae.command_train import shown, training_options


@click.command()
@click.option("--trained", required=True, metavar="MODEL", help="Trained model: as --base, or a PEFT adapter.")
@click.option(
    "--kind",
    type=click.Choice(("batch_topk", "l1")),
    default="batch_topk",
    show_default=True,
    help="How codes are kept sparse. l1 makes latents of one model alone out of shared ones.",
)
@click.option("--k-start", type=int, metavar="N", help="k of the first step, annealed to --k [default: 10 times].")
@click.option("--l1", type=float, default=1.0, show_default=True, help="Weight of the penalty of --kind l1.")
@click.option("--second-seed", type=int, metavar="N", help="Train another from this seed, and report what matches.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Also write a page to look at: .html.")
@training_options
def crosscoder(trained: str, second_seed: int | None, k_start: int | None, output: Path | None, **flags: Any) -> None:
    """Train one dictionary on both models at once, and name what is one model's alone.

    \b
    afterburn sae crosscoder --base B --trained T --site blocks.3.out \\
        --out crosscoder -o crosscoder.html

    --out gets cfg.json, crosscoder.safetensors and crosscoder.json. Latents that seem to be one model's alone are put
    to latent scaling; those that the other model has after all are counted as shared.
    """
    from afterburn_core.errors import ConfigError
    from afterburn_core.forward.streaming import named_device, open_models
    from afterburn_sae.crosscoder import crosscoder as run
    from afterburn_sae.streaming import divided
    from afterburn_sae.train import Interrupted, Setting
    from afterburn_sae.train_progress import ProgressLine
    from afterburn_sae.train_recipe import Recipe

    if output is not None:
        if output.suffix.lower() != ".html":
            raise ConfigError(f"{output}: the page is written as .html; name it so")
        if not output.parent.is_dir():
            raise ConfigError(f"{output}: {output.parent} is no directory; create it, or give another -o")
    names = ("site", "latents", "expansion", "k", "tokens", "steps", "lr", "batch", "seed", "kind", "l1")
    recipe = Recipe(
        on="both",
        k_start=k_start or 10 * flags["k"],
        more_seeds=() if second_seed is None else (second_seed,),
        **{name: flags[name] for name in names},
    )
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
        title = f"{models.base.label} → {models.trained.label if models.trained is not None else trained}"
        try:
            found = run(models, division, recipe, setting)
        except Interrupted as stopped:
            progress.end()
            click.echo(str(stopped), err=True)
            raise click.exceptions.Exit(3) from None
    progress.end()
    if output is not None:
        write_page(found, output, title)
    if flags["as_json"]:
        click.echo(json.dumps(found, sort_keys=True))
        return
    for line in summary(found, flags["out"]):
        click.echo(line)
    if output is not None:
        click.echo(f"written: {output}")


def write_page(found: Mapping[str, Any], path: Path, title: str) -> None:
    """The page of norms, classes and latent scaling.

    Raises:
        ConfigError: it cannot be written.
    """
    from afterburn_core.errors import ConfigError
    from afterburn_core.report.sae_crosscoder_page import render_crosscoder

    try:
        path.write_bytes(render_crosscoder(found, title=title))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); give another -o") from error


def summary(found: dict[str, Any], out: Path) -> list[str]:
    """What the command prints at its end."""
    report, before, after = found["report"], found["classes"], found["classes_after_scaling"]
    epochs = f", each passage {report['epochs']:.1f} times" if report["epochs"] > 1 else ""
    lines = [
        f"{out}: learned from {report['tokens']:,} tokens of {report['passages']:,} passages{epochs}",
        f"variance explained of base in texts that were kept back: {shown(found['fve']['base'])}",
        f"                        of trained                       {shown(found['fve']['trained'])}",
        f"active latents {shown(report['held_out']['l0'])}; {found['alive']:,} of {found['latents']:,} latents alive",
        "",
        f"{'':16}{'base-only':>12}{'shared':>12}{'trained-only':>14}",
    ]
    for name, own in (("by norms", before), ("after scaling", after)):
        lines.append(f"{name:16}{own['base_only']:>12,}{own['shared']:>12,}{own['trained_only']:>14,}")
    lines += [
        f"seed {one['seed']}: {shown(one)} of the latents are found again" for one in found.get("seeds", ()) if one["n"]
    ]
    return lines
