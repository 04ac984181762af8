"""How the tensors of two checkpoints are paired: names, rows, ties, dtypes, and what is left over."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from afterburn_core.api import Diagnoser, DiagnosticReport
from afterburn_core.result.model import Finding, Scope
from afterburn_core.testing.checkpoints import (
    llama_config,
    load_weights,
    read_json,
    save_weights,
    tiny_checkpoint,
    word_tokenizer,
    write_json,
)
from afterburn_core.testing.pairs import (
    PLANTED_TENSOR,
    Pair,
    added_pair,
    changed_pair,
    dropped_pair,
    identity_pair,
    reshaped_pair,
    resharded_pair,
)

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
TENSORS = 21  # embedding, nine per layer in two layers, final norm, head
PARAMETERS = 6224
VOCABULARY, WIDTH = 48, 16

Weights = dict[str, torch.Tensor]


def compare(pair: Pair, run: Path) -> DiagnosticReport:
    return Diagnoser(pair.base, pair.trained, run_dir=run, use_cache=False, threads=2).run_weight_diff()


def whole(report: DiagnosticReport, metric: str) -> float:
    (value,) = (m.value for m in report.measurements(metric) if m.scope.key() == "model")
    assert value is not None
    return value


def tensor(report: DiagnosticReport, metric: str, name: str) -> float | None:
    (value,) = (m.value for m in report.measurements(metric) if m.scope.tensor == name)
    return value


def states(report: DiagnosticReport) -> dict[str | None, int]:
    """Tensors by what became of them, without the states no tensor is in."""
    return {m.scope.subset: int(m.value or 0) for m in report.measurements("weight.coverage.tensors") if m.value}


def finding(report: DiagnosticReport, rule: str) -> Finding:
    (found,) = (f for f in report.findings if f.rule == rule)
    return found


def notes(report: DiagnosticReport) -> str:
    return "\n".join(n.message for execution in report.result.executions for n in execution.notifications)


def rewrite(directory: Path, change: Callable[[Weights], Weights]) -> None:
    save_weights(directory, change(load_weights(directory)))


def configure(directory: Path, **keys: Any) -> None:
    write_json(directory / "config.json", {**read_json(directory / "config.json"), **keys})


def wide(value: torch.Tensor) -> np.ndarray:
    return value.double().numpy()


def relative(base: np.ndarray, trained: np.ndarray) -> float:
    return float(np.linalg.norm(trained - base) / np.linalg.norm(base))


# --- the same weights


@pytest.mark.parametrize("make", [identity_pair, resharded_pair])
def test_the_same_weights_give_no_finding_of_change_and_say_so(make: Callable[[Path], Pair], tmp_path: Path) -> None:
    report = compare(make(tmp_path), tmp_path / "run")
    change = finding(report, "weight.change")
    assert (change.kind, change.level) == ("pass", "none")
    assert change.message == f"No weight differs: all {TENSORS} compared tensors are bit-identical"
    assert {f.kind for f in report.findings} <= {"pass", "not_applicable"}
    for metric in ("norm", "relative", "cosine_distance", "max_abs", "changed_fraction"):
        values = {m.value for m in report.measurements(f"weight.delta.{metric}")}
        assert values == {0.0}, metric
    assert whole(report, "weight.coverage") == 1.0
    assert next(m.n for m in report.measurements("weight.coverage") if m.scope.key() == "model") == PARAMETERS
    assert report.verdict.status == "pass"


# --- names


@pytest.mark.parametrize("wrapped", ["base", "trained"])
@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "base_model.model.", "module._orig_mod."])
def test_a_wrapper_prefix_is_stripped_and_reported(prefix: str, wrapped: str, tmp_path: Path) -> None:
    pair = changed_pair(tmp_path, PLANTED_TENSOR, lambda weight: weight * 2)
    side = pair.base if wrapped == "base" else pair.trained
    rewrite(side, lambda tensors: {f"{prefix}{name}": value for name, value in tensors.items()})
    report = compare(pair, tmp_path / "run")
    assert states(report) == {"matched": TENSORS}
    assert whole(report, "weight.coverage") == 1.0
    assert whole(report, "weight.coverage.renamed") == TENSORS
    assert f"{TENSORS} tensors are named differently in the two checkpoints" in notes(report)
    assert prefix in notes(report)
    assert tensor(report, "weight.delta.relative", PLANTED_TENSOR) == 1.0
    assert "changed 1 of 21 tensors" in finding(report, "weight.change").message


def test_the_inner_models_prefix_may_be_missing_on_one_side(tmp_path: Path) -> None:
    pair = changed_pair(tmp_path, PLANTED_TENSOR, lambda weight: weight * 2)
    rewrite(pair.trained, lambda tensors: {name.removeprefix("model."): value for name, value in tensors.items()})
    report = compare(pair, tmp_path / "run")
    assert states(report) == {"matched": TENSORS}
    assert whole(report, "weight.coverage.renamed") == TENSORS - 1  # the head never had it
    assert tensor(report, "weight.delta.relative", PLANTED_TENSOR) == 1.0


def test_a_wrapper_inside_a_name_is_stripped(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    inner = "_checkpoint_wrapped_module."
    rewrite(
        pair.trained, lambda tensors: {n.replace("self_attn.", f"{inner}self_attn."): v for n, v in tensors.items()}
    )
    report = compare(pair, tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    assert whole(report, "weight.coverage.renamed") == 8  # q k v o in two layers


def test_names_that_both_sides_wrap_alike_are_not_renamed(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    for side in (pair.base, pair.trained):
        rewrite(side, lambda tensors: {f"_orig_mod.{name}": value for name, value in tensors.items()})
    report = compare(pair, tmp_path / "run")
    assert whole(report, "weight.coverage.renamed") == 0
    assert tensor(report, "weight.delta.norm", PLANTED_TENSOR) == 0.0


def test_a_tensor_stored_with_and_without_its_wrapper_is_counted_twice_and_lost_never(tmp_path: Path) -> None:
    """Trainers that save a compiled copy beside the plain one leave both names in a file."""
    pair = identity_pair(tmp_path)

    def both(tensors: Weights) -> Weights:
        return {**tensors, f"_orig_mod.{PLANTED_TENSOR}": tensors[PLANTED_TENSOR] * 3}

    rewrite(pair.trained, both)
    report = compare(pair, tmp_path / "run")
    assert {e.component: e.status for e in report.result.executions if e.status not in {"ok", "skipped"}} == {}
    assert states(report) == {"matched": TENSORS, "extra": 1}
    assert whole(report, "weight.coverage") == PARAMETERS / (PARAMETERS + 256)
    assert tensor(report, "weight.delta.norm", PLANTED_TENSOR) == 0.0
    assert finding(report, "weight.incomplete_coverage").kind == "review"


# --- ties


def drop_head(tensors: Weights) -> Weights:
    return {name: value for name, value in tensors.items() if name != HEAD}


@pytest.mark.parametrize("tied", ["base", "trained"])
def test_a_head_that_one_side_ties_is_compared_with_that_sides_embedding(tied: str, tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    side = getattr(pair, tied)
    rewrite(side, drop_head)
    configure(side, tie_word_embeddings=True)
    report = compare(pair, tmp_path / "run")
    tensors = load_weights(pair.trained if tied == "base" else pair.base)
    embedding, head = wide(tensors[EMBEDDING]), wide(tensors[HEAD])
    expected = relative(embedding, head) if tied == "base" else relative(head, embedding)
    assert tensor(report, "weight.delta.relative", HEAD) == pytest.approx(expected, rel=1e-12)
    assert tensor(report, "weight.delta.norm", EMBEDDING) == 0.0
    assert states(report) == {"matched": TENSORS - 1, "tied": 1}
    assert whole(report, "weight.coverage") == 1.0
    assert f"{HEAD}: tied to the input embedding in the {tied} model" in notes(report)


def test_untying_without_training_shows_no_change(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    rewrite(pair.base, drop_head)
    configure(pair.base, tie_word_embeddings=True)
    rewrite(pair.trained, lambda tensors: {**tensors, HEAD: tensors[EMBEDDING].clone()})
    report = compare(pair, tmp_path / "run")
    assert finding(report, "weight.change").kind == "pass"
    assert finding(report, "weight.config_change").kind == "review"  # and the flag itself is shown
    assert whole(report, "weight.coverage") == 1.0


def test_a_head_that_is_missing_though_nothing_ties_it_is_unexplained(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    rewrite(pair.trained, drop_head)
    report = compare(pair, tmp_path / "run")
    assert states(report) == {"matched": TENSORS - 1, "missing": 1}
    assert whole(report, "weight.coverage.unexplained") == VOCABULARY * WIDTH / PARAMETERS


def test_a_tied_head_follows_its_tokens_when_their_ids_move(tmp_path: Path) -> None:
    pair = moved_ids(tmp_path)
    rewrite(pair.base, lambda tensors: {**tensors, HEAD: tensors[EMBEDDING].clone()})
    rewrite(pair.trained, drop_head)
    configure(pair.trained, tie_word_embeddings=True)
    report = compare(pair, tmp_path / "run")
    assert tensor(report, "weight.delta.norm", HEAD) == 0.0
    assert whole(report, "weight.coverage") == 1.0


def test_a_head_stored_beside_its_tied_embedding_is_compared_like_any_tensor(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    for side in (pair.base, pair.trained):
        configure(side, tie_word_embeddings=True)
        rewrite(side, lambda tensors: {**tensors, HEAD: tensors[EMBEDDING].clone()})
    report = compare(pair, tmp_path / "run")
    assert states(report) == {"matched": TENSORS}
    assert finding(report, "weight.change").kind == "pass"


def torch_file(directory: Path, tensors: Weights) -> None:
    for file in directory.glob("*.safetensors"):
        file.unlink()
    torch.save(tensors, directory / "pytorch_model.bin")


def shared_head(directory: Path) -> None:
    tensors = load_weights(directory)
    torch_file(directory, {**tensors, HEAD: tensors[EMBEDDING]})


def test_tensors_that_share_storage_on_both_sides_are_counted_once(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    for side in (pair.base, pair.trained):
        shared_head(side)
    report = compare(pair, tmp_path / "run")
    assert states(report) == {"matched": TENSORS - 1, "tied": 1}
    (coverage,) = (m for m in report.measurements("weight.coverage") if m.scope.key() == "model")
    assert (coverage.value, coverage.n) == (1.0, PARAMETERS - VOCABULARY * WIDTH)
    assert report.result.subjects[0].parameters == PARAMETERS - VOCABULARY * WIDTH


def test_a_shared_head_is_compared_with_a_head_of_its_own(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    shared_head(pair.base)
    report = compare(pair, tmp_path / "run")
    tensors = load_weights(pair.trained)
    expected = relative(wide(tensors[EMBEDDING]), wide(tensors[HEAD]))
    assert tensor(report, "weight.delta.relative", HEAD) == pytest.approx(expected, rel=1e-12)
    assert states(report) == {"matched": TENSORS}


def test_a_shared_head_in_a_torch_file_matches_a_tied_safetensors_file(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    shared_head(pair.base)
    rewrite(pair.trained, drop_head)
    for side in (pair.base, pair.trained):
        configure(side, tie_word_embeddings=True)
    report = compare(pair, tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    assert finding(report, "weight.change").kind == "pass"
    assert {f.kind for f in report.findings} <= {"pass", "not_applicable"}


# --- vocabularies


def retokenize(directory: Path, words: Mapping[str, int]) -> None:
    tokenizer = read_json(directory / "tokenizer.json")
    tokenizer["model"]["vocab"] = dict(words)
    write_json(directory / "tokenizer.json", tokenizer)


def words_of(directory: Path) -> dict[str, int]:
    words: dict[str, int] = read_json(directory / "tokenizer.json")["model"]["vocab"]
    return words


def resized(tensors: Weights, rows: int) -> Weights:
    """Embedding and head with `rows` rows, new ones filled with ones."""
    result = dict(tensors)
    for name in (EMBEDDING, HEAD):
        grown = torch.ones(rows, WIDTH, dtype=tensors[name].dtype)
        kept = min(rows, len(tensors[name]))
        grown[:kept] = tensors[name][:kept]
        result[name] = grown
    return result


def test_appended_tokens_are_explained_and_the_common_rows_compared(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    words = words_of(pair.trained)
    retokenize(pair.trained, {**words, **{f"new{i}": VOCABULARY + i for i in range(4)}})

    def train(tensors: Weights) -> Weights:
        grown = resized(tensors, VOCABULARY + 4)
        grown[EMBEDDING][5] *= 2
        return grown

    rewrite(pair.trained, train)
    configure(pair.trained, vocab_size=VOCABULARY + 4)
    report = compare(pair, tmp_path / "run")
    embedding = wide(load_weights(pair.base)[EMBEDDING])
    expected = np.linalg.norm(embedding[5]) / np.linalg.norm(embedding)
    assert tensor(report, "weight.delta.relative", EMBEDDING) == pytest.approx(expected, rel=1e-12)
    assert tensor(report, "weight.delta.changed_fraction", EMBEDDING) == WIDTH / (VOCABULARY * WIDTH)
    assert tensor(report, "weight.delta.norm", HEAD) == 0.0
    assert states(report) == {"matched": TENSORS - 2, "reshaped": 2}
    assert whole(report, "weight.coverage") == PARAMETERS / (PARAMETERS + 2 * 4 * WIDTH)
    assert whole(report, "weight.coverage.unexplained") == 0.0
    assert tensor(report, "weight.coverage", EMBEDDING) == VOCABULARY / (VOCABULARY + 4)
    assert f"{EMBEDDING}: rows paired by token: 48 common, 4 added, 0 removed" in notes(report)
    coverage = finding(report, "weight.incomplete_coverage")
    assert coverage.kind == "pass"
    assert "the rest belongs to added or removed tokens" in coverage.message
    assert whole(report, "weight.vocabulary.changed") == 4


def moved_ids(directory: Path) -> Pair:
    """The same tokens with the same rows, under ids that are rotated by five."""
    pair = identity_pair(directory)
    ids = {token: (index + 5) % VOCABULARY for token, index in words_of(pair.base).items()}
    tokenizer = read_json(pair.trained / "tokenizer.json")
    tokenizer["model"]["vocab"] = ids
    for entry in tokenizer["added_tokens"]:
        entry["id"] = ids[entry["content"]]
    write_json(pair.trained / "tokenizer.json", tokenizer)
    rewrite(
        pair.trained,
        lambda tensors: {n: v.roll(5, 0) if n in (EMBEDDING, HEAD) else v for n, v in tensors.items()},
    )
    return pair


def test_rows_follow_their_tokens_when_ids_move(tmp_path: Path) -> None:
    report = compare(moved_ids(tmp_path), tmp_path / "run")
    assert tensor(report, "weight.delta.norm", EMBEDDING) == 0.0
    assert tensor(report, "weight.delta.norm", HEAD) == 0.0
    assert finding(report, "weight.change").kind == "pass"
    assert whole(report, "weight.coverage") == 1.0
    assert whole(report, "weight.vocabulary.changed") == VOCABULARY
    assert finding(report, "weight.vocabulary_change").kind != "pass"


def test_a_heads_bias_follows_its_tokens_too(tmp_path: Path) -> None:
    pair = moved_ids(tmp_path)
    bias = torch.arange(VOCABULARY, dtype=torch.bfloat16)
    rewrite(pair.base, lambda tensors: {**tensors, "lm_head.bias": bias})
    rewrite(pair.trained, lambda tensors: {**tensors, "lm_head.bias": bias.roll(5)})
    report = compare(pair, tmp_path / "run")
    assert tensor(report, "weight.delta.norm", "lm_head.bias") == 0.0


def test_the_rows_of_a_classifier_are_labels_and_keep_their_order(tmp_path: Path) -> None:
    pair = moved_ids(tmp_path)
    score = torch.eye(6, WIDTH, dtype=torch.bfloat16)
    for side, value in ((pair.base, score), (pair.trained, score.flip(0))):
        rewrite(side, lambda tensors, value=value: {**drop_head(tensors), "score.weight": value.contiguous()})
    report = compare(pair, tmp_path / "run")
    assert tensor(report, "weight.delta.norm", "score.weight") == pytest.approx(12**0.5, rel=1e-15)
    assert tensor(report, "weight.delta.norm", EMBEDDING) == 0.0


def test_padding_rows_are_compared_by_id(tmp_path: Path) -> None:
    """Embeddings padded to a multiple of 8 or 64 have rows without a token."""
    pair = identity_pair(tmp_path)
    for side in (pair.base, pair.trained):
        rewrite(side, lambda tensors: resized(tensors, 64))

    def train(tensors: Weights) -> Weights:
        tensors[EMBEDDING][60] = 3.0
        return tensors

    rewrite(pair.trained, train)
    report = compare(pair, tmp_path / "run")
    assert tensor(report, "weight.delta.norm", EMBEDDING) == pytest.approx(2 * WIDTH**0.5, rel=1e-15)
    assert whole(report, "weight.coverage") == 1.0


def test_padding_that_one_side_lacks_is_added_rows(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    rewrite(pair.trained, lambda tensors: resized(tensors, 64))
    report = compare(pair, tmp_path / "run")
    added = 2 * (64 - VOCABULARY) * WIDTH
    assert whole(report, "weight.coverage") == PARAMETERS / (PARAMETERS + added)
    assert whole(report, "weight.coverage.unexplained") == 0.0
    assert finding(report, "weight.change").kind == "pass"


def test_removed_tokens_are_explained(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    retokenize(pair.trained, {token: i for token, i in words_of(pair.base).items() if i < 40})
    rewrite(pair.trained, lambda tensors: resized(tensors, 40))
    report = compare(pair, tmp_path / "run")
    assert "rows paired by token: 40 common, 0 added, 8 removed" in notes(report)
    assert whole(report, "weight.coverage") == (PARAMETERS - 2 * 8 * WIDTH) / PARAMETERS
    assert whole(report, "weight.coverage.unexplained") == 0.0


def test_without_a_tokenizer_rows_are_paired_by_id(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    for side in (pair.base, pair.trained):
        (side / "tokenizer.json").unlink()
    rewrite(pair.trained, lambda tensors: resized(tensors, 50))
    report = compare(pair, tmp_path / "run")
    assert f"{EMBEDDING}: rows paired by id: 48 common, 2 added, 0 removed" in notes(report)
    assert tensor(report, "weight.delta.norm", EMBEDDING) == 0.0
    assert finding(report, "weight.vocabulary_change").kind == "not_applicable"


def test_a_token_renamed_in_place_keeps_its_row(tmp_path: Path) -> None:
    """Reserved tokens are given a meaning by training; their rows are what training changed."""
    pair = identity_pair(tmp_path)
    words = words_of(pair.base)
    words["<|im_start|>"] = words.pop("word44")
    retokenize(pair.trained, words)

    def train(tensors: Weights) -> Weights:
        tensors[EMBEDDING][47] *= 2
        return tensors

    rewrite(pair.trained, train)
    report = compare(pair, tmp_path / "run")
    assert tensor(report, "weight.delta.changed_fraction", EMBEDDING) == 1 / VOCABULARY
    assert whole(report, "weight.coverage") == 1.0


# --- what cannot be compared


def test_a_reshaped_tensor_is_unexplained_and_counted(tmp_path: Path) -> None:
    report = compare(reshaped_pair(tmp_path), tmp_path / "run")
    assert states(report) == {"matched": TENSORS - 1, "reshaped": 1}
    assert whole(report, "weight.coverage") == (PARAMETERS - 256) / PARAMETERS
    assert whole(report, "weight.coverage.unexplained") == 256 / PARAMETERS
    coverage = finding(report, "weight.incomplete_coverage")
    assert (coverage.kind, coverage.level) == ("review", "warning")
    (example,) = coverage.examples
    assert example.label == PLANTED_TENSOR
    assert example.note == "shapes differ: 16x16 in base, 16x15 in trained"
    (measured,) = (m for m in report.measurements("weight.delta.norm") if m.scope.tensor == PLANTED_TENSOR)
    assert (measured.status, measured.value, measured.reason) == ("undefined", None, example.note)


def test_equal_counts_in_another_shape_are_not_subtracted(tmp_path: Path) -> None:
    pair = changed_pair(tmp_path, PLANTED_TENSOR, lambda weight: weight.reshape(8, 32))
    report = compare(pair, tmp_path / "run")
    assert tensor(report, "weight.delta.norm", PLANTED_TENSOR) is None
    assert whole(report, "weight.coverage.unexplained") == 256 / PARAMETERS


def test_a_missing_tensor_is_unexplained_and_counted(tmp_path: Path) -> None:
    report = compare(dropped_pair(tmp_path), tmp_path / "run")
    assert states(report) == {"matched": TENSORS - 1, "missing": 1}
    assert whole(report, "weight.coverage") == (PARAMETERS - 256) / PARAMETERS
    coverage = finding(report, "weight.incomplete_coverage")
    assert coverage.kind == "review"
    assert coverage.examples[0].note == "only the base model has it; the trained model does not"


def test_an_extra_tensor_is_unexplained_and_counted(tmp_path: Path) -> None:
    report = compare(added_pair(tmp_path), tmp_path / "run")
    assert states(report) == {"matched": TENSORS, "extra": 1}
    assert whole(report, "weight.coverage") == PARAMETERS / (PARAMETERS + 16)
    coverage = finding(report, "weight.incomplete_coverage")
    assert coverage.kind == "review"
    assert coverage.examples[0].note == "only the trained model has it; the base model does not"


def test_a_missing_layer_is_every_one_of_its_tensors(tmp_path: Path) -> None:
    pair = Pair(base=tiny_checkpoint(tmp_path / "base"), trained=tiny_checkpoint(tmp_path / "trained", layers=1))
    report = compare(pair, tmp_path / "run")
    assert states(report) == {"matched": 12, "missing": 9}
    assert whole(report, "weight.coverage.unexplained") == 2336 / PARAMETERS


def test_buffers_count_on_neither_side(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    mask = torch.ones(1, 1, 8, 8, dtype=torch.uint8)

    def with_buffers(tensors: Weights) -> Weights:
        buffers = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.rand(4) for i in range(2)}
        return {**tensors, **buffers, "model.layers.0.attn.bias": mask, "model.position_ids": torch.arange(8)}

    rewrite(pair.trained, with_buffers)
    report = compare(pair, tmp_path / "run")
    assert states(report) == {"matched": TENSORS, "buffer": 4}
    (coverage,) = (m for m in report.measurements("weight.coverage") if m.scope.key() == "model")
    assert (coverage.value, coverage.n) == (1.0, PARAMETERS)
    assert finding(report, "weight.incomplete_coverage").kind == "pass"
    assert report.result.subjects[1].parameters == PARAMETERS


def test_an_old_gpt2_file_lines_up_with_a_new_one(tmp_path: Path) -> None:
    """Old files lack the `transformer.` prefix and hold causal masks; new ones are the other way round."""
    generator = torch.Generator().manual_seed(3)
    names = {"wte.weight": (32, 8), "wpe.weight": (16, 8), "h.0.attn.c_attn.weight": (8, 24), "ln_f.weight": (8,)}
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in names.items()}
    old, new = tmp_path / "old", tmp_path / "new"
    for side in (old, new):
        side.mkdir()
        write_json(side / "config.json", {"model_type": "gpt2", "n_layer": 1, "tie_word_embeddings": True})
    masks = {"h.0.attn.bias": torch.ones(1, 1, 16, 16).tril(), "h.0.attn.masked_bias": torch.tensor(-1e4)}
    torch.save({**tensors, **masks}, old / "pytorch_model.bin")
    save_weights(new, {f"transformer.{name}": value for name, value in tensors.items()})
    report = compare(Pair(base=old, trained=new), tmp_path / "run")
    assert states(report) == {"matched": 4, "buffer": 2}
    assert whole(report, "weight.coverage") == 1.0
    assert whole(report, "weight.coverage.renamed") == 4
    assert finding(report, "weight.change").kind == "pass"


# --- dtypes


def cast(directory: Path, stored: str, dtype: str) -> Pair:
    """A checkpoint and the same values rounded to another dtype."""
    pair = Pair(base=directory / "base", trained=directory / "trained")
    tiny_checkpoint(pair.base, dtype=stored)
    shutil.copytree(pair.base, pair.trained)
    rewrite(pair.trained, lambda tensors: {name: value.to(getattr(torch, dtype)) for name, value in tensors.items()})
    configure(pair.trained, dtype=dtype)
    return pair


@pytest.mark.parametrize(
    ("stored", "dtype"), [("float32", "bfloat16"), ("float32", "float16"), ("bfloat16", "float32")]
)
def test_a_cast_is_recognised_as_the_base_re_encoded(stored: str, dtype: str, tmp_path: Path) -> None:
    pair = cast(tmp_path, stored, dtype)
    report = compare(pair, tmp_path / "run")
    assert whole(report, "weight.delta.changed_fraction") == 0.0
    base = np.concatenate([wide(value).ravel() for _, value in sorted(load_weights(pair.base).items())])
    trained = np.concatenate([wide(value).ravel() for _, value in sorted(load_weights(pair.trained).items())])
    assert whole(report, "weight.delta.relative") == pytest.approx(relative(base, trained), rel=1e-12)
    rounding = finding(report, "weight.below_rounding")
    if stored == "bfloat16":  # widening is exact
        assert whole(report, "weight.delta.norm") == 0.0
        assert rounding.kind == "pass"
        assert finding(report, "weight.change").kind == "pass"
    else:
        assert whole(report, "weight.delta.norm") > 0
        assert rounding.kind == "review"
        assert "re-encoded in another dtype" in rounding.message
        assert tensor(report, "weight.rounding.ratio", EMBEDDING) == pytest.approx(1.0, abs=0.1)
        change = finding(report, "weight.change")
        assert "by rounding to another dtype alone" in change.message  # nobody trained this
        assert "Training changed" not in change.message
    assert report.result.subjects[0].dtypes != report.result.subjects[1].dtypes


def test_a_change_below_a_casts_rounding_is_not_a_change_of_bits(tmp_path: Path) -> None:
    """W' = round(W + ε) in bf16, with ε far below the spacing: bit for bit the cast base."""
    pair = cast(tmp_path, "float32", "bfloat16")
    tensors = load_weights(pair.base)
    tensors[PLANTED_TENSOR] = tensors[PLANTED_TENSOR].to(torch.bfloat16).float()  # exact in bf16, so ε cannot tip it
    save_weights(pair.base, tensors)
    nudged = {**tensors, PLANTED_TENSOR: tensors[PLANTED_TENSOR] * (1 + 1e-5)}
    save_weights(pair.trained, {name: value.to(torch.bfloat16) for name, value in nudged.items()})
    report = compare(pair, tmp_path / "run")
    assert tensor(report, "weight.delta.changed_fraction", PLANTED_TENSOR) == 0.0
    assert tensor(report, "weight.delta.norm", PLANTED_TENSOR) == 0.0


def test_a_real_change_beside_a_cast_is_still_seen(tmp_path: Path) -> None:
    pair = cast(tmp_path, "float32", "bfloat16")
    rewrite(pair.trained, lambda tensors: {**tensors, PLANTED_TENSOR: tensors[PLANTED_TENSOR] * 2})
    report = compare(pair, tmp_path / "run")
    assert tensor(report, "weight.delta.changed_fraction", PLANTED_TENSOR) == 1.0
    assert "re-encoded" not in finding(report, "weight.below_rounding").message


@pytest.mark.parametrize("sides", ["trained", "both"])
def test_quantised_codes_are_named_and_never_subtracted(sides: str, tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)

    def quantise(tensors: Weights) -> Weights:
        weight = tensors[PLANTED_TENSOR].float()
        scale = weight.abs().amax(1) / 127
        codes = (weight / scale[:, None]).round().to(torch.int8)
        # a scale under a name that no known packing has; those that are known are in test_quantised
        return {**tensors, PLANTED_TENSOR: codes, PLANTED_TENSOR.replace(".weight", ".absmax"): scale}

    for side in (pair.base, pair.trained) if sides == "both" else (pair.trained,):
        rewrite(side, quantise)
    report = compare(pair, tmp_path / "run")
    assert tensor(report, "weight.delta.norm", PLANTED_TENSOR) is None
    assert states(report)["unsupported"] == 1
    assert whole(report, "weight.coverage.unexplained") == 256 / PARAMETERS
    coverage = finding(report, "weight.incomplete_coverage")
    assert coverage.kind == "review"
    shown = {example.label: example.note or "" for example in coverage.examples}
    assert "a quantised weight of dtype I8" in shown[PLANTED_TENSOR]
    assert "dequantise" in shown[PLANTED_TENSOR]


def test_eight_bit_floats_are_named_and_not_compared(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)

    def narrow(tensors: Weights) -> Weights:
        return {**tensors, PLANTED_TENSOR: tensors[PLANTED_TENSOR].float().to(torch.float8_e4m3fn)}

    rewrite(pair.trained, narrow)
    report = compare(pair, tmp_path / "run")
    assert states(report) == {"matched": TENSORS - 1, "unsupported": 1}
    (example,) = finding(report, "weight.incomplete_coverage").examples
    assert "an 8-bit float of dtype F8_E4M3" in (example.note or "")


# --- roll-ups


def test_roll_ups_add_energies_over_layers_and_kinds(tmp_path: Path) -> None:
    """‖Δ‖ of a place is the root of the summed squares of its tensors, and the relative change of the summed norms."""
    pair = Pair(base=tiny_checkpoint(tmp_path / "base"), trained=tiny_checkpoint(tmp_path / "trained", seed=1))
    report = compare(pair, tmp_path / "run")
    base, trained = load_weights(pair.base), load_weights(pair.trained)
    scopes = {m.scope.tensor: m.scope for m in report.measurements("weight.delta.norm") if m.scope.tensor}
    places = [m.scope for m in report.measurements("weight.delta.norm") if m.scope.tensor is None]
    assert len(places) == 1 + 10 + 2 * (1 + 8)  # the model, ten kinds, and per layer itself and eight kinds

    def inside(place: Scope, scope: Scope) -> bool:
        return place.layer in (None, scope.layer) and place.module in (None, scope.module)

    for place in places:
        names = [name for name, scope in scopes.items() if inside(place, scope)]
        left = np.concatenate([wide(base[name]).ravel() for name in names if name])
        right = np.concatenate([wide(trained[name]).ravel() for name in names if name])
        if not np.any(left != right):  # the norms are all ones
            continue
        values = {
            metric: next(m.value for m in report.measurements(f"weight.delta.{metric}") if m.scope == place)
            for metric in ("norm", "relative", "cosine_distance", "max_abs", "changed_fraction")
        }
        cosine = 1 - float(left @ right) / float(np.linalg.norm(left) * np.linalg.norm(right))
        assert values["norm"] == pytest.approx(float(np.linalg.norm(right - left)), rel=1e-12)
        assert values["relative"] == pytest.approx(relative(left, right), rel=1e-12)
        assert values["cosine_distance"] == pytest.approx(cosine, rel=1e-9)
        assert values["max_abs"] == np.abs(right - left).max()
        assert values["changed_fraction"] == np.mean(left != right)


def test_a_copy_elsewhere_is_the_same_subject(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    shutil.copytree(pair.base, tmp_path / "elsewhere" / "model")
    first = compare(pair, tmp_path / "run")
    second = compare(Pair(base=pair.base, trained=tmp_path / "elsewhere" / "model"), tmp_path / "again")
    assert first.result.subjects[1].digest == second.result.subjects[1].digest
    assert first.result.run.id == second.result.run.id
    assert first.result.measurements == second.result.measurements


def test_the_tiny_checkpoint_is_what_the_numbers_above_assume() -> None:
    config = llama_config(layers=2, hidden=WIDTH, vocab=VOCABULARY, dtype="bfloat16")
    assert (config["vocab_size"], config["hidden_size"]) == (VOCABULARY, WIDTH)
    assert len(word_tokenizer(VOCABULARY)["model"]["vocab"]) == VOCABULARY
