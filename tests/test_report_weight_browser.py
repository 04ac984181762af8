"""Spectra, heads and tokens in a browser: drawn, picked, themed, within a phone, inert."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

sys.path.append(str(Path(__file__).parent))
from test_report_browser import CHROMIUM, Open, Visit, browser, visit
from test_report_weight_views import HOT, SECTIONS, hostile_run, weighty

__all__ = ["browser", "visit"]  # fixtures

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; set CHROMIUM to its path"),
]


def traces(seen: Visit, host: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = seen.page.evaluate(
        f"document.querySelector('{host}').data.map(({{type, mode, name, x, y, z}}) => ({{type, mode, name, x, y, z}}))"
    )
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_view_is_drawn_and_fits(visit: Open, tmp_path: Path, width: int, scheme: str) -> None:
    seen = visit(weighty(tmp_path / "r", 6), width, scheme, tmp_path / "r")
    for host in ("#spectrum", "#spectral-heat", "#head-heat"):
        assert seen.page.locator(f"{host} .main-svg").count() > 0
    assert all(seen.page.locator(f"#{name}").is_visible() for name in SECTIONS)
    assert seen.fits()


def test_the_most_changed_matrix_comes_first_with_edge_spikes_and_power_law(visit: Open, tmp_path: Path) -> None:
    seen = visit(weighty(tmp_path / "r"), run=tmp_path / "r")
    assert seen.text("#spectrum-name") == HOT
    assert seen.page.input_value("#spectrum-layer") == "17" and seen.page.input_value("#spectrum-module") == "down"
    assert seen.page.locator("#spectrum-tensor").is_hidden()
    drawn = {trace["name"]: trace for trace in traces(seen, "#spectrum")}
    assert {"W, base", "W\u2032, trained", "\u0394 = W\u2032 \u2212 W", "edge of the noise", "spikes"} <= set(drawn)
    change = drawn["\u0394 = W\u2032 \u2212 W"]
    assert change["x"][0] == 1 and change["x"][-1] == 384 and len(change["x"]) == len(change["y"])
    above = [y for y in change["y"] if y > drawn["edge of the noise"]["y"][0]]
    assert drawn["spikes"]["y"] == above  # one spike is planted in this matrix
    law = drawn["power law, W, base"]  # \u03b1 2.11, 90 values, \u03bb_min 1.4
    assert law["x"] == [1, 90]
    assert law["y"] == pytest.approx([math.sqrt(1.4) * 90 ** (1 / (2 * 1.11)), math.sqrt(1.4)])
    assert "Stable rank of \u0394 5.5" in seen.text("#spectrum-note")


def test_pickers_and_the_heat_map_choose_the_matrix(visit: Open, tmp_path: Path) -> None:
    seen = visit(weighty(tmp_path / "r", 8), run=tmp_path / "r")
    seen.page.select_option("#spectrum-module", "v")
    seen.page.select_option("#spectrum-layer", "0")
    assert seen.text("#spectrum-name") == "model.layers.0.self_attn.v_proj.weight"
    assert seen.text("#spectrum-note").startswith("W\u2032 has the singular values of W")
    assert [trace["name"] for trace in traces(seen, "#spectrum")] == ["W, base"]
    seen.page.select_option("#spectrum-module", "up")
    assert seen.text("#spectrum-name") == "model.layers.0.mlp.up_proj.weight"
    area = seen.page.locator("#spectral-heat .nsewdrag")
    box = area.bounding_box()
    assert box is not None  # 8 layers across, 7 modules down: the middle of the sixth and of the second
    middle: Any = {"x": box["width"] * 5.5 / 8, "y": box["height"] * 1.5 / 7}
    area.hover(position=middle)
    area.click(position=middle)
    seen.page.locator("#spectrum-name", has_text="layers.5.").wait_for()
    assert seen.text("#spectrum-name") == "model.layers.5.self_attn.k_proj.weight"
    assert seen.page.input_value("#spectrum-layer") == "5"


def test_several_matrices_of_one_place_get_a_picker(visit: Open, tmp_path: Path) -> None:
    document = weighty(tmp_path / "r", 2)
    moved = tuple(
        attrs.evolve(m, scope=attrs.evolve(m.scope, module="down")) if m.scope.module == "up" else m
        for m in document.measurements
    )
    seen = visit(attrs.evolve(document, measurements=moved), run=tmp_path / "r")
    seen.page.select_option("#spectrum-layer", "0")
    assert seen.page.locator("#spectrum-tensor").is_visible()
    seen.page.select_option("#spectrum-tensor", "model.layers.0.mlp.up_proj.weight")
    assert seen.text("#spectrum-name") == "model.layers.0.mlp.up_proj.weight"


def test_the_head_map_shows_the_projection_chosen(visit: Open, tmp_path: Path) -> None:
    seen = visit(weighty(tmp_path / "r"), run=tmp_path / "r")
    pressed = "#head-modules [aria-pressed=true]"
    assert seen.text(pressed) == "q"
    heat = traces(seen, "#head-heat")[0]["z"]  # heads down, layers across
    assert (len(heat), len(heat[0])) == (16, 24)
    assert max(value for line in heat for value in line) == heat[11][5] == 0.2
    seen.page.click("#head-modules button:has-text('k')")
    assert seen.text(pressed) == "k" and len(traces(seen, "#head-heat")[0]["z"]) == 4  # grouped keys
    seen.page.click("#head-modules button:has-text('OV')")
    assert traces(seen, "#head-heat")[0]["z"][0][0] is None
    assert len(traces(seen, "#head-heat")) == 2  # the undefined head is hatched
    seen.page.select_option("#head-metric", "weight.heads.stable_rank")
    assert seen.text(pressed) == "q"
    assert seen.page.locator("#head-modules button").count() == 4


def test_a_change_of_theme_redraws_the_views(visit: Open, tmp_path: Path) -> None:
    seen = visit(weighty(tmp_path / "r", 3), scheme="dark", run=tmp_path / "r")
    inks = [
        f"document.querySelector('{host}').layout.font.color" for host in ("#spectrum", "#spectral-heat", "#head-heat")
    ]
    before = [seen.page.evaluate(ink) for ink in inks]
    seen.page.click("#theme")
    assert all(seen.page.evaluate(ink) != old for ink, old in zip(inks, before, strict=True))


def test_hostile_names_stay_text_in_every_view(visit: Open, tmp_path: Path) -> None:
    seen = visit(hostile_run(tmp_path / "r"), 390, run=tmp_path / "r")
    assert seen.fits()
    for host in ("#spectrum", "#spectral-heat", "#head-heat"):
        seen.page.hover(f"{host} .nsewdrag")
        assert seen.page.locator(f"{host} a").count() == 0
    assert seen.page.locator("main img, main iframe, main a[href^=javascript]").count() == 0
    assert "window.__pwned" in seen.text("#spectrum-name")
