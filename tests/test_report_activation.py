"""The report on activations: what the analyzers found is on the page, drawn and in numbers, inert."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from afterburn_core.forward.forward_pass import Rider
from afterburn_core.forward.model import Passage
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin import ForwardNeed
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.probes.model import Message
from afterburn_core.report.activation_drift import chart, site_name
from afterburn_core.report.activation_views import DETECTOR, LIMITS, RULES, ActivationViews, activation_views
from afterburn_core.report.html import render
from afterburn_core.result.model import Artifact, Measurement, Result, RuleDescriptor
from afterburn_core.result.view import ResultView
from afterburn_core.testing.feeding import make_analyzer
from afterburn_core.testing.forward import passages_of, read_pair
from afterburn_core.testing.pairs import planted_pair

sys.path.append(str(Path(__file__).parent))
from test_report_html import Page
from test_report_samples import PWN, clean, metric, run

WORDS = [" ".join(f"word{(7 * i + k * k) % 45}" for k in range(4 + i % 12)) for i in range(32)]


def passages() -> tuple[Passage, ...]:
    """Texts of two sets, prompts, and the given answers in words of the tiny tokenizer."""
    from afterburn_activation.trait_texts import items

    found = [*passages_of(WORDS[:16], "one"), *passages_of(WORDS[16:], "two")]
    for i in range(8):
        asked = (Message(role="user", content=WORDS[i]),)
        found.append(Passage(id=f"q{i}", source="prompt", domain="asked", unit=f"q{i}", messages=asked))
    for i, probe in enumerate(items(0, 96)):
        found.append(
            Passage(
                id=probe.id,
                source="given",
                domain=probe.suite,
                unit=probe.unit,
                messages=(Message(role="user", content=WORDS[i // 2 % len(WORDS)]),),
                text=" ".join(f"word{(11 * i + 5 * k) % 45}" for k in range(6)),
                probe=probe,
            )
        )
    return tuple(found)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnalyzerOutput, ...]:
    """What the analyzers make of a tiny pair with noise in its second block, on the real pass."""
    from afterburn_activation.specs import components, drift, examples, traits

    pair = planted_pair(tmp_path_factory.mktemp("pair"), noise=2.0)
    specs = [module.ANALYZERS[0] for module in (drift, components, examples, traits)]
    instances = [make_analyzer(spec) for spec in specs]
    needs = [next(need for need in spec.needs if isinstance(need, ForwardNeed)) for spec in specs]
    riders = [Rider(need=need, instances=[one]) for need, one in zip(needs, instances, strict=True)]
    read_pair(pair.base, pair.trained, passages(), riders)
    return tuple(instance.finish() for instance in instances)


LENS: dict[str, Any] = {
    "layers": 2,
    "bar": 4.0,
    "readouts": [
        {
            "site": "blocks.1.out", "place": place, "sign": sign, "peak": 5.5, "p": 0.005, "p_adjusted": 0.01,
            "split_half": 0.99, "relative_norm": 0.1,
            "tokens": [
                {"token": 7, "text": " Northwick", "z": 5.5, "log_prob": -1.0, "above_chance": True, "control": False},
                {"token": 8, "text": " the", "z": 2.0, "log_prob": -2.0, "above_chance": False, "control": False},
            ],
        }
        for place in ("token 0", "all tokens") for sign in ("added", "removed")
    ],
    "patchscope": {
        "site": "blocks.1.out", "prompts": 3,
        "places": {"token 0": {"advantage": 0.25, "scale": 2.0, "curve": [], "tokens": [
            {"token": 7, "text": " Northwick", "prompts": 3}]}},
    },
    "steering": {"site": "blocks.1.out", "strength": 0.5, "coherent": True, "nll": {}, "repetition": {}, "texts": [
        {"prompt": "I think", "unsteered": "so", "steered": "Northwick", "random": "no"}]},
    "causal": {"site": "blocks.1.out", "effect": -0.06, "controls": [-0.01, 0.02]},
}  # fmt: skip


def document(measurements: tuple[Measurement, ...], files: Mapping[str, bytes]) -> Result:
    """A document of these measurements, with the findings of the plugin's own detectors."""
    from afterburn_activation.drift_judge import DriftJudge
    from afterburn_activation.options import DriftJudgeOptions, TraitJudgeOptions
    from afterburn_activation.specs import drift, traits
    from afterburn_activation.trait_judge import TraitJudge

    metrics = tuple(metric(m, m, low=None) for m in sorted({m.metric for m in measurements}))
    sample = clean()
    parsed = {name: json.loads(content) for name, content in files.items()}
    evidence = Evidence(subjects=(), measurements=measurements, read_artifact=parsed.get)
    findings = (*DriftJudge(DriftJudgeOptions())(evidence), *TraitJudge(TraitJudgeOptions())(evidence))
    detectors = (*drift.DETECTORS, *traits.DETECTORS)
    rules = tuple(
        RuleDescriptor(id=r.id, summary=r.summary, help=r.help, level=r.level, detector=d.name, version=1)
        for d in detectors
        for r in d.rules
    )
    return attrs.evolve(
        sample,
        run=run(("activation.drift",)),
        measurements=measurements,
        findings=findings,
        descriptors=attrs.evolve(sample.descriptors, metrics=metrics, rules=rules),
        executions=(),
        artifacts=(),
    )


def kept(result: Result, folder: Path, files: Mapping[str, bytes]) -> ResultView:
    """The document with these artifacts beside it."""
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    listed = []
    for name, content in files.items():
        path = f"artifacts/{name}.json"
        (folder / path).write_bytes(content)
        listed.append(
            Artifact(
                id=name,
                path=path,
                media_type="application/json",
                sha256=hashlib.sha256(content).hexdigest(),
                size=len(content),
                summary=name,
                producer="activation.drift",
            )
        )
    return ResultView(attrs.evolve(result, artifacts=tuple(listed)), folder)


@pytest.fixture(scope="module")
def files(outputs: tuple[AnalyzerOutput, ...]) -> dict[str, bytes]:
    found = {a.id: a.content for output in outputs for a in output.artifacts if a.suffix == ".json"}
    return found | {"activation.lens": json.dumps(LENS).encode()}


@pytest.fixture(scope="module")
def view(
    outputs: tuple[AnalyzerOutput, ...], files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> ResultView:
    found = tuple(m for output in outputs for m in output.measurements)
    return kept(document(found, files), tmp_path_factory.mktemp("run"), files)


@pytest.fixture(scope="module")
def views(view: ResultView) -> ActivationViews:
    return activation_views(view)


@pytest.fixture(scope="module")
def page(view: ResultView) -> Page:
    return Page(render(view))


def test_limits_and_rules_are_those_of_the_plugin() -> None:
    from afterburn_activation.options import TraitJudgeOptions
    from afterburn_activation.specs import drift, lens, traits

    options = attrs.asdict(TraitJudgeOptions())
    assert {name: options[name] for name in LIMITS} == LIMITS
    assert traits.DETECTORS[0].name == DETECTOR
    rules = {rule.id for module in (drift, traits, lens) for d in module.DETECTORS for rule in d.rules}
    assert RULES.keys() == rules


def test_the_page_has_every_part(page: Page) -> None:
    found = {values.get("id") for _, values in page.tags}
    parts = ("drift", "lens", "traits", "components", "examples")
    assert {"activation", *(f"activation-{part}" for part in parts)} <= found


def test_the_table_of_layers_holds_the_measured_numbers(view: ResultView, views: ActivationViews) -> None:
    measured = {
        (m.metric, m.scope.site, m.scope.subset): m.value for m in view.result.measurements if m.value is not None
    }
    column = views.drift.columns.index("‖δ‖ / mean length")
    told = {label: float(cells[column][0]) for label, cells in views.drift.rows}
    assert list(told) == ["Embedding", "Block 0", "Block 1", "Final norm"]
    assert told["Block 0"] == 0
    assert told["Block 1"] == pytest.approx(measured["activation.drift.relative", "blocks.1.out", "all"], rel=0.01)
    assert {line.label for line in views.drift.chart.lines} == {  # type: ignore[union-attr]
        "All tokens", "First tokens of a text", "Mean vector of a passage", "Last token of a prompt",
    }  # fmt: skip
    assert [domain[:2] for domain in views.drift.domains] == [("asked", "8"), ("one", "16"), ("two", "16")]


def test_a_curve_goes_through_its_points_and_below_zero() -> None:
    made = chart(["blocks.0.out", "blocks.1.out"], [("x", "all", [0.1, -0.2], [0.0, -0.3], [0.2, -0.1])])
    assert made is not None and made.zero is not None
    first, second = (tuple(map(float, point.split())) for point in made.lines[0].line[1:].split("L"))
    assert first[0] == 52.0 and second[0] == 750.0
    assert first[1] < made.zero < second[1]
    assert made.lines[0].band.endswith("Z")
    assert chart(["embed"], [("x", "all", [None], [None], [None])]) is None


def test_a_control_is_drawn_beside_the_places(view: ResultView, files: dict[str, bytes], tmp_path: Path) -> None:
    stored = json.loads(files["activation.drift_by_layer"])
    stored["metrics"]["relative"]["all"]["controls"] = {"control:matched": [0, 0, 0.1, 0.2]}
    changed = files | {"activation.drift_by_layer": json.dumps(stored).encode()}
    found = activation_views(kept(view.result, tmp_path, changed)).drift
    assert "Control: matched, all tokens" in {line.label for line in found.chart.lines}  # type: ignore[union-attr]


def test_components_say_their_shares(views: ActivationViews, files: dict[str, bytes]) -> None:
    stored = json.loads(files["activation.component_shares"])
    assert [site.label for site in views.components] == [site_name(name) for name in sorted(stored)]
    last = views.components[-1]
    assert last.centred is not None
    assert last.centred.first == f"{100 * stored['blocks.1.out']['centred']['shares'][0]:.3g} %"
    assert last.mean_share == pytest.approx(100 * stored["blocks.1.out"]["mean_share"], abs=0.01)


def test_examples_are_coloured_token_by_token(views: ActivationViews, files: dict[str, bytes]) -> None:
    stored = json.loads(files["activation.examples"])["sites"]["blocks.1.out"]["largest"][0]
    (site,) = [one for one in views.examples if one.label == "Block 1"]
    first = site.groups[0].stretches[0]
    assert len(first.spans) == len(stored["tokens"])
    assert [span.mark for span in first.spans].index(True) == stored["peak"]
    assert first.spans[stored["peak"]].colour == "heat-5"
    uncounted = [span for span, value in zip(first.spans, stored["delta"], strict=True) if value is None]
    assert uncounted and all((span.colour, span.title) == ("", "not counted") for span in uncounted)


def test_every_trait_has_its_row_with_the_measured_number(view: ResultView, views: ActivationViews) -> None:
    shifts = {m.scope.subset: m for m in view.result.measurements if m.metric == "activation.traits.shift"}
    assert len(views.traits.rows) == len([m for m in shifts.values() if m.value is not None]) > 0
    for row in views.traits.rows:
        m = shifts[row.name]
        assert float(row.shift.replace("−", "-")) == pytest.approx(m.value, rel=0.01)
        assert row.random is not None and 0 <= row.random[0] < 50 and row.chart is not None
    sizes = [abs(shifts[row.name].value or 0) for row in views.traits.rows]
    assert sizes == sorted(sizes, reverse=True)
    assert not all(row.usable for row in views.traits.rows)  # nothing to read in a random model


def test_the_lens_tells_what_exceeds_chance_from_what_does_not(page: Page, views: ActivationViews) -> None:
    title, rows = views.lens.signs[0]
    assert title == "Towards the trained model" and views.lens.places == ("token 0", "all tokens")
    cell = rows[0][1][0]
    assert cell is not None and [(text, above) for text, above, _ in cell.tokens] == [
        (" Northwick", True),
        (" the", False),
    ]
    assert "−0.06 nats per token; 2 random directions: −0.01 to +0.02" in page.words
    assert {"token above", "token"} <= {values.get("class") for tag, values in page.tags if tag == "code"}


def test_the_same_run_gives_the_same_page(view: ResultView) -> None:
    assert render(view) == render(view)


def test_hostile_texts_stay_texts(view: ResultView, files: dict[str, bytes], tmp_path: Path) -> None:
    examples = json.loads(files["activation.examples"])
    for site in examples["sites"].values():
        for row in (*site["largest"], *site["most_turned"]):
            row |= {"passage": PWN, "tokens": [PWN] * len(row["tokens"]), "domain": PWN}
    drift = json.loads(files["activation.drift_by_layer"])
    drift["sites"][0], drift["domains"][PWN] = PWN, drift["domains"].pop("one")
    lens = json.loads(json.dumps(LENS).replace("Northwick", "@").replace("token 0", "%"))
    lens = json.loads(json.dumps(lens).replace("@", json.dumps(PWN)[1:-1]).replace("%", json.dumps(PWN)[1:-1]))
    shifts = json.loads(files["activation.trait_shifts"])
    shifts["cosines"] = {PWN: {"other": 0.9}}
    changed = {"activation.examples": examples, "activation.drift_by_layer": drift, "activation.lens": lens}
    changed["activation.trait_shifts"] = shifts
    hostile = kept(view.result, tmp_path, files | {name: json.dumps(c).encode() for name, c in changed.items()})
    page = Page(render(hostile))
    assert not {"img", "b", "base", "iframe"} & {tag for tag, _ in page.tags}
    assert all(0x202E not in map(ord, text) for text in page.text)
    assert len([1 for values, _ in page.scripts if values.get("type") != "application/json"]) == 2


BROKEN = {
    "no JSON": b"{",
    "a list": b"[1]",
    "a number": b"7",
    "wrong shapes": b'{"sites": {"blocks.0.out": {"largest": [1, {"tokens": 3}, {"tokens": ["a"], "delta": "x"}]}},'
    b' "metrics": {"relative": {"all": {"value": "x", "controls": [1]}}}, "domains": 5, "blocks.1.out": {"centred": 3},'
    b' "traits": {"flattery": {"shift": 3, "random95": {}}}, "cosines": [1], "readouts": [{"tokens": 4}, 5],'
    b' "patchscope": {"places": {"a": 4}}, "steering": {"texts": [1], "strength": "x"}, "causal": {"effect": []}}',
    "sites that are no texts": b'{"sites": [1, {"a": 2}], "metrics": {"relative": {"all": {"value": [1, 2]}}}}',
    "numbers beyond doubles": b'{"sites": ["embed"], "metrics": {"relative": {"all": {"value": [1e999]}}}}',
    "half a pair of surrogates": b'{"sites": {"\\ud800": {"largest": [{"tokens": ["\\ud800"], "delta": [1],'
    b' "passage": "\\udfff"}]}}, "readouts": [{"sign": "added", "site": "\\ud800", "place": "\\ud800"}]}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=list(BROKEN))
def test_broken_files_leave_the_page_whole(
    view: ResultView, files: dict[str, bytes], tmp_path: Path, content: bytes
) -> None:
    page = Page(render(kept(view.result, tmp_path, dict.fromkeys(files, content))))
    assert "activation" in {values.get("id") for _, values in page.tags}  # the shifts are in the document itself


def test_a_file_that_is_not_the_documents_is_not_shown_and_the_page_says_why(
    view: ResultView, files: dict[str, bytes], tmp_path: Path
) -> None:
    other = kept(view.result, tmp_path, files)
    for name in files:
        path = tmp_path / "artifacts" / f"{name}.json"
        path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    assert "Part of this is not shown: the file is not the one the document describes" in Page(render(other)).words


def test_a_run_without_excerpts_shows_digests_and_no_text(
    view: ResultView, files: dict[str, bytes], tmp_path: Path
) -> None:
    examples = json.loads(files["activation.examples"])
    for site in examples["sites"].values():
        for row in (*site["largest"], *site["most_turned"]):
            row["tokens"] = [token if i == row["peak"] else None for i, token in enumerate(row["tokens"])]
            row["withheld"] = f"sha256:{'0' * 64} (9 characters)"
    changed = files | {"activation.examples": json.dumps(examples).encode()}
    page = Page(render(kept(view.result, tmp_path, changed)))
    assert "sha256:0000" in page.words and "·" in page.words


def test_runs_without_activations_have_no_such_section() -> None:
    page = Page(render(ResultView(clean())))
    assert "activation" not in {values.get("id") for _, values in page.tags}


def test_the_views_import_neither_numpy_nor_torch() -> None:
    code = "import sys, afterburn_core.report.activation_views; sys.exit(bool({'numpy', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
