"""How models under test are named, found, opened and identified."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from afterburn_core.api import Diagnoser, DiagnosticReport
from afterburn_core.cli.main import run
from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.result.model import FileDigest
from afterburn_core.run.digests import combined_digest
from afterburn_core.run.references import parse_reference
from afterburn_core.testing.checkpoints import WEIGHTS, load_weights, save_weights, write_json
from afterburn_core.testing.pairs import PLANTED_TENSOR, Pair, adapter_pair, planted_pair

Weights = dict[str, torch.Tensor]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """The planted tensor is doubled: its relative change is 1."""
    return planted_pair(tmp_path, scale=2.0)


def compare(base: str | Path | None, trained: str | Path, run_dir: Path) -> DiagnosticReport:
    return Diagnoser(base, trained, run_dir=run_dir, use_cache=False, threads=2).run_weight_diff()


def relative(report: DiagnosticReport) -> dict[str | None, float | None]:
    return {m.scope.tensor: m.value for m in report.measurements("weight.delta.relative") if m.scope.tensor}


def assert_planted(report: DiagnosticReport) -> None:
    changes = relative(report)
    assert changes.pop(PLANTED_TENSOR) == 1.0
    assert set(changes.values()) == {0.0}
    (coverage,) = (m.value for m in report.measurements("weight.coverage") if m.scope.key() == "model")
    assert coverage == 1.0


# --- names


@pytest.mark.parametrize(
    ("text", "scheme", "hub_id", "revision"),
    [
        ("meta/llama-3.2-1B", "hub", "meta/llama-3.2-1B", None),
        ("meta/llama@main", "hub", "meta/llama", "main"),
        ("meta/llama@refs/pr/3", "hub", "meta/llama", "refs/pr/3"),
        ("meta/llama@", "hub", "meta/llama", None),
        ("recorded:outputs.jsonl.gz", "recorded", None, None),
        ("api:http://localhost:8000/v1#model", "api", None, None),
    ],
)
def test_a_name_says_where_a_subject_comes_from(
    text: str, scheme: str, hub_id: str | None, revision: str | None
) -> None:
    reference = parse_reference(text)
    assert (reference.scheme, reference.hub_id, reference.revision) == (scheme, hub_id, revision)
    assert reference.text == text


def test_an_endpoint_has_an_address_and_a_model() -> None:
    reference = parse_reference("api:http://localhost:8000/v1#llama:sft")
    assert (reference.url, reference.model, reference.label) == ("http://localhost:8000/v1", "llama:sft", "llama:sft")


def test_a_recording_has_a_path() -> None:
    assert parse_reference("recorded:runs/a.jsonl").path == Path("runs/a.jsonl")


@pytest.mark.parametrize("text", ["./model", "/model", "~/model", "a/b/c", "gpt2", "org/name.safetensors", "org/na me"])
def test_what_looks_like_a_path_is_never_taken_for_a_hub_id(text: str) -> None:
    """A mistyped directory is an error, not a download."""
    with pytest.raises(SubjectError, match=re.escape(text)):
        parse_reference(text)


def test_an_existing_directory_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert parse_reference("org/name").scheme == "path"


def test_a_home_directory_is_expanded(isolated_home: Path) -> None:
    (isolated_home / "model").mkdir()
    assert parse_reference("~/model").path == isolated_home / "model"


def test_a_label_is_a_name_and_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my model").mkdir()
    monkeypatch.chdir(tmp_path / "my model")
    assert parse_reference(".").label == "my model"
    assert parse_reference(str(tmp_path / "my model")).label == "my model"


# --- files


def as_safetensors(pair: Pair, tensors: Weights) -> Path:
    target = pair.trained.parent / "single.safetensors"
    save_file(tensors, target)
    return target


def as_torch(name: str, wrap: Callable[[Weights], Any] = lambda tensors: tensors) -> Callable[[Pair, Weights], Path]:
    def write(pair: Pair, tensors: Weights) -> Path:
        target = pair.trained.parent / name
        torch.save(wrap(tensors), target)
        return target

    return write


def as_old_torch(pair: Pair, tensors: Weights) -> Path:
    """The format before torch 1.6, which cannot be mapped."""
    target = pair.trained.parent / "old.bin"
    torch.save(tensors, target, _use_new_zipfile_serialization=False)
    return target


FILES: dict[str, Callable[[Pair, Weights], Path]] = {
    "safetensors": as_safetensors,
    "bin": as_torch("single.bin"),
    "pt": as_torch("single.pt"),
    "pth": as_torch("single.pth"),
    "old bin": as_old_torch,
    "step and state_dict": as_torch("ckpt.pt", lambda tensors: {"step": 300, "state_dict": tensors}),
    "model_state_dict": as_torch(
        "ckpt.pt", lambda tensors: {"epoch": 1, "model_state_dict": tensors, "optimizer_state_dict": {"state": {}}}
    ),
    "module": as_torch(
        "ckpt.pt", lambda tensors: {"module": {f"module.{n}": v for n, v in tensors.items()}, "lr": 0.1}
    ),
    "model beside an optimizer": as_torch(
        "ckpt.pt",
        lambda tensors: {"model": tensors, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []}},
    ),
    "nested twice": as_torch("ckpt.pt", lambda tensors: {"state_dict": {"model": tensors}}),
    "a compiled module": as_torch("ckpt.pt", lambda tensors: {f"_orig_mod.{n}": v for n, v in tensors.items()}),
    "parameters": as_torch("ckpt.pt", lambda tensors: {n: torch.nn.Parameter(v) for n, v in tensors.items()}),
    "transposed storage": as_torch(
        "ckpt.pt", lambda tensors: {n: v.T.contiguous().T if v.dim() == 2 else v for n, v in tensors.items()}
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_single_weight_file_is_a_subject(name: str, pair: Pair, tmp_path: Path) -> None:
    file = FILES[name](pair, load_weights(pair.trained))
    report = compare(pair.base, file, tmp_path / "run")
    assert_planted(report)
    subject = report.result.subjects[1]
    assert (subject.kind, subject.label) == ("checkpoint", file.name)
    assert [entry.path for entry in subject.files] == [file.name]


def test_two_single_files_are_compared_and_their_documents_are_none(pair: Pair, tmp_path: Path) -> None:
    report = compare(pair.base / WEIGHTS, pair.trained / WEIGHTS, tmp_path / "run")
    assert_planted(report)
    kinds = {finding.rule: finding.kind for finding in report.findings}
    assert kinds["weight.change"] == "informational"
    assert kinds["weight.config_change"] == "not_applicable"
    assert report.verdict.status == "pass"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "consolidated.00.pth", "weights.safetensors"])
def test_a_directory_may_hold_its_weights_under_other_names(name: str, pair: Pair, tmp_path: Path) -> None:
    tensors = load_weights(pair.trained)
    (pair.trained / WEIGHTS).unlink()
    if name.endswith(".safetensors"):
        save_file(tensors, pair.trained / name)
    else:
        torch.save(tensors, pair.trained / name)
    assert_planted(compare(pair.base, pair.trained, tmp_path / "run"))


def test_what_trainers_leave_beside_weights_is_no_weights(pair: Pair, tmp_path: Path) -> None:
    tensors = load_weights(pair.trained)
    (pair.trained / WEIGHTS).unlink()
    torch.save(tensors, pair.trained / "weights.pt")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        torch.save({"a": torch.ones(3)}, pair.trained / name)
    report = compare(pair.base, pair.trained, tmp_path / "run")
    assert_planted(report)
    assert "optimizer.pt" not in {entry.path for entry in report.result.subjects[1].files}


def test_safetensors_are_preferred_to_a_pickle_beside_them(pair: Pair, tmp_path: Path) -> None:
    torch.save({"something.else": torch.ones(3)}, pair.trained / "pytorch_model.bin")
    assert_planted(compare(pair.base, pair.trained, tmp_path / "run"))


def test_a_sharded_torch_checkpoint_is_read_through_its_index(pair: Pair, tmp_path: Path) -> None:
    tensors = load_weights(pair.trained)
    (pair.trained / WEIGHTS).unlink()
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: tensors[name] for name in part}, pair.trained / file)
        weight_map |= dict.fromkeys(part, file)
    write_json(pair.trained / "pytorch_model.bin.index.json", {"metadata": {}, "weight_map": weight_map})
    report = compare(pair.base, pair.trained, tmp_path / "run")
    assert_planted(report)
    assert {entry.path for entry in report.result.subjects[1].files} >= {*weight_map.values()}


def test_a_link_to_a_directory_is_followed(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(pair.trained, target_is_directory=True)
    assert_planted(compare(pair.base, tmp_path / "link", tmp_path / "run"))


# --- identity


def test_a_digest_is_what_sha256sum_gives(pair: Pair, tmp_path: Path) -> None:
    """Anybody can recompute it: `sha256sum FILES | sort by path | sha256sum`."""
    report = compare(pair.base, pair.trained, tmp_path / "run")
    subject = report.result.subjects[1]
    names = sorted(entry.path for entry in subject.files)
    assert set(names) == {path.name for path in pair.trained.iterdir()}
    if shutil.which("sha256sum"):
        finished = subprocess.run(
            ["sha256sum", *names], cwd=pair.trained, capture_output=True, text=True, check=True, env={"LC_ALL": "C"}
        )
        listed = finished.stdout
    else:
        digests = {name: hashlib.sha256((pair.trained / name).read_bytes()).hexdigest() for name in names}
        listed = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    assert listed.splitlines() == [f"{entry.sha256}  {entry.path}" for entry in subject.files]
    assert subject.digest == hashlib.sha256(listed.encode()).hexdigest()
    assert [entry.size for entry in subject.files] == [(pair.trained / name).stat().st_size for name in names]


def test_a_digest_does_not_depend_on_the_order_of_files() -> None:
    files = [FileDigest(path=name, size=1, sha256=name * 64) for name in ("b", "a", "C")]
    assert combined_digest(files) == combined_digest(reversed(files))
    assert combined_digest(files) != combined_digest(files[:2])
    assert combined_digest([]) == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json", "generation_config.json"])
def test_every_file_that_can_matter_is_part_of_the_identity(name: str, pair: Pair, tmp_path: Path) -> None:
    before = compare(pair.base, pair.trained, tmp_path / "run").result.subjects[1]
    if name == WEIGHTS:
        save_weights(pair.trained, {n: v * 2 for n, v in load_weights(pair.trained).items()})
    else:
        with (pair.trained / name).open("a") as stream:
            stream.write("\n")
    after = compare(pair.base, pair.trained, tmp_path / "again").result.subjects[1]
    assert before.digest != after.digest
    changed = {a.path for a, b in zip(before.files, after.files, strict=True) if a.sha256 != b.sha256}
    assert changed == {name}


def test_the_document_holds_no_path_of_this_machine(pair: Pair, tmp_path: Path) -> None:
    compare(pair.base, pair.trained, tmp_path / "run")
    text = (tmp_path / "run" / "result.json").read_text()
    assert str(tmp_path) not in text
    assert os.uname().nodename not in text


# --- the hub


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cached_model(home: Path, hub_id: str, source: Path, *, revision: str = "main", commit: str = COMMIT) -> Path:
    """Lays a model out as the hub's client caches it: a snapshot of links to blobs, and a ref to the snapshot."""
    root = home / "hub" / f"models--{hub_id.replace('/', '--')}"
    snapshot, blobs = root / "snapshots" / commit, root / "blobs"
    for folder in (snapshot, blobs, root / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "refs" / revision).write_text(commit)
    for file in source.iterdir():
        blob = blobs / hashlib.sha256(file.read_bytes()).hexdigest()
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client, which reads its place once, on import."""
    import huggingface_hub.constants

    home = tmp_path / "huggingface"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return home


def test_a_hub_id_is_opened_from_the_local_cache(pair: Pair, hub: Path, tmp_path: Path) -> None:
    cached_model(hub, "org/base", pair.base, commit="a" * 40)
    cached_model(hub, "org/tuned", pair.trained)
    report = compare("org/base", "org/tuned", tmp_path / "run")
    assert_planted(report)
    base, trained = report.result.subjects
    assert (base.label, base.revision) == ("org/base", "a" * 40)
    assert (trained.label, trained.revision) == ("org/tuned", COMMIT)
    local = compare(pair.base, pair.trained, tmp_path / "again")
    assert [s.digest for s in report.result.subjects] == [s.digest for s in local.result.subjects]


def test_a_revision_picks_one_of_several(pair: Pair, hub: Path, tmp_path: Path) -> None:
    cached_model(hub, "org/model", pair.base, revision="main", commit="a" * 40)
    cached_model(hub, "org/model", pair.trained, revision="step-300", commit="b" * 40)
    for revision, commit in (("step-300", "b" * 40), ("b" * 40, "b" * 40)):
        report = compare("org/model", f"org/model@{revision}", tmp_path / revision)
        assert_planted(report)
        assert [s.revision for s in report.result.subjects] == ["a" * 40, commit]
        assert [s.label for s in report.result.subjects] == ["org/model", "org/model"]


def test_a_hub_id_that_is_not_cached_is_one_clear_line_offline(
    pair: Pair, hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["diagnose", "--base", str(pair.base), "--trained", "org/absent", "--quiet"]
    assert run([*arguments, "--run-dir", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("afterburn: org/absent: cannot be fetched from the hub (")
    assert line.endswith("check the id and the network, or give a local directory")
    assert not (tmp_path / "run").exists()


def test_a_revision_that_is_not_cached_is_one_clear_line_offline(
    pair: Pair, hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cached_model(hub, "org/model", pair.base)
    assert run(["diagnose", "--base", "org/model", "--trained", "org/model@v2", "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "org/model@v2: cannot be fetched" in line


def test_an_adapter_finds_its_base_on_the_hub(hub: Path, tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path)
    cached_model(hub, "org/base", pair.base)
    write_json(
        pair.trained / "adapter_config.json",
        {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "org/base"},
    )
    report = compare(None, pair.trained, tmp_path / "run")
    assert report.result.subjects[0].label == "org/base"
    assert {name for name, value in relative(report).items() if value} == {
        f"model.layers.{layer}.self_attn.{name}_proj.weight" for layer in range(2) for name in "qv"
    }


def test_an_adapter_on_the_hub_finds_its_base_there(hub: Path, tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path)
    write_json(
        pair.trained / "adapter_config.json",
        {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "org/base"},
    )
    cached_model(hub, "org/base", pair.base)
    cached_model(hub, "org/lora", pair.trained, commit="c" * 40)
    report = compare(None, "org/lora", tmp_path / "run")
    base, trained = report.result.subjects
    assert (base.label, trained.label, trained.kind) == ("org/base", "org/lora", "adapter")
    assert trained.revision == "c" * 40


# --- plans


def test_a_plan_opens_subjects_without_reading_their_weights(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(self: Any, name: str, start: int, stop: int) -> torch.Tensor:
        raise AssertionError(f"{name} was read")

    monkeypatch.setattr("afterburn_core.backends.safetensors_file.SafetensorsFile.read", forbidden)
    assert run(["plan", "--base", str(pair.base), "--trained", str(pair.trained), "--plugins", "weight"]) == 0
    output = capsys.readouterr().out
    assert "base: base (LlamaForCausalLM, 6,224 parameters" in output
    assert "weight.delta" in output


def test_a_trained_model_is_asked_for_by_the_api_too(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--trained"):
        Diagnoser(pair.base, run_dir=tmp_path / "run").run_weight_diff()


def test_facts_of_a_subject_are_those_of_its_files(pair: Pair, tmp_path: Path) -> None:
    report = compare(pair.base, pair.trained, tmp_path / "run")
    subject = report.result.subjects[0]
    facts: Mapping[str, Any] = {
        "id": "base",
        "role": "base",
        "kind": "checkpoint",
        "label": "base",
        "backend": "core.checkpoint",
        "architecture": "LlamaForCausalLM",
        "model_type": "llama",
        "parameters": 6224,
    }
    assert {name: getattr(subject, name) for name in facts} == facts
    assert dict(subject.dtypes) == {"BF16": 6224}
