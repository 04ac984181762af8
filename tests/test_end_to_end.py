"""From two checkpoints on disk to a judged document: what is true of the whole pipeline."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from afterburn_core.api import Diagnoser, DiagnosticReport
from afterburn_core.plugin.registry import Registry
from afterburn_core.result import codec
from afterburn_core.result.model import Finding
from afterburn_core.testing.checkpoints import load_weights, read_json, save_weights, write_json
from afterburn_core.testing.pairs import (
    Pair,
    adapter_pair,
    cast_pair,
    edited_pair,
    identity_pair,
    nonfinite_pair,
    planted_pair,
    prefixed_pair,
    resharded_pair,
)

pytestmark = pytest.mark.usefixtures("weights_alone")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def diagnose(pair: Pair, **arguments: object) -> DiagnosticReport:
    return Diagnoser(pair.base, pair.trained, device="cpu", use_cache=False, **arguments).run()  # type: ignore[arg-type]


def finding(report: DiagnosticReport, rule: str) -> Finding:
    (only,) = [found for found in report.findings if found.rule == f"weight.{rule}"]
    return only


def assert_unchanged(report: DiagnosticReport, *, besides: str = "") -> None:
    """Zero findings of change, every measurement of change exactly zero, and the report says so."""
    assert report.verdict.status == "pass"
    assert {f.kind for f in report.findings if f.rule not in {besides, "reward_hack.risk"}} <= {
        "pass",
        "not_applicable",
    }
    assert report.hack_score in {None, 0.0}
    changes = [
        m
        for m in report.measurements()
        if m.metric.startswith("weight.delta.") or m.metric.endswith((".changed", "ratio"))
    ]
    assert len(changes) > 100
    assert {m.value for m in changes if m.reason is None} == {0.0}
    # ranks and shares of nothing are undefined, and say so
    assert {(m.value, m.reason) for m in changes if m.reason is not None} <= {
        (None, "nothing changed"),
        (None, "no compared weight is stored quantised"),
    }
    assert finding(report, "change").message == "No weight differs: all 21 compared tensors are bit-identical"
    assert [m.value for m in report.measurements("weight.coverage")] == [1.0]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_a_model_compared_with_a_copy_of_itself_has_no_finding_of_change(tmp_path: Path, dtype: str) -> None:
    assert_unchanged(diagnose(identity_pair(tmp_path / "pair", dtype=dtype)))


def test_a_model_compared_with_itself_in_place_has_no_finding_of_change(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path / "pair")
    assert_unchanged(diagnose(Pair(base=pair.base, trained=pair.base)))


@pytest.mark.parametrize("shards", [2, 5])
def test_a_model_saved_again_in_other_shards_has_no_finding_of_change(tmp_path: Path, shards: int) -> None:
    pair = resharded_pair(tmp_path / "pair", shards=shards)
    assert len(list(pair.trained.glob("*.safetensors"))) == shards
    assert_unchanged(diagnose(pair))


def test_a_model_saved_as_a_torch_file_has_no_finding_of_change(tmp_path: Path) -> None:
    import torch

    pair = identity_pair(tmp_path / "pair")
    torch.save(load_weights(pair.trained), pair.trained / "pytorch_model.bin")
    (pair.trained / "model.safetensors").unlink()
    assert_unchanged(diagnose(pair))


def test_names_with_wrapper_prefixes_have_no_finding_of_change(tmp_path: Path) -> None:
    report = diagnose(prefixed_pair(tmp_path / "pair"))
    assert_unchanged(report)
    (renamed,) = report.measurements("weight.coverage.renamed")
    assert renamed.value == 21


def test_an_adapter_that_changes_nothing_has_no_finding_of_change(tmp_path: Path) -> None:
    report = diagnose(adapter_pair(tmp_path / "pair", zero=True))
    assert_unchanged(report, besides="weight.adapter_rank_collapse")
    assert "changes nothing" in finding(report, "adapter_rank_collapse").message


def test_a_change_is_found_where_it_was_made_and_nowhere_else(tmp_path: Path) -> None:
    pair = planted_pair(tmp_path / "pair", noise=0.1, layers=4)
    report = diagnose(pair)
    moved = {m.scope.tensor for m in report.measurements("weight.delta.norm") if m.scope.tensor and m.value}
    assert moved == {pair.planted}
    assert report.verdict.status == "pass"
    change = finding(report, "change")
    assert change.kind == "informational" and "most in layer 1 q" in change.message
    layers = {
        m.scope.layer: m.value
        for m in report.measurements("weight.delta.relative")
        if m.scope.key().startswith("layer=") and not m.scope.module
    }
    assert {layer for layer, value in layers.items() if value} == {1}


def test_an_adapter_equals_its_merged_checkpoint(tmp_path: Path) -> None:
    """The sum of factors, never materialised by the backend, against the merge computed here in float64."""
    import torch
    from safetensors.torch import load_file

    pair = adapter_pair(tmp_path / "pair", dtype="float64")
    factors = load_file(pair.trained / "adapter_model.safetensors")
    merged = load_weights(pair.base)
    for name in merged:
        prefix = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{prefix}.lora_A.weight" in factors:
            product = factors[f"{prefix}.lora_B.weight"].double() @ factors[f"{prefix}.lora_A.weight"].double()
            merged[name] = merged[name] + 2.0 * product  # α/r = 4/2
    shutil.copytree(pair.base, tmp_path / "merged")
    save_weights(tmp_path / "merged", merged)

    adapter = diagnose(pair, run_dir=tmp_path / "a", preset="full")
    whole = diagnose(Pair(base=pair.base, trained=tmp_path / "merged"), run_dir=tmp_path / "m", preset="full")

    theirs = {m.id: m.value for m in whole.measurements() if m.metric.startswith("weight.delta.")}
    ours = {m.id: m.value for m in adapter.measurements() if m.metric.startswith("weight.delta.")}
    assert ours.keys() == theirs.keys() and any(ours.values())
    for identifier, value in ours.items():
        if value is None:
            assert theirs[identifier] is None, identifier
        else:  # a Gram matrix leaves singular values of 0 uncertain by its floor, factors do not
            slack = 1e-15 if "norm" not in identifier else 1e-8
            assert value == pytest.approx(theirs[identifier], rel=1e-9 if slack < 1e-9 else 1e-6, abs=slack), identifier
    assert isinstance(merged["lm_head.weight"], torch.Tensor)


def test_a_cast_alone_is_told_from_training(tmp_path: Path) -> None:
    report = diagnose(cast_pair(tmp_path / "pair", dtype="float16"))
    assert finding(report, "below_rounding").kind in {"review", "pass"}
    assert "rounding" in finding(report, "change").message or finding(report, "change").kind == "pass"
    assert "Training changed" not in finding(report, "change").message


def test_changed_documents_are_found_though_no_weight_moved(tmp_path: Path) -> None:
    report = diagnose(edited_pair(tmp_path / "pair"))
    assert finding(report, "change").kind == "pass"
    kinds = {
        name: finding(report, f"{name}_change").kind
        for name in ("config", "generation_config", "tokenizer", "chat_template")
    }
    assert set(kinds.values()) == {"review"}
    assert finding(report, "vocabulary_change").kind == "informational"
    (artifact,) = [a for a in report.result.artifacts if a.id == "weight.document_differences"]
    listed = json.loads((report.directory / artifact.path).read_text())
    assert listed["config"] == [{"key": "rope_theta", "base": 10000.0, "trained": 500000.0}]


def test_nan_weights_fail_by_name_and_leave_the_rest_measured(tmp_path: Path) -> None:
    pair = nonfinite_pair(tmp_path / "pair")
    report = diagnose(pair)
    assert report.verdict.status == "fail"
    broken = finding(report, "nonfinite_values")
    assert (broken.kind, broken.scope.tensor, broken.subjects) == ("fail", pair.planted, ("trained",))
    rest = [m for m in report.measurements("weight.delta.norm") if m.scope.tensor]
    assert [m.scope.tensor for m in rest if m.value is None] == [pair.planted]


def test_appended_tokens_are_explained_and_the_common_rows_compared(tmp_path: Path) -> None:
    import torch

    pair = identity_pair(tmp_path / "pair")
    tensors = load_weights(pair.trained)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = torch.cat([tensors[name], torch.ones(2, 16, dtype=tensors[name].dtype)])
    save_weights(pair.trained, tensors)
    tokenizer = read_json(pair.trained / "tokenizer.json")
    tokenizer["model"]["vocab"] |= {"new1": 48, "new2": 49}
    write_json(pair.trained / "tokenizer.json", tokenizer)

    report = diagnose(pair)

    assert finding(report, "change").kind == "pass"
    assert finding(report, "incomplete_coverage").kind == "pass"
    assert "added or removed tokens" in finding(report, "incomplete_coverage").message
    assert finding(report, "vocabulary_change").message == "2 tokens changed"


def test_moved_token_ids_are_followed_by_their_strings(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path / "pair")
    tensors = load_weights(pair.trained)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        swapped = tensors[name].clone()
        swapped[[10, 20]] = tensors[name][[20, 10]]
        tensors[name] = swapped
    save_weights(pair.trained, tensors)
    tokenizer = read_json(pair.trained / "tokenizer.json")
    vocabulary = tokenizer["model"]["vocab"]
    ten, twenty = (next(t for t, i in vocabulary.items() if i == number) for number in (10, 20))
    vocabulary[ten], vocabulary[twenty] = 20, 10
    write_json(pair.trained / "tokenizer.json", tokenizer)

    report = diagnose(pair)

    assert finding(report, "change").kind == "pass", "the same token has the same row"
    assert finding(report, "vocabulary_change").message == "2 tokens changed"


def test_ctrl_c_ends_cleanly_and_the_next_run_goes_on(tmp_path: Path) -> None:
    """Interrupts a real process in the middle of the pass, then finishes from its cache."""
    pair = planted_pair(tmp_path / "pair", noise=0.1, layers=12)
    slow = (
        "import sys, time\n"
        "from afterburn_core.run import cache\n"
        "append = cache.RowCache.append\n"
        "def late(self, name, value):\n"
        "    append(self, name, value)\n"
        "    print('row', flush=True)\n"
        "    time.sleep(0.02)\n"
        "cache.RowCache.append = late\n"
        "from afterburn_core.cli.main import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    flags = [
        "--base",
        pair.base,
        "--trained",
        pair.trained,
        "--device",
        "cpu",
        "--threads",
        "2",
        "--cache-dir",
        tmp_path / "c",
    ]
    command = [sys.executable, "-c", slow, "diagnose", *map(str, flags), "--run-dir", str(tmp_path / "one"), "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (3, "")

    interrupted = codec.read(tmp_path / "one" / "result.json")
    assert (interrupted.run.status, interrupted.verdict.status) == ("interrupted", "incomplete")
    kept = {m.scope.tensor for m in interrupted.measurements if m.metric == "weight.delta.norm"}
    assert 20 <= len(kept) < 111 and None not in kept, "no roll-up over part of a model"
    again = Diagnoser(pair.base, pair.trained, device="cpu", cache_dir=tmp_path / "c", run_dir=tmp_path / "two")
    whole = again.run().result
    (sweep,) = [e for e in whole.executions if e.component == "core.weights_pass"]
    assert sweep.counters["from_cache"] == len(kept)
    assert whole.verdict.status == "pass"


def test_an_analyzer_that_breaks_leaves_the_others_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from afterburn_weight.rounding import Rounding

    monkeypatch.setattr(Rounding, "observe", lambda self, item: 1 / 0)
    report = diagnose(planted_pair(tmp_path / "pair", scale=2.0))
    assert report.verdict.status == "incomplete"
    (execution,) = [e for e in report.result.executions if e.component == "weight.rounding"]
    assert (execution.status, execution.reason) == ("failed", "ZeroDivisionError: division by zero")
    assert finding(report, "below_rounding").kind == "open"
    assert finding(report, "change").kind == "informational"


def test_planning_and_running_agree_on_what_takes_part(tmp_path: Path) -> None:
    report = diagnose(planted_pair(tmp_path / "pair", scale=2.0))
    executed = [execution.component for execution in report.result.executions]
    assert sorted(executed) == sorted(report.result.run.components)
    assert all(execution.status == "ok" or not execution.applicable for execution in report.result.executions)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def shipped_models() -> Path | None:
    if "organisms" not in Registry.discover().plugins:
        return None
    import afterburn_organisms

    folder = Path(afterburn_organisms.__path__[0]) / "models"
    return folder if folder.is_dir() and any(folder.rglob("*.safetensors")) else None


def test_the_demo_compares_the_shipped_pair_within_a_minute(tmp_path: Path) -> None:
    if shipped_models() is None:
        pytest.skip("the trained models are not there yet; `nox -s organisms` makes them")
    before = _children_seconds()
    done = subprocess.run(
        [sys.executable, "-m", "afterburn_core", "demo", "--out", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert _children_seconds() - before < 60, "of processor time; wall time would measure what else the machine does"
    (document,) = (tmp_path / "demo").rglob("result.json")
    result = codec.read(document)
    assert [f.kind for f in result.findings if f.rule == "weight.change"] == ["informational"]
    # the model was trained to be long-winded, which costs it right answers: the demo says so and succeeds all the same
    assert [f.kind for f in result.findings if f.rule == "reward_hack.length"] == ["fail"]
    assert result.verdict.status == "fail"
    assert "a demonstration ends well whatever the verdict" in " ".join(done.stdout.split())
    (page,) = (tmp_path / "demo").rglob("report.html")
    assert page.stat().st_size > 10_000
