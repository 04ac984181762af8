"""`afterburn sae inspect`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click


@click.command()
@click.argument("path", metavar="FILE|DIR")
@click.option("--base", metavar="MODEL", help="Also measure how well it fits this model, on a few texts.")
@click.option("--corpus", multiple=True, metavar="PATH|SET", help="Texts to read, as of diagnose. Repeats.")
@click.option("--tokens", type=click.IntRange(min=64), default=4096, show_default=True, help="Tokens to read.")
@click.option("--any-model", is_flag=True, help="Read a model that the dictionary does not name, too.")
@click.option("--device", default="auto", show_default=True, metavar="D", help="auto, cpu, cuda or cuda:N.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.pass_context
def inspect(ctx: click.Context, /, path: str, as_json: bool, **flags: Any) -> None:
    """Say what a dictionary file is: format, kind, shapes, site, model, digest, and how doubtful matters were decided.

    \b
    afterburn sae inspect demo
    afterburn sae inspect layer_12/params.npz --base gemma-2-2b

    With --base it exits with 1 where the dictionary does not fit: more than half of the variance is unexplained, or L0
    is not within a factor of 2 of what the card says.
    """
    from afterburn_sae.inspection import describe
    from afterburn_sae.readers import open_dictionary

    dictionary = open_dictionary(path)
    found = describe(dictionary)
    if flags["base"] is not None:
        from afterburn_sae.inspection_base import Reading, fit

        names = ("base", "corpus", "tokens", "any_model", "device")
        found["fit"] = fit(dictionary, Reading(**{name: flags[name] for name in names}))
    if as_json:
        click.echo(json.dumps(found, sort_keys=True, ensure_ascii=False))
    else:
        for line in lines(found):
            click.echo(line)
    ctx.exit(1 if found.get("fit", {}).get("warnings") else 0)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What the command prints."""
    what = "transcoder" if found["transcoder"] else "dictionary"
    rows = (
        ("what", f"{found['kind']} {what} of the format {found['format']}, stored as {found['dtype']}"),
        ("shapes", f"{found['latents']:,} latents, reads {found['d_in']:,}, writes {found['d_out']:,}"),
        ("model", found["model"] or "not named in the file"),
        ("site", _site(found)),
        ("k", found["k"]),
        ("threshold", _spread(found["threshold"])),
        ("input", _input(found)),
        ("decoder norms", f"{_spread(found['decoder_norms'])}; {found['decoder_norms']['unit']:.0%} are 1"),
        ("encoder norms", _spread(found["encoder_norms"])),
        ("dead latents", f"{found['dead']:,}" + (f"; {found['not_finite']:,} not finite" * bool(found["not_finite"]))),
        ("alone", "latents can be encoded alone" if found["encoded_alone"] else "all latents are needed for any"),
        ("L0 by the card", None if found["l0"] is None else f"{found['l0']:g}"),
        ("begins with", {None: None, True: "a beginning mark", False: "no beginning mark"}[found["prepend_bos"]]),
        ("Neuronpedia", found["lookup"]),
        ("sha256", found["sha256"]),
    )
    yield found["name"]
    for name, value in rows:
        if value is not None:
            yield f"  {name:15}{value}"
    for note in found["notes"]:
        yield f"  note: {note}"
    if "fit" in found:
        fit = found["fit"]
        yield f"On {fit['tokens']:,} tokens of {', '.join(fit['texts'])}, read by {fit['base']}"
        yield f"  {'unexplained':15}{_estimate(fit['fvu'])}"
        yield f"  {'L0':15}{_estimate(fit['l0'])}"
        if not fit["warnings"]:
            yield f"  {'fits':15}yes: at most {fit['bar']:g} may stay unexplained"
        for warning in fit["warnings"]:
            yield f"  warning: {warning}"


def _site(found: Mapping[str, Any]) -> str:
    own: str = found["site"] or "not offered here"
    named = f" (in the file: {found['hook']})" if found["hook"] else ""
    if not found["transcoder"]:
        return own + named
    return f"{own}{named}, writes {found['site_out'] or 'what is not offered here'}"


def _input(found: Mapping[str, Any]) -> str:
    normalisation = found["normalisation"]
    parts: dict[str, str] = {
        "none": "as it is",
        "centre": "centred by token",
        "constant_norm": "scaled to the norm √d by token",
        "layer_norm": "layer norm by token",
        "fixed": f"scaled by {normalisation.get('scale', 1):.4g}",
    }
    more = [
        "b_dec subtracted" if found["subtract_b_dec"] else "b_dec not subtracted",
        *(["codes times the decoder's norms"] if found["rescale_by_decoder_norm"] else []),
        *(["a linear path beside the latents"] if found["skip"] else []),
    ]
    return "; ".join([parts[normalisation["kind"]], *more])


def _spread(numbers: Mapping[str, float | None] | None) -> str | None:
    if numbers is None:
        return None
    low, median, high = (numbers[name] for name in ("low", "median", "high"))
    if low is None or median is None or high is None:
        return "none is finite"
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}, median {median:.4g}"


def _estimate(numbers: Mapping[str, Any]) -> str:
    if numbers["value"] is None:
        return f"unknown: {numbers['reason']}"
    if numbers["low"] is None:
        return f"{numbers['value']:.3g} (n = {numbers['n']}: no interval)"
    return f"{numbers['value']:.3g} [{numbers['low']:.3g}, {numbers['high']:.3g}], n = {numbers['n']}"
