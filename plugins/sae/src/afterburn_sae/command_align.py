"""`afterburn sae align`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from afterburn_sae.align import Alignment

SUFFIXES = (".json", ".csv", ".tsv")


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--base", metavar="MODEL", help="Read texts with this model, to know which latents are active.")
@click.option("--corpus", multiple=True, metavar="PATH|SET", help="Texts to read, as of diagnose. Repeats.")
@click.option("--tokens", type=click.IntRange(min=64), default=16384, show_default=True, help="Tokens to read.")
@click.option(
    "--assigned",
    type=click.IntRange(2, 4096),
    default=2048,
    show_default=True,
    metavar="N",
    help="Match so many latents of either side one to one.",
)
@click.option("--device", default="auto", show_default=True, metavar="D", help="auto, cpu, cuda or cuda:N.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the rotation and of the texts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the map: .json, .csv or .tsv.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def align(a: str, b: str, as_json: bool, output: Path | None, **flags: Any) -> None:
    """Match the latents of two dictionaries by their decoder rows.

    \b
    afterburn sae align seed-1 seed-2 -o map.csv
    afterburn sae align mine gemma-scope/params.npz --base gemma-2-2b

    Says how near each latent's nearest counterpart is, how many pairs are each other's nearest, which latents have
    none, and what two unrelated dictionaries would show (a random rotation).
    """
    from afterburn_core.errors import ConfigError
    from afterburn_core.forward.streaming import named_device
    from afterburn_sae.align import align as run
    from afterburn_sae.readers import open_dictionary

    if output is not None and output.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{output}: the map is written as {', '.join(SUFFIXES)}; name it so")
    pair = [open_dictionary(path) for path in (a, b)]
    active = None
    if flags["base"] is not None:
        from afterburn_sae.activity import count_active

        names = ("corpus", "tokens", "device", "seed")
        counts = count_active(pair, flags["base"], **{name: flags[name] for name in names})
        active = (counts[0], counts[1])
    device = named_device(flags["device"])
    found = run(*pair, active=active, assigned=flags["assigned"], device=device, seed=flags["seed"])
    if output is not None:
        write(found, output)
    if as_json:
        click.echo(json.dumps(found.document, sort_keys=True, ensure_ascii=False))
        return
    for line in lines(found.document):
        click.echo(line)
    if output is not None:
        click.echo(f"Map of {len(found.a):,} latents: {output}")


def write(found: Alignment, path: Path) -> None:
    """The map: a table with the columns a, b, cosine and mutual, or all of the document with it as JSON.

    Raises:
        ConfigError: it cannot be written.
    """
    from afterburn_core.errors import ConfigError

    try:
        if path.suffix.lower() == ".json":
            content = {**found.document, "map": list(found.rows())}
            path.write_text(json.dumps(content, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
            return
        mark = "," if path.suffix.lower() == ".csv" else "\t"
        with path.open("w", encoding="utf-8") as file:
            file.write(mark.join(("a", "b", "cosine", "mutual")) + "\n")
            for row in found.rows():
                cells = (str(row["a"]), str(row["b"]), f"{row['cosine']:.6f}", str(int(row["mutual"])))
                file.write(mark.join(cells) + "\n")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); give another -o") from error


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What the command prints."""
    best, null, mutual = document["mean_best_cosine"], document["null"], document["mutual"]
    for side in ("a", "b"):
        own = document[side]
        gone = own["latents"] - own["alive"]
        dead = f" ({gone:,} dead)" if gone else ""
        yield f"{side.upper()}: {own['name']}, {own['latents']:,} latents{dead}, {own['site'] or 'no known site'}"
    for note in document["notes"]:
        yield f"note: {note}"
    yield f"Mean best cosine   A in B {_estimate(best['a'])}; B in A {_estimate(best['b'])}"
    yield f"  by chance        {null['value']:.3f}, 95 % below {null['high95']:.3f} (A rotated at random)"
    unmatched = document["unmatched"]
    yield f"Unmatched          A {_estimate(unmatched['a'])}; B {_estimate(unmatched['b'])} (best cosine below .7)"
    mean = "" if mutual["mean_cosine"] is None else f", mean cosine {mutual['mean_cosine']:.3f}"
    opposed = f", {mutual['opposed']:,} of them opposed" if mutual["opposed"] else ""
    yield f"Mutual nearest     {mutual['pairs']:,} pairs ({mutual['share']:.0%} of the smaller){mean}{opposed}"
    assigned = document["assignment"]
    if assigned["reason"]:
        yield f"One to one         not matched: {assigned['reason']}"
    else:
        a, b = assigned["latents"]
        mean, share = assigned["mean_cosine"], assigned["matched"]
        yield f"One to one         {a:,} with {b:,}: mean cosine {mean:.3f}, {share:.0%} matched"
    for name in ("strongest", "weakest"):
        shown = ", ".join(f"{pair['a']}~{pair['b']} {pair['cosine']:.3f}" for pair in document[name][:5])
        yield f"{name.capitalize():19}{shown or 'none'}"


def _estimate(numbers: Mapping[str, Any]) -> str:
    if numbers["low"] is None:
        return f"{numbers['value']:.3f} (n = {numbers['n']:,})"
    return f"{numbers['value']:.3f} [{numbers['low']:.3f}, {numbers['high']:.3f}]"
