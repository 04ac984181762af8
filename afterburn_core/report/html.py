"""The report for people: one file that opens from disk, asks nothing of any network, and starts with the answer."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from afterburn_core.report import judgement, numbers, presentation
from afterburn_core.report.activation_views import activation_views
from afterburn_core.report.behaviour_views import BehaviourLimits, behaviour_views
from afterburn_core.report.cards import cards
from afterburn_core.report.contrast import contrast
from afterburn_core.report.drawings import Drawing, drawings
from afterburn_core.report.embedding_views import EmbeddingLimits, embedding_views
from afterburn_core.report.evidence import Evidence, collect
from afterburn_core.report.families import tables
from afterburn_core.report.forward_output import OutputLimits, output_views
from afterburn_core.report.hack_rules import hack_rules
from afterburn_core.report.inert import guard, json_island, visible
from afterburn_core.report.json import document
from afterburn_core.report.live_views import LiveLimits, live_views
from afterburn_core.report.sae_channels import is_of_score
from afterburn_core.report.sae_features import SaeLimits
from afterburn_core.report.sae_views import sae_views
from afterburn_core.report.series import labelled_tables, series_cards, series_of
from afterburn_core.report.spilled import Spilled, pick
from afterburn_core.report.weight_views import ViewLimits, weight_views
from afterburn_core.resources import template_dir

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

_SCRIPTS = (
    "format",
    "document",
    "theme",
    "table",
    "tables",
    "charts",
    "weights",
    "behaviour",
    "series",
    "sortable",
    "page",
)


@attrs.frozen(kw_only=True)
class HtmlOptions:
    """How much to show. Whatever is left out is counted on the page."""

    top: int = 15
    """Tensors in the list of largest changes."""
    findings: int = 500
    measurements: int = 25
    """Measurements shown with one finding."""
    examples: int = 10
    """Examples shown with one finding."""
    lines: int = 200
    """Lines in the table of one family of metrics."""
    spilled: int = 20_000
    """Rows taken along from tables beside the document."""
    charts: int = 24
    chart_bytes: int = 2_000_000
    files: int = 200
    """Files listed for one subject."""
    views: ViewLimits = ViewLimits()
    behaviour: BehaviourLimits = BehaviourLimits()
    output: OutputLimits = OutputLimits()
    live: LiveLimits = LiveLimits()
    embedding: EmbeddingLimits = EmbeddingLimits()
    sae: SaeLimits = SaeLimits()


def render(view: ResultView, options: HtmlOptions | None = None) -> bytes:
    """The report as one HTML file; the same document always gives the same bytes."""
    chosen = options or HtmlOptions()
    shown = content(view, chosen)
    spilled = pick(view, limit=chosen.spilled)
    library = _script((template_dir("report") / "vendor" / "plotly-cartesian.min.js").read_text(encoding="utf-8"))
    program = _script(_program(template_dir("report")))
    views, behaviour, series, evidence = (shown[name] for name in ("views", "behaviour", "series", "evidence"))
    page = (
        environment()
        .get_template("report.html.j2")
        .render(
            **shown,
            spilled=spilled,
            policy=_policy(library, program),
            library=library,
            program=program,
            document_island=Markup(guard(document(view))),
            figures_island=Markup(
                json_island(
                    _figures(evidence, spilled, shown["drawings"])
                    | views.figures(evidence)
                    | {"series": series.figure() if series else None, "behaviour": behaviour.figures()}
                ),
            ),
        )
    )
    return page.encode()


def content(view: ResultView, options: HtmlOptions) -> dict[str, Any]:
    """What the sections of the report show, by the names that their templates use; other formats share them."""
    result = view.result
    evidence = collect(view, top=options.top)
    series = series_of(view, evidence)
    families = tables(evidence, limit=options.lines)
    ordered = presentation.order_findings(result.findings)
    return {
        "result": result,
        "evidence": evidence,
        "options": options,
        "cards": cards(result, evidence, series_cards(series) if series else None),
        "series": series,
        "series_tables": labelled_tables(series) if series else (),
        "concerns": presentation.concerns(result),
        "judged": judgement.judgement(result),
        "findings": ordered[: options.findings],
        "findings_total": len(ordered),
        "counts": presentation.kind_counts(ordered),
        "documents": tuple(f for f in ordered if presentation.is_document_change(f)),
        "weights": next((f for f in families if f.name == "weight"), None),
        "families": tuple(f for f in families if f.name != "weight"),
        "drawings": drawings(result, view.directory, limit=options.charts, max_bytes=options.chart_bytes),
        "views": weight_views(view, evidence, options.views),
        "behaviour": behaviour_views(view, evidence, options.behaviour),
        "hacks": hack_rules(result, evidence),
        "output": output_views(view, evidence, options.output),
        "activation": activation_views(view),
        "embedding": embedding_views(view, options.embedding),
        "live": live_views(view, options.live),
        "sae": sae_views(view, evidence, options.sae),
        "unfinished": presentation.unfinished(result),
    }


@cache
def environment(*before: str) -> Environment:
    """Templates of the report; those in the folders `before` of it come before those of the same name."""
    folder = template_dir("report")
    environment = Environment(
        loader=FileSystemLoader([*(folder / name for name in before), folder]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        numbers=numbers,
        presentation=presentation,
        judgement=judgement,
        contrast=contrast,
        is_of_score=is_of_score,
    )
    environment.filters["pretty"] = _pretty
    return environment


def _finalize(value: Any) -> Any:
    """Every text of the document passes through `visible`; markup of ours is left alone."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=dict)


def _program(folder: Path) -> str:
    parts = ((folder / "scripts" / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)
    return '(function () {\n"use strict";\n' + "\n".join(parts) + "})();\n"


def _script(source: str) -> Markup:
    """A program that cannot end its own element; inside strings and patterns the added backslash means nothing."""
    unix = source.replace("\r\n", "\n")
    return Markup("\n" + re.sub(r"(?i)<(?=/script|script|!--)", r"<\\", unix))


def _policy(*scripts: Markup) -> str:
    """A content security policy under which only these scripts run and nothing is ever fetched."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    parts = (
        "default-src 'none'",
        f"script-src {hashes}",
        "style-src 'unsafe-inline'",  # Plotly sets styles on the elements it draws
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(parts)


def _figures(evidence: Evidence, spilled: Spilled, charts: tuple[Drawing, ...]) -> dict[str, Any]:
    grids = []
    for grid in evidence.grids:
        descriptor = evidence.metrics.get(grid.metric)
        unit = descriptor.unit if descriptor else "1"
        grids.append(
            {
                "metric": grid.metric,
                "subjects": presentation.who(grid.subjects),
                "summary": descriptor.summary if descriptor else "",
                "unit": unit,
                "share": numbers.is_share(grid.metric, unit),
                **grid.chart(),
            }
        )
    return {
        "contrast": list(evidence.contrast),
        "grids": grids,
        "shares": sorted(m.id for m in evidence.metrics.values() if numbers.is_share(m.id, m.unit)),
        "spilled": spilled.packed(),
        "drawings": {chart.id: chart.figure for chart in charts if chart.figure is not None},
    }
