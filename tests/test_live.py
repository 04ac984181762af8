"""Blends of a pair in memory are the models they say they are, and leave the network as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from afterburn_core.backends.transformers_blends import part_of, permuted
from afterburn_core.backends.transformers_live import TransformersLive
from afterburn_core.errors import SubjectError
from afterburn_core.forward.live import BASE, TRAINED, Blend
from afterburn_core.generation.model import Decoding, Request
from afterburn_core.probes.model import Message
from afterburn_core.testing.live import live_pair
from tests.live_models import adapted, family, fine_tuned

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # in peft
SEQUENCES = ((1, 50, 60, 70, 80, 90), (1, 300), (1, 9, 8, 7, 6, 5, 4, 3, 11, 12, 13))
PAIRS = ("llama", "tied", "gpt2", "gemma2", "llama+lora", "llama+dora", "llama+saved")


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Base and trained directories by name of the pair, each made once."""
    made: dict[str, Path] = {}

    def base(name: str) -> Path:
        if name not in made:
            made[name] = family(tmp_path_factory.mktemp(name), name)
        return made[name]

    def pair(name: str) -> tuple[Path, Path]:
        kind, _, adapter = name.partition("+")
        if f"{name}/trained" not in made:
            directory = tmp_path_factory.mktemp("trained")
            made[f"{name}/trained"] = (
                adapted(base(kind), directory, adapter) if adapter else fine_tuned(base(kind), directory)
            )
        return base(kind), made[f"{name}/trained"]

    return pair


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest, directories: Any) -> Iterator[tuple[TransformersLive, Any, Any]]:
    """The live pair, and both models as they load by themselves."""
    base, trained = directories(request.param)
    with live_pair(base, trained) as live:
        yield live, loaded(base), loaded(base, trained)


@pytest.fixture
def llama(directories: Any) -> Iterator[TransformersLive]:
    with live_pair(*directories("llama")) as live:
        yield live


def loaded(base: Path, trained: Path | None = None) -> Any:
    whole = trained is not None and (trained / "config.json").is_file()
    model = AutoModelForCausalLM.from_pretrained(trained if whole else base, dtype=torch.float32, local_files_only=True)
    if trained is not None and not whole:
        model = PeftModel.from_pretrained(model, trained, local_files_only=True)
    return model.eval()


def read(model: Any, sequences: Sequence[Sequence[int]] = SEQUENCES) -> list[torch.Tensor]:
    with torch.no_grad():
        return [model(input_ids=torch.tensor([one])).logits[0].float().log_softmax(-1) for one in sequences]


def gap(found: Any, expected: Any) -> float:
    return max(float((one - other).abs().max()) for one, other in zip(found, expected, strict=True))


def test_scale_zero_is_the_base_and_one_the_trained_model(pair: tuple[TransformersLive, Any, Any]) -> None:
    live, base, trained = pair
    assert gap(live.log_probs(SEQUENCES, blend=BASE), read(base)) < 2e-5
    assert gap(live.log_probs(SEQUENCES), read(trained)) < 2e-5
    assert gap(read(base), read(trained)) > 0.05


def test_what_lies_between_is_the_model_with_those_weights(pair: tuple[TransformersLive, Any, Any]) -> None:
    live, base, trained = pair
    if hasattr(trained, "merge_and_unload"):
        trained = trained.merge_and_unload()
    theirs = dict(trained.named_parameters())
    with torch.no_grad():
        for name, parameter in base.named_parameters():
            parameter += 0.5 * (theirs[name] - parameter)
    assert gap(live.log_probs(SEQUENCES, blend=Blend(default=0.5)), read(base)) < 5e-5


def test_places_are_all_that_training_changed(pair: tuple[TransformersLive, Any, Any]) -> None:
    live, base, trained = pair
    if hasattr(trained, "merge_and_unload"):
        trained = trained.merge_and_unload()
    theirs = dict(trained.named_parameters())
    changed = {
        name: float((theirs[name] - own).detach().double().norm())
        for name, own in base.named_parameters()
        if not torch.equal(own, theirs[name])
    }
    assert {place.name: place.norm for place in live.places} == pytest.approx(changed, rel=1e-4)
    assert [place.name for place in live.places] == list(changed)


def test_a_scale_of_its_own_moves_one_parameter_alone(llama: TransformersLive, directories: Any) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    base, trained = (loaded(path) for path in directories("llama"))
    with torch.no_grad():
        own = base.get_parameter(name)
        own += 2.0 * (trained.get_parameter(name) - own)
    blend = Blend(default=0.0, scales={name: 2.0})
    assert gap(llama.log_probs(SEQUENCES, blend=blend), read(base)) < 5e-5


@pytest.mark.parametrize("name", ["llama", "gpt2", "llama+lora"])
@pytest.mark.parametrize("rank", [1, 3])
def test_truncations_are_those_of_the_singular_value_decomposition(directories: Any, name: str, rank: int) -> None:
    base, trained = directories(name)
    model, other = loaded(base), loaded(base, trained)
    other = other.merge_and_unload() if hasattr(other, "merge_and_unload") else other
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            delta = (other.get_parameter(key) - parameter).double().numpy()
            if delta.ndim == 2:
                u, values, vt = np.linalg.svd(delta, full_matrices=False)
                delta = (u[:, :rank] * values[:rank]) @ vt[:rank]
            parameter += torch.from_numpy(1.5 * delta).float()
    with live_pair(base, trained) as live:
        assert gap(live.log_probs(SEQUENCES, blend=Blend(default=1.5, rank=rank)), read(model)) < 1e-4


def test_a_rank_as_large_as_the_matrix_keeps_all_of_it(llama: TransformersLive) -> None:
    whole = list(llama.log_probs(SEQUENCES, blend=Blend(default=2.0)))
    assert gap(llama.log_probs(SEQUENCES, blend=Blend(default=2.0, rank=32)), whole) < 1e-5


def test_more_directions_than_were_kept_are_computed_again(llama: TransformersLive) -> None:
    changes = {change.place.name: change for change in llama._blends.changes}
    change = changes["model.layers.0.mlp.up_proj.weight"]
    change._basis = change._directions(change.trained - change.base, 2)[..., :2]
    delta = (change.trained - change.base).double().numpy()
    u, values, vt = np.linalg.svd(delta, full_matrices=False)
    assert np.allclose(change.delta(5, None).numpy(), (u[:, :5] * values[:5]) @ vt[:5], atol=1e-5)


def test_directions_of_an_adapter_come_from_its_factors(directories: Any) -> None:
    with live_pair(*directories("llama+lora")) as live:
        change = live._blends.changes[0]
        assert change.factors() is not None
        change.delta(1, None)
        assert change._basis is not None and change._basis.shape == (32, 4)
        assert torch.allclose(change._basis.T @ change._basis, torch.eye(4), atol=1e-5)


def test_a_scrambled_change_keeps_its_singular_values_and_its_seed(llama: TransformersLive) -> None:
    change = next(one for one in llama._blends.changes if one.place.name.endswith("up_proj.weight"))
    own, scrambled = change.delta(None, None), change.delta(None, 5)
    assert torch.allclose(torch.linalg.svdvals(own), torch.linalg.svdvals(scrambled), atol=1e-4)
    assert not torch.equal(own, scrambled)
    assert torch.equal(scrambled, change.delta(None, 5)) and not torch.equal(scrambled, change.delta(None, 6))


def test_a_permuted_vector_holds_the_same_entries() -> None:
    vector = torch.arange(9.0)
    moved = permuted(vector, 1)
    assert not torch.equal(moved, vector) and torch.equal(moved.sort().values, vector)


def state(live: TransformersLive) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in live.network.state_dict().items()}


def test_the_network_is_the_base_again_to_the_bit_whatever_was_done(pair: tuple[TransformersLive, Any, Any]) -> None:
    live, base, _ = pair
    before = state(live)
    for blend in (TRAINED, Blend(default=-1.0), Blend(default=0.3, rank=2), Blend(default=1.0, scramble=1)):
        list(live.log_probs(SEQUENCES, blend=blend))
        live.write(SEQUENCES, max_new_tokens=3, seeds=[0, 1, 2], blend=blend)
    assert state(live) == before
    assert all(torch.equal(parameter, base.get_parameter(name)) for name, parameter in live.network.named_parameters())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_network_is_restored_after_an_exception(llama: TransformersLive, error: type[BaseException]) -> None:
    before = state(llama)

    def stop(*_: Any) -> None:
        raise error("stopped")

    handle = llama.network.model.layers[1].register_forward_hook(stop)
    with pytest.raises(error):
        list(llama.log_probs(SEQUENCES))
    with pytest.raises(error):
        llama.write(SEQUENCES, max_new_tokens=3, seeds=[0, 1, 2])
    handle.remove()
    assert state(llama) == before
    assert gap(llama.log_probs(SEQUENCES, blend=BASE), read(llama.network)) < 2e-5


def test_two_readings_may_alternate(llama: TransformersLive) -> None:
    both = list(zip(llama.log_probs(SEQUENCES), llama.log_probs(SEQUENCES, blend=BASE), strict=True))
    assert gap([one for one, _ in both], llama.log_probs(SEQUENCES)) == 0.0
    assert gap([other for _, other in both], llama.log_probs(SEQUENCES, blend=BASE)) == 0.0


def test_a_blend_that_is_held_is_computed_once(llama: TransformersLive, monkeypatch: pytest.MonkeyPatch) -> None:
    blend, computed = Blend(default=0.25), []
    own = llama._blends._values
    monkeypatch.setattr(llama._blends, "_values", lambda one: computed.append(one) or own(one))
    with llama.blended(blend):
        list(llama.log_probs(SEQUENCES, blend=blend))
        llama.write(SEQUENCES[:1], max_new_tokens=2, seeds=[0], blend=blend)
    assert computed.count(blend) == 1
    list(llama.log_probs(SEQUENCES, blend=blend))
    assert computed.count(blend) == 2


def test_equal_models_have_no_places_and_are_equal_in_every_blend(directories: Any, tmp_path: Path) -> None:
    base, _ = directories("llama")
    shutil.copytree(base, tmp_path / "copy")
    with live_pair(base, tmp_path / "copy") as live:
        assert live.places == ()
        assert gap(live.log_probs(SEQUENCES, blend=Blend(default=3.0)), live.log_probs(SEQUENCES, blend=BASE)) == 0.0


def test_a_head_that_training_untied_is_blended_apart_from_the_embedding(directories: Any, tmp_path: Path) -> None:
    base, _ = directories("tied")
    model = loaded(base)
    model.config.tie_word_embeddings = False
    with torch.no_grad():
        head = torch.nn.Parameter(model.lm_head.weight + 0.1)
    model.lm_head.weight = head
    model.save_pretrained(tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(base / file, tmp_path / file)
    with live_pair(base, tmp_path) as live:
        assert [place.part for place in live.places] == ["head"]
        assert gap(live.log_probs(SEQUENCES), read(loaded(tmp_path))) < 2e-5
        assert gap(live.log_probs(SEQUENCES, blend=BASE), read(loaded(base))) < 2e-5


def test_a_generator_writes_with_the_blend_and_leaves_the_pair_open(llama: TransformersLive, directories: Any) -> None:
    base, trained = directories("llama")
    requests = [
        Request(probe=str(n), index=0, messages=(Message(role="user", content=f"What is {n} + {n}?"),), seed=n)
        for n in range(6)
    ]

    def texts(live: TransformersLive, blend: Blend) -> dict[str, Any]:
        generator = live.generator(Decoding(max_new_tokens=6), blend)
        found = {done.request.probe: done.sample.token_ids for done in generator.generate(requests)}
        assert generator.facts.properties["blend"]["default"] == blend.default
        generator.close()
        return found

    before = state(llama)
    first, second = texts(llama, BASE), texts(llama, TRAINED)
    assert first != second and state(llama) == before
    with live_pair(base, base) as other:
        assert texts(other, TRAINED) == first
    with live_pair(trained, trained) as other:
        assert texts(other, TRAINED) == second


def test_blends_that_cannot_be_are_refused(llama: TransformersLive) -> None:
    with pytest.raises(ValueError, match="did not change"):
        list(llama.log_probs(SEQUENCES, blend=Blend(scales={"model.layers.9.mlp.up_proj.weight": 1.0})))
    with pytest.raises(ValueError, match="rank 0"):
        list(llama.log_probs(SEQUENCES, blend=Blend(rank=0)))
    with pytest.raises(SubjectError, match="sequence 1 has no tokens"):
        list(llama.log_probs([(1, 2), ()]))


def test_pairs_that_are_no_blend_of_one_network_are_refused(directories: Any, tmp_path: Path) -> None:
    base, trained = directories("llama")
    for name in ("rope", "tokens"):
        shutil.copytree(trained, tmp_path / name)
    config = json.loads((trained / "config.json").read_text())
    config["rms_norm_eps"] = 0.5
    (tmp_path / "rope" / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((trained / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][-1], "id": 1414, "content": "<new>"})
    (tmp_path / "tokens" / "tokenizer.json").write_text(json.dumps(tokenizer))
    with (
        pytest.raises(SubjectError, match=r"rms_norm_eps is .* in the base and 0\.5"),
        live_pair(base, tmp_path / "rope"),
    ):
        pass
    said = "tokenizers differ in 1 entries, such as '<new>'"
    with pytest.raises(SubjectError, match=said), live_pair(base, tmp_path / "tokens"):
        pass


def test_a_pair_that_does_not_fit_is_refused(directories: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterburn_core.backends.transformers_cost.available_memory", lambda: 1 << 20)
    with pytest.raises(SubjectError, match=r"the live pair needs about .* GiB"), live_pair(*directories("llama")):
        pass


def test_after_closing_nothing_can_be_asked(directories: Any) -> None:
    with live_pair(*directories("llama")) as live:
        live.close()
        with pytest.raises(SubjectError, match="were closed"):
            live.readout(torch.zeros(1, 32))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model.layers.0.self_attn.q_proj.bias", "attention"),
        ("transformer.h.3.mlp.c_fc.bias", "mlp"),
        ("transformer.h.3.ln_1.bias", "norm"),
        ("model.embed_tokens.weight", "embed"),
        ("transformer.wpe.weight", "embed"),
        ("lm_head.weight", "head"),
        ("model.layers.0.mlp.gate.weight", "mlp"),
        ("model.layers.0.mamba.A_log", "other"),
    ],
)
def test_every_parameter_belongs_to_a_part(name: str, part: str) -> None:
    assert part_of(name) == part
