"""Charts that plugins leave in the run directory as Plotly figures.

A figure is data of a stranger: it is drawn only when its digest is the one the document names, and only the parts a
drawing needs are taken from it. The page's policy forbids every request, whatever a figure asks for.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.result.model import Artifact, Result

MEDIA_TYPE = "application/vnd.plotly.v1+json"
TRACES = frozenset(
    {"bar", "box", "contour", "heatmap", "histogram", "histogram2d", "histogram2dcontour"}
    | {"image", "pie", "scatter", "scatterternary", "violin"}
)
"""Trace types of the embedded library."""

_MARKUP = re.compile(r"<(?!/?(?:b|i|br|sub|sup|extra)\s*/?>)")


@attrs.frozen(kw_only=True)
class Drawing:
    """A chart, or why there is none."""

    id: str
    title: str
    producer: str
    figure: dict[str, Any] | None
    problem: str | None = None


def drawings(result: Result, directory: Path | None, *, limit: int, max_bytes: int) -> tuple[Drawing, ...]:
    """The chart artifacts of a document in its order; of those beyond `limit` only the reason is given."""
    found = [artifact for artifact in result.artifacts if artifact.media_type == MEDIA_TYPE]
    drawn = []
    for place, artifact in enumerate(found):
        if place >= limit:
            drawn.append(_left_out(artifact, f"only the first {limit} charts are drawn"))
        else:
            drawn.append(_drawing(artifact, directory, max_bytes))
    return tuple(drawn)


def _drawing(artifact: Artifact, directory: Path | None, max_bytes: int) -> Drawing:
    if directory is None:
        return _left_out(artifact, "the report was made from the document alone, without its run directory")
    if artifact.size > max_bytes:
        return _left_out(artifact, f"the file has {artifact.size:,} bytes; at most {max_bytes:,} are drawn")
    path = (directory / artifact.path).resolve()
    if not path.is_relative_to(directory.resolve()) or not path.is_file() or path.stat().st_size != artifact.size:
        return _left_out(artifact, "the file is missing from the run directory or has another size")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != artifact.sha256:
        return _left_out(artifact, "the file is not the one the document describes: its digest differs")
    try:
        figure = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _left_out(artifact, "the file is not valid JSON")
    problem = _fault(figure)
    if problem is not None:
        return _left_out(artifact, problem)
    kept = {"data": figure["data"], "layout": figure.get("layout") or {}}
    return Drawing(id=artifact.id, title=_title(artifact), producer=artifact.producer, figure=_inert(kept))


def _fault(figure: Any) -> str | None:
    data = figure.get("data") if isinstance(figure, dict) else None
    if not isinstance(data, list) or not all(isinstance(trace, dict) for trace in data):
        return "the file is not a Plotly figure"
    if not isinstance(figure.get("layout") or {}, dict):
        return "the file is not a Plotly figure"
    unknown = sorted({str(trace.get("type", "scatter")) for trace in data} - TRACES)
    return f"the embedded library cannot draw: {', '.join(unknown)}" if unknown else None


def _inert(value: Any) -> Any:
    """The figure without markup beyond line breaks and emphasis: the library would make links of anchors."""
    if isinstance(value, dict):
        return {_MARKUP.sub("&lt;", key): _inert(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_inert(entry) for entry in value]
    return _MARKUP.sub("&lt;", value) if isinstance(value, str) else value


def _left_out(artifact: Artifact, problem: str) -> Drawing:
    return Drawing(id=artifact.id, title=_title(artifact), producer=artifact.producer, figure=None, problem=problem)


def _title(artifact: Artifact) -> str:
    return artifact.summary or artifact.id


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
