"""A crosscoder as a page of its own: one file that opens from disk and asks nothing of any network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afterburn_core.report.forward_marks import shortened
from afterburn_core.report.html import environment
from afterburn_core.report.sae_artifacts import parse_crosscoder
from afterburn_core.report.sae_crosscoder import crosscoder_view

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def render_crosscoder(artifact: Mapping[str, Any], *, title: str = "") -> bytes:
    """The page of the artifact `sae.crosscoder` (`crosscoder.json`); the same artifact always gives the same bytes.

    Args:
        artifact: the parsed JSON.
        title: what was trained on, such as `tiny-base → tiny-tuned`.

    Raises:
        Unusable: the artifact is of another shape; the message, of one line, names the field.
    """
    view = crosscoder_view(parse_crosscoder(artifact))
    page = environment().get_template("crosscoder.html.j2")
    return page.render(crosscoder=view, title=shortened(title, 200), policy=_POLICY).encode()
