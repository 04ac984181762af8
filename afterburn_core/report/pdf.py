"""The report for paper: everything the HTML report shows, in a fixed order, on numbered pages that can be filed.

The sections are those of the HTML report, from the same values; a section that needs scripts there has a template of
its own in `templates/report/pdf`, with charts as drawings. Nothing in the file is active and nothing is fetched to make
it. The same document gives the same bytes, on machines with the same fonts wherever a text needs more than ours.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs
from jinja2 import Environment

from afterburn_core.errors import ConfigError
from afterburn_core.report import presentation
from afterburn_core.report.behaviour_views import BehaviourLimits
from afterburn_core.report.evidence import Evidence
from afterburn_core.report.forward_output import OutputLimits
from afterburn_core.report.html import HtmlOptions, content, environment
from afterburn_core.report.inert import visible
from afterburn_core.report.json import document
from afterburn_core.report.live_views import LiveLimits
from afterburn_core.report.pdf_behaviour import behaviour_plots
from afterburn_core.report.pdf_charts import (
    head_maps,
    series_charts,
    size_maps,
    spectral_maps,
    spectrum_curves,
)
from afterburn_core.report.pdf_controls import controls_of
from afterburn_core.report.pdf_figures import static
from afterburn_core.report.pdf_frame import Chart
from afterburn_core.report.pdf_paint import paint_of, painted
from afterburn_core.report.pdf_paper import PaperLimits, on_paper
from afterburn_core.report.pdf_tables import set_widths
from afterburn_core.report.sae_features import SaeLimits
from afterburn_core.report.typesetting import typeset, versions
from afterburn_core.report.weight_views import ViewLimits
from afterburn_core.resources import template_dir
from afterburn_core.result.model import MetricDescriptor

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

_SCREEN = ("findings", "views", "behaviour", "forward-output", "activation", "sae", "embedding", "live", "hacks")
"""Sheets of the HTML report that say how drawings look."""
_PAPER = ("page", "tables", "sections")
_LINE = 600
"""Characters of one entry of a configuration."""
_PLACE = re.compile(r'<div id="([\w-]+)" class="plot[^"]*"[^>]*></div>')
_NAME = re.compile(r">([a-z_]+(?:\.[a-z0-9_]+)+)<")


@attrs.frozen(kw_only=True)
class PdfOptions(HtmlOptions):
    """How much to print. Whatever is left out is counted on the page."""

    top: int = 15
    findings: int = 80
    measurements: int = 8
    examples: int = 2
    lines: int = 80
    charts: int = 12
    files: int = 30
    views: ViewLimits = ViewLimits(rows=10, tokens=15, modules=15)
    behaviour: BehaviourLimits = BehaviourLimits(text_bytes=0, parts=12)
    output: OutputLimits = OutputLimits()
    live: LiveLimits = LiveLimits()
    sae: SaeLimits = SaeLimits(features=30, contexts=2, tokens=6, risky=25)
    pairs: int = 6
    """Pairs of answers that analyzers chose."""
    text: int = 900
    """Characters of one side of an example."""
    parts: int = 6
    """Lines on parts of the prompts or the model among those of one group of metrics."""
    glossary: int = 150
    executions: int = 120
    paper: PaperLimits = PaperLimits()


def render(view: ResultView, options: PdfOptions | None = None) -> bytes:
    """The report as a tagged PDF/A-3 file.

    Raises:
        ConfigError: WeasyPrint or one of its libraries is missing.
    """
    chosen = options or PdfOptions()
    text = document(view).encode()
    html = _page(view, chosen, hashlib.sha256(text).hexdigest())
    when = datetime.fromisoformat(view.result.run.finished_at.replace("Z", "+00:00"))
    return typeset(
        html,
        _sheets("pdf/styles", *_PAPER),
        identifier=hashlib.sha256(text).digest()[:16],
        when=when,
        variant="pdf/a-3a",
        other_fonts=True,
        adjust=lambda root: _adjust(root, chosen),
    )


def unavailable() -> str | None:
    """Why no PDF can be made here, or `None`."""
    try:
        versions()
    except ConfigError as error:
        return str(error)
    return None


def _page(view: ResultView, options: PdfOptions, digest: str) -> str:
    shown = content(view, options)
    evidence, views, series = shown["evidence"], shown["views"], shown["series"]
    ended = view.result.executions
    templates = _templates()
    page = templates.get_template("pdf.html.j2").render(
        **shown,
        charts={
            "sizes": size_maps(evidence, views),
            "spectra": spectrum_curves(views.spectra, evidence),
            "spectral": spectral_maps(evidence, views),
            "heads": head_maps(evidence, views),
            "series": series_charts(series) if series else None,
        },
        plugin_charts=tuple((*static(one), one) for one in shown["drawings"]),
        controls=controls_of(view),
        waived=tuple(finding for finding in shown["findings"] if finding.suppression is not None),
        executions=tuple(sorted(ended, key=lambda e: e.status == "ok"))[: options.executions],
        digest=digest,
        mentioned=_mentioned,
        spilled=None,
    )
    halves = vars(templates.get_template("macros.html.j2").make_module({"presentation": presentation}))["halves"]
    plots: Mapping[str, tuple[Chart, ...]] = behaviour_plots(shown["behaviour"])
    return _PLACE.sub(lambda place: str(halves(plots[place[1]])) if place[1] in plots else "", page)


def _adjust(root: Any, options: PdfOptions) -> None:
    on_paper(root, options.paper)
    set_widths(root)
    palette = f":root {{ {_sheets('styles', 'light')} }}"
    painted(root, paint_of(palette, _sheets("styles", *_SCREEN), _sheets("pdf/styles", "drawings")))


def _mentioned(page: str, evidence: Evidence) -> tuple[MetricDescriptor, ...]:
    """Descriptors of the metrics whose names stand on the page, by name."""
    named = set(_NAME.findall(page))
    return tuple(evidence.metrics[name] for name in sorted(named & evidence.metrics.keys()))


@cache
def _templates() -> Environment:
    templates = environment("pdf")
    templates.filters["cut"] = _cut
    templates.filters["by_key"] = _by_key
    return templates


@cache
def _sheets(folder: str, *names: str) -> str:
    base = template_dir("report") / folder
    return "\n".join((base / f"{name}.css").read_text(encoding="utf-8") for name in names)


def _cut(text: str, longest: int) -> str:
    shown = visible(text)
    return shown if len(shown) <= longest else f"{shown[:longest]}… ({len(shown) - longest:,} more characters)"


def _by_key(values: Mapping[str, Any]) -> str:
    """A mapping in a line for each of its keys."""
    written = (f"{key}: {json.dumps(values[key], sort_keys=True, ensure_ascii=False)}" for key in sorted(values))
    return "\n".join(_cut(line, _LINE) for line in written)
