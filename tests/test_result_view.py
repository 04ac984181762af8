"""A view answers the same wherever the measurements are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterburn_core.errors import AfterburnError
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Result, Scope
from afterburn_core.result.table import spill
from afterburn_core.result.view import ResultView
from afterburn_core.testing.documents import golden, result_of

RELATIVE = "weight.delta.relative"


@pytest.fixture(scope="module")
def finetune() -> Result:
    return golden()["1.0-finetune"]


@pytest.fixture(params=["inline", "table"])
def view(request: pytest.FixtureRequest, finetune: Result, tmp_path: Path) -> ResultView:
    """The same result, its tensors in the document or in a table beside it."""
    if request.param == "table":
        finetune = spill(finetune, tmp_path, limit=10)
    return ResultView(finetune, tmp_path)


def test_the_length_counts_every_measurement(view: ResultView, finetune: Result) -> None:
    assert len(view) == len(finetune.measurements) == len(view.measurements())
    assert view.complete


def test_measurements_are_picked_by_metric_and_place(view: ResultView) -> None:
    assert {entry.metric for entry in view.measurements(RELATIVE)} == {RELATIVE}
    assert len(view.measurements(RELATIVE, scope_is=["layer"])) == 4
    assert len(view.measurements(RELATIVE, scope_is=[])) == 1
    assert {entry.scope.module for entry in view.measurements(RELATIVE, scope_is=["module"])} >= {"q", "down", "norm"}
    assert all(entry.scope.tensor for entry in view.measurements(scope_has=["tensor"]))
    assert len(view.measurements(RELATIVE, scope_has=["tensor", "layer"])) == 4 * 9


def test_measurements_are_picked_by_subjects(view: ResultView) -> None:
    assert view.measurements(subjects=("base", "trained")) == view.measurements()
    assert view.measurements(subjects=("trained", "base")) == ()


def test_unknown_metrics_have_no_measurements(view: ResultView) -> None:
    assert view.measurements("weight.unknown") == ()
    assert view.value("weight.unknown") is None
    assert view.metric("weight.unknown") is None


def test_a_value_is_looked_up_by_place(view: ResultView) -> None:
    tensor = Scope(tensor="model.layers.2.mlp.down_proj.weight", layer=2, module="down")
    whole, down = view.value(RELATIVE), view.value(RELATIVE, scope=tensor)
    assert whole is not None
    assert down is not None
    assert 0 < whole < down
    found = view.get(RELATIVE, scope=tensor)
    assert found is not None
    assert view.measurement(found.id) == found
    assert view.measurement("nothing") is None


def test_tensors_are_grouped_by_layer_and_module_with_layers_in_order(view: ResultView) -> None:
    cells = view.by_layer_module(RELATIVE)
    assert list(cells)[:3] == [(0, "down"), (0, "gate"), (0, "k")]
    assert {cell for cell in cells if cell[0] is None} == {(None, "embed"), (None, "head"), (None, "norm")}
    assert [cell[0] for cell in cells][-3:] == [None] * 3
    assert len(cells[2, "norm"]) == 2
    assert len(cells[2, "q"]) == 1
    assert sum(map(len, cells.values())) == 39


def test_an_undefined_measurement_has_no_value_but_is_there() -> None:
    view = ResultView(result_of((undefined(RELATIVE, "the base is zero"),)))
    assert view.value(RELATIVE) is None
    found = view.get(RELATIVE)
    assert found is not None
    assert found.reason == "the base is zero"


def test_findings_are_picked_by_rule_kind_and_level(finetune: Result) -> None:
    view = ResultView(finetune)
    assert view.findings() == finetune.findings
    assert {finding.rule for finding in view.findings("weight.change")} == {"weight.change"}
    assert {finding.kind for finding in view.findings(kinds=["review"])} == {"review"}
    assert len(view.findings(at_least="warning")) == 2
    assert view.findings(at_least="error") == ()


def test_descriptors_subjects_and_artifacts_are_found_by_id(finetune: Result) -> None:
    view = ResultView(finetune)
    metric, rule = view.metric(RELATIVE), view.rule("weight.change")
    assert metric is not None
    assert metric.low == 0
    assert rule is not None
    assert rule.detector == "weight.changes"
    subject, artifact = view.subject("trained"), view.artifact("weight.config_diff")
    assert subject is not None
    assert subject.label == "toy-llama-sft"
    assert artifact is not None
    assert artifact.media_type == "application/json"
    assert view.subject("nobody") is view.artifact("nothing") is view.rule("weight.unknown") is None


def test_without_a_directory_only_the_document_is_seen_and_the_view_says_so(finetune: Result, tmp_path: Path) -> None:
    view = ResultView(spill(finetune, tmp_path, limit=10))
    assert not view.complete
    assert len(view) == len(finetune.measurements)
    assert view.measurements(scope_has=["tensor"]) == ()
    assert view.value(RELATIVE) is not None


def test_tables_are_opened_only_when_a_measurement_is_asked_for(finetune: Result, tmp_path: Path) -> None:
    spilled = spill(finetune, tmp_path, limit=10)
    (tmp_path / "artifacts" / "measurements.jsonl.gz").unlink()
    view = ResultView(spilled, tmp_path)
    assert len(view) == len(finetune.measurements)
    assert view.findings() == finetune.findings
    with pytest.raises(AfterburnError, match=r"no such file; .*copy the whole run directory"):
        view.measurements()


def test_a_head_is_no_cell_of_the_heat_map() -> None:
    place = Scope(tensor="q", layer=0, module="q")
    head = Scope(tensor="q", layer=0, module="q", head=1)
    view = ResultView(result_of((measure(RELATIVE, 0.5, scope=place), measure(RELATIVE, 0.9, scope=head))))
    assert [entry.value for entry in view.by_layer_module(RELATIVE)[0, "q"]] == [0.5]
