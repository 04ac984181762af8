"""Writing with models in memory: batched equals unbatched, ends and lengths are right, memory is given back.

The models are tiny, random and made here, one per family of positions and masks; the tokenizer and two trained models
are those that are shipped.
"""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from afterburn_core.backends.checkpoint import Checkpoint
from afterburn_core.backends.transformers_generator import TransformersGenerator, open_generator
from afterburn_core.backends.transformers_loading import Origin, ResidentModel, load_model
from afterburn_core.backends.transformers_subjects import checkpoint_generator
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Completed, Decoding, Request, Sample, Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.model import Message
from afterburn_core.run.references import parse_reference
from afterburn_core.run.seeds import child_seed
from afterburn_core.run.subjects import open_subject
from afterburn_core.testing.guards import global_seeds, watched_globals
from afterburn_organisms import demo_pair
from afterburn_organisms.world import held_out_items

BASE, VERBOSE = demo_pair()
_SIZE = {"vocab_size": 1414, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": False}
_WIDE = {**_SIZE, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
_LLAMA = {**_WIDE, "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", _LLAMA),
    "gpt2": (
        "GPT2",
        {**_SIZE, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "initializer_range": 0.3},
    ),
    "qwen2": ("Qwen2", _LLAMA),
    "gemma3": (  # one layer in two sees a window only, and that is shorter than the texts
        "Gemma3Text",
        {**_LLAMA, "head_dim": 8, "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "bloom": (  # positions come from the mask
        "Bloom",
        {**_SIZE, "hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3},
    ),
}
_CLASSES = {"GPT2": "GPT2LMHeadModel", "Gemma3Text": "Gemma3ForCausalLM"}


def make_model(directory: Path, name: str, ends: Sequence[int] = (2,)) -> Path:
    """A random model of that architecture with the shipped tokenizer; `ends` are its end marks."""
    prefix, settings = ARCHITECTURES[name]
    with global_seeds(7):
        config = getattr(transformers, f"{prefix}Config")(**settings)
        model = getattr(transformers, _CLASSES.get(prefix, f"{prefix}ForCausalLM"))(config)
        for key, parameter in model.named_parameters():
            if parameter.dim() == 1:  # Gemma's norms add one to their weights
                torch.nn.init.normal_(parameter, float(key.endswith("weight") and prefix != "Gemma3Text"), 0.1)
    model.generation_config.eos_token_id = list(ends)
    model.save_pretrained(directory)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (directory / file).write_bytes((BASE / file).read_bytes())
    return directory


@pytest.fixture(scope="module")
def model_at(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Directories of the random models, each made once, with many end marks so that answers end at different steps."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = make_model(tmp_path_factory.mktemp(name), name, ends=(2, *range(100, 1414, 9)))
        return made[name]

    return make


def requests_for(count: int = 24, samples: int = 1, choices: tuple[str, ...] = ()) -> list[Request]:
    """Held-out prompts of all categories, from a few tokens to some eighty."""
    items = held_out_items(5, 4)
    prompts = [items[i % len(items)].prompt + " And why is that so?" * (i % 4) for i in range(count)]
    return [
        Request(
            probe=f"p{number}",
            index=index,
            messages=(Message(role="user", content=prompt),),
            seed=child_seed(3, f"{number}/{index}"),
            choices=choices,
        )
        for number, prompt in enumerate(prompts)
        for index in range(samples)
    ]


def writer(path: Path, decoding: Decoding, rows: int | None = None, dtype: str = "auto") -> TransformersGenerator:
    serving = Serving(batch=rows, dtype=dtype)
    return open_generator(decoding, origin=Origin(directory=path, label=path.name), parameters=1, serving=serving)


def written(generator: TransformersGenerator, requests: Sequence[Request]) -> dict[tuple[str, int], Sample]:
    found: list[Completed] = list(generator.generate(requests))
    generator.close()
    assert len(found) == len(requests)
    return {(done.request.probe, done.request.index): done.sample for done in found}


def tokens_of(samples: dict[tuple[str, int], Sample]) -> dict[tuple[str, int], tuple[int, ...] | None]:
    return {name: sample.token_ids for name, sample in samples.items()}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_batched_greedy_equals_unbatched_greedy(name: str, model_at: Callable[[str], Path]) -> None:
    path, requests = model_at(name), requests_for(20)
    decoding = Decoding(max_new_tokens=24)
    alone = written(writer(path, decoding, rows=1), requests)
    together = written(writer(path, decoding, rows=7), requests)
    assert tokens_of(together) == tokens_of(alone)
    assert [s.finish for s in together.values()].count("stop") > 2  # rows left while others went on
    assert len({token for sample in together.values() for token in sample.token_ids or ()}) > 30  # and do not echo
    for key, sample in together.items():
        assert sample.logprob == pytest.approx(alone[key].logprob, abs=1e-2)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_is_what_generate_writes_one_prompt_at_a_time(name: str, model_at: Callable[[str], Path]) -> None:
    path, requests = model_at(name), requests_for(8)
    ours = written(writer(path, Decoding(max_new_tokens=20)), requests)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    ends = set(model.generation_config.eos_token_id)
    for request in requests:
        turns = [{"role": "user", "content": request.messages[0].content}]
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            row = model.generate(**ids, max_new_tokens=20, do_sample=False)[0, ids["input_ids"].shape[1] :].tolist()
            logits = model(torch.cat([ids["input_ids"], torch.tensor([row])], 1)).logits[0].double().log_softmax(-1)
        ended = row[-1] in ends
        sample = ours[request.probe, 0]
        assert sample.token_ids == tuple(row[:-1] if ended else row)
        assert sample.finish == ("stop" if ended else "length")
        assert sample.tokens == len(row) - ended
        start = ids["input_ids"].shape[1] - 1
        wanted = sum(float(logits[start + step, token]) for step, token in enumerate(row))
        assert sample.logprob == pytest.approx(wanted, abs=1e-2)


@pytest.mark.parametrize("case", [{"temperature": 1.0}, {"temperature": 0.8, "top_k": 30, "top_p": 0.9}])
@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen2"])
def test_batched_samples_equal_unbatched_samples(
    name: str, case: dict[str, Any], model_at: Callable[[str], Path]
) -> None:
    path, requests = model_at(name), requests_for(10, samples=3)
    decoding = Decoding(max_new_tokens=20, repetition_penalty=1.1, **case)
    together = written(writer(path, decoding, rows=11), requests)
    alone = written(writer(path, decoding, rows=1), list(reversed(requests)))
    assert tokens_of(together) == tokens_of(alone)
    assert len({together["p0", index].token_ids for index in range(3)}) > 1


@pytest.mark.parametrize("path", [BASE, VERBOSE], ids=["base", "verbose"])
def test_the_shipped_models_write_the_same_in_any_batch(path: Path) -> None:
    requests = requests_for(32)
    decoding = Decoding(max_new_tokens=48)
    together = written(writer(path, decoding, rows=16), requests)
    fewer = written(writer(path, decoding, rows=5), requests[::-1])
    alone = written(writer(path, decoding, rows=1), requests[::5])
    assert tokens_of(together) == tokens_of(fewer)
    assert {key: together[key].token_ids for key in alone} == tokens_of(alone)


def test_equal_seeds_write_equal_texts_and_others_do_not() -> None:
    requests = requests_for(6)
    decoding = Decoding(max_new_tokens=24, temperature=1.0)
    first, second = (written(writer(VERBOSE, decoding), requests) for _ in range(2))
    assert first == second
    other = [Request(**{**vars_of(request), "seed": request.seed + 1}) for request in requests]
    assert tokens_of(written(writer(VERBOSE, decoding), other)) != tokens_of(first)


def vars_of(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in ("probe", "index", "messages", "seed", "choices")}


def test_labels_have_the_probability_of_their_first_token() -> None:
    request = requests_for(1, choices=("A", "B", "no"))[0]
    sample = written(writer(BASE, Decoding(max_new_tokens=2)), [request])["p0", 0]
    tokenizer = AutoTokenizer.from_pretrained(BASE, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32, local_files_only=True).eval()
    turns = [{"role": "user", "content": request.messages[0].content}]
    text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        probabilities = model(torch.tensor([prompt])).logits[0, -1].double().softmax(-1)
    for label, logprob in zip(request.choices, sample.choice_logprobs or (), strict=True):
        first = {
            tokenizer(text + variant, add_special_tokens=False)["input_ids"][len(prompt)]
            for variant in (label, " " + label)
        }
        assert logprob == pytest.approx(float(np.log(sum(probabilities[i].item() for i in first))), abs=1e-4)


def test_a_models_own_decoding_is_recorded_and_not_applied(tmp_path: Path) -> None:
    path = make_model(tmp_path / "own", "llama")
    before = written(writer(path, Decoding(max_new_tokens=12)), requests_for(4))
    own = json.loads((path / "generation_config.json").read_text())
    wishes = {"do_sample": True, "temperature": 1.9, "repetition_penalty": 5.0, "suppress_tokens": list(range(50, 900))}
    (path / "generation_config.json").write_text(json.dumps({**own, **wishes}))
    generator = writer(path, Decoding(max_new_tokens=12))
    assert generator.facts.properties["own_decoding"] == wishes
    assert generator.facts.decoding == {
        "max_new_tokens": 12, "temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0,
        "repetition_penalty": 1.0, "template": "chat",
    }  # fmt: skip
    assert tokens_of(written(generator, requests_for(4))) == tokens_of(before)


def test_facts_need_no_weights_and_tell_template_and_context() -> None:
    generator = writer(BASE, Decoding())
    facts = generator.facts
    assert facts.engine == f"transformers {transformers.__version__}"
    assert (facts.template, facts.context) == ("chat", 512)
    assert facts.template_sha256 and facts.tokenizer_sha256
    assert writer(BASE, Decoding(template="plain")).facts.template_sha256 is None
    generator.groups(requests_for(3))
    assert not generator._resident.loaded


def test_a_prompt_longer_than_the_context_is_refused_by_name(model_at: Callable[[str], Path]) -> None:
    asked = [
        *requests_for(2),
        Request(probe="long", index=0, messages=(Message(role="user", content="a b " * 400),), seed=1),
    ]
    generator = writer(model_at("llama"), Decoding(max_new_tokens=8))
    with pytest.raises(SubjectError, match=r"prompt 'long' has \d+ tokens and the model reads at most 256"):
        list(generator.generate(asked))
    assert not generator._resident.loaded


def test_an_answer_that_the_context_cuts_says_so(tmp_path: Path) -> None:
    path = make_model(tmp_path / "short", "llama", ends=(1413,))
    samples = written(writer(path, Decoding(max_new_tokens=1000)), requests_for(2))
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    for request in requests_for(2):
        turns = [{"role": "user", "content": request.messages[0].content}]
        prompt = len(tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"])
        sample = samples[request.probe, 0]
        assert (sample.finish, sample.tokens) == ("length", 256 - prompt)
        assert sample.labels == {"capped_by_context": 256 - prompt}


class OnlySoManyRows:
    """A model in whose memory no more than so many rows fit: forward passes of more of them fail."""

    def __init__(self, path: Path, most: int, error: Exception) -> None:
        self.most, self.error, self.seen = most, error, 0
        self.model = load_model(Origin(directory=path, label="m"), device="cpu", dtype="auto")
        self.model.register_forward_pre_hook(self.check, with_kwargs=True)

    def check(self, module: Any, positional: Any, keywords: dict[str, Any]) -> None:
        rows = keywords["input_ids"].shape[0]
        self.seen = max(self.seen, rows)
        if rows > self.most:
            raise self.error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: not enough memory: you tried to"),
    ],
    ids=["cuda", "cpu"],
)
def test_running_out_of_memory_halves_the_batch_and_goes_on(error: Exception, model_at: Callable[[str], Path]) -> None:
    path, requests = model_at("llama"), requests_for(20, samples=2)
    decoding = Decoding(max_new_tokens=16, temperature=0.9)
    wanted = written(writer(path, decoding), requests)
    limited = OnlySoManyRows(path, 5, error)
    generator = TransformersGenerator(
        Origin(directory=path, label="m"),
        decoding,
        serving=Serving(),
        resident=ResidentModel(lambda: limited.model),
        parameters=1,
        adapted=True,
    )
    assert tokens_of(written(generator, requests)) == tokens_of(wanted)
    assert limited.seen > 5  # it did run out


def test_memory_that_does_not_hold_one_text_is_one_error(model_at: Callable[[str], Path]) -> None:
    limited = OnlySoManyRows(model_at("llama"), 0, torch.OutOfMemoryError("CUDA out of memory."))
    generator = TransformersGenerator(
        Origin(directory=model_at("llama"), label="m"),
        Decoding(max_new_tokens=4),
        serving=Serving(),
        resident=ResidentModel(lambda: limited.model),
        parameters=1,
        adapted=True,
    )
    with pytest.raises(SubjectError, match="memory does not suffice to write one text"):
        list(generator.generate(requests_for(3)))


def test_other_errors_of_a_model_are_not_taken_for_memory(model_at: Callable[[str], Path]) -> None:
    limited = OnlySoManyRows(model_at("llama"), 0, RuntimeError("shapes differ"))
    generator = TransformersGenerator(
        Origin(directory=model_at("llama"), label="m"),
        Decoding(max_new_tokens=4),
        serving=Serving(),
        resident=ResidentModel(lambda: limited.model),
        parameters=1,
        adapted=True,
    )
    with pytest.raises(RuntimeError, match="shapes differ"):
        list(generator.generate(requests_for(3)))


def test_close_frees_the_model_before_the_next_one_loads(model_at: Callable[[str], Path]) -> None:
    alive: list[weakref.ref[Any]] = []

    def load(path: Path) -> Callable[[], Any]:
        def loaded() -> Any:
            assert all(reference() is None for reference in alive)
            model = load_model(Origin(directory=path, label="m"), device="cpu", dtype="auto")
            alive.append(weakref.ref(model))
            return model

        return loaded

    for path in (model_at("llama"), model_at("qwen2")):
        generator = TransformersGenerator(
            Origin(directory=path, label="m"),
            Decoding(max_new_tokens=4),
            serving=Serving(),
            resident=ResidentModel(load(path)),
            parameters=1,
            adapted=True,
        )
        assert len(alive) == (path == model_at("qwen2"))  # nothing loads before the first text
        list(generator.generate(requests_for(3)))
        generator.close()
    gc.collect()
    assert len(alive) == 2 and alive[1]() is None


def test_groups_are_whole_and_a_resumed_run_finds_the_same_ones(model_at: Callable[[str], Path]) -> None:
    requests = requests_for(50)
    generator = writer(model_at("gpt2"), Decoding(max_new_tokens=4), rows=3)
    groups = generator.groups(requests)
    assert [len(group) for group in groups] == [12, 12, 12, 12, 2]
    assert sorted(r.probe for group in groups for r in group) == sorted(r.probe for r in requests)
    left = [request for number, group in enumerate(groups) if number != 1 for request in group]
    assert generator.groups(left) == [group for number, group in enumerate(groups) if number != 1]
    order = [done.request.probe for done in generator.generate(requests)]
    for number, group in enumerate(groups):
        assert {request.probe for request in group} == set(order[12 * number : 12 * number + 12])


def test_writing_leaves_global_state_alone(model_at: Callable[[str], Path]) -> None:
    from transformers.utils import logging

    path = model_at("llama")
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    with watched_globals() as changed:
        written(writer(path, Decoding(max_new_tokens=4, temperature=1.0)), requests_for(4))
    assert changed == []
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (verbosity, bars)


def test_missing_weights_are_refused_instead_of_being_random(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = make_model(tmp_path / "lacking", "llama")
    tensors = load_file(path / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    generator = writer(path, Decoding(max_new_tokens=4))
    with pytest.raises(SubjectError, match=r"1 weights .* such as 'model\.layers\.1\.mlp\.up_proj\.weight'"):
        list(generator.generate(requests_for(1)))


def test_weights_that_compute_nan_are_an_error_that_names_the_prompt(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = make_model(tmp_path / "broken", "llama")
    tensors = load_file(path / "model.safetensors")
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SubjectError, match="computes NaN after .* prompt 'p"):
        list(writer(path, Decoding(max_new_tokens=4)).generate(requests_for(2)))


def test_a_model_without_keys_and_values_writes_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mamba"
    with global_seeds(5):
        config = transformers.MambaConfig(**_SIZE, hidden_size=16, num_hidden_layers=2, state_size=4)
        transformers.MambaForCausalLM(config).save_pretrained(path)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (path / file).write_bytes((BASE / file).read_bytes())
    samples = written(writer(path, Decoding(max_new_tokens=4)), requests_for(2, choices=("A",)))
    assert {sample.tokens for sample in samples.values()} <= {0, 1, 2, 3, 4}
    assert all(sample.choice_logprobs for sample in samples.values())


def test_the_dtype_asked_for_is_the_one_computed_in(model_at: Callable[[str], Path]) -> None:
    path = model_at("llama")
    assert (
        next(load_model(Origin(directory=BASE, label="b"), device="cpu", dtype="auto").parameters()).dtype
        == torch.float32
    )
    generator = writer(path, Decoding(max_new_tokens=4), dtype="bfloat16")
    assert generator.facts.properties["dtype"] == "bfloat16"
    assert generator.facts.properties["near_ties"] == "decided in the batch"
    list(generator.generate(requests_for(2)))
    assert generator._resident.model().dtype == torch.bfloat16
    generator.close()


def test_only_causal_models_with_a_tokenizer_offer_to_write(tmp_path: Path, model_at: Callable[[str], Path]) -> None:
    registry = Registry.discover(only=())

    def capabilities(path: Path) -> tuple[str, ...]:
        subject = open_subject(parse_reference(str(path)), "base", registry)
        try:
            return subject.facts.capabilities
        finally:
            subject.close()

    for name in ARCHITECTURES:
        assert "generate" in capabilities(model_at(name)), name
    path = make_model(tmp_path / "m", "llama")
    config = json.loads((path / "config.json").read_text())
    for change in (
        {"architectures": ["LlamaForSequenceClassification"]},
        {"architectures": ["OwnForCausalLM"], "model_type": "own"},
        {"quantization_config": {"quant_method": "nobody-has-this"}},
        {"is_encoder_decoder": True},
    ):
        (path / "config.json").write_text(json.dumps({**config, **change}))
        assert "generate" not in capabilities(path), change
    (path / "config.json").write_text(json.dumps(config))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (path / file).unlink()
    assert "generate" not in capabilities(path)


def test_an_opened_checkpoint_gives_a_generator(model_at: Callable[[str], Path]) -> None:
    subject = open_subject(parse_reference(str(model_at("llama"))), "base", Registry.discover(only=()))
    assert isinstance(subject, Checkpoint)
    generator = checkpoint_generator(subject, Decoding(max_new_tokens=3), None)
    assert len(list(generator.generate(requests_for(2)))) == 2
    generator.close()
    with pytest.raises(SubjectError, match="closed"):
        list(generator.generate(requests_for(2)))
    subject.close()


def test_near_ties_at_every_step_are_decided_the_same_in_any_batch(tmp_path: Path) -> None:
    """Every token has a twin whose score differs by rounding: left to the batch, companions would decide."""
    from safetensors.torch import load_file, save_file

    path = make_model(tmp_path / "twins", "llama", ends=(1413,))
    tensors = load_file(path / "model.safetensors")
    head = tensors["lm_head.weight"]
    order = torch.from_numpy(np.random.default_rng(2).permutation(32))
    embedding = tensors["model.embed_tokens.weight"]
    head[707:] = head[:707]
    head[707:, order[0]] += 1e-7
    embedding[707:] = embedding[:707].flip(1)  # so that a twin chosen once changes all that follows
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    requests, decoding = requests_for(12), Decoding(max_new_tokens=12)
    alone = written(writer(path, decoding, rows=1), requests)
    for rows in (3, 8):
        assert tokens_of(written(writer(path, decoding, rows=rows), requests)) == tokens_of(alone)
