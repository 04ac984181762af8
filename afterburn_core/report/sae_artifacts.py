"""The artifacts of sparse dictionaries as values: what analyzers and training wrote, read once and checked.

`sae.features`, `sae.drift`, `sae.risk` and `sae.crosscoder` are JSON files beside the document. A file of another shape
is refused with one line that names the field; keys that are not named here are passed over, so that a later version may
add some. Nothing here imports torch or numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from afterburn_core.report.attachments import Unusable
from afterburn_core.report.behaviour_curves import read
from afterburn_core.report.sae_fields import Field, known, sides
from afterburn_core.report.sae_values import (
    MEASURES,
    Context,
    Crosscoder,
    Dictionary,
    DriftCell,
    DriftMap,
    Estimate,
    Feature,
    FeatureTable,
    Label,
    RiskPack,
    RiskyFeature,
    Scaled,
    Side,
)

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

FEATURES, DRIFT, RISK, CROSSCODER = "sae.features", "sae.drift", "sae.risk", "sae.crosscoder"
CLASSES = ("base_only", "shared", "trained_only")
MOST = 20_000
"""Entries of one list that are read."""

Content = TypeVar("Content")


def read_features(view: ResultView) -> tuple[FeatureTable | None, str | None]:
    """The run's features, or why they cannot be shown; both `None` where it has none."""
    return _read(view, FEATURES, parse_features)


def read_drift(view: ResultView) -> tuple[DriftMap | None, str | None]:
    """The run's drift by site and probe set, or why it cannot be shown; both `None` where it has none."""
    return _read(view, DRIFT, parse_drift)


def read_risk(view: ResultView) -> tuple[tuple[RiskPack, ...] | None, str | None]:
    """The run's risk packs, or why they cannot be shown; both `None` where it has none."""
    return _read(view, RISK, parse_risk)


def read_crosscoder(view: ResultView) -> tuple[Crosscoder | None, str | None]:
    """A crosscoder of the run, or why it cannot be shown; both `None` where it has none."""
    return _read(view, CROSSCODER, parse_crosscoder)


def parse_features(content: Any) -> FeatureTable:
    """`sae.features` from parsed JSON.

    Raises:
        Unusable: the content is of another shape; the message names the field.
    """
    top = Field(content, "")
    found = FeatureTable(
        dictionaries=tuple(map(_dictionary, top["dictionaries"].items(MOST))),
        features=tuple(map(_feature, top["features"].items(MOST))),
    )
    names = {one.id for one in found.dictionaries}
    for k, one in enumerate(found.features):
        if one.dictionary not in names:
            raise Unusable(f"features[{k}].dictionary names none of the dictionaries")
    return found


def parse_drift(content: Any) -> DriftMap:
    """`sae.drift` from parsed JSON.

    Raises:
        Unusable: the content is of another shape; the message names the field.
    """
    top = Field(content, "")
    return DriftMap(
        sites=tuple(one.text() for one in top["sites"].items(MOST)),
        sets=tuple(one.text() for one in top["sets"].items(MOST)),
        cells=tuple(map(_cell, top["cells"].items(MOST))),
    )


def parse_risk(content: Any) -> tuple[RiskPack, ...]:
    """`sae.risk` from parsed JSON.

    Raises:
        Unusable: the content is of another shape; the message names the field.
    """
    return tuple(map(_pack, Field(content, "")["packs"].items(MOST)))


def parse_crosscoder(content: Any) -> Crosscoder:
    """`sae.crosscoder` from parsed JSON.

    Raises:
        Unusable: the content is of another shape; the message names the field.
    """
    top = Field(content, "")
    edges = tuple(one.number() for one in top["norms"]["edges"].items(MOST))
    counts = tuple(one.whole() for one in top["norms"]["counts"].items(MOST))
    if len(edges) != len(counts) + 1 or any(a >= b for a, b in pairwise(edges)):
        raise Unusable("norms holds no histogram: edges have to rise, one more of them than counts")
    after = top["classes_after_scaling"]
    return Crosscoder(
        site=top["site"].text(),
        kind=top["kind"].text(),
        latents=top["latents"].whole(),
        alive=top["alive"].whole(),
        edges=edges,
        counts=counts,
        classes=_classes(top["classes"]),
        kept=top["kept"].whole(),
        scaled_classes=after.maybe(_classes),
        seeds=tuple(one for one in map(known, top["seeds"].some(50)) if one is not None),
        scaling=tuple(map(_scaled, top["scaling"].some(MOST))),
        fve=sides(top["fve"]),
    )


def _read(view: ResultView, identifier: str, parse: Callable[[Any], Content]) -> tuple[Content | None, str | None]:
    content, problem = read(view, identifier)
    if problem is not None or view.artifact(identifier) is None:
        return None, problem
    try:
        return parse(content), None
    except Unusable as reason:
        return None, f"{identifier} has not the shape of such a file: {reason}"


def _dictionary(field: Field) -> Dictionary:
    changed = field["changed"]
    return Dictionary(
        id=field["id"].text(),
        name=field["name"].text(),
        format=field["format"].text(),
        kind=field["kind"].text(),
        sha256=field["sha256"].text(),
        site=field["site"].maybe(Field.text) or "",
        site_out=field["site_out"].maybe(Field.text),
        model=field["model"].maybe(Field.text),
        latents=field["latents"].whole(),
        width=field["width"].whole(),
        valid=field["valid"].flag(),
        why=field["why"].maybe(Field.text),
        fvu=sides(field["fvu"]),
        l0=sides(field["l0"]),
        tested=field["tested"].maybe(Field.whole) or 0,
        up=0 if changed.value is None else changed["up"].whole(),
        down=0 if changed.value is None else changed["down"].whole(),
        alpha=field["alpha"].maybe(Field.number) or 0.05,
        prompts=field["prompts"].maybe(Field.whole) or 0,
        tokens=field["tokens"].maybe(Field.whole) or 0,
    )


def _feature(field: Field) -> Feature:
    difference = field["difference"]
    low, high = (field[end].maybe(Field.number) for end in ("low", "high"))
    p, p_adjusted, d_z, multiple, attribution = (
        field[name].maybe(Field.number) for name in ("p", "p_adjusted", "d_z", "multiple", "attribution")
    )
    tokens = field["tokens"]
    promoted, suppressed = (
        () if tokens.value is None else tuple(one.text() for one in tokens[name].some(50))
        for name in ("promoted", "suppressed")
    )
    return Feature(
        dictionary=field["dictionary"].text(),
        feature=field["feature"].whole(),
        label=field["label"].maybe(_label),
        base=_side(field["base"]),
        trained=_side(field["trained"]),
        difference=Estimate(value=difference.number(), low=low, high=high),
        d_z=d_z,
        multiple=multiple,
        p=p,
        p_adjusted=p_adjusted,
        changed=field["changed"].maybe(lambda one: one.word("up", "down")),
        attribution=attribution,
        rank=field["rank"].maybe(Field.whole),
        attribution_rank=field["attribution_rank"].maybe(Field.whole),
        promoted=promoted,
        suppressed=suppressed,
        contexts=tuple(map(_context, field["contexts"].some(50))),
    )


def _label(field: Field) -> Label:
    return Label(
        text=field["text"].text(),
        source=field["source"].maybe(Field.text) or "",
        explainer=field["explainer"].maybe(Field.text),
        score=field["score"].maybe(Field.number),
        auto_generated=field["auto_generated"].maybe(Field.flag) is not False,
    )


def _side(field: Field) -> Side:
    return Side(mean=field["mean"].number(), frequency=field["frequency"].maybe(Field.number))


def _context(field: Field) -> Context:
    pieces = []
    for piece in field["pieces"].items(400):
        pair = piece.items()
        if len(pair) != 2:
            raise piece.refused("is not a text and a number")
        pieces.append((pair[0].text(), pair[1].maybe(Field.number) or 0.0))
    return Context(
        domain=field["domain"].maybe(Field.text) or "",
        subject=field["subject"].maybe(Field.text) or "",
        pieces=tuple(pieces),
        peak=field["peak"].maybe(Field.whole),
    )


def _cell(field: Field) -> DriftCell:
    dense, features, mass = (known(field[measure]) for measure in MEASURES)
    return DriftCell(site=field["site"].text(), set=field["set"].text(), dense=dense, features=features, mass=mass)


def _pack(field: Field) -> RiskPack:
    return RiskPack(
        name=field["name"].text(),
        version=_word_or_number(field["version"]),
        sha256=field["sha256"].text(),
        dictionary=field["dictionary"].maybe(Field.text),
        bound=field["bound"].flag(),
        verified=field["verified"].maybe(Field.flag),
        features=tuple(map(_risky, field["features"].items(MOST))),
    )


def _risky(field: Field) -> RiskyFeature:
    numbers = ("base", "trained", "multiple", "low", "high", "shift", "null95", "p", "p_adjusted")
    base, trained, multiple, low, high, shift, null95, p, p_adjusted = (
        field[name].maybe(Field.number) for name in numbers
    )
    feature = field["feature"]
    return RiskyFeature(
        feature=feature.text() if isinstance(feature.value, str) else feature.whole(),
        label=field["label"].maybe(_label_text),
        direction=field["direction"].maybe(Field.text),
        base=base,
        trained=trained,
        multiple=multiple,
        low=low,
        high=high,
        shift=shift,
        null95=null95,
        p=p,
        p_adjusted=p_adjusted,
        set=field["set"].maybe(Field.text),
    )


def _label_text(field: Field) -> str:
    return field["text"].text() if isinstance(field.value, dict) else field.text()


def _word_or_number(field: Field) -> str:
    return field.text() if isinstance(field.value, str) else f"{field.number():g}"


def _classes(field: Field) -> tuple[int, int, int]:
    base_only, shared, trained_only = (field[name].whole() for name in CLASSES)
    return base_only, shared, trained_only


def _scaled(field: Field) -> Scaled:
    reconstruction, error = (field[name].maybe(Field.number) for name in ("nu_reconstruction", "nu_error"))
    return Scaled(
        feature=field["feature"].whole(),
        delta_norm=field["delta_norm"].number(),
        nu_reconstruction=reconstruction,
        nu_error=error,
        trained_only=field["trained_only"].flag(),
    )
