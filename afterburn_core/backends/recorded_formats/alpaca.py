"""AlpacaEval outputs: a list of `{instruction, output, generator, dataset}`, or one such object a line.

They have no ids, so a prompt is known by its text: `alpaca-` and the first 16 digits of its sha256. An instruction that
occurs again is another sample of it.
"""

from __future__ import annotations

import hashlib

from afterburn_core.backends.recorded_formats.entry import Entry, Provenance, Row, read_text
from afterburn_core.result.strict_json import faults

_KNOWN = {"instruction", "input", "output", "generator", "dataset", "datasplit"}


def is_row(row: Row) -> bool:
    """Whether a row is of this format."""
    return "instruction" in row and "output" in row and "prompt_id" not in row


def read_row(row: Row, where: str, about: Provenance) -> Entry:
    """The entry of a row; `input` follows the instruction after a blank line, as in Alpaca's own prompts.

    Raises:
        SubjectError: a field is missing or of the wrong type, or the file holds outputs of several generators.
    """
    if row.get("generator") is not None:
        about.note_model(read_text(row, "generator", where, empty=False), where)
    prompt = read_text(row, "instruction", where, empty=False)
    if row.get("input"):
        prompt += "\n\n" + read_text(row, "input", where)
    digest = hashlib.sha256(prompt.encode()).hexdigest()[:16]
    category = row.get("dataset")
    return Entry(
        where=where,
        prompt_id=f"alpaca-{digest}",
        prompt=prompt,
        output=read_text(row, "output", where),
        sample={"labels": {name: row[name] for name in row if name not in _KNOWN and not faults(row[name])}},
        probe={} if category is None else {"category": read_text(row, "dataset", where)},
    )
