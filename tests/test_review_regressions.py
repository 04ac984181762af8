"""What adversarial inputs once got wrong: a change hidden, a claim too strong, a refusal without a clear line."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import save_file

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.judge.policy import Policy, load_policy
from afterburn_core.judge.verdict import decide
from afterburn_core.plugin.registry import Registry
from afterburn_core.result.model import Result
from afterburn_core.run.arrays import from_torch
from afterburn_core.run.configuration import Settings
from afterburn_core.run.diagnose import diagnose
from afterburn_core.run.kernels import ArraySums
from afterburn_core.run.naming import scope_of
from afterburn_core.testing.checkpoints import load_weights, read_json, save_weights, tiny_checkpoint, write_json

pytest.importorskip("afterburn_weight")

EMBEDDING, HEAD, Q = "model.embed_tokens.weight", "lm_head.weight", "model.layers.0.self_attn.q_proj.weight"

pytestmark = pytest.mark.usefixtures("weights_alone")


def compare(base: Path, trained: Path, run_dir: Path, **settings: Any) -> Result:
    chosen = {"cache": False, "threads": 1, **settings}
    return diagnose(
        Settings(base=str(base), trained=str(trained), run_dir=str(run_dir), **chosen), Registry.discover()
    ).result


def message(result: Result, rule: str) -> str:
    (found,) = (finding for finding in result.findings if finding.rule == f"weight.{rule}")
    return found.message


def measured(result: Result, metric: str, tensor: str) -> float | None:
    (found,) = (m for m in result.measurements if m.metric == metric and m.scope.tensor == tensor)
    return found.value


def tie(directory: Path) -> None:
    write_json(directory / "config.json", {**read_json(directory / "config.json"), "tie_word_embeddings": True})


def adapter(directory: Path, tensors: dict[str, torch.Tensor]) -> Path:
    directory.mkdir()
    save_file(tensors, directory / "adapter_model.safetensors")
    write_json(directory / "adapter_config.json", {"peft_type": "LORA", "r": 2, "lora_alpha": 4})
    return directory


def test_the_head_of_a_reward_model_is_no_row_of_a_tied_embedding(tmp_path: Path) -> None:
    base, trained = tiny_checkpoint(tmp_path / "base"), tiny_checkpoint(tmp_path / "trained")
    tie(base)
    tie(trained)
    tensors = {name: value for name, value in load_weights(base).items() if name != HEAD}
    save_weights(base, tensors)
    save_weights(trained, {**tensors, "score.weight": torch.ones(1, 16, dtype=torch.bfloat16)})
    result = compare(base, trained, tmp_path / "run")
    assert measured(result, "weight.coverage", "score.weight") == 0.0
    assert measured(result, "weight.delta.relative", "score.weight") is None
    assert "1 tensor could not be compared" in message(result, "change")


@pytest.mark.parametrize("first", [EMBEDDING, HEAD])
@pytest.mark.parametrize("saved", [EMBEDDING, HEAD])
def test_what_an_adapter_saves_whole_is_compared_even_where_the_base_shares_its_storage(
    first: str, saved: str, tmp_path: Path
) -> None:
    base = tiny_checkpoint(tmp_path / "base")
    tie(base)
    tensors = load_weights(base)
    (base / "model.safetensors").unlink()
    shared = tensors[EMBEDDING]
    torch.save({first: shared, **tensors, EMBEDDING: shared, HEAD: shared}, base / "pytorch_model.bin")
    trained = adapter(tmp_path / "adapter", {f"base_model.model.{saved}": shared * 3})
    result = compare(base, trained, tmp_path / "run")
    assert measured(result, "weight.delta.relative", saved) == pytest.approx(2.0, rel=1e-2)
    assert "Training changed 1 of" in message(result, "change")


def test_an_adapter_changes_the_tensor_it_names_and_not_another_that_ends_alike(tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "base")
    tensors = load_weights(base)
    other = f"transformer.{Q.removeprefix('model.')}"
    save_weights(base, {**tensors, other: tensors[Q].clone()})
    module = f"base_model.model.{Q.removesuffix('.weight')}"
    factors = {f"{module}.lora_A.weight": torch.ones(2, 16), f"{module}.lora_B.weight": torch.ones(16, 2)}
    result = compare(base, adapter(tmp_path / "adapter", factors), tmp_path / "run")
    assert measured(result, "weight.delta.norm", Q) == pytest.approx(4 * 16)
    assert measured(result, "weight.delta.norm", other) == 0.0


def test_a_tokenizer_beside_a_single_weight_file_decides_nothing(tmp_path: Path) -> None:
    base, trained = tiny_checkpoint(tmp_path / "base"), tiny_checkpoint(tmp_path / "trained")
    tokenizer = read_json(trained / "tokenizer.json")
    tokens = list(tokenizer["model"]["vocab"])
    tokenizer["model"]["vocab"] = {token: (i + 5) % len(tokens) for i, token in enumerate(tokens)}
    tokenizer["added_tokens"] = []
    write_json(trained / "tokenizer.json", tokenizer)
    result = compare(base / "model.safetensors", trained / "model.safetensors", tmp_path / "run")
    assert result.subjects[0].digest == result.subjects[1].digest
    assert message(result, "change").startswith("No weight differs")


def test_shards_of_one_name_in_two_folders_are_two_files(tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "base")
    tensors = load_weights(base)
    (base / "model.safetensors").unlink()
    places = {name: f"part{number % 2}" for number, name in enumerate(tensors)}
    for place in ("part0", "part1"):
        (base / place).mkdir()
        save_file({n: v for n, v in tensors.items() if places[n] == place}, base / place / "weights.safetensors")
    index = {name: f"{place}/weights.safetensors" for name, place in places.items()}
    write_json(base / "model.safetensors.index.json", {"weight_map": index})
    result = compare(base, base, tmp_path / "run")
    listed = {file.path for file in result.subjects[0].files}
    assert {"part0/weights.safetensors", "part1/weights.safetensors"} <= listed


def test_equal_values_in_a_wider_dtype_are_not_called_bit_identical(tmp_path: Path) -> None:
    base, trained = tiny_checkpoint(tmp_path / "base"), tiny_checkpoint(tmp_path / "trained")
    save_weights(trained, {name: value.float() for name, value in load_weights(base).items()})
    text = message(compare(base, trained, tmp_path / "run"), "change")
    assert text == "No weight differs: all 21 compared tensors hold equal values, some in another dtype"


def test_tensors_that_a_cast_rounded_are_not_counted_as_trained(tmp_path: Path) -> None:
    base, trained = tiny_checkpoint(tmp_path / "base", dtype="float32"), tiny_checkpoint(tmp_path / "trained")
    cast = {name: value.bfloat16() for name, value in load_weights(base).items()}
    save_weights(trained, {**cast, Q: cast[Q] * 2})
    text = message(compare(base, trained, tmp_path / "run"), "change")
    assert text.startswith("Training changed 1 of 21 tensors")
    assert text.endswith("; 15 more differ by rounding to another dtype alone")  # the five norms are ones


def test_a_cast_beside_broken_tensors_says_what_it_does_not_speak_of(tmp_path: Path) -> None:
    base, trained = tiny_checkpoint(tmp_path / "base", dtype="float32"), tiny_checkpoint(tmp_path / "trained")
    cast = {name: value.bfloat16() for name, value in load_weights(base).items()}
    cast[Q][0, 0] = torch.nan
    save_weights(trained, cast)
    result = compare(base, trained, tmp_path / "run")
    for rule in ("change", "below_rounding"):
        assert message(result, rule).endswith("; left out: 1 of 21 tensors, whose sums are not finite")


def test_the_largest_change_of_a_zero_that_lost_its_sign_is_no_negative_zero() -> None:
    sums = ArraySums().pair(from_torch(torch.tensor([0.0])), from_torch(torch.tensor([-0.0])), ("F32", "F32"))
    assert (sums.changed, str(sums.max_abs)) == (1, "0.0")


def test_blocks_that_predict_further_tokens_are_not_counted_to_the_first_layer() -> None:
    assert scope_of("mtp.layers.0.self_attn.q_proj.weight").subset == "mtp"
    assert scope_of("model.layers.0.self_attn.q_proj.weight").subset is None


HEADERS: dict[str, Any] = {
    "a dtype that is a list": {"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}},
    "a name that is no text": b'{"a\\ud800": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}',
    "an empty name": {"": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
    "nesting without end": b"[" * 200_000,
    "UTF-16": json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode("utf-16"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_malformed_header_is_refused_before_anything_is_computed(name: str, tmp_path: Path) -> None:
    header = HEADERS[name] if isinstance(HEADERS[name], bytes) else json.dumps(HEADERS[name]).encode()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(SubjectError, match=r"weights\.safetensors"):
        compare(path, path, tmp_path / "run")


def looped() -> dict[str, Any]:
    state: dict[str, Any] = {"a": torch.ones(2)}
    state["model"] = state
    return state


STATES: dict[str, Any] = {
    "names that are numbers": {0: torch.ones(2)},
    "a sparse tensor": {"a": torch.eye(2).to_sparse()},
    "a tensor without data": {"a": torch.empty(2, device="meta")},
    "tensors on a level below": {"step": torch.ones(1), "generator": {"a": torch.ones(2)}},
    "a mapping within itself": looped(),
}


@pytest.mark.parametrize("name", STATES)
def test_a_torch_file_of_another_kind_is_refused_before_anything_is_computed(name: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(STATES[name], path)
    with pytest.raises(SubjectError, match=r"weights\.pt"):
        compare(path, path, tmp_path / "run")


def test_an_optional_detector_that_failed_a_run_cannot_be_taken_out_of_it(tmp_path: Path) -> None:
    base, trained = tiny_checkpoint(tmp_path / "base"), tiny_checkpoint(tmp_path / "trained")
    tensors = load_weights(trained)
    tensors[Q][0, 0] = torch.nan
    save_weights(trained, tensors)
    result = compare(base, trained, tmp_path / "run")
    policy = Policy(optional=("weight.judge", *(rule.id for rule in result.descriptors.rules)))
    whole: dict[str, Any] = {
        "run": result.run,
        "executions": result.executions,
        "measurements": result.measurements,
        "findings": result.findings,
        "rules": result.descriptors.rules,
        "artifacts": result.artifacts,
    }
    assert decide(**whole, policy=policy).status == "fail"
    less = tuple(e for e in result.executions if e.component != "weight.judge")
    assert decide(**{**whole, "executions": less, "findings": ()}, policy=policy).status == "incomplete"


def test_a_run_in_which_no_rule_was_judged_does_not_pass(tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "base")
    result = compare(base, base, tmp_path / "run")
    judges = {e.component for e in result.executions if e.kind == "detector"}
    derived = {metric.id for metric in result.descriptors.metrics if metric.detector in judges}
    verdict = decide(
        run=attrs.evolve(result.run, components=tuple(c for c in result.run.components if c not in judges)),
        executions=tuple(e for e in result.executions if e.kind != "detector"),
        measurements=tuple(m for m in result.measurements if m.metric not in derived),
        findings=(),
        rules=(),
        artifacts=result.artifacts,
        policy=Policy(),
    )
    assert (verdict.status, verdict.reasons[0].message) == ("incomplete", "no rule was judged")


@pytest.mark.parametrize("options", [{"rounding_ratio": float("nan")}, {"rounding_ratio": -1.0}, {"top": -1}])
def test_options_that_no_number_can_mean_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "base")
    with pytest.raises(ConfigError, match="options|weight.judge"):
        compare(base, base, tmp_path / "run", options={"weight.judge": options})


def test_a_policy_with_nan_is_refused(tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "base")
    policy = tmp_path / "policy.yaml"
    policy.write_text("options: {weight.judge: {rounding_ratio: .nan}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="policy"):
        compare(base, base, tmp_path / "run", policy=str(policy))


def test_a_policys_options_win_key_by_key(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("options: {weight.judge: {top: 1}}\n", encoding="utf-8")
    merged = load_policy(path).options_over({"weight.judge": {"top": 9, "examples": 3}, "other.one": {"a": 1}})
    assert merged == {"weight.judge": {"top": 1, "examples": 3}, "other.one": {"a": 1}}


def test_another_version_of_who_reads_the_files_is_another_cache_entry(tmp_path: Path) -> None:
    base, cache = tiny_checkpoint(tmp_path / "base"), tmp_path / "cache"
    compare(base, base, tmp_path / "run", cache=True, cache_dir=str(cache))
    (entry,) = cache.glob("*/*/entry.json")
    assert "core" in json.loads(entry.read_text(encoding="utf-8"))["readers"]
