"""Is this a valid result? All that is wrong with it, or nothing."""

from __future__ import annotations

from itertools import islice
from typing import Any

from afterburn_core.errors import SchemaError
from afterburn_core.result import strict_json
from afterburn_core.result.consistency import inconsistencies
from afterburn_core.result.convert import structure
from afterburn_core.result.model import Result
from afterburn_core.result.schema import MOST_PROBLEMS, schema_faults

__all__ = ["problems", "validate", "validated"]


def problems(document: dict[str, Any]) -> tuple[str, ...]:
    """Every fault of a document of the current version as `$.a.b[0]: message`; empty when it is valid.

    Faults of the kind that hide others come alone: first what JSON cannot carry, then what the schema refuses, then
    contradictions. Beyond a hundred, the last line says that there are more.
    """
    try:
        validated(document)
    except SchemaError as error:
        return error.problems
    return ()


def validate(document: dict[str, Any]) -> None:
    """Raises SchemaError, with all faults in its `problems`, unless `document` is valid."""
    validated(document)


def validated(document: dict[str, Any]) -> Result:
    """The result that a document of the current version holds; raises like `validate`."""
    if not isinstance(document, dict):
        raise strict_json.refusal(f"$: must be an object, not {strict_json.show(document)}")
    _refuse(strict_json.faults(document))
    _refuse(schema_faults(document))
    result = structure(document)
    _refuse(tuple(islice(inconsistencies(result), MOST_PROBLEMS + 1)))
    return result


def _refuse(faults: tuple[str, ...]) -> None:
    if not faults:
        return
    if len(faults) > MOST_PROBLEMS:
        faults = (*faults[:MOST_PROBLEMS], "$: has more faults than are listed here")
    raise strict_json.refusal(*faults)
