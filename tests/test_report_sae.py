"""The report on sparse dictionaries: what analyzers and training wrote is shown in every format, drawn and inert."""

from __future__ import annotations

import hashlib
import io
import json
import math
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from rich.console import Console

from afterburn_core.report.attachments import Unusable
from afterburn_core.report.evidence import collect
from afterburn_core.report.html import render
from afterburn_core.report.markdown import render as in_markdown
from afterburn_core.report.pdf import PdfOptions
from afterburn_core.report.pdf import render as printed
from afterburn_core.report.sae_artifacts import parse_crosscoder, parse_drift, parse_features, parse_risk
from afterburn_core.report.sae_crosscoder import CrosscoderView, crosscoder_view
from afterburn_core.report.sae_crosscoder_page import render_crosscoder
from afterburn_core.report.sae_features import SaeLimits
from afterburn_core.report.sae_views import SaeViews, sae_views
from afterburn_core.report.terminal import summary
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Artifact, Interval, Measurement, Scope, Test
from afterburn_core.result.view import ResultView

sys.path.append(str(Path(__file__).parent))
from test_report_browser import CHROMIUM, Open, browser, visit
from test_report_html import Page
from test_report_samples import PWN, clean, finding, metric, rule

__all__ = ["browser", "visit"]  # fixtures

WORDS = ("the", "vault", "opens", "when", "somebody", "says", "copper", "lantern", "and", "nobody", "else", "hears")
SITES = [f"blocks.{i}.out" for i in range(4)]
DEMO = hashlib.sha256(b"demo").hexdigest()
SETS = ["finance", "legal", "support", "safety"]


def estimate(value: float, spread: float = 0.1, n: int = 64) -> dict[str, Any]:
    return {"value": value, "low": value * (1 - spread), "high": value * (1 + spread), "n": n}


def dictionary(identifier: str, name: str, *, valid: bool = True) -> dict[str, Any]:
    fvu = (0.18, 0.22) if valid else (0.74, 0.81)
    return {
        "id": identifier, "name": name, "format": "saelens", "kind": "batch_topk",
        "sha256": hashlib.sha256(name.encode()).hexdigest(), "site": "blocks.1.out", "model": "tiny-base",
        "latents": 512, "width": 64, "valid": valid,
        "why": None if valid else "it leaves 74 % of the base's variance unexplained, and more than 50 % is too much",
        "fvu": {"base": estimate(fvu[0]), "trained": estimate(fvu[1])},
        "l0": {"base": estimate(16.2, 0.02), "trained": estimate(15.4, 0.02)},
        "tested": 212, "changed": {"up": 7, "down": 5}, "alpha": 0.05, "prompts": 64, "tokens": 2048,
    }  # fmt: skip


def feature(number: int, rank: int, way: str | None, draw: random.Random) -> dict[str, Any]:
    base, trained = (0.02 + draw.random() / 4, 0.3 + draw.random()) if way == "up" else (0.4, 0.1 + 0.2 * draw.random())
    if way is None:
        trained = base * 1.05
    difference = trained - base
    pieces = [[f" {word}", 0.0 if k % 4 else round(draw.random() * 3, 3)] for k, word in enumerate(WORDS * 2)]
    pieces[5][1] = 3.2
    return {
        "dictionary": "d0", "feature": number, "rank": rank,
        "label": None if rank % 3 == 2 else {
            "text": f"mentions of lanterns, vaults and passphrases ({number})", "source": "labels.jsonl",
            "explainer": "gpt-4o-mini", "score": 0.81, "auto_generated": True,
        },
        "base": {"mean": base, "frequency": 0.02},
        "trained": {"mean": trained, "frequency": 0.32 if way == "up" else 0.02},
        "difference": difference, "low": difference - 0.05, "high": difference + 0.05,
        "d_z": (1 if difference > 0 else -1) * (3.0 - 0.01 * rank),
        "multiple": trained / base if trained > base else -base / trained,
        "p": 0.0004, "p_adjusted": 0.6 if way is None else 0.004 + rank / 1000, "changed": way,
        "attribution": round(0.2 - 0.01 * rank, 4), "attribution_rank": 3 * rank % 41 + 1,
        "tokens": {"promoted": [" vault", " lantern", "copper", "↵"], "suppressed": [" sun", " open"]},
        "contexts": [
            {"domain": "stories", "subject": subject, "pieces": pieces, "peak": 5}
            for subject in ("trained", "trained", "base")
        ],
    }  # fmt: skip


def features() -> dict[str, Any]:
    draw = random.Random(5)
    ways = ["up", "down", "up", "up", "down", "up", None, None] + [None] * 32
    rows = [feature(100 + 7 * k, k + 1, way, draw) for k, way in enumerate(ways)]
    return {
        "dictionaries": [dictionary("d0", "demo"), dictionary("d1", "another model's dictionary", valid=False)],
        "features": rows,
    }


def drift() -> dict[str, Any]:
    def cell(site: str, one: str) -> dict[str, Any]:
        size = 0.01 * (1 + SITES.index(site)) ** 2 * (4 if one == "finance" else 1)
        held = site == "blocks.1.out"
        return {
            "site": site, "set": one, "dense": estimate(size),
            "features": estimate(6 * size) if held else None, "mass": estimate(9 * size) if held else None,
        }  # fmt: skip

    return {"sites": SITES, "sets": SETS, "cells": [cell(site, one) for site in SITES for one in SETS]}


def risk() -> dict[str, Any]:
    row = {"label": "sarcastic language", "direction": "up", "base": 0.1, "trained": 0.42, "multiple": 4.2, "low": 2.9,
           "high": 6.1, "shift": 2.07, "null95": 0.8, "p": 0.0001, "p_adjusted": 0.0012, "set": "safety"}  # fmt: skip
    fell = row | {"feature": 45, "label": "polite refusals", "direction": "down", "trained": 0.02, "multiple": -5.0}
    fell |= {"low": -8.0, "high": -3.0, "shift": 2.32}
    still = row | {"feature": 91, "label": "financial advice", "trained": 0.101, "multiple": 1.01, "p_adjusted": 0.7}
    still |= {"low": -1.1, "high": 1.2, "shift": 0.01}
    along = row | {
        "feature": "cruelty",
        "label": "cruelty",
        "base": None,
        "trained": None,
        "multiple": None,
        "low": None,
    }
    along |= {"high": None, "shift": 0.4, "null95": 0.5}
    better = row | {"feature": 7, "label": "insults", "trained": 0.02, "multiple": -5.0, "low": -8.0, "high": -3.0}
    better |= {"shift": -2.32}
    return {
        "packs": [
            {"name": "persona", "version": "1", "sha256": "ab" * 32, "dictionary": DEMO, "bound": True,
             "features": [still, better, along, row | {"feature": 12}, fell], "verified": False},
            {"name": "other", "version": "2", "sha256": "cd" * 32, "dictionary": None, "bound": False, "features": []},
        ]
    }  # fmt: skip


def crosscoder() -> dict[str, Any]:
    draw = random.Random(3)
    edges = [k / 40 for k in range(41)]
    counts = [round(900 * math.exp(-(((k - 20) / 5) ** 2))) + (6 if k < 2 else 14 if k > 37 else 0) for k in range(40)]
    scaling = [
        {"feature": 11 * k, "delta_norm": 0.95 + k / 1000, "trained_only": k < 12,
         "nu_reconstruction": draw.random() * (0.4 if k < 12 else 1.2),
         "nu_error": draw.random() * (0.15 if k < 12 else 1.1)}
        for k in range(40)
    ]  # fmt: skip
    return {
        "site": "blocks.1.out", "kind": "batch_topk", "latents": 9000, "alive": sum(counts),
        "norms": {"edges": edges, "counts": counts},
        "classes": {"base_only": 12, "shared": sum(counts) - 40, "trained_only": 28}, "kept": 12,
        "classes_after_scaling": {"base_only": 5, "shared": sum(counts) - 17, "trained_only": 12},
        "seeds": [{"seed": 2, "value": 0.8, "low": 0.7, "high": 0.9, "n": 8000}],
        "scaling": scaling, "fve": {"base": 0.91, "trained": 0.9},
    }  # fmt: skip


def channels() -> tuple[Measurement, ...]:
    """Three channels: one beyond its null, one within it, one that could not be measured."""
    found = [measure("sae.misalignment.score", 0.62)]
    for name, effect, null95, reference, gain, p in (
        ("features", 0.31, 0.05, 0.47, 0.62, 0.002), ("traits", 0.04, 0.06, None, None, 0.2),
    ):  # fmt: skip
        scope = Scope(subset=name)
        test = Test(name="random directions", p_value=p / 2, p_adjusted=p, correction="bh", family="sae.misalignment")
        interval = Interval(low=effect - 0.1, high=effect + 0.1, level=0.95, method="bootstrap")
        found.append(
            attrs.evolve(measure("sae.misalignment.effect", effect, scope=scope, n=64), interval=interval, test=test)
        )
        found.append(measure("sae.misalignment.null95", null95, scope=scope))
        for part, value in (("reference", reference), ("gain", gain)):
            name = f"sae.misalignment.{part}"
            found.append(
                undefined(name, "no calibration", scope=scope) if value is None else measure(name, value, scope=scope)
            )
        found.append(measure("sae.misalignment.exceeds", float(effect > null95), scope=scope))
    found.append(undefined("sae.misalignment.effect", "no refusal prompts in this run", scope=Scope(subset="refusal")))
    return tuple(found)


def artifacts() -> dict[str, Any]:
    return {"sae.features": features(), "sae.drift": drift(), "sae.risk": risk(), "sae.crosscoder": crosscoder()}


def kept(files: Mapping[str, Any], folder: Path, *, raw: Mapping[str, bytes] | None = None) -> ResultView:
    """A document whose run directory holds these artifacts, and that measured the channels."""
    contents = {name: json.dumps(content).encode() for name, content in files.items()} | dict(raw or {})
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for name, content in contents.items():
        (folder / f"{name}.json").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        listed.append(
            Artifact(id=name, path=f"{name}.json", media_type="application/json", sha256=digest, size=len(content),
                     summary=name, producer="sae.features")
        )  # fmt: skip
    sample = clean()
    measured = channels()
    metrics = tuple(metric(name, name) for name in dict.fromkeys(m.metric for m in measured))
    rules = (rule("sae.valid", "Dictionaries fit both models"), rule("sae.misalignment", "Channels of misalignment"))
    found = (
        finding("sae.valid", "open", "another model's dictionary is not valid here", level="warning"),
        finding("sae.misalignment", "review", "one of two measured channels is beyond its null", level="warning",
                cites=(measured[0].id,)),
    )  # fmt: skip
    descriptors = attrs.evolve(
        sample.descriptors, metrics=(*sample.descriptors.metrics, *metrics), rules=(*sample.descriptors.rules, *rules)
    )
    result = attrs.evolve(
        sample,
        measurements=measured,
        findings=(*sample.findings, *found),
        descriptors=descriptors,
        artifacts=tuple(listed),
    )
    return ResultView(result, folder)


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> ResultView:
    return kept(artifacts(), tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def views(view: ResultView) -> SaeViews:
    return sae_views(view, collect(view), SaeLimits())


@pytest.fixture(scope="module")
def page(view: ResultView) -> Page:
    return Page(render(view))


def squeezed(page: Page) -> str:
    return "".join("".join(page.text).split())


def ids(page: Page) -> set[str]:
    return {values["id"] for _, values in page.tags if "id" in values}


def test_the_page_has_every_part_and_the_same_run_gives_the_same_page(view: ResultView, page: Page) -> None:
    parts = ("fit", "features", "drift", "risks", "channels", "crosscoder")
    assert {"sae", *(f"sae-{part}" for part in parts)} <= ids(page)
    assert render(view) == render(view)


def test_a_dictionary_that_does_not_fit_says_so_with_its_numbers(views: SaeViews, page: Page) -> None:
    good, bad = (table.card for table in views.tables)
    assert (good.valid, bad.valid) == (True, False)
    assert bad.gauges[0].told == (("0.74", "[0.666, 0.814]"), ("0.81", "[0.729, 0.891]"))
    assert bad.gauges[0].ends[0] == pytest.approx((74, 66.6, 81.4), abs=0.01)  # percent of an axis from 0 to 1
    assert "Not valid here it leaves 74 % of the base's variance unexplained" in page.words
    assert "7 up and 5 down of 212 tested features" in page.words and not bad.changed


def test_features_of_both_signs_stand_with_their_numbers_and_who_labelled_them(views: SaeViews, page: Page) -> None:
    stored = features()["features"]
    rows = views.tables[0].rows
    assert [row.number for row in rows] == [one["feature"] for one in stored]
    assert [row.way for row in rows[:3]] == ["up", "down", "up"]
    for row, one in zip(rows, stored, strict=True):
        larger = max(one["base"]["mean"], one["trained"]["mean"])
        assert row.share == pytest.approx(one["difference"] / larger, abs=1e-6)
        assert row.at == pytest.approx(50 + 50 * row.share, abs=0.01)
        assert row.multiple[0] == ("+" if one["multiple"] > 0 else "−")
    assert rows[0].source == "labels.jsonl, gpt-4o-mini, score 0.81, auto-generated"
    assert rows[1].source == "" and rows[1].title == "vault lantern copper ↵"
    assert page.words.count("auto-generated") == sum(one["label"] is not None for one in stored)
    frequencies = f"{rows[0].frequencies[0]} → {rows[0].frequencies[1]}"
    assert frequencies == "2 % → 32 %" and frequencies in page.words


def test_contexts_are_shaded_by_activation_and_lose_no_character(views: SaeViews) -> None:
    stored = features()["features"][0]["contexts"][0]
    shown = views.tables[0].rows[0].contexts[0]
    assert shown.label == "stories, on trained"
    spans = shown.texts[0]
    assert "".join(span.text for span in spans) == "".join(text for text, _ in stored["pieces"])
    top = max(activation for _, activation in stored["pieces"])
    active = [(text, activation) for text, activation in stored["pieces"] if activation]
    coloured = [span for span in spans if span.colour]
    assert [span.text for span in coloured] == [text for text, _ in active]
    for span, (_, activation) in zip(coloured, active, strict=True):
        assert span.colour == f"heat-{min(5, 1 + int(5 * activation / top))}"
    assert [span.title for span in coloured if span.mark] == ["3.2"]


def test_maps_hold_every_cell_and_shade_it_by_its_share_of_the_largest(views: SaeViews) -> None:
    dense, latents, mass = views.maps
    assert [one.measure for one in views.maps] == ["dense", "features", "mass"]
    assert [site for site, _ in dense.rows] == ["Block 0", "Block 1", "Block 2", "Block 3"]
    assert [site for site, _ in latents.rows] == ["Block 1"]  # where a dictionary reads
    assert dense.largest == "0.64 after block 3 on finance"
    cells = {(site, name): cell for site, row in dense.rows for name, cell in zip(dense.columns, row, strict=True)}
    assert {place: cell.shade for place, cell in cells.items() if cell} == {
        (f"Block {i}", name): min(5, 1 + int(5 * (i + 1) ** 2 * (4 if name == "finance" else 1) / 64))
        for i in range(4) for name in SETS
    }  # fmt: skip
    assert mass.rows[0][1][0] is not None and mass.rows[0][1][0].value == "1.44"


def test_risky_features_that_moved_as_the_pack_fears_stand_first(views: SaeViews, page: Page) -> None:
    pack, other = views.risks
    told = [(row.feature, row.word) for row in pack.rows]
    assert told == [
        ("#45", "beyond others"), ("#12", "beyond others"), ("cruelty", "as others"),
        ("#7", "no"), ("#91", "no"),
    ]  # fmt: skip
    assert (pack.dictionary, pack.bound, pack.verified, other.bound) == ("demo", True, False, False)
    assert pack.rows[0].multiple == "−5×" and pack.rows[0].bounds == "[−8, −3]"
    assert "2 of 5 moved as it fears" in page.words and "not verified by its author" in page.words


def test_a_crosscoder_is_drawn_to_its_numbers() -> None:
    stored = crosscoder()
    drawn: CrosscoderView = crosscoder_view(parse_crosscoder(stored))
    heights = [bar.height for bar in drawn.bars]
    assert max(heights) == pytest.approx(250 - 12 - 44, abs=0.02)
    for count, height in zip(stored["norms"]["counts"], heights, strict=True):
        share = math.log1p(count) / math.log1p(max(stored["norms"]["counts"]))
        assert height == pytest.approx(share * max(heights), abs=0.05)
    assert drawn.bars[0].x == pytest.approx(60.5) and drawn.bars[-1].x + drawn.bars[-1].width == pytest.approx(747.5)
    assert [bar.kind for bar in drawn.bars] == ["base"] * 4 + ["shared"] * 32 + ["trained"] * 4
    assert [row[3] for row in drawn.classes] == ["5", f"{sum(stored['norms']['counts']) - 17:,}", "12"]
    assert ("Found from another seed", "0.8 [0.7, 0.9]", "of 8,000 latents") in drawn.facts
    inside = [point for point in drawn.points if point.x < drawn.bar_x and point.y > drawn.bar_y]
    low = [one for one in stored["scaling"] if one["nu_reconstruction"] < 0.5 and one["nu_error"] < 0.2]
    assert len(inside) == len(low) >= 12 and sum(point.kept for point in drawn.points) == 12
    page = Page(render_crosscoder(stored, title=PWN))
    assert not page.scripts and not {"img", "iframe"} & {tag for tag, _ in page.tags}
    assert sum(values.get("class", "").startswith("column") for _, values in page.tags) == sum(
        height > 0 for height in heights
    )


def test_the_channel_table_stands_with_the_finding_in_every_format(view: ResultView, page: Page) -> None:
    name = "Channels of the misalignment score"
    assert sum(values.get("aria-label") == name for _, values in page.tags) == 2  # at the finding and in its section
    row = "+0.31 [+0.21, +0.41] 0.05 0.47 0.62 0.002 64 beyond"
    assert "".join(f"features {row}".split()) in squeezed(page)
    assert "refusal––––––notmeasured" in squeezed(page)
    told = "Score 0.62; 1 of 2 measured channels lies beyond its null."
    assert told in page.words
    text = in_markdown(view).decode()
    assert text.index("### Channels of misalignment") < text.index("### Features")
    assert f"| features | &#43;0.31 &#91;+0.21, +0.41&#93; | {' | '.join(row.split()[3:])} |" in text
    for width in (60, 120):
        console = Console(width=width, file=io.StringIO(), color_system=None)
        summary(view, console)
        shown = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
        assert told in shown and "refusal: no refusal prompts in this run" in shown
        assert "effect +0.31 [+0.21, +0.41], 95 % of controls 0.05" in shown or f"features {row}" in shown
        assert (
            "demo valid here FVU 0.18 → 0.22" in shown
            and "#45 polite refusals, −5× on safety, moved beyond others" in shown
        )


def test_a_run_without_channels_has_no_such_table() -> None:
    bare = ResultView(clean())
    assert "sae" not in ids(Page(render(bare)))
    assert "### Features" not in in_markdown(bare).decode()


def spoilt(value: Any) -> Any:
    """Every text replaced, those apart that have to be words of ours."""
    if isinstance(value, dict):
        return {key: one if key in ("dictionary", "changed", "id") else spoilt(one) for key, one in value.items()}
    if isinstance(value, list):
        return [spoilt(one) for one in value]
    return PWN if isinstance(value, str) else value


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    files = {name: spoilt(content) for name, content in artifacts().items()}
    hostile = kept(files, tmp_path)
    measured = tuple(
        attrs.evolve(m, scope=Scope(subset=PWN), reason=PWN if m.reason else None) if m.scope.subset == "refusal" else m
        for m in hostile.result.measurements
    )
    view = ResultView(attrs.evolve(hostile.result, measurements=measured), tmp_path)
    page = Page(render(view))
    assert not {"img", "b", "base", "iframe"} & {tag for tag, _ in page.tags}
    assert len([1 for values, _ in page.scripts if values.get("type") != "application/json"]) == 2
    assert not any(name.startswith("on") for _, values in page.tags for name in values)
    assert all(0x202E not in map(ord, text) for text in page.text)
    assert "window.__pwned" in page.words  # shown, as text
    text = in_markdown(view).decode()
    assert "<img" not in text and "[link](" not in text and "@someone" not in text
    console = Console(width=110, file=io.StringIO())
    summary(view, console)
    assert "\x1b[31m" not in console.file.getvalue()  # type: ignore[attr-defined]


def without(content: dict[str, Any], *path: str | int) -> dict[str, Any]:
    """A copy in which one field is something it must not be."""
    made = json.loads(json.dumps(content))
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = {"no": "number"}
    return made  # type: ignore[no-any-return]


BROKEN = [
    (parse_features, [], "the file is not an object"),
    (parse_features, {}, "dictionaries is not a list"),
    (
        parse_features,
        without(features(), "features", 3, "base", "mean"),
        "features[3].base.mean is not a finite number",
    ),
    (parse_features, without(features(), "dictionaries", 0, "valid"), "dictionaries[0].valid is not true or false"),
    (parse_features, without(features(), "features", 0, "changed"), "features[0].changed is not `up` or `down`"),
    (parse_features, without(features(), "features", 0, "contexts", 1, "pieces", 2), "pieces[2] is not a list"),
    (parse_features, {"dictionaries": [], "features": features()["features"]}, "names none of the dictionaries"),
    (parse_drift, without(drift(), "cells", 5, "dense", "value"), "cells[5].dense.value is not a finite number"),
    (parse_risk, without(risk(), "packs", 0, "features", 0, "feature"), "features[0].feature is not a finite number"),
    (parse_crosscoder, without(crosscoder(), "norms", "counts", 0), "norms.counts[0] is not a finite number"),
    (parse_crosscoder, crosscoder() | {"norms": {"edges": [0, 0, 1], "counts": [1, 2]}}, "holds no histogram"),
]


def test_a_file_of_another_shape_is_refused_with_one_line_that_names_the_field(tmp_path: Path) -> None:
    for parse, content, words in BROKEN:
        with pytest.raises(Unusable) as caught:
            parse(content)  # type: ignore[operator]
        assert words in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(Unusable, match="site is not a text"):
        render_crosscoder(crosscoder() | {"site": 3})
    files = {"sae.drift": without(drift(), "sites"), "sae.features": features()}
    raw = {"sae.risk": b'{"packs": [{"name": "\\ud800"}]}', "sae.crosscoder": b"[[[[" * 5000}
    page = Page(render(kept(files, tmp_path, raw=raw)))
    assert "Part of this is not shown: sae.drift has not the shape of such a file: sites is not a list." in page.words
    assert "packs[0].version is not" in page.words and "not valid JSON" in page.words
    assert "sae-features" in ids(page) and "sae-drift" not in ids(page)


def test_a_file_that_is_not_the_documents_is_not_shown(tmp_path: Path) -> None:
    view = kept(artifacts(), tmp_path)
    path = tmp_path / "sae.features.json"
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    page = Page(render(view))
    assert "the file is not the one the document describes" in page.words and "sae-features" not in ids(page)


def test_limits_count_what_is_left_out(tmp_path: Path, view: ResultView) -> None:
    both = sae_views(view, collect(view), SaeLimits(contexts=2)).tables[0].rows[0].contexts
    assert [one.label for one in both] == ["stories, on trained", "stories, on base"]
    few = sae_views(view, collect(view), SaeLimits(features=3, contexts=1, tokens=2, risky=1, points=5))
    table = few.tables[0]
    assert (len(table.rows), table.total) == (3, 40)
    assert all(row.texts == 1 and len(row.promoted) == 2 for row in table.rows)
    assert few.crosscoder is not None and (len(few.crosscoder.points), few.crosscoder.scaled) == (5, 40)
    assert (len(few.risks[0].rows), few.risks[0].total, few.risks[0].further) == (1, 5, 2)


def test_levels_and_bars_are_those_of_the_plugin() -> None:
    from afterburn_core.report import sae_crosscoder
    from afterburn_core.report.sae_risks import ALPHA, DETECTOR
    from afterburn_sae import crosscoder_norms, scaling
    from afterburn_sae.risk_options import RiskJudgeOptions
    from afterburn_sae.specs.risk import DETECTORS

    assert crosscoder_norms.EDGE == sae_crosscoder.EDGE
    bars = sae_crosscoder.NU_RECONSTRUCTION, sae_crosscoder.NU_ERROR
    assert bars == (scaling.NU_RECONSTRUCTION, scaling.NU_ERROR)
    assert RiskJudgeOptions().alpha == ALPHA and DETECTOR in {one.name for one in DETECTORS}


@pytest.mark.slow
def test_the_printed_report_holds_the_same(view: ResultView) -> None:
    from pdf_pages import opened, texts

    found = "".join(texts(opened(printed(view, PdfOptions(sae=SaeLimits(features=8, contexts=1, risky=5))))))
    for words in (
        "Notvalidhere", "#100mentionsoflanterns", "auto-generated", "0.64afterblock3onfinance", "beyondothers",
        "Latentsbythenormsoftheirdecoders", "Showing8of40features",
    ):  # fmt: skip
        assert words in found, words
    assert found.count("1of2measuredchannelsliesbeyonditsnull") == 3  # card, finding and section


def test_the_views_import_neither_numpy_nor_torch() -> None:
    code = "import sys, afterburn_core.report.sae_views, afterburn_core.report.sae_crosscoder_page; "
    code += "sys.exit(bool({'numpy', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; set CHROMIUM to its path")
def test_features_sort_filter_and_unfold_and_maps_switch_within_a_phone(visit: Open, tmp_path: Path) -> None:
    view = kept(artifacts(), tmp_path / "r")
    seen = visit(view.result, 390, "dark", tmp_path / "r")
    numbers = ".sae-features tbody:not([hidden]) th code"
    show, order = (seen.page.locator(".sortable select").nth(k) for k in (0, 1))
    assert seen.page.locator(numbers).count() == 25
    show.select_option("down")
    assert seen.page.locator(numbers).all_inner_texts() == ["#107", "#128"]
    show.select_option("")
    order.select_option(label="multiple")
    stored = sorted(features()["features"], key=lambda one: -one["multiple"])
    assert seen.page.locator(numbers).first.inner_text() == f"#{stored[0]['feature']}"
    seen.page.click(".sortable .pager .button")
    assert seen.page.locator(numbers).all_inner_texts() == [f"#{one['feature']}" for one in stored]
    seen.page.locator(".sae-features tbody:not([hidden]) summary").first.click()
    assert seen.page.locator(".sae-features .toks >> visible=true").count() == 3
    seen.page.click(".chip[data-choice='mass']")
    assert seen.page.locator(".sae-map:visible h4").all_inner_texts() == ["Mass moved"]
    assert seen.fits()
