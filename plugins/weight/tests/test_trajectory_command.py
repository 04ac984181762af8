"""`afterburn trajectory` and `afterburn candidates`, from the command line to files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from afterburn_core.cli.main import run
from afterburn_core.report.series import sparkline
from afterburn_core.result import codec
from afterburn_core.result.validate import validate
from afterburn_core.result.view import ResultView
from afterburn_core.testing.checkpoints import load_weights, save_weights, tiny_checkpoint, write_json
from afterburn_core.testing.pairs import adapter_pair

Weights = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFTERBURN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "60")


def drift(weights: Weights, seed: int, scale: float = 1e-2) -> Weights:
    generator = torch.Generator().manual_seed(seed)
    return {n: w + scale * torch.randn(w.shape, generator=generator) for n, w in weights.items()}


def trainer_run(directory: Path, steps: Sequence[int] = (100, 200, 300), state: bool = True) -> list[Weights]:
    """`base` and `runs/checkpoint-N` as a trainer leaves them; the weights of every checkpoint."""
    base = tiny_checkpoint(directory / "base", layers=3, dtype="float32")
    weights, log, found = load_weights(base), [], []
    for step in steps:
        weights = drift(weights, step)
        found.append(weights)
        place = directory / "runs" / f"checkpoint-{step}"
        shutil.copytree(base, place)
        save_weights(place, weights)
        log += [{"step": step - 50, "loss": 300 / step, "learning_rate": 1e-5}, {"step": step, "eval_loss": 310 / step}]
        if state:
            write_json(place / "trainer_state.json", {"global_step": step, "epoch": step / 100, "log_history": log})
    return found


def torch_run(directory: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    (directory / "ckpt").mkdir()
    for name, extra in entries.items():
        weights = drift(load_weights(directory / "base"), len(name))
        torch.save({**extra, "state_dict": weights}, directory / "ckpt" / name)


def trajectory(*arguments: str, pattern: str = "runs/checkpoint-*") -> int:
    return run(["trajectory", "--base", "base", "--checkpoints", pattern, "--run-dir", "run", *arguments])


def result_of(directory: Path = Path("run")) -> ResultView:
    return ResultView(codec.read(directory / "result.json"), directory)


def test_a_trainer_run_gives_a_valid_document_reports_and_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer_run(tmp_path)
    assert trajectory("-o", "out.html", "-o", "out.md") == 0
    view = result_of()
    validate(json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8")))
    assert [s.id for s in view.result.subjects] == ["base", "checkpoint:100", "checkpoint:200", "checkpoint:300"]
    assert {s.role for s in view.result.subjects[1:]} == {"checkpoint"}
    assert all(len(s.digest) == 64 and s.files for s in view.result.subjects)
    assert "trainer_state.json" in {file.path for file in view.result.subjects[1].files}
    assert [s.properties["step"] for s in view.result.subjects[1:]] == [100, 200, 300]
    assert view.result.verdict.status == "pass"
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 60
    assert "To final" in shown and "█" in shown and "straightness" in shown
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert 'id="series-sizes"' in page and 'id="series-layers"' in page and '"eval_loss"' in page
    assert "| Step | Change |" in (tmp_path / "out.md").read_text(encoding="utf-8")


def test_the_loss_is_what_was_logged_last_up_to_the_checkpoint(tmp_path: Path) -> None:
    trainer_run(tmp_path)
    assert trajectory("--quiet") == 0
    view = result_of()
    at = {m.subjects[0]: m.value for m in view.measurements("weight.trajectory.loss")}
    assert at == {"checkpoint:100": 3.0, "checkpoint:200": 1.5, "checkpoint:300": 1.0}
    evaluated = [m.value for m in view.measurements("weight.trajectory.eval_loss")]
    assert evaluated == pytest.approx([3.1, 1.55, 3.1 / 3])
    (artifact,) = view.result.artifacts
    rows = json.loads((tmp_path / "run" / artifact.path).read_text(encoding="utf-8"))["log"]
    assert len(rows) == 6 and rows[0] == {"learning_rate": 1e-05, "loss": 3.0, "step": 50.0}


def test_a_run_without_trainer_state_has_its_steps_from_names(tmp_path: Path) -> None:
    trainer_run(tmp_path, steps=(1000, 90, 200), state=False)
    assert trajectory("--quiet") == 0
    view = result_of()
    assert [s.id for s in view.result.subjects[1:]] == ["checkpoint:90", "checkpoint:200", "checkpoint:1000"]
    assert not view.measurements("weight.trajectory.loss") and not view.result.artifacts


def test_the_trainer_state_wins_over_the_name_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer_run(tmp_path)
    (tmp_path / "runs" / "checkpoint-200").rename(tmp_path / "runs" / "checkpoint-999")
    assert trajectory("--quiet") == 0
    assert [s.id for s in result_of().result.subjects[1:]] == ["checkpoint:100", "checkpoint:200", "checkpoint:300"]
    assert "checkpoint-999: its trainer_state.json says step 200" in capsys.readouterr().err


def test_torch_files_with_step_and_state_dict(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "base", dtype="float32")
    torch_run(tmp_path, {"last.pt": {"step": 30, "loss": 0.5}, "first.pt": {"step": 10}, "mid.pt": {"step": 20}})
    assert trajectory("--quiet", pattern="ckpt/*.pt") == 0
    view = result_of()
    assert [(s.id, s.label) for s in view.result.subjects[1:]] == [
        ("checkpoint:10", "first.pt"),
        ("checkpoint:20", "mid.pt"),
        ("checkpoint:30", "last.pt"),
    ]
    assert [m.value for m in view.measurements("weight.trajectory.loss")] == [0.5]
    (swept,) = [e for e in view.result.executions if e.component == "core.series_pass"]
    assert swept.counters["left_out"] == 0


def test_files_without_any_step_are_taken_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_checkpoint(tmp_path / "base", dtype="float32")
    torch_run(tmp_path, {"b10.pt": {}, "b9.pt": {}})
    assert trajectory("--quiet", pattern="ckpt/*.pt") == 0
    assert [s.label for s in result_of().result.subjects[1:]] == ["b9.pt", "b10.pt"]
    assert "in the order of their names" in capsys.readouterr().err


def test_a_gap_of_an_even_rhythm_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer_run(tmp_path, steps=(100, 200, 400, 500))
    assert trajectory("--quiet") == 0
    assert "step 300" in capsys.readouterr().err


def test_unquoted_patterns_and_repeated_flags_name_each_checkpoint_once(tmp_path: Path) -> None:
    trainer_run(tmp_path)
    paths = [f"runs/checkpoint-{step}" for step in (300, 100, 200, 100)]
    assert trajectory("--quiet", *paths[1:], pattern=paths[0]) == 0
    assert len(result_of().result.subjects) == 4


def test_json_is_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer_run(tmp_path)
    assert trajectory("--json") == 0
    assert json.loads(capsys.readouterr().out)["run"]["command"] == "trajectory"


def test_reports_can_be_made_again_without_the_models(tmp_path: Path) -> None:
    trainer_run(tmp_path)
    assert trajectory("--quiet") == 0
    shutil.rmtree(tmp_path / "runs")
    assert run(["report", "run", "-o", "again.html", "-o", "again.junit.xml", "-o", "again.sarif"]) == 0
    assert run(["validate", "run/result.json"]) == 0
    assert run(["judge", "run"]) == 0


def test_a_directory_with_adapters_needs_no_base(tmp_path: Path) -> None:
    """What PEFT's trainer leaves: the adapter in every checkpoint."""
    pair = adapter_pair(tmp_path, dtype="float32")
    for step in (10, 20):
        place = tmp_path / "runs" / f"checkpoint-{step}"
        shutil.copytree(pair.trained, place)
        config = json.loads((place / "adapter_config.json").read_text(encoding="utf-8"))
        write_json(place / "adapter_config.json", {**config, "base_model_name_or_path": str(pair.base)})
    arguments = ["trajectory", "--checkpoints", "runs/checkpoint-*", "--run-dir", "run", "--quiet"]
    assert run(arguments) == 0
    view = result_of()
    assert [s.base for s in view.result.subjects] == [None, "base", "base"]
    (step,) = [m.value for m in view.measurements("weight.trajectory.straightness") if m.scope.key() == "model"]
    assert step == pytest.approx(1.0)


def test_candidates_give_a_valid_document_reports_and_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer_run(tmp_path)
    paths = [f"runs/checkpoint-{step}" for step in (100, 200, 300)]
    named = [part for path in paths for part in ("--trained", path)]
    assert run(["candidates", "--base", "base", *named, "--run-dir", "run", "-o", "out.html", "-o", "out.md"]) == 0
    validate(json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8")))
    ids = [s.id for s in result_of().result.subjects]
    assert ids == ["base", *(f"trained:checkpoint-{step}" for step in (100, 200, 300))]
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 60
    assert "How the changes relate" in shown and "2–3" in shown
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert 'id="series-matrix"' in page and '"subspace_left_random"' in page


def test_candidates_of_one_name_get_names_of_their_own(tmp_path: Path) -> None:
    weights = load_weights(tiny_checkpoint(tmp_path / "base"))
    for seed, place in enumerate(("a/model", "b/model")):
        shutil.copytree(tmp_path / "base", tmp_path / place)
        save_weights(tmp_path / place, {n: w.bfloat16() for n, w in drift(weights, seed).items()})
    assert run(["candidates", "--base", "base", "a/model", "b/model", "--run-dir", "run", "--quiet"]) == 0
    assert [s.id for s in result_of().result.subjects] == ["base", "trained:model", "trained:model-2"]


# ---------------------------------------------------------------- one line and exit code 2


def refused(capsys: pytest.CaptureFixture[str], arguments: Sequence[str], *words: str) -> None:
    assert run([*arguments, "--run-dir", "run"]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and said.startswith("afterburn: "), said
    for word in words:
        assert word in said, said


TRAJECTORY = ("trajectory", "--base", "base", "--quiet", "--checkpoints")


def test_a_pattern_without_match_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer_run(tmp_path)
    refused(capsys, [*TRAJECTORY, "runs/step-*"], "runs/step-*", "matches no file")


def test_no_checkpoints_and_too_few_candidates_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["trajectory", "--base", "base"], "--checkpoints")
    refused(capsys, ["candidates", "--base", "base", "--trained", "one"], "at least twice")


def test_no_base_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer_run(tmp_path)
    refused(capsys, ["trajectory", "--checkpoints", "runs/*", "--quiet"], "--base")


def test_a_missing_shard_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = trainer_run(tmp_path)
    save_weights(tmp_path / "runs" / "checkpoint-200", found[1], shards=2)
    next((tmp_path / "runs" / "checkpoint-200").glob("model-00002*")).unlink()
    refused(capsys, [*TRAJECTORY, "runs/checkpoint-*"], "checkpoint-200", "1 of 2 shards are missing")


def test_two_checkpoints_of_one_step_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer_run(tmp_path)
    shutil.copytree(tmp_path / "runs" / "checkpoint-200", tmp_path / "runs" / "checkpoint-200-copy")
    refused(capsys, [*TRAJECTORY, "runs/checkpoint-*"], "checkpoint-200-copy", "step 200", "leave one of them out")


def test_a_checkpoint_without_step_among_others_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer_run(tmp_path, state=False)
    shutil.copytree(tmp_path / "runs" / "checkpoint-200", tmp_path / "runs" / "best")
    refused(capsys, [*TRAJECTORY, "runs/*"], "best", "no training step")


@pytest.mark.parametrize("mixture", ["type", "shape"])
def test_another_architecture_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], mixture: str) -> None:
    trainer_run(tmp_path)
    place = tmp_path / "runs" / "checkpoint-400"
    tiny_checkpoint(place, hidden=32, vocab=96)
    if mixture == "type":
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
        write_json(place / "config.json", {**config, "model_type": "gpt2"})
    words = ["checkpoint-400", "gpt2", "llama"] if mixture == "type" else ["nothing to compare", "checkpoint-400"]
    refused(capsys, [*TRAJECTORY, "runs/*"], *words)


def test_a_candidate_given_twice_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer_run(tmp_path)
    arguments = ["candidates", "--base", "base", "runs/checkpoint-100", "./runs/checkpoint-100", "--quiet"]
    refused(capsys, arguments, "given twice")


# ---------------------------------------------------------------- a pair leaves all this aside


def test_a_comparison_of_a_pair_skips_what_needs_several_models(tmp_path: Path) -> None:
    trainer_run(tmp_path)
    arguments = ["--base", "base", "--trained", "runs/checkpoint-100", "--preset", "quick", "--run-dir", "run"]
    assert run(["weight-diff", *arguments, "--quiet"]) == 0
    view = result_of()
    skipped = {e.component: e for e in view.result.executions if e.status == "skipped"}
    assert skipped["weight.trajectory"].reason == "needs several checkpoints of one training run"
    assert not skipped["weight.candidates"].applicable
    assert {f.kind for f in view.findings() if "trajectory" in f.rule or "candidates" in f.rule} == {"not_applicable"}


@pytest.mark.parametrize(
    ("values", "bars"),
    [([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"), ([1, None, 0], "█ ▁"), ([2, 2], "▅▅"), ([], ""), ([None], "")],
)
def test_sparklines(values: list[float | None], bars: str) -> None:
    assert sparkline(values) == bars


# ---------------------------------------------------------------- a real training run


@pytest.mark.slow
def test_a_real_trainer_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    config = transformers.LlamaConfig(
        vocab_size=48,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(tmp_path / "base")
    rows = [{"input_ids": torch.randint(0, 48, (12,))} for _ in range(24)]
    data = [{**row, "labels": row["input_ids"]} for row in rows]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "runs"),
        max_steps=6,
        save_steps=2,
        logging_steps=1,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    transformers.Trainer(model=model, args=arguments, train_dataset=data).train()
    assert trajectory("--quiet") == 0
    view = result_of()
    assert [s.id for s in view.result.subjects[1:]] == ["checkpoint:2", "checkpoint:4", "checkpoint:6"]
    state = json.loads((tmp_path / "runs" / "checkpoint-6" / "trainer_state.json").read_text(encoding="utf-8"))
    logged = {row["step"]: row["loss"] for row in state["log_history"] if "loss" in row}
    assert [m.value for m in view.measurements("weight.trajectory.loss")] == [logged[step] for step in (2, 4, 6)]
    (coverage,) = [m.value for m in view.measurements("weight.trajectory.coverage") if m.subjects == ("base",)]
    assert coverage == 1.0
    norms = [m.value for m in view.measurements("weight.trajectory.norm") if m.scope.key() == "model"]
    assert all(norm is not None and norm > 0 for norm in norms)
