"""What is wrong with the input is one line on standard error: what, where, what to do. Exit code 2, nothing lost."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from afterburn_core.cli.main import run
from afterburn_core.result import codec
from afterburn_core.result.model import Result
from afterburn_core.run.executor import LocalExecutor
from afterburn_core.run.progress import Silent
from afterburn_core.testing.checkpoints import (
    INDEX,
    WEIGHTS,
    load_weights,
    read_json,
    save_weights,
    tiny_checkpoint,
    write_json,
)
from afterburn_core.testing.pairs import PLANTED_TENSOR, Pair, adapter_pair, planted_pair

EARLIER = '{"an": "earlier result"}'
Spoil = Callable[[Pair], Any]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return planted_pair(tmp_path, scale=2.0)


def diagnose(pair: Pair, *arguments: str | Path) -> list[str]:
    """The command line under test, in the folder of the pair, with a run directory that holds an earlier result."""
    run_dir = pair.base.parent / "run"
    run_dir.mkdir(exist_ok=True)
    (run_dir / "result.json").write_text(EARLIER)
    texts = [str(argument) for argument in arguments]
    subjects = [] if "--trained" in texts else ["--base", str(pair.base), "--trained", str(pair.trained)]
    return ["diagnose", *subjects, "--plugins", "weight", "--quiet", "--run-dir", str(run_dir), *texts]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str], *expected: str, code: int = 2) -> str:
    """Runs, and checks that exactly one line says every expected text; returns it."""
    assert run(arguments) == code
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("afterburn: ")
    assert captured.out == ""
    assert "Traceback" not in line
    assert "internal error" not in line
    for text in expected:
        assert text in line, line
    if "--run-dir" in arguments:
        kept = Path(arguments[arguments.index("--run-dir") + 1]) / "result.json"
        assert kept.read_text() == EARLIER
    return line


def read_result(run_dir: Path) -> Result:
    return codec.read(run_dir / "result.json")


# --- checkpoints


def header_of(path: Path) -> tuple[dict[str, Any], bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_header(path: Path, header: Mapping[str, Any] | bytes, data: bytes) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def edit_header(pair: Pair, change: Callable[[dict[str, Any]], Any]) -> None:
    header, data = header_of(pair.trained / WEIGHTS)
    change(header)
    write_header(pair.trained / WEIGHTS, header, data)


def truncate(pair: Pair) -> None:
    path = pair.trained / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def overlap(pair: Pair) -> None:
    """Two tensors of equal size claim the same bytes, as a crafted file would."""

    def change(header: dict[str, Any]) -> None:
        k, v = (f"model.layers.0.self_attn.{name}_proj.weight" for name in "kv")
        header[v]["data_offsets"] = header[k]["data_offsets"]

    edit_header(pair, change)


def hole(pair: Pair) -> None:
    def change(header: dict[str, Any]) -> None:
        del header["model.layers.0.self_attn.k_proj.weight"]

    edit_header(pair, change)


def excess(pair: Pair) -> None:
    path = pair.trained / WEIGHTS
    path.write_bytes(path.read_bytes() + b"hidden")


def garbage(pair: Pair) -> None:
    (pair.trained / WEIGHTS).write_bytes(struct.pack("<Q", 20) + b"\xff" * 200)


def not_safetensors(pair: Pair) -> None:
    (pair.trained / WEIGHTS).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 1\n")


def no_bytes(pair: Pair) -> None:
    (pair.trained / WEIGHTS).write_bytes(b"")


def huge_header(pair: Pair) -> None:
    (pair.trained / WEIGHTS).write_bytes(struct.pack("<Q", 1 << 62) + b"{}")


def wrong_size(pair: Pair) -> None:
    edit_header(pair, lambda header: header[PLANTED_TENSOR].update(shape=[16, 17]))


def unknown_dtype(pair: Pair) -> None:
    edit_header(pair, lambda header: header[PLANTED_TENSOR].update(dtype="F4"))


def negative_shape(pair: Pair) -> None:
    edit_header(pair, lambda header: header[PLANTED_TENSOR].update(shape=[-16, -16]))


def duplicate_name(pair: Pair) -> None:
    header, data = header_of(pair.trained / WEIGHTS)
    text = json.dumps(header)
    write_header(pair.trained / WEIGHTS, (text[:-1] + f', "{PLANTED_TENSOR}": {{}}}}').encode(), data)


def header_list(pair: Pair) -> None:
    write_header(pair.trained / WEIGHTS, b"[1, 2]", b"")


def no_tensors(pair: Pair) -> None:
    save_file({}, pair.trained / WEIGHTS)


def shard(pair: Pair) -> None:
    save_weights(pair.trained, load_weights(pair.trained), shards=3)


def lost_shard(pair: Pair) -> None:
    shard(pair)
    (pair.trained / "model-00002-of-00003.safetensors").unlink()


def lost_tensor(pair: Pair) -> None:
    shard(pair)
    index = read_json(pair.trained / INDEX)
    index["weight_map"]["model.layers.9.mlp.up_proj.weight"] = "model-00001-of-00003.safetensors"
    write_json(pair.trained / INDEX, index)


def tensor_in_two_shards(pair: Pair) -> None:
    shard(pair)
    first, second = (pair.trained / f"model-0000{number}-of-00003.safetensors" for number in (1, 2))
    save_file({**load_file(second), **load_file(first)}, second, metadata={"format": "pt"})


def no_weight_map(pair: Pair) -> None:
    shard(pair)
    write_json(pair.trained / INDEX, {"metadata": {}})


def odd_weight_map(pair: Pair) -> None:
    shard(pair)
    write_json(pair.trained / INDEX, {"weight_map": {"a": 3, "b": ["x"]}})


def shard_elsewhere(pair: Pair) -> None:
    """An index must not make us read outside the model's directory."""
    shard(pair)
    index = read_json(pair.trained / INDEX)
    index["weight_map"] = dict.fromkeys(index["weight_map"], "../base/model.safetensors")
    write_json(pair.trained / INDEX, index)


def broken_index(pair: Pair) -> None:
    shard(pair)
    (pair.trained / INDEX).write_text("{")


def empty_directory(pair: Pair) -> None:
    for file in pair.trained.iterdir():
        file.unlink()


def no_weights(pair: Pair) -> None:
    (pair.trained / WEIGHTS).unlink()


def directory_for_a_file(pair: Pair) -> None:
    (pair.trained / WEIGHTS).unlink()
    (pair.trained / WEIGHTS).mkdir()


def document(name: str, content: str | bytes) -> Spoil:
    def spoil(pair: Pair) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (pair.trained / name).write_bytes(data)

    return spoil


def value_in(name: str, *path: str, value: Any) -> Spoil:
    """A document whose value at `path` is of a type nobody expects there."""

    def spoil(pair: Pair) -> None:
        content = read_json(pair.trained / name)
        place = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        write_json(pair.trained / name, content)

    return spoil


CHECKPOINTS: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "truncated": (truncate, (WEIGHTS, "truncated", "save or fetch it again")),
    "overlapping tensors": (overlap, (WEIGHTS, "overlaps", "corrupt")),
    "a hole": (hole, (WEIGHTS, "leaves a hole", "corrupt")),
    "excess bytes": (excess, (WEIGHTS, "bytes that belong to no tensor")),
    "garbage for a header": (garbage, (WEIGHTS, "header is not valid JSON")),
    "a Git LFS pointer": (not_safetensors, (WEIGHTS, "does not fit the file")),
    "no bytes": (no_bytes, (WEIGHTS, "0 bytes are too few")),
    "a huge header": (huge_header, (WEIGHTS, "does not fit the file")),
    "a shape that does not fit": (wrong_size, (WEIGHTS, PLANTED_TENSOR, "512 bytes where its shape needs 544")),
    "an unknown dtype": (unknown_dtype, (WEIGHTS, PLANTED_TENSOR, "'F4'", "does not read")),
    "a negative shape": (negative_shape, (WEIGHTS, PLANTED_TENSOR, "malformed")),
    "a duplicate name": (duplicate_name, (WEIGHTS, "duplicate names")),
    "a list for a header": (header_list, (WEIGHTS, "not a JSON object")),
    "no tensors": (no_tensors, ("trained", "tensor")),
    "a missing shard": (lost_shard, ("1 of 3 shards", "model-00002-of-00003.safetensors", "fetch")),
    "a tensor in no shard": (lost_tensor, (INDEX, "model.layers.9.mlp.up_proj.weight", "in no shard")),
    "a tensor in two shards": (tensor_in_two_shards, ("is also in model-00001", "keep one")),
    "no weight map": (no_weight_map, (INDEX, "no weight_map")),
    "a weight map of numbers": (odd_weight_map, (INDEX, "weight_map")),
    "a shard outside the directory": (shard_elsewhere, (INDEX, "../base/model.safetensors")),
    "a broken index": (broken_index, (INDEX, "not valid JSON")),
    "an empty directory": (empty_directory, ("trained", "is empty", WEIGHTS)),
    "no weight file": (no_weights, ("trained", "holds no weights", "config.json")),
    "a directory for a file": (directory_for_a_file, ("trained", WEIGHTS)),
    "config.json cut off": (document("config.json", '{"a": '), ("config.json", "not valid JSON", "again")),
    "config.json a list": (document("config.json", "[]"), ("config.json", "expected a JSON object, got list")),
    "config.json not text": (document("config.json", b"\xff\xfe\x00"), ("config.json", "not valid JSON")),
    "architectures a number": (value_in("config.json", "architectures", value=5), ("config.json", "architectures")),
    "architectures a text": (value_in("config.json", "architectures", value="Llama"), ("config.json", "architectures")),
    "model_type a number": (value_in("config.json", "model_type", value=5), ("config.json", "model_type")),
    "generation_config.json cut off": (document("generation_config.json", "{"), ("generation_config.json", "JSON")),
    "tokenizer.json cut off": (document("tokenizer.json", "{"), ("tokenizer.json",)),
    "tokenizer.json a list": (document("tokenizer.json", "[1]"), ("tokenizer.json",)),
    "tokenizer.json without model": (document("tokenizer.json", '{"model": null}'), ("tokenizer.json", "malformed")),
    "token ids that are texts": (
        value_in("tokenizer.json", "model", "vocab", value={"a": "1", "b": 2}),
        ("tokenizer.json", "malformed"),
    ),
    "token ids below zero": (value_in("tokenizer.json", "model", "vocab", value={"a": -1}), ("tokenizer.json",)),
    "merges a number": (value_in("tokenizer.json", "model", "merges", value=3), ("tokenizer.json",)),
    "added tokens a number": (value_in("tokenizer.json", "added_tokens", value=3), ("tokenizer.json", "malformed")),
    "tokenizer_config.json cut off": (document("tokenizer_config.json", "{"), ("tokenizer_config.json", "JSON")),
    "a template that is no text": (document("chat_template.jinja", b"\xff"), ("chat_template.jinja",)),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_broken_checkpoint_is_one_line_that_names_the_file(
    name: str, pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, expected = CHECKPOINTS[name]
    spoil(pair)
    refused(diagnose(pair), capsys, *expected)


def test_a_missing_directory_is_named(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    missing = pair.base.parent / "nowhere"
    refused(diagnose(pair, "--base", pair.base, "--trained", missing), capsys, "nowhere", "no such file or directory")


def test_an_unknown_home_directory_is_no_internal_error(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    refused(diagnose(pair, "--base", pair.base, "--trained", "~nobody-has-this-name/model"), capsys, "~nobody")


def test_a_file_of_an_unknown_format_lists_the_known_ones(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    odd = pair.base.parent / "weights.npz"
    odd.write_bytes(b"PK")
    refused(diagnose(pair, "--base", pair.base, "--trained", odd), capsys, ".npz", ".safetensors")


def test_models_of_different_architecture_are_refused(
    tmp_path: Path, pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "gpt"
    other.mkdir()
    save_weights(
        other, {"transformer.h.0.attn.c_attn.weight": torch.ones(8, 24), "transformer.wte.weight": torch.ones(9, 8)}
    )
    write_json(other / "config.json", {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"})
    refused(
        diagnose(pair, "--base", pair.base, "--trained", other),
        capsys,
        "nothing to compare",
        "LlamaForCausalLM",
        "GPT2LMHeadModel",
        "started from this base",
    )


def test_nan_and_infinity_are_a_finding_with_the_tensors_name_and_no_error(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = load_weights(pair.trained)
    tensors[PLANTED_TENSOR].view(-1)[:3] = torch.tensor([float("nan"), float("inf"), float("-inf")])
    save_weights(pair.trained, tensors)
    assert run(diagnose(pair)) == 1
    assert capsys.readouterr().err == ""
    result = read_result(tmp_path / "run")
    (finding,) = (f for f in result.findings if f.rule == "weight.nonfinite_values")
    assert (finding.kind, finding.level) == ("fail", "error")
    assert finding.message == f"{PLANTED_TENSOR} of the trained model holds 3 NaN or infinite values"
    assert result.verdict.status == "fail"
    values = {m.scope.key(): m.value for m in result.measurements if m.metric == "weight.delta.relative"}
    assert values[f"tensor={PLANTED_TENSOR}"] is None
    assert values["model"] == 0.0  # the only other tensors are unchanged: NaN enters no sum


# --- pickles


class Harmful:
    """What a poisoned checkpoint holds: unpickling it runs a command."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self._command,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "adapter_model.bin"])
def test_a_pickle_with_code_in_it_is_refused_and_not_run(
    name: str, pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    touched = tmp_path / "touched"
    (pair.trained / WEIGHTS).unlink()
    torch.save({"a.weight": torch.ones(2), "b": Harmful(f"touch {touched}")}, pair.trained / name)
    if name.startswith("adapter"):
        write_json(pair.trained / "adapter_config.json", {"peft_type": "LORA", "r": 2})
    refused(diagnose(pair), capsys, name, "refused", "run code", "convert it to safetensors")
    assert not touched.exists()


def test_a_pickle_of_another_protocol_is_refused_without_a_warning_beside_it(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    (pair.trained / WEIGHTS).unlink()
    (pair.trained / "model.pt").write_bytes(pickle.dumps({"a": Harmful(f"touch {tmp_path / 'touched'}")}, protocol=4))
    refused(diagnose(pair), capsys, "model.pt", "refused", "run code")
    assert not [str(one.message) for one in recwarn if "pickle" in str(one.message)]
    assert not (tmp_path / "touched").exists()


def test_a_torch_file_that_is_cut_off_is_named(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    (pair.trained / WEIGHTS).unlink()
    torch.save(load_weights(pair.base), pair.trained / "pytorch_model.bin")
    content = (pair.trained / "pytorch_model.bin").read_bytes()
    (pair.trained / "pytorch_model.bin").write_bytes(content[: len(content) // 2])
    refused(diagnose(pair), capsys, "pytorch_model.bin", "truncated")


def test_a_torch_file_of_something_else_is_named(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    (pair.trained / WEIGHTS).unlink()
    (pair.trained / "pytorch_model.bin").write_bytes(b"no pickle at all")
    refused(diagnose(pair), capsys, "pytorch_model.bin")


def test_a_torch_file_without_tensors_is_named(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    (pair.trained / WEIGHTS).unlink()
    torch.save({"step": 3}, pair.trained / "pytorch_model.bin")
    refused(diagnose(pair), capsys, "pytorch_model.bin", "holds no tensors")


# --- adapters


def test_an_adapter_without_its_base_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = adapter_pair(tmp_path)
    write_json(pair.trained / "adapter_config.json", {"peft_type": "LORA", "r": 2})
    refused(diagnose(pair, "--trained", pair.trained), capsys, "--base")


def test_an_adapter_whose_base_is_gone_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = adapter_pair(tmp_path)
    write_json(
        pair.trained / "adapter_config.json", {"peft_type": "LORA", "r": 2, "base_model_name_or_path": "/gone/llama"}
    )
    refused(diagnose(pair, "--trained", pair.trained), capsys, "/gone/llama")


def test_an_adapter_as_base_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = adapter_pair(tmp_path)
    refused(
        diagnose(pair, "--base", pair.trained, "--trained", pair.base), capsys, "is an adapter and cannot be the base"
    )


def test_an_adapter_on_the_wrong_base_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = adapter_pair(tmp_path)
    other = tiny_checkpoint(tmp_path / "other", hidden=32)
    refused(diagnose(pair, "--base", other, "--trained", pair.trained), capsys, "give the base", "q_proj")


def test_an_adapter_without_weights_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = adapter_pair(tmp_path)
    (pair.trained / "adapter_model.safetensors").unlink()
    refused(diagnose(pair), capsys, "no adapter_model.safetensors")


def test_an_adapter_configuration_that_is_no_json_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = adapter_pair(tmp_path)
    (pair.trained / "adapter_config.json").write_text("{")
    refused(diagnose(pair), capsys, "adapter_config.json", "not valid JSON")


# --- the command line


COMMAND_LINES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "an unknown plugin": (("--plugins", "wieght"), ("'wieght'", "did you mean 'weight'")),
    "an unknown backend": (("--backend", "core.chekpoint"), ("core.chekpoint", "core.checkpoint")),
    "an unknown suffix": (("-o", "report.docx"), ("report.docx", ".docx", ".html")),
    "a report without suffix": (("-o", "report"), ("report", "without suffix")),
    "a report into a missing directory": (("-o", "nowhere/report.html"), ("nowhere", "does not exist")),
    "a report onto a directory": (("-o", "folder.html"), ("folder.html", "is a directory")),
    "an unknown device": (("--device", "tpu"), ("tpu", "cpu")),
    "a device that is not there": (("--device", "cuda:99"), ("cuda",)),
    "a seed below zero": (("--seed", "-1"), ("seed", "-1")),
    "a seed too large": (("--seed", str(2**53)), ("seed", str(2**53))),
    "a seed that is no number": (("--seed", "one"), ("--seed", "'one'")),
    "no threads": (("--threads", "0"), ("threads", "at least 1")),
    "an unknown method": (("--method", "stf"), ("--method", "sft")),
    "an unknown flag": (("--trianed", "x"), ("--trianed", "--trained")),
    "a missing policy": (("--policy", "policy.yaml"), ("policy.yaml", "cannot be read")),
    "a missing configuration": (("--config", "missing.yaml"), ("missing.yaml",)),
    "a recording": (("--trained", "recorded:outputs.jsonl", "--base", "recorded:x.jsonl"), ("recorded:",)),
    "an endpoint": (("--trained", "api:localhost:1/v1#m", "--base", "api:localhost:1/v1#b"), ("api:",)),
    "an empty name": (("--trained", ""), ("empty",)),
}


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_a_command_line_that_cannot_be_meant_is_one_line(
    name: str, pair: Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pair.base.parent)
    Path("folder.html").mkdir()
    arguments, expected = COMMAND_LINES[name]
    if arguments == ("--trained", ""):
        arguments = ("--base", str(pair.base), *arguments)
    refused(diagnose(pair, *arguments), capsys, *expected)


def test_no_trained_model_is_asked_for(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["diagnose", "--base", str(pair.base)], capsys, "--trained")


def test_no_base_model_is_asked_for(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["diagnose", "--trained", str(pair.trained)], capsys, "--base")


def test_a_misspelt_command_suggests_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    refused(["diagnos"], capsys, "'diagnos'", "did you mean 'diagnose'")


def test_a_command_of_a_plugin_that_is_absent_says_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AFTERBURN_DISABLE_PLUGINS", "reward_hack")
    refused(["hack-check"], capsys, "reward_hack", "pip install")


def test_a_command_on_a_run_that_is_none_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["judge"], ["report", "-o", str(tmp_path / "r.html")], ["validate"]):
        refused([command[0], str(tmp_path), *command[1:]], capsys, "result.json")


CONFIGURATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "an unknown key": ("basse: x\n", ("'basse'", "did you mean 'base'")),
    "a text for a number": ("seed: one\n", ("seed", "expected an integer", "'one'")),
    "a number for a text": ("backend: 3\n", ("backend", "expected text")),
    "a number for a switch": ("strict: 1\n", ("strict", "expected true or false")),
    "a text for a list": ("output: report.html\n", ("output", "expected a list of texts")),
    "an unknown method": ("method: stf\n", ("method",)),
    "a list": ("- base\n", ("expected keys and values",)),
    "a text": ("base\n", ("expected keys and values",)),
    "malformed YAML": ("base: [\n", ("not valid YAML", "line")),
    "options of an unknown component": ("options:\n  weight.jugde: {top: 3}\n", ("weight.jugde", "weight.judge")),
    "an unknown option": ("options:\n  weight.judge: {tpo: 3}\n", ("weight.judge", "'tpo'", "'top'")),
    "an option of the wrong type": ("options:\n  weight.judge: {top: three}\n", ("weight.judge", "top")),
    "a code tag": ("base: !!python/object/apply:os.system ['true']\n", ("not valid YAML",)),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_that_cannot_be_meant_is_one_line(
    name: str, pair: Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pair.base.parent)
    content, expected = CONFIGURATIONS[name]
    Path(".afterburn.yaml").write_text(content)
    refused(diagnose(pair), capsys, ".afterburn.yaml" if "options" not in content else "", *expected)


POLICIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "an unknown key": ("fail_onn: error\n", ("'fail_onn'", "did you mean 'fail_on'")),
    "a wrong value": ("fail_on: sometimes\n", ("fail_on",)),
    "malformed YAML": ("fail_on: [\n", ("not valid YAML",)),
    "a list": ("- a\n", ("expected keys and values",)),
    "nothing": ("", ("expected keys and values",)),
    "options of an unknown detector": ("options:\n  weight.jugde: {top: 1}\n", ("weight.jugde",)),
    "an unknown option": ("options:\n  weight.judge: {tpo: 1}\n", ("'tpo'", "'top'")),
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_that_cannot_be_meant_is_one_line(name: str, pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    content, expected = POLICIES[name]
    policy = pair.base.parent / "policy.yaml"
    policy.write_text(content)
    refused(diagnose(pair, "--policy", policy), capsys, *expected)


def test_nothing_measured_is_never_success(pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*diagnose(pair), "--plugins", "organisms"]) == 3
    result = read_result(tmp_path / "run")
    assert result.verdict.status == "incomplete"
    assert [reason.message for reason in result.verdict.reasons] == ["nothing was measured"]


def test_options_are_refused_before_anything_is_read(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    """A slip in the options of a detector must not cost the hours of a run."""
    (pair.base.parent / ".afterburn.yaml").write_text("options:\n  weight.judge: {tpo: 3}\n")
    (pair.trained / "model.safetensors").write_bytes(b"not read at all")
    refused(diagnose(pair, "--config", pair.base.parent / ".afterburn.yaml"), capsys, "'tpo'")


# --- places to write to


def test_a_file_where_the_run_directory_should_be_is_named(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    arguments = ["diagnose", "--base", str(pair.base), "--trained", str(pair.trained), "--quiet"]
    assert run([*arguments, "--run-dir", str(tmp_path / "taken")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "taken" in line and "--run-dir" in line
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_file_where_the_cache_should_be_is_named(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    refused(diagnose(pair, "--cache-dir", tmp_path / "taken"), capsys, "taken", "--cache-dir", "--no-cache")


def test_a_damaged_cache_is_computed_again(pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache"
    arguments = diagnose(pair, "--cache-dir", cache)
    assert run(arguments) == 0
    expected = read_result(tmp_path / "run").measurements
    (rows,) = cache.rglob("rows.jsonl")
    lines = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(b"".join(lines[:5]) + b'{"name": "x"}\nnot json\n[]\n' + lines[6][:20])
    assert run(arguments) == 0
    again = read_result(tmp_path / "run")
    assert again.measurements == expected
    (swept,) = (e for e in again.executions if e.component == "core.weights_pass")
    assert swept.counters["from_cache"] == 5
    assert capsys.readouterr().err == ""


def command(pair: Pair, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "afterburn_core", *diagnose(pair, *arguments)]


def limit_file_size(size: int) -> Callable[[], None]:
    """What a full disk looks like from inside: a write fails half way. Root's reserve does not help against it."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "arguments", "expected"),
    [(2000, (), "--no-cache"), (20_000, ("--no-cache",), "result.json")],
    ids=["the cache", "the result"],
)
def test_no_disk_space_is_one_line_and_loses_nothing(
    size: int, arguments: tuple[str, ...], expected: str, pair: Pair
) -> None:
    finished = subprocess.run(
        command(pair, *arguments),
        capture_output=True,
        text=True,
        preexec_fn=limit_file_size(size),
        # a module compiled under the limit would be cached cut off, and break whatever imports it next
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=60,
    )
    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert expected in line
    run_dir = pair.base.parent / "run"
    assert (run_dir / "result.json").read_text() == EARLIER
    assert [path.name for path in run_dir.rglob("*.tmp")] == []


def test_a_refusal_is_one_line_in_a_process_of_its_own(pair: Pair) -> None:
    truncate(pair)
    finished = subprocess.run(command(pair), capture_output=True, text=True, timeout=60)
    assert finished.returncode == 2
    assert finished.stdout == ""
    (line,) = finished.stderr.splitlines()
    assert re.fullmatch(r"afterburn: .*model\.safetensors: truncated \(\d+ bytes, .*\); save or fetch it again", line)


def test_debug_adds_the_traceback(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    truncate(pair)
    assert run([*diagnose(pair), "--debug"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "Traceback" in lines[0]
    assert lines[-1].startswith("afterburn: ")


# --- files that change, runs that stop


class Meddling(Silent):
    """Does something to a file once the comparison has begun, as a trainer that still writes would."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def begin(self, stage: str, total: int, unit: str) -> None:
        if stage == "comparing weights" and self._action is not None:
            self._action()
            self._action = None


def rewrite_in_place(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-64:] = bytes(64)
    with path.open("r+b") as stream:
        stream.write(content)
    os.utime(path, ns=(1, 1))


def cut_short(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size - 4096)


def replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    other.replace(path)


@pytest.mark.parametrize("change", [rewrite_in_place, cut_short, replace, Path.unlink], ids=lambda f: f.__name__)
@pytest.mark.parametrize("side", ["base", "trained"])
def test_a_file_that_changes_during_the_run_is_noticed_and_nothing_of_it_is_kept(
    side: str,
    change: Callable[[Path], None],
    pair: Pair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = getattr(pair, side) / WEIGHTS
    before = file.read_bytes()
    meddling = Meddling(lambda: change(file))
    monkeypatch.setattr("afterburn_core.cli.progress.make_progress", lambda quiet: meddling)
    cache = tmp_path / "cache"
    line = refused(diagnose(pair, "--cache-dir", cache), capsys, WEIGHTS)
    assert "changed while" in line or "was there when the run began" in line
    assert list(cache.rglob("rows.jsonl")) == []
    # with the file restored, nothing of the mixed numbers comes back
    file.write_bytes(before)
    arguments = diagnose(pair, "--cache-dir", cache)
    assert run(arguments) == 0
    mended = read_result(tmp_path / "run")
    assert run([*arguments, "--no-cache"]) == 0
    assert mended.measurements == read_result(tmp_path / "run").measurements


class InterruptedExecutor(LocalExecutor):
    """Ctrl-C after the first few tensors."""

    def __init__(self, workers: int | None = None) -> None:
        super().__init__(1)

    def run(self, tasks: Any, work: Any) -> Any:
        for task in list(tasks)[:6]:
            work(0, task)
        return "interrupted"


def test_an_interrupted_run_says_so_keeps_what_it_finished_and_goes_on_from_there(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = diagnose(pair, "--cache-dir", tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr("afterburn_core.run.executor.LocalExecutor", InterruptedExecutor)
        assert run(arguments) == 3
    stopped = read_result(tmp_path / "run")
    assert stopped.run.status == "interrupted"
    assert stopped.verdict.status == "incomplete"
    relative = [m for m in stopped.measurements if m.metric == "weight.delta.relative"]
    assert {m.scope.tensor is not None for m in relative} == {True}  # no roll-up of half a model
    assert len(relative) == 6

    assert run(arguments) == 0
    resumed = read_result(tmp_path / "run")
    (swept,) = (e for e in resumed.executions if e.component == "core.weights_pass")
    assert swept.counters["from_cache"] == 6
    assert run([*arguments, "--no-cache"]) == 0
    assert resumed.measurements == read_result(tmp_path / "run").measurements


# A disk so slow that the test can act while tensors are being read.
SLOW = """
import os, signal, sys, time
from pathlib import Path
from afterburn_core.backends.safetensors_file import SafetensorsFile
from afterburn_core.cli.main import main
read, reads = SafetensorsFile.read, []
def slow_read(self, name, start, stop):
    reads.append(name)
    time.sleep(0.05 if len(reads) < SWIFT else 1)
    return read(self, name, start, stop)
SafetensorsFile.read = slow_read
"""
# Runs the command line again and again, each time killed once it has stored so many rows more than were there.
KILLED = """
SWIFT = float("inf")
import afterburn_core.run.weights_pass  # once for all runs: importing torch is most of their time
cache, counts, arguments = Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]
def rows():
    return sum(file.read_bytes().count(10) for file in cache.rglob("rows.jsonl"))
for more in map(int, counts):
    wanted = rows() + more
    child = os.fork()
    if child == 0:
        main(arguments)
    while rows() < wanted:
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            sys.exit("a run ended by itself")
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(rows())
"""


def start(arguments: list[str]) -> subprocess.Popen[str]:
    # after the first reads it is so slow that it cannot end before a signal, however late that is sent
    command = [sys.executable, "-c", f"{SLOW}SWIFT = 12\nmain()", *arguments, "--threads", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows_in(cache: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in cache.rglob("rows.jsonl"))


def wait_for_rows(cache: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Until the pass has stored that many tensors; fails if the process ends first."""
    while rows_in(cache) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def processor_seconds(process: subprocess.Popen[str]) -> float:
    """What the process has used so far, user and system."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def undisturbed(pair: Pair) -> str:
    """The measurements of a run that nothing interrupts and no cache serves, as the document has them."""
    assert run([*diagnose(pair), "--no-cache"]) == 0
    return measurements_of(pair)


def measurements_of(pair: Pair) -> str:
    document = json.loads((pair.base.parent / "run" / "result.json").read_text())
    return json.dumps(document["measurements"], sort_keys=True)


@pytest.mark.slow
def test_ctrl_c_stops_within_two_seconds_and_the_next_run_finishes(pair: Pair, tmp_path: Path) -> None:
    arguments = diagnose(pair, "--cache-dir", tmp_path / "cache")
    process = start(arguments)
    wait_for_rows(tmp_path / "cache", 3, process)
    used = processor_seconds(process)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # processor time, because others may share the machine; what the pass waits for is the slow disk alone
    total = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert total - used < 2
    assert process.returncode == 3, errors
    assert errors == ""
    stored = rows_in(tmp_path / "cache")
    assert 3 <= stored < 21
    stopped = read_result(tmp_path / "run")
    assert (stopped.run.status, stopped.verdict.status) == ("interrupted", "incomplete")
    assert len([m for m in stopped.measurements if m.metric == "weight.delta.norm"]) == stored

    assert run(arguments) == 0
    (swept,) = (e for e in read_result(tmp_path / "run").executions if e.component == "core.weights_pass")
    assert swept.counters["from_cache"] == stored
    assert measurements_of(pair) == undisturbed(pair)


@pytest.mark.slow
def test_ctrl_c_during_hashing_does_not_wait_for_a_huge_file(pair: Pair, tmp_path: Path) -> None:
    """A sparse file stands for a shard of 40 GB; hashing all of it takes far longer than the test waits."""
    count = 10_000_000_000
    header = json.dumps({"w": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}).encode()
    with (pair.trained / WEIGHTS).open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(8 + len(header) + 4 * count)
    arguments = [text for text in diagnose(pair, "--cache-dir", tmp_path / "cache") if text != "--quiet"]
    process = start(arguments)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("hashing files")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 3
    assert errors.splitlines()[-1].startswith("afterburn: interrupted")
    assert (tmp_path / "run" / "result.json").read_text() == EARLIER


@pytest.mark.slow
def test_a_run_killed_again_and_again_loses_nothing_and_ends_with_the_same_numbers(pair: Pair, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    arguments = diagnose(pair, "--cache-dir", cache)
    counts = random.Random(4).sample(range(1, 5), 3)
    killer = [sys.executable, "-c", SLOW + KILLED, str(cache), ",".join(map(str, counts)), *arguments, "--threads", "1"]
    finished = subprocess.run(killer, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    seen = [int(line) for line in finished.stdout.split()]
    assert all(after - before >= more for before, after, more in zip([0, *seen], seen, counts, strict=False))
    stored = rows_in(cache)
    assert len(seen) == 3 and stored == seen[-1]
    assert (tmp_path / "run" / "result.json").read_text() == EARLIER
    (file,) = cache.rglob("rows.jsonl")
    with file.open("ab") as stream:
        stream.write(b'{"name": "model.norm.weight", "val')  # as a kill in the middle of a write leaves it
    assert run(arguments) == 0
    (swept,) = (e for e in read_result(tmp_path / "run").executions if e.component == "core.weights_pass")
    assert swept.counters["from_cache"] == stored
    assert measurements_of(pair) == undisturbed(pair)
