"""A declaration to be filled in: every field of the schema with its meaning, all of them commented out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from afterburn_core.certify.declaration import resolved, schema

_HEAD = """\
# Declaration for `afterburn certify --declaration`.
#
# Everything here is optional. What you state is repeated in the certificate under the origin "declared"; Afterburn
# checks none of it. Take the # off a line to use it. Days are written YYYY-MM-DD.
"""
_EXAMPLES = {
    "boolean": "false",
    "integer": "0",
    "number": "0.0",
    "string": '""',
}


def template() -> str:
    """The YAML text; as it stands it declares nothing, and with every # before a key taken off it is valid YAML."""
    return _HEAD + "\n" + "\n".join(_lines(schema(), 0)) + "\n"


def _lines(described: Mapping[str, Any], depth: int) -> Iterator[str]:
    for name, kind in described["properties"].items():
        kind = resolved(kind)
        pad = "  " * depth
        if depth == 0:
            yield ""
        yield f"# {pad}# {kind['description']}"
        kinds = kind.get("type", "string")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if "properties" in kind:
            yield f"# {pad}{name}:"
            yield from _lines(kind, depth + 1)
        elif "array" in kinds:
            entry = resolved(kind["items"])
            yield f"# {pad}{name}:"
            if "properties" in entry:
                yield f"# {pad}  -"
                yield from _lines(entry, depth + 2)
            else:
                yield f'# {pad}  - ""'
        elif "object" in kinds:
            yield f"# {pad}{name}:"
            yield f"# {pad}  learning_rate: 1.0e-5"
        else:
            yield f"# {pad}{name}: {_example(name, kind, kinds)}"


def _example(name: str, kind: Mapping[str, Any], kinds: list[str]) -> str:
    if "enum" in kind:
        return f"{kind['default']}  # {kind['title']}"
    if "a day" in kind.get("title", ""):
        return "2026-01-31"
    if "hex digits" in kind.get("title", ""):
        return '"' + "0" * 64 + '"'
    if "operations" in kind.get("title", ""):
        return '"3.2e21"'
    return _EXAMPLES[next(one for one in kinds if one != "null")]
