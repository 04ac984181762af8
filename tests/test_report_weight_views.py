"""Spectra, heads, tokens, directions, adapter and kind of update: shown where measured, whole or counted, inert."""

from __future__ import annotations

import hashlib
import json
import math
import random
import struct
import sys
from array import array
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest

from afterburn_core.report.attachments import Unusable
from afterburn_core.report.evidence import collect
from afterburn_core.report.html import HtmlOptions, render
from afterburn_core.report.markdown import render as render_markdown
from afterburn_core.report.spectra import is_spectral, ladder, spectra
from afterburn_core.report.tokens import token_text
from afterburn_core.report.vectors import open_vectors
from afterburn_core.report.weight_views import ViewLimits, weight_views
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Artifact, Measurement, MetricDescriptor, Null, Result, Scope, Test
from afterburn_core.result.table import spill
from afterburn_core.result.view import ResultView

sys.path.append(str(Path(__file__).parent))
from test_report_html import Page
from test_report_samples import MODULES, PWN, clean, metric, run, size_of_change

PATHS = {m: f"self_attn.{m}_proj" if m in "qkvo" else f"mlp.{m}_proj" for m in MODULES}
SUMMARIES = {
    "weight.delta.relative": "Norm of the change over norm of the base weights",
    "weight.delta.stable_rank": "Squared norm of the change over its largest squared singular value",
    "weight.delta.effective_rank": "Exponential of the entropy of the squared singular values",
    "weight.noise.edge": "Largest singular value that noise alone would have",
    "weight.noise.spikes": "Singular values of the change above the edge of the noise",
    "weight.tail.alpha": "Exponent of the power law of the squared singular values",
    "weight.heads.relative": "Relative change of one head's weights",
    "weight.heads.qk.relative": "Relative change of the product of query and key weights",
    "weight.heads.ov.relative": "Relative change of the product of output and value weights",
    "weight.heads.stable_rank": "Stable rank of the change of one head",
    "weight.heads.outlier": "Distance of one head from the others in robust deviations",
    "weight.tail.x_min": "Where the tail of the squared singular values begins",
    "weight.embeddings.untouched": "Tokens whose row did not change",
    "weight.embeddings.added": "Tokens that only the trained model has",
    "weight.adapter.rank": "Configured rank",
    "weight.adapter.used_rank": "Singular values of the update that are above rounding",
    "weight.adapter.scaling": "Factor on the product of the two matrices",
    "weight.adapter.share": "Share of the squared norm of the whole update",
    "weight.update.likelihood": "How likely this kind of update is",
    "weight.update.unchanged_fraction": "Share of entries whose stored bits did not change",
    "weight.update.principal_share": "Share of the change in the principal subspace of the base",
}
HOT = "model.layers.17.mlp.down_proj.weight"


def described(name: str) -> MetricDescriptor:
    unit = "singular values" if name.endswith("spikes") else "1"
    return metric(name, SUMMARIES[name], unit=unit, high=1.0 if "share" in name or "fraction" in name else None)


def safetensors(vectors: dict[str, list[float]], code: str = "d") -> bytes:
    """The format written by hand, as its documentation describes it."""
    header: dict[str, Any] = {}
    body = b""
    for name, values in vectors.items():
        content = array(code, values).tobytes()
        offsets = [len(body), len(body) + len(content)]
        header[name] = {"dtype": {"d": "F64", "f": "F32"}[code], "shape": [len(values)], "data_offsets": offsets}
        body += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def attach(directory: Path, document: Result, identifier: str, suffix: str, content: bytes) -> Result:
    """The document with one more file beside it."""
    path = directory / "artifacts" / f"{identifier}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    artifact = Artifact(
        id=identifier,
        path=path.relative_to(directory).as_posix(),
        media_type="application/json" if suffix == ".json" else "application/vnd.safetensors",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        summary="Made for a test",
        producer="weight.delta",
    )
    return attrs.evolve(document, artifacts=(*document.artifacts, artifact))


def sigmas(change: float, size: int, spikes: int) -> list[float]:
    bulk = [change * 4 * (1 - k / size) ** 0.7 for k in range(size)]
    return sorted([change * (30 - 4 * k) for k in range(spikes)] + bulk[spikes:], reverse=True)


def matrices(layers: int) -> tuple[list[Measurement], dict[str, list[float]]]:
    found: list[Measurement] = []
    vectors: dict[str, list[float]] = {}
    for layer in range(layers):
        for module, shape in MODULES.items():
            scope = Scope(tensor=f"model.layers.{layer}.{PATHS[module]}.weight", layer=layer, module=module)
            change, size = size_of_change(layer, module), 6 * min(shape)
            base = [9.0 * (k + 1) ** -0.45 for k in range(size)]
            found.append(measure("weight.delta.relative", change, scope=scope))
            vectors[f"{scope.tensor}.base"] = base
            if not change:
                found.append(undefined("weight.delta.stable_rank", "the tensor did not change", scope=scope))
                vectors[f"{scope.tensor}.delta"] = [0.0] * size
                continue
            spikes = (layer + len(module)) % 5
            vectors[f"{scope.tensor}.trained"] = [s * (1 + change * math.cos(k)) for k, s in enumerate(base)]
            vectors[f"{scope.tensor}.delta"] = sigmas(change, size, spikes)
            for name, value in (
                ("weight.delta.stable_rank", 3.5 + layer % 5),
                ("weight.delta.effective_rank", 40.0 + layer),
                ("weight.noise.edge", change * 4.3),
                ("weight.noise.spikes", spikes),
            ):
                tested = Test(name="tracy_widom", p_value=0.0) if name.endswith("spikes") else None
                found.append(attrs.evolve(measure(name, value, scope=scope), test=tested))
            for side, alpha in (("base", 2.11), ("trained", 2.13)):
                found.append(measure("weight.tail.alpha", alpha, scope=scope, subjects=(side,), n=90))
                found.append(measure("weight.tail.x_min", 1.4, scope=scope, subjects=(side,), n=90))
    return found, vectors


def head_scores(layers: int, heads: int = 16, groups: int = 4) -> list[Measurement]:
    draw = random.Random(7)
    found: list[Measurement] = []
    for layer in range(layers):
        for module in "qkvo":
            tensor = f"model.layers.{layer}.self_attn.{module}_proj.weight"
            for head in range(groups if module in "kv" else heads):
                scope = Scope(tensor=tensor, layer=layer, module=module, head=head)
                hot = (layer, module, head) == (5, "q", 11)
                found.append(measure("weight.heads.relative", 0.2 if hot else draw.uniform(0.01, 0.03), scope=scope))
                null = Null(control="gaussian", n=199, quantile=0.01, p_value=0.015)
                rank = measure("weight.heads.stable_rank", draw.uniform(2, 9), scope=scope)
                found.append(attrs.evolve(rank, null=null))
                if hot:
                    null = Null(control="normal", n=9999, quantile=1.0, p_value=0.0001)
                    found.append(attrs.evolve(measure("weight.heads.outlier", 41.0, scope=scope), null=null))
        for head in range(heads):
            scope = Scope(layer=layer, head=head)
            found.append(measure("weight.heads.qk.relative", draw.uniform(0.01, 0.05), scope=scope))
            if (layer, head) == (0, 0):
                found.append(undefined("weight.heads.ov.relative", "the base norm is zero", scope=scope))
            else:
                found.append(measure("weight.heads.ov.relative", draw.uniform(0.01, 0.05), scope=scope))
    return found


EMBEDDING = "model.embed_tokens.weight"
TOKENS: dict[str, Any] = {
    "tables": {
        EMBEDDING: {
            "module": "embed",
            "moved": [
                {"token": text, "id": 100 + k, "base_id": 100, "relative": 0.4 / (k + 1), "cosine_distance": 0.05}
                for k, text in enumerate([" sure", "\n\n", "Great", "法", "<|end|>", "  ", ""])
            ],
            "added": [{"token": "<think>", "id": 32000, "nearest": [{"token": " thought", "id": 5, "cosine": 0.9}]}],
            "removed": [],
        }
    },
    "tied": {"base": True, "trained": True},
}
DIRECTIONS = [
    {
        "tensor": HOT,
        "layer": 17,
        "kind": "writer",
        "sigma": 1.25,
        "tokens_plus": [" sure", " yes", " certainly", " absolutely", "!"],
        "tokens_minus": [" no", " cannot", " sorry"],
    },
    {
        "tensor": "model.layers.3.self_attn.o_proj.weight",
        "layer": 3,
        "kind": "writer",
        "sigma": 0.5,
        "tokens_plus": ["{", "```"],
        "tokens_minus": ["\n", " the"],
    },
]


def small_parts() -> list[Measurement]:
    found = [
        measure("weight.update.likelihood", share, scope=Scope(subset=kind))
        for kind, share in (
            ("merged_adapter", 0.08),
            ("full_fine_tuning", 0.8096),
            ("rl_like", 0.11),
            ("rounding_only", 2e-6),
            ("identical", 0.0),
        )
    ]
    table = Scope(tensor=EMBEDDING, module="embed")
    found += [
        measure("weight.embeddings.untouched", 31_900, scope=table, n=32_000),
        measure("weight.embeddings.added", 40, scope=table, n=32_040),
    ]
    found += [measure("weight.update.unchanged_fraction", 0.17), measure("weight.update.principal_share", 0.031)]
    for layer in range(4):
        scope = Scope(tensor=f"model.layers.{layer}.self_attn.q_proj.weight", layer=layer, module="q")
        for name, value in (
            ("rank", 16),
            ("used_rank", 3 + layer),
            ("scaling", 2.0),
            ("share", 0.1 * (layer + 1)),
        ):
            found.append(measure(f"weight.adapter.{name}", value, scope=scope))
    return found


def weighty(directory: Path, layers: int = 24, *, excerpts: bool = True) -> Result:
    """A run with everything the views show, its files in `directory`."""
    found, vectors = matrices(layers)
    items = (*found, *head_scores(layers), *small_parts())
    document = clean()
    document = attrs.evolve(
        document,
        run=run(document.run.components, configuration={"excerpts": excerpts}),
        descriptors=attrs.evolve(document.descriptors, metrics=tuple(described(name) for name in SUMMARIES)),
        measurements=items,
    )
    document = attach(directory, document, "weight.spectra", ".safetensors", safetensors(vectors))
    document = attach(directory, document, "weight.tokens", ".json", json.dumps(TOKENS).encode())
    return attach(directory, document, "weight.directions.tokens", ".json", json.dumps(DIRECTIONS).encode())


def page_of(document: Result, directory: Path | None, options: HtmlOptions | None = None) -> Page:
    return Page(render(ResultView(document, directory), options))


def figures(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(page.island("report-figures"))
    return found


def section(page: Page, name: str) -> bool:
    return any(tag == "section" and values.get("id") == name for tag, values in page.tags)


SECTIONS = ("update", "spectra", "heads", "tokens", "directions", "adapter")


def test_a_section_appears_only_where_its_data_are(tmp_path: Path) -> None:
    assert [name for name in SECTIONS if section(page_of(weighty(tmp_path, 6), tmp_path), name)] == list(SECTIONS)
    bare = attrs.evolve(clean(), measurements=(measure("weight.delta.relative", 0.1),))
    assert not [name for name in SECTIONS if section(page_of(bare, None), name)]
    spectral = attrs.evolve(
        bare, measurements=tuple(m for m in clean().measurements if m.metric.endswith("stable_rank"))
    )
    assert [name for name in SECTIONS if section(page_of(spectral, None), name)] == ["spectra"]


# The file of vectors


@pytest.mark.parametrize("code", ["d", "f"])
def test_vectors_read_back_as_numpy_would_read_them(tmp_path: Path, code: str) -> None:
    path = tmp_path / "v.safetensors"
    path.write_bytes(safetensors({"a": [3.0, 0.5, 0.0], "b": [-1.0]}, code))
    with path.open("rb") as stream:
        file = open_vectors(stream)
        assert {name: list(file.read(name)) for name in file.entries} == {"a": [3.0, 0.5, 0.0], "b": [-1.0]}


def test_the_format_s_own_writer_is_understood(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    safetensors_numpy = pytest.importorskip("safetensors.numpy")
    values = {"w.delta": numpy.linspace(9, 0, 7), "w.base": numpy.ones(3), "matrix": numpy.ones((2, 2))}
    path = tmp_path / "v.safetensors"
    path.write_bytes(safetensors_numpy.save(values, metadata={"method": "float64"}))
    with path.open("rb") as stream:
        file = open_vectors(stream)
        assert sorted(file.entries) == ["w.base", "w.delta"]
        assert list(file.read("w.delta")) == values["w.delta"].tolist()
        assert file.metadata == {"method": "float64"}


@pytest.mark.parametrize(
    "content",
    [b"", b"1234", struct.pack("<Q", 9) + b"{}", struct.pack("<Q", 1 << 62) + b"{}", struct.pack("<Q", 2) + b"[]"],
)
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.safetensors"
    path.write_bytes(content)
    with path.open("rb") as stream, pytest.raises(Unusable, match="not a safetensors file"):
        open_vectors(stream)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F64", "shape": [1 << 60], "data_offsets": [0, 1 << 63]},
        {"dtype": "F64", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F64", "shape": [-1], "data_offsets": [8, 0]},
        {"dtype": "F64", "shape": [True], "data_offsets": [0, 8]},
        {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]},
        {"dtype": "F64"},
        None,
    ],
)
def test_entries_that_contradict_themselves_are_left_out(tmp_path: Path, entry: Any) -> None:
    header = json.dumps({"x.delta": entry}).encode()
    path = tmp_path / "v.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with path.open("rb") as stream:
        assert not open_vectors(stream).entries


# Spectra


@pytest.mark.parametrize(("largest", "points"), [(1, 64), (64, 64), (65, 64), (4096, 64), (151_936, 32), (10**15, 64)])
def test_the_ladder_has_both_ends_few_rungs_and_growing_gaps(largest: int, points: int) -> None:
    rungs = ladder(largest, points)
    assert rungs[0] == 1 and rungs[-1] == largest
    assert len(rungs) <= points and len(rungs) >= min(largest, points) * 0.75
    gaps = [b - a for a, b in pairwise(rungs)]
    assert all(gap > 0 for gap in gaps)
    assert gaps[:-1] == sorted(gaps[:-1])  # the last rung is cut short by the end


def test_curves_hold_the_values_of_the_file_at_their_ranks(tmp_path: Path) -> None:
    document = weighty(tmp_path, 3)
    view = ResultView(document, tmp_path)
    found = spectra(view, collect(view), max_bytes=200_000)
    _, vectors = matrices(3)
    assert found.total == len(found.tensors) == 21
    for entry in found.tensors:
        for side, curve in entry["curves"].items():
            values = vectors[f"{entry['name']}.{side}"]
            known = sum(value > 0 for value in values)
            ranks = [rank for rank in found.ladder if rank < known] + ([known] if known else [])
            assert (curve["size"], curve["known"]) == (len(values), known)
            assert curve["values"] == [pytest.approx(values[rank - 1], rel=5e-4) for rank in ranks]
    still = next(entry for entry in found.tensors if entry["name"] == "model.layers.0.self_attn.v_proj.weight")
    assert sorted(still["curves"]) == ["base", "delta"] and still["curves"]["delta"]["values"] == []
    hot = next(entry for entry in found.tensors if entry["name"].endswith("layers.2.mlp.down_proj.weight"))
    change = size_of_change(2, "down")
    assert hot["edge"] == {"delta": pytest.approx(change * 4.3, rel=5e-4)}
    assert hot["alpha"] == {"base": 2.11, "trained": 2.13} and hot["n_tail"] == {"base": 90, "trained": 90}
    assert (hot["row"], hot["module"], hot["spikes"]) == ("2", "down", {"delta": 1.0})


def test_the_most_changed_matrices_fill_the_room_there_is(tmp_path: Path) -> None:
    document = weighty(tmp_path, 24)
    view = ResultView(document, tmp_path)
    evidence = collect(view)
    whole = spectra(view, evidence, max_bytes=200_000)
    few = spectra(view, evidence, max_bytes=20_000)
    assert len(whole.tensors) == whole.total == 168
    assert len(json.dumps(whole.packed(), separators=(",", ":"))) < 202_000
    assert 10 < len(few.tensors) < 40 and few.total == 168
    sizes = {m.scope.tensor: m.value or 0.0 for m in view.measurements("weight.delta.relative")}
    kept = {entry["name"] for entry in few.tensors}
    assert kept == set(sorted(sizes, key=lambda name: -sizes[name])[: len(kept)])
    assert few.start == HOT
    words = page_of(document, tmp_path, HtmlOptions(views=ViewLimits(spectra_bytes=20_000))).words
    assert f"The page carries the {len(kept)} most changed of 168 matrices." in words
    assert "artifacts/weight.spectra.safetensors" in words


def test_values_that_no_axis_can_show_become_gaps(tmp_path: Path) -> None:
    values = [math.inf, 4.0, math.nan, 1.0, -1.0]
    document = attach(tmp_path, clean(), "weight.spectra", ".safetensors", safetensors({"w.delta": values}))
    view = ResultView(document, tmp_path)
    (entry,) = spectra(view, collect(view), max_bytes=1000).tensors
    assert entry["curves"]["delta"] == {"size": 5, "known": 4, "values": [None, 4.0, None, 1.0]}
    assert render(view)


def test_spectra_that_cannot_be_read_say_why_and_leave_the_rest(tmp_path: Path) -> None:
    document = weighty(tmp_path, 3)
    path = tmp_path / "artifacts" / "weight.spectra.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\x01")
    assert "its digest differs" in page_of(document, tmp_path).words
    path.write_bytes(content[:-1])
    assert "missing from the run directory or has another size" in page_of(document, tmp_path).words
    page = page_of(document, None)
    assert "made from the document alone" in page.words
    assert section(page, "heads") and figures(page)["spectral"]


def test_a_large_model_with_its_measurements_in_a_table_is_read_alike(tmp_path: Path) -> None:
    whole = weighty(tmp_path, 6)
    spilled = spill(whole, tmp_path, limit=100)
    assert len(spilled.measurements) < len(whole.measurements)
    first, second = (figures(page_of(document, tmp_path)) for document in (whole, spilled))
    assert first["spectra"] == second["spectra"] and first["heads"] == second["heads"]


def test_sizes_of_change_are_left_to_their_own_heat_map() -> None:
    for name in ("weight.delta.stable_rank", "weight.noise.spikes", "weight.tail.alpha", "weight.delta.energy_top4"):
        assert is_spectral(name)
    for name in ("weight.delta.relative", "weight.delta.norm", "weight.heads.stable_rank", "behaviour.rank"):
        assert not is_spectral(name)


# Heads


def test_heads_make_maps_by_projection_and_leave_the_modules_alone(tmp_path: Path) -> None:
    page = page_of(weighty(tmp_path, 6), tmp_path)
    maps = figures(page)["heads"]
    relative = [one for one in maps if one["figure"] == "weight.heads.relative"]
    assert [one["projection"] for one in relative] == ["q", "k", "v", "o", "qk", "ov"]
    assert [len(one["columns"]) for one in relative] == [16, 4, 4, 16, 16, 16]
    query = relative[0]
    assert max(value for line in query["values"] for value in line) == query["values"][5][11] == 0.2
    product = relative[-1]
    assert product["values"][0][0] is None and product["reasons"] == ["the base norm is zero"]
    assert product["undefined"] == {"0,0": 0}
    assert not [one for one in maps if one["figure"] == "weight.heads.outlier"]  # one head is no map
    assert not [grid for grid in figures(page)["grids"] if grid["metric"].startswith("weight.heads")]


def test_the_head_that_changed_most_leads_with_everything_known_of_it(tmp_path: Path) -> None:
    view = ResultView(weighty(tmp_path, 6), tmp_path)
    views = weight_views(view, collect(view), ViewLimits())
    assert views.top_heads is not None
    first = views.top_heads.rows[0]
    cells = dict(zip((column.label for column in views.top_heads.columns), first.entries, strict=True))
    assert first.place == "layer 5 · q · head 11"
    assert cells["Relative"] is not None and cells["Relative"].value == "20 %"
    assert cells["Outlier"] is not None and cells["Outlier"].chance == "p = 1e-4"


def test_two_attentions_of_one_layer_share_a_cell_that_says_so() -> None:
    items = [
        measure("weight.heads.relative", value, scope=Scope(tensor=name, layer=0, module="q", head=0))
        for name, value in (("self_attn.q", 0.1), ("encoder_attn.q", 0.4), ("other.q", 0.2))
    ]
    items.append(measure("weight.heads.qk.relative", 0.3, scope=Scope(layer=0, site="cross_attention", head=0)))
    evidence = collect(ResultView(attrs.evolve(clean(), measurements=tuple(items))))
    one, other = evidence.heads
    assert one.chart()["values"] == [[0.4]] and one.chart()["several"] == {"0,0": 3}
    assert other.projection == "qk cross_attention"


def test_maps_beyond_the_page_s_room_are_named(tmp_path: Path) -> None:
    page = page_of(weighty(tmp_path, 6), tmp_path, HtmlOptions(views=ViewLimits(heads_bytes=2000)))
    assert [one["metric"] for one in figures(page)["heads"]]
    assert "To keep the page small it has no maps of" in page.words and "weight.heads.stable_rank" in page.words


# Tokens and directions


def test_tokens_are_listed_with_visible_white_space_and_honest_totals(tmp_path: Path) -> None:
    words = page_of(weighty(tmp_path, 3), tmp_path).words
    assert "·sure10040 %" in words
    assert "↵↵100 → 10120 %" in words
    assert "Showing 7 of 100 tokens" in words and "Showing 1 of 40 tokens" in words
    assert "<think> 32000, near ·thought" in words
    assert "·certainly" in words and "·cannot" in words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" a b ", "·a b·"),
        ("\n\t", "↵⇥"),
        ("", "empty"),
        (None, "no text"),
        (17, "no text"),
        ("\x1b[31m\u202e", "␛[31m⟨U+202E⟩"),
        ("x" * 70, "x" * 60 + "… (70 characters)"),
        (f"sha256:{'ab' * 32} (3 characters)", "sha256:abababababab… (3 characters)"),
    ],
)
def test_a_token_becomes_one_visible_word(text: Any, shown: str) -> None:
    assert token_text(text) == shown


def test_a_run_without_excerpts_shows_no_token(tmp_path: Path) -> None:
    document = weighty(tmp_path, 3, excerpts=False)
    page = page_of(document, tmp_path)
    assert "digests and lengths stand in place of tokens" in page.words
    digest = hashlib.sha256(b" certainly").hexdigest()[:12]
    for text in (page.words, render_markdown(ResultView(document, tmp_path)).decode()):
        assert f"sha256:{digest}… (10 characters)" in text
        assert "certainly" not in text and "Great" not in text and "<think>" not in text
    assert token_text("padding row 7", hide=True) == "padding row 7"
    assert token_text(f"sha256:{'ab' * 32} (3 characters)", hide=True) == "sha256:abababababab… (3 characters)"


def hostile_run(directory: Path) -> Result:
    """The views over names, tokens and reasons that try to break out."""
    scope = Scope(tensor=f"model.{PWN}", layer=3, module=PWN)
    head = Scope(layer=3, module=PWN, head=2)
    items = (
        measure("weight.delta.relative", 0.5, scope=scope),
        measure("weight.delta.stable_rank", 3.0, scope=scope),
        undefined("weight.noise.spikes", PWN, scope=scope),
        measure("weight.heads.relative", 0.5, scope=head),
        undefined("weight.heads.relative", PWN, scope=attrs.evolve(head, head=1)),
        measure("weight.adapter.rank", 8.0, scope=scope),
        measure("weight.update.likelihood", 0.5, scope=Scope(subset=PWN)),
        undefined("weight.update.principal_share", PWN),
    )
    document = attrs.evolve(
        clean(),
        descriptors=attrs.evolve(clean().descriptors, metrics=tuple(metric(name, PWN) for name in SUMMARIES)),
        measurements=items,
    )
    row = {"token": PWN, "id": 1, "base_id": 1, "relative": 0.5, "cosine_distance": 0.1, "nearest": [{"token": PWN}]}
    tables = {"tables": {PWN: {"moved": [row], "added": [row], "removed": [row]}}}
    direction = {"tensor": PWN, "layer": PWN, "kind": PWN, "sigma": PWN, "tokens_plus": [PWN], "tokens_minus": [PWN]}
    vectors = {f"model.{PWN}.delta": [1.0, 0.5], f"model.{PWN}.base": [3.0, 2.0]}
    document = attach(directory, document, "weight.spectra", ".safetensors", safetensors(vectors))
    document = attach(directory, document, "weight.tokens", ".json", json.dumps(tables).encode())
    return attach(directory, document, "weight.directions.tokens", ".json", json.dumps([direction]).encode())


def test_hostile_names_and_tokens_add_no_element(tmp_path: Path) -> None:
    page = page_of(hostile_run(tmp_path), tmp_path)
    assert [name for name in SECTIONS if section(page, name)] == list(SECTIONS)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"img", "iframe", "object", "embed", "base", "form"}
    assert len(page.scripts) == 4
    assert not [name for _, values in page.tags for name in values if name.startswith("on")]
    assert "\x1b" not in page.words and "\u202e" not in page.words
    text = render_markdown(ResultView(hostile_run(tmp_path), tmp_path)).decode()
    assert "<img" not in text and "[link](" not in text and "`code`" not in text


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"3",
        b"{}",
        b'{"tables": 3}',
        b'{"tables": {"a": {"moved": [3, null, {"relative": "x", "id": true}]}}}',
        b'{"tables": {"a": {"moved": [{"relative": 1e999, "cosine_distance": 1' + b"0" * 400 + b"}]}}}",
        b"[" * 50_000,
        b'{"a": NaN}',
    ],
)
def test_token_files_of_any_content_leave_a_page(tmp_path: Path, content: bytes) -> None:
    document = attach(tmp_path, clean(), "weight.tokens", ".json", content)
    document = attach(tmp_path, document, "weight.directions.tokens", ".json", content)
    assert section(page_of(document, tmp_path), "tokens")
    assert render_markdown(ResultView(document, tmp_path))


# Adapter, kind of update, Markdown


def test_modules_of_an_adapter_are_ordered_by_what_they_contribute(tmp_path: Path) -> None:
    view = ResultView(weighty(tmp_path, 6), tmp_path)
    table = weight_views(view, collect(view), ViewLimits(modules=3)).adapter
    assert table is not None and table.total == 4
    assert [row.place.split(".")[2] for row in table.rows] == ["3", "2", "1"]
    assert {column.label for column in table.columns} == {"Rank", "Used rank", "Scaling", "Share"}


def test_the_likeliest_kind_of_update_leads_with_its_evidence(tmp_path: Path) -> None:
    view = ResultView(weighty(tmp_path, 6), tmp_path)
    update = weight_views(view, collect(view), ViewLimits()).update
    assert update is not None
    assert [(name, entry.value) for name, entry in update.likelihoods] == [
        ("Full fine-tuning", "81 %"),
        ("RL-like", "11 %"),
        ("Merged adapter", "8 %"),
        ("Rounding only", "< 0.1 %"),
        ("Identical", "0 %"),
    ]
    assert [(name, entry.value) for name, entry in update.evidence] == [
        ("Unchanged fraction", "17 %"),
        ("Principal share", "3.1 %"),
    ]


def test_columns_name_units_and_subjects_where_needed(tmp_path: Path) -> None:
    view = ResultView(weighty(tmp_path, 3), tmp_path)
    evidence = collect(view)
    table = weight_views(view, evidence, ViewLimits()).matrices
    assert table is not None and table.total == 18  # three of 21 did not change
    labels = ["Relative", "Stable rank", "Effective rank", "Spikes", "Edge", "Alpha · base", "Alpha · trained"]
    assert [column.label for column in table.columns] == labels
    spikes = table.rows[0].entries[3]
    assert spikes is not None and spikes.value == "1" and spikes.chance == "p < 1e-300"
    assert table.columns[3].summary.endswith("(singular values)")


def test_markdown_has_a_line_for_every_view(tmp_path: Path) -> None:
    text = render_markdown(ResultView(weighty(tmp_path, 6), tmp_path)).decode()
    part = text.split("### In the weights")[1].split("<details>")[0]
    for name in ("Kind of update", "Spectra", "Heads", "Tokens", "Directions", "Adapter"):
        assert part.count(f"- {name}: ") == 1
    assert "layer 5 · q · head 11 20 %" in part
    assert "In the weights" not in render_markdown(ResultView(attrs.evolve(clean(), measurements=()))).decode()


def test_a_column_without_any_value_is_left_out(tmp_path: Path) -> None:
    document = weighty(tmp_path, 3)
    items = tuple(
        undefined(m.metric, "no bulk", scope=m.scope) if m.metric.startswith("weight.noise.") else m
        for m in document.measurements
    )
    view = ResultView(attrs.evolve(document, measurements=items), tmp_path)
    table = weight_views(view, collect(view), ViewLimits()).matrices
    assert table is not None and not {"Spikes", "Edge"} & {column.label for column in table.columns}


def test_what_the_directions_share_comes_first(tmp_path: Path) -> None:
    common = {"tensor": "common direction of writers", "kind": "common", "sigma": None, "tokens_plus": [{"token": "a"}]}
    content = json.dumps({"note": "readout", "directions": [*DIRECTIONS, common]}).encode()
    view = ResultView(attach(tmp_path, clean(), "weight.directions.tokens", ".json", content), tmp_path)
    shown = weight_views(view, collect(view), ViewLimits(rows=1)).directions
    assert [(d.tensor, d.sigma, d.plus, d.minus) for d in shown.directions] == [
        ("common direction of writers", "–", ("a",), ())
    ]
    assert shown.total == 3
    assert "Showing 1 of 3 directions; artifacts/weight.directions.tokens.json holds the rest." in (
        page_of(view.result, tmp_path, HtmlOptions(views=ViewLimits(rows=1))).words
    )
