"""Tokens that moved, came and went, and the tokens that lie nearest to directions of change.

Two JSON artifacts of the weights plugin are shown. Both hold strings of a stranger's vocabulary, so each string is
made visible and cut to a length before it reaches a page, and replaced by its digest where the run was told to keep
texts out of what it writes.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import numbers
from afterburn_core.report.attachments import Unusable, read_json
from afterburn_core.report.inert import visible
from afterburn_core.result.model import Artifact

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

TOKENS = "weight.tokens"
DIRECTIONS = "weight.directions"
MAX_BYTES = 20_000_000
LONGEST = 60
"""Characters shown of one token."""

_WITHHELD = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}( \(\d+ characters\))")
_TEXTLESS = re.compile(r"(id|padding row) \d+")


@attrs.frozen(kw_only=True)
class Token:
    """One row of an embedding."""

    text: str
    """What it stands for, made visible."""
    ids: str
    """Its id, or both ids where they differ."""
    relative: str = "–"
    """Norm of the row's change over its norm."""
    cosine: str = "–"
    """1 − cosine between the row before and after."""
    share: float = 0.0
    """Relative change over the table's largest, for a bar."""
    nearest: tuple[str, ...] = ()
    """For an added token: the old tokens whose rows lie nearest."""


@attrs.frozen(kw_only=True)
class TokenTable:
    """What happened to one embedding."""

    title: str
    facts: tuple[tuple[str, str], ...]
    moved: tuple[Token, ...]
    moved_total: int
    added: tuple[Token, ...]
    added_total: int
    removed: tuple[Token, ...]
    removed_total: int


@attrs.frozen(kw_only=True)
class Direction:
    """One singular vector of a change, read out through the unembedding."""

    tensor: str
    layer: str
    kind: str
    sigma: str
    plus: tuple[str, ...]
    minus: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Shown:
    """Rows for the page, how many there are, where they come from, or why there are none."""

    tables: tuple[TokenTable, ...] = ()
    directions: tuple[Direction, ...] = ()
    total: int = 0
    artifact: Artifact | None = None
    problem: str | None = None
    withheld: bool = False


def tokens(view: ResultView, *, limit: int) -> Shown:
    """One table per embedding of the artifact `weight.tokens`, at most `limit` rows of each kind."""
    artifact = view.artifact(TOKENS)
    if artifact is None:
        return Shown()
    hide = _hidden(view)
    try:
        document = read_json(artifact, view.directory, max_bytes=MAX_BYTES)
        found = tuple(_table(view, name, table, limit, hide) for name, table in _tables(document))
        if not found:
            raise Unusable("the file holds no list of tokens")
    except Unusable as reason:
        return Shown(artifact=artifact, problem=str(reason))
    return Shown(tables=found, artifact=artifact, withheld=hide)


def directions(view: ResultView, *, limit: int, words: int = 10) -> Shown:
    """Directions and their nearest tokens: `{tensor, layer, kind, sigma, tokens_plus, tokens_minus}` each."""
    artifact = _directions_artifact(view)
    if artifact is None:
        return Shown()
    hide = _hidden(view)
    try:
        rows = list(_rows(read_json(artifact, view.directory, max_bytes=MAX_BYTES)))
    except Unusable as reason:
        return Shown(artifact=artifact, problem=str(reason))
    rows.sort(key=lambda row: row.get("kind") != "common")  # what all matrices share comes first
    kept = tuple(_direction(row, words, hide) for row in rows[:limit])
    return Shown(directions=kept, total=len(rows), artifact=artifact, withheld=hide)


def token_text(text: Any, *, hide: bool = False) -> str:
    """A token as one visible word: white space as signs, cut to `LONGEST` characters, its digest if hidden."""
    if not isinstance(text, str):
        return "no text"
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    if hide and not _WITHHELD.fullmatch(text) and not _TEXTLESS.fullmatch(text):
        text = f"sha256:{digest} ({len(text)} characters)"
    withheld = _WITHHELD.fullmatch(text)
    if withheld:
        return f"{withheld[1]}…{withheld[2]}"
    signs = visible(text).replace("\n", "↵").replace("\t", "⇥")
    signs = re.sub(r"^ +| +$", lambda found: "·" * len(found[0]), signs)
    if len(signs) > LONGEST:
        signs = f"{signs[:LONGEST]}… ({len(text):,} characters)"
    return signs or "empty"


def _hidden(view: ResultView) -> bool:
    return view.result.run.configuration.get("excerpts", True) is False


def _directions_artifact(view: ResultView) -> Artifact | None:
    """The JSON beside the vectors: the shortest id that begins with `weight.directions`."""
    fitting = (
        artifact
        for artifact in view.result.artifacts
        if artifact.media_type == "application/json"
        and (artifact.id == DIRECTIONS or artifact.id.startswith(f"{DIRECTIONS}."))
    )
    return min(fitting, key=lambda artifact: (len(artifact.id), artifact.id), default=None)


def _tables(document: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Embeddings of the document: the objects under `tables`, by name of the tensor."""
    listed = document.get("tables") if isinstance(document, dict) else None
    if isinstance(listed, dict):
        yield from ((name, table) for name, table in listed.items() if isinstance(table, dict))


def _table(view: ResultView, name: str, table: Mapping[str, Any], limit: int, hide: bool) -> TokenTable:
    lists = {key: [row for row in _listed(table.get(key)) if isinstance(row, dict)] for key in _KINDS}
    largest = max((_number(row.get("relative")) or 0.0 for row in lists["moved"]), default=0.0)
    rows = {key: tuple(_token(row, largest, hide) for row in found[:limit]) for key, found in lists.items()}
    facts = _measured(view, name)
    totals = {key: max(int(facts.pop(key, (0.0, ""))[0]), len(found)) for key, found in lists.items()}
    return TokenTable(
        title=visible(name),
        facts=tuple((fact.replace("_", " "), text) for fact, (_, text) in facts.items()),
        moved=rows["moved"],
        moved_total=totals["moved"],
        added=rows["added"],
        added_total=totals["added"],
        removed=rows["removed"],
        removed_total=totals["removed"],
    )


_KINDS = ("moved", "added", "removed")
_FACTS = ("untouched", "padding", "concentration", "relative_median", "relative_p99", "added", "removed")


def _measured(view: ResultView, name: str) -> dict[str, tuple[float, str]]:
    """Numbers of the whole embedding: how many tokens moved, came and went, which the lists may cut short."""
    found: dict[str, tuple[float, str]] = {}
    for fact in _FACTS:
        metric = f"weight.embeddings.{fact}"
        for item in view.measurements(metric, scope_has=("tensor",)):
            if item.scope.tensor == name and item.scope.token is None and item.value is not None:
                found[fact] = (item.value, numbers.quantity(item.value, metric, view.metric(metric)))
                if fact == "untouched" and item.n is not None:
                    found["moved"] = (item.n - item.value, "")
    return found


def _token(row: Mapping[str, Any], largest: float, hide: bool) -> Token:
    relative, cosine = _number(row.get("relative")), _number(row.get("cosine_distance"))
    return Token(
        text=token_text(row.get("token"), hide=hide),
        ids=_ids(row),
        relative="–" if relative is None else numbers.percent(relative),
        cosine="–" if cosine is None else numbers.number(cosine),
        share=min(max(relative / largest, 0.0), 1.0) if relative and largest > 0 else 0.0,
        nearest=tuple(_words(row.get("nearest"), 5, hide)),
    )


def _ids(row: Mapping[str, Any]) -> str:
    found = [row.get(key) for key in ("base_id", "id")]
    known = dict.fromkeys(str(value) for value in found if isinstance(value, int) and not isinstance(value, bool))
    return " → ".join(known) or "–"


def _rows(document: Any) -> Iterator[Mapping[str, Any]]:
    """Directions of the document: a list, or the lists among the values of an object."""
    if isinstance(document, dict):
        for value in document.values():
            yield from _rows(value) if isinstance(value, list) else ()
    elif isinstance(document, list):
        yield from (row for row in document if isinstance(row, dict) and "tokens_plus" in row)


def _direction(row: Mapping[str, Any], words: int, hide: bool) -> Direction:
    layer, sigma = row.get("layer"), _number(row.get("sigma"))
    return Direction(
        tensor=visible(str(row.get("tensor", "–"))),
        layer=str(layer) if isinstance(layer, int) else "–",
        kind=visible(str(row.get("kind") or "–")),
        sigma="–" if sigma is None else numbers.number(sigma),
        plus=tuple(_words(row.get("tokens_plus"), words, hide)),
        minus=tuple(_words(row.get("tokens_minus"), words, hide)),
    )


def _words(value: Any, limit: int, hide: bool) -> Iterator[str]:
    for entry in _listed(value)[:limit]:
        if isinstance(entry, dict):
            entry = entry.get("token")
        elif isinstance(entry, list) and entry:
            entry = entry[0]
        yield token_text(entry, hide=hide)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> float | None:
    """A number of a stranger's JSON as a double, `None` for everything that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # JSON knows integers without end
        return None
