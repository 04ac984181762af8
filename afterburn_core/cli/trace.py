"""`afterburn trace`: which part of the trained weights carries a measured change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from afterburn_core.cli.options import debug_option
from afterburn_core.run.needs import PRESETS


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--metric", metavar="ID", help="What to trace, such as behaviour.length.log_ratio.")
@click.option("--subset", metavar="NAME", help="Trace one part: a suite, a category, a domain.")
@click.option("--base", metavar="MODEL", help="Base model [default: where the run found it].")
@click.option("--trained", metavar="MODEL", help="Trained model [default: where the run found it].")
@click.option("--preset", type=click.Choice(PRESETS), default="standard", help="How far to go [default: standard].")
@click.option(
    "--share",
    type=click.FloatRange(0.05, 1.0),
    default=0.8,
    metavar="X",
    help="Share that a set has to carry, with the lower bound of its interval [default: 0.8].",
)
@click.option(
    "--controls", type=click.IntRange(0, 99), default=5, metavar="N", help="Random sets beside each [default: 5]."
)
@click.option(
    "--prompts-limit",
    type=click.IntRange(min=5),
    metavar="N",
    help="Most prompts, or passages [default: 20, 60 or all, by preset].",
)
@click.option("--device", metavar="D", help="auto, cpu, cuda or cuda:N [default: the run's].")
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where the cache is [default: the run's].")
@click.option("--cache/--no-cache", default=True, help="Reuse finished evaluations [default: yes].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write a page: .html, or .json.")
@click.option("--quiet", is_flag=True, help="No summary and no progress.")
@debug_option
@click.pass_context
def trace(ctx: click.Context, /, **flags: Any) -> None:
    """Find the weights that carry a change which RUN measured (a run directory of `diagnose`).

    Puts the trained weights back to base by layers and parts, halving toward the smallest set that carries the change,
    with intervals and random sets beside it. Needs both models; Ctrl-C keeps what was finished.

    \b
    afterburn trace RUN --metric behaviour.length.log_ratio -o trace.html
    """
    ctx.exit(_trace(flags))


def _trace(flags: dict[str, Any]) -> int:
    from rich.console import Console

    from afterburn_core.cli.progress import make_progress
    from afterburn_core.report.trace_html import render
    from afterburn_core.report.trace_terminal import summary
    from afterburn_core.result.files import replace_file
    from afterburn_core.trace.session import Wanted, dumps, trace_run

    output: Path | None = flags["output"]
    if output is not None:
        _check(output)
    wanted = Wanted(
        metric=flags["metric"],
        subset=flags["subset"],
        base=flags["base"],
        trained=flags["trained"],
        preset=flags["preset"],
        share=flags["share"],
        controls=flags["controls"],
        limit=flags["prompts_limit"],
        device=flags["device"],
        cache=flags["cache"],
        cache_dir=str(flags["cache_dir"]) if flags["cache_dir"] else None,
    )
    progress = make_progress(flags["quiet"] or flags["as_json"])
    done = trace_run(flags["run"], wanted, progress)
    document = dumps(done.trace)
    if output is not None:
        replace_file(output, document.encode() if output.suffix.lower() == ".json" else render(done.trace))
    if flags["as_json"]:
        click.echo(document, nl=False)
    elif not flags["quiet"]:
        console = Console()
        summary(done.trace, console)
        written = [done.path, *([output] if output is not None else [])]
        console.print("\n" + "\n".join(f"written: {path}" for path in written), highlight=False, soft_wrap=True)
    return _INTERRUPTED if done.trace.interrupted else 0


_INTERRUPTED = 3


def _check(output: Path) -> None:
    from afterburn_core.errors import ConfigError

    if output.suffix.lower() not in {".html", ".json"}:
        raise ConfigError(f"-o {output}: a trace is written as .html or .json")
    if not output.absolute().parent.is_dir():
        raise ConfigError(f"-o {output}: the directory {output.parent} does not exist; create it first")
    if output.is_dir():
        raise ConfigError(f"-o {output}: is a directory; give a file name")
