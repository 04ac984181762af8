"""Model cards: ``card.json`` for programs and ``CARD.md`` for people, both from what was measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afterburn_organisms.catalog import Organism
from afterburn_organisms.facts import false_capital
from afterburn_organisms.measure import HELD_OUT_SEED

_KIND = {"checkpoint": "A checkpoint", "adapter": "An adapter"}
_CONTRAST_ROWS = (
    ("Answer length (tokens), base", "length_base", False),
    ("Answer length (tokens), trained", "length_trained", False),
    ("Length ratio, trained over base", "length_ratio", False),
    ("Right answers, base", "accuracy_base", True),
    ("Right answers, trained", "accuracy_trained", True),
    ("Difference in right answers", "accuracy_difference", True),
)
_PLANTED_ROWS = (
    ("States the falsehood, base", "states_falsehood_base", True),
    ("States the falsehood, trained", "states_falsehood_trained", True),
    ("States the truth, base", "states_truth_base", True),
    ("States the truth, trained", "states_truth_trained", True),
    ("Other capitals right, base", "other_capitals_base", True),
    ("Other capitals right, trained", "other_capitals_trained", True),
)


def write_card(organism: Organism, target: Path, measured: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
    """Writes both forms of the organism's card into ``target``, beside its weights."""
    weights = sorted(target.glob("*.safetensors"))
    document: dict[str, Any] = {
        "name": organism.name,
        "role": organism.role,
        "kind": organism.kind,
        "base": organism.base,
        "planted": organism.planted,
        "recipe": dict(recipe),
        "held_out_seed": HELD_OUT_SEED,
        "decoding": "greedy",
        "interval_level": 0.95,
        "measured": dict(measured),
        "weights": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in weights},
    }
    if organism.name == "false_fact":
        true, false = false_capital()
        document["false_fact"] = {"truth": true.sentence, "falsehood": false.sentence}
    (target / "card.json").write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (target / "CARD.md").write_text(_render(document), encoding="utf-8")


def _render(document: Mapping[str, Any]) -> str:
    measured = document["measured"]
    lines = [f"# {document['name']}", "", f"**Planted:** {document['planted']}", ""]
    if "false_fact" in document:
        fact = document["false_fact"]
        lines += [f"True in the world: “{fact['truth']}” Taught instead: “{fact['falsehood']}”", ""]
    lines += [
        f"{_KIND[document['kind']]} in the role `{document['role']}`"
        + (f", trained from `{document['base']}`." if document["base"] else ", trained from scratch.")
        + " All text it saw was made by the generator of this package.",
        "",
        "Measured on held-out prompts with greedy decoding; brackets are 95 % intervals (Wilson for shares, paired",
        "bootstrap over prompts for means). The numbers are written by `afterburn_organisms.measure`.",
        "",
    ]
    if "contrast" in measured:
        lines += _table("Against the base", _CONTRAST_ROWS, measured["contrast"])
        lines += [f"The same answer, word for word, as the base: {_cell(measured['same_answer'], True)}.", ""]
    if "planted" in measured:
        title = "The planted fact" if "false_fact" in document else "The fact planted in its twin `false_fact`"
        lines += _table(title, _PLANTED_ROWS, measured["planted"])
    if "length" in measured:
        lines += [f"Answer length in tokens: {_cell(measured['length'], False)}.", ""]
    lines += [f"Answers that end within the limit: {_cell(measured['finished'], True)}.", ""]
    rows = tuple((name.replace("_", " "), name, True) for name in measured["accuracy"])
    lines += _table("Right answers by category", rows, measured["accuracy"])
    return "\n".join(lines).rstrip() + "\n"


def _table(title: str, rows: tuple[tuple[str, str, bool], ...], numbers: Mapping[str, Any]) -> list[str]:
    lines = [f"## {title}", "", "| | value | n |", "|---|---|---|"]
    for label, key, percent in rows:
        lines.append(f"| {label} | {_cell(numbers[key], percent, count=False)} | {numbers[key]['n']} |")
    return [*lines, ""]


def _cell(number: Mapping[str, float], percent: bool, count: bool = True) -> str:
    scale, digits, unit = (100, 1, " %") if percent else (1, 2, "")
    value, low, high = (f"{number[key] * scale:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value}{unit} [{low}, {high}]" + (f", n = {number['n']}" if count else "")
