"""The Python API, as a notebook would use it."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import afterburn_core
from afterburn_core.api import Diagnoser, DiagnosticReport, load_report
from afterburn_core.errors import AfterburnError, ConfigError, PluginError, SchemaError, SubjectError
from afterburn_core.result import codec
from afterburn_core.result.identity import measure
from afterburn_core.testing.documents import result_of
from afterburn_core.testing.pairs import Pair, nonfinite_pair, planted_pair

pytestmark = pytest.mark.usefixtures("weights_alone")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return planted_pair(tmp_path / "pair", scale=2.0)


@pytest.fixture
def report(pair: Pair, tmp_path: Path) -> DiagnosticReport:
    return diagnoser(pair, method="sft", run_dir=tmp_path / "run").run()


def diagnoser(pair: Pair, **arguments: Any) -> Diagnoser:
    return Diagnoser(base_model=pair.base, trained_model=str(pair.trained), device="cpu", **arguments)


def test_one_name_may_stand_for_a_list_of_one() -> None:
    settings = Diagnoser(suites="math:4", prompts="mine.jsonl", plugins="behaviour").settings
    assert (settings.suite, settings.prompts, settings.plugins) == (("math:4",), ("mine.jsonl",), ("behaviour",))


def test_a_run_gives_the_answer_and_its_evidence(report: DiagnosticReport, pair: Pair, tmp_path: Path) -> None:
    assert report.verdict.status == "pass"
    assert report.result.run.method == "sft"
    assert report.result.run.command == "diagnose"
    assert report.directory == tmp_path / "run"
    planted = [m for m in report.measurements("weight.delta.relative") if m.scope.tensor and m.value]
    assert [(m.scope.tensor, m.value) for m in planted] == [(pair.planted, 1.0)]
    assert {finding.rule for finding in report.findings} >= {"weight.change", "weight.incomplete_coverage"}
    assert report.summary.splitlines()[0] == report.verdict.summary
    assert "Training changed 1 of 21 tensors" in report.summary
    assert "most in layer 1 q (100 %)" in report.summary


def test_the_summary_leaves_out_what_passed(report: DiagnosticReport) -> None:
    assert "[pass]" not in report.summary and "[informational]" in report.summary


def test_there_is_no_hack_score_unless_something_measured_it(report: DiagnosticReport, tmp_path: Path) -> None:
    assert report.hack_score is None
    scored = result_of((measure("reward_hack.risk", 37.5, n=10),))
    assert DiagnosticReport(scored, tmp_path).hack_score == 37.5


def test_all_measurements_are_those_of_the_document(report: DiagnosticReport) -> None:
    assert report.measurements() == report.result.measurements
    assert {m.metric for m in report.measurements("weight.coverage")} == {"weight.coverage"}


def test_an_unknown_metric_is_refused_with_the_nearest_one(report: DiagnosticReport) -> None:
    with pytest.raises(
        ConfigError, match="no metric 'weight.delta.relativ' in this result, did you mean 'weight.delta"
    ):
        report.measurements("weight.delta.relativ")


def test_pandas_gets_one_row_per_measurement(report: DiagnosticReport) -> None:
    pytest.importorskip("pandas")
    table = report.to_pandas()
    assert len(table) == len(report.measurements())
    assert {"metric", "tensor", "layer", "module", "value", "n", "status", "reason", "low", "high"} <= set(
        table.columns
    )
    row = table[(table.metric == "weight.delta.norm") & table.tensor.isna() & table.layer.isna() & table.module.isna()]
    expected = math.sqrt(
        sum(m.value**2 for m in report.measurements("weight.delta.norm") if m.scope.tensor and m.value)
    )
    assert row.value.item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["a.html", "b.json", "c.md", "d.junit.xml", "e.sarif"])
def test_reports_are_saved_by_suffix(report: DiagnosticReport, tmp_path: Path, name: str) -> None:
    path = report.save(tmp_path / name)
    assert path == tmp_path / name and path.stat().st_size > 100
    with pytest.raises(ConfigError, match="no reporter writes"):
        report.save(str(tmp_path / "x.docx"))


def test_a_notebook_shows_verdict_and_findings_without_scripts(report: DiagnosticReport) -> None:
    shown = report._repr_html_()
    assert report.verdict.summary in shown
    assert all(f"<code>{finding.rule}</code>" in shown for finding in report.findings)
    assert "<script" not in shown


def test_a_notebook_shows_hostile_texts_as_texts(tmp_path: Path) -> None:
    from afterburn_core.testing import hostile_document

    document = hostile_document()
    shown = DiagnosticReport(document, tmp_path)._repr_html_()
    assert document.findings and "<script" not in shown and "<img" not in shown


def test_repr_is_short_and_names_the_run(report: DiagnosticReport) -> None:
    assert repr(report) == f"<DiagnosticReport pass: {len(report.findings)} findings in run>"


def test_a_stored_run_loads_the_same_by_folder_or_by_file(report: DiagnosticReport, tmp_path: Path) -> None:
    for place in (report.directory, str(report.directory / "result.json")):
        loaded = load_report(place)
        assert loaded.result == report.result
        assert loaded.summary == report.summary
    assert load_report(report.directory).save(tmp_path / "again.html").is_file()


def test_loading_what_is_no_run_is_an_error(tmp_path: Path, empty_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no result\.json"):
        load_report(empty_folder)
    broken = tmp_path / "result.json"
    broken.write_text('{"schema_version": "1.0"}')
    with pytest.raises(SchemaError):
        load_report(broken)


def test_measurements_kept_in_tables_are_read_alike(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from afterburn_core.result import table

    whole = diagnoser(pair, run_dir=tmp_path / "whole").run()
    monkeypatch.setattr(table, "spill", partial(table.spill, limit=50))
    spilled = diagnoser(pair, run_dir=tmp_path / "spilled").run()
    assert len(spilled.result.measurements) < len(whole.result.measurements)
    assert {m.id: m for m in spilled.measurements()} == {m.id: m for m in whole.measurements()}
    assert spilled.findings == whole.findings and spilled.verdict == whole.verdict
    assert {m.id for m in load_report(tmp_path / "spilled").measurements()} == {m.id for m in whole.measurements()}


def test_the_weight_difference_alone_is_named_so(pair: Pair) -> None:
    report = diagnoser(pair).run_weight_diff()
    assert report.result.run.command == "weight-diff"
    assert {plugin.name for plugin in report.result.descriptors.plugins} == {"core", "weight"}


@pytest.mark.parametrize(("method", "plugin"), [("run_behaviour", "behaviour"), ("run_hack_check", "reward_hack")])
def test_analyses_of_plugins_that_are_not_installed_say_what_is_missing(pair: Pair, method: str, plugin: str) -> None:
    from afterburn_core.plugin.registry import Registry

    if plugin in Registry.discover().plugins:
        pytest.skip("the plugin is installed")
    with pytest.raises(ConfigError, match=f"(behaviour|{plugin})"):
        getattr(diagnoser(pair), method)()


def test_arguments_are_those_of_the_command_line_and_are_checked_at_once(pair: Pair) -> None:
    for arguments, message in (
        ({"method": "sftt"}, "sftt"),
        ({"seed": -1}, "seed"),
        ({"threads": 0}, "threads"),
    ):
        with pytest.raises(ConfigError, match=message):
            diagnoser(pair, **arguments).run()  # type: ignore[arg-type]


def test_a_configuration_file_serves_and_arguments_win(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"base: {pair.base}\nseed: 3\nmethod: grpo\n")
    settings = Diagnoser(trained_model=pair.trained, config_path=tmp_path / "c.yaml", seed=4).settings
    assert (settings.base, settings.seed, settings.method) == (str(pair.base), 4, "grpo")


def test_options_reach_the_component(pair: Pair) -> None:
    report = diagnoser(pair, options={"weight.judge": {"rounding_ratio": 1e9}}).run()
    assert {f.kind for f in report.findings if f.rule == "weight.below_rounding"} == {"review"}
    with pytest.raises(ConfigError, match="did you mean 'top'"):
        diagnoser(pair, options={"weight.judge": {"topp": 3}}).run()
    with pytest.raises((ConfigError, PluginError), match="did you mean 'weight.delta'"):
        diagnoser(pair, options={"weight.delt": {"a": 3}}).run()


def test_missing_models_are_errors_of_ours(tmp_path: Path, pair: Pair) -> None:
    with pytest.raises(SubjectError, match="no such file"):
        Diagnoser(base_model=tmp_path / "none", trained_model=pair.trained).run()
    with pytest.raises(AfterburnError, match="no trained model"):
        Diagnoser(base_model=pair.base).run()


def test_a_failed_verdict_is_a_result_and_no_exception(tmp_path: Path) -> None:
    report = diagnoser(nonfinite_pair(tmp_path / "pair")).run()
    assert report.verdict.status == "fail"
    assert "NaN or infinite" in report.summary


def test_the_run_directory_holds_the_document_that_the_report_shows(report: DiagnosticReport) -> None:
    assert codec.read(report.directory / "result.json") == report.result


def test_the_public_names_are_importable_and_light() -> None:
    assert {"Diagnoser", "load_report"} <= set(afterburn_core.__all__)
    assert afterburn_core.Diagnoser is Diagnoser
