"""Sites are where their names say, in every family: checked against what each model itself computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from afterburn_core.backends.transformers_head import log_probabilities, separate_head
from afterburn_core.backends.transformers_sites import sites_of, watching
from afterburn_core.errors import SubjectError
from afterburn_core.testing.guards import global_seeds
from tests.forward_models import CAUSAL, ENCODERS, POST_NORM, network

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # in peft

IDS = torch.randint(3, 1414, (2, 9), generator=torch.Generator().manual_seed(1))
FAMILIES = [*CAUSAL, *ENCODERS]


def looked_at(model: Any) -> tuple[Any, dict[str, torch.Tensor], Any]:
    """Sites, their activations (2, 9, d), and the model's own output."""
    sites, found = sites_of(model), {}

    def seen(site: str, states: torch.Tensor) -> None:
        found[site] = states.reshape(2, 9, -1).clone()

    with torch.no_grad(), watching(sites.taps, seen):
        out = model(input_ids=IDS, output_hidden_states=True)
    return sites, found, out


@pytest.mark.parametrize("family", FAMILIES)
def test_the_residual_stream_is_the_one_that_the_model_reports(family: str) -> None:
    sites, found, out = looked_at(network(family))
    assert sites.layers == 3 and sites.width == 32
    for block in range(3):  # the library's hidden states are what enters each block, and what leaves the final norm
        assert torch.equal(found[f"blocks.{block}.in"], out.hidden_states[block])
    for block in range(2):
        assert torch.equal(found[f"blocks.{block}.out"], found[f"blocks.{block + 1}.in"])
    assert torch.equal(found["final_norm"], out.hidden_states[-1])
    assert list(found) == list(sites.taps)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in POST_NORM])
def test_a_block_adds_what_attention_and_mlp_give(family: str) -> None:
    sites, found, _ = looked_at(network(family))
    assert sites.sums
    for block in range(3):
        parts = (found[f"blocks.{block}.{name}"] for name in ("in", "attn.out", "mlp.out"))
        torch.testing.assert_close(sum(parts), found[f"blocks.{block}.out"], rtol=1e-5, atol=1e-5)
        assert found[f"blocks.{block}.attn.out"].abs().max() > 1e-3
        assert found[f"blocks.{block}.mlp.out"].abs().max() > 1e-3


PARALLEL = {"cohere", "phi", "gpt_neox", "gptj", "falcon"}
"""Families whose attention and MLP read the same stream."""


@pytest.mark.parametrize("family", FAMILIES)
def test_the_heads_outputs_are_what_the_projection_makes_the_attentions_output_of(family: str) -> None:
    sites, found, _ = looked_at(network(family))
    for block in range(3):
        heads, out = sites.taps[f"blocks.{block}.attn.heads"], sites.taps[f"blocks.{block}.attn.out"]
        states = found[f"blocks.{block}.attn.heads"]
        assert states.shape[-1] == sites.width_at(f"blocks.{block}.attn.heads")
        with torch.no_grad():
            again = heads.module(states)
            if family in {"gemma2", "gemma3_text", "olmo2", "glm4"}:  # a norm stands between it and the stream
                again = out.module(again)
        torch.testing.assert_close(again * out.scale, found[f"blocks.{block}.attn.out"], rtol=1e-5, atol=1e-6)


def test_heads_that_are_wider_than_the_stream_say_so() -> None:
    model = network("qwen3", head_dim=24)
    sites, found, _ = looked_at(model)
    width = 24 * model.config.num_attention_heads
    assert width != sites.width == 32
    assert found["blocks.1.attn.heads"].shape[-1] == sites.width_at("blocks.1.attn.heads") == width
    assert sites.width_at("blocks.1.mlp.in") == 32


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stream_between_attention_and_mlp_is_there_where_one_follows_the_other(family: str) -> None:
    sites, found, _ = looked_at(network(family))
    assert ("blocks.1.mid" in found) == (sites.sums and family not in PARALLEL)
    for block in range(3) if "blocks.1.mid" in found else ():
        there = found[f"blocks.{block}.in"] + found[f"blocks.{block}.attn.out"]
        torch.testing.assert_close(found[f"blocks.{block}.mid"], there, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_mlp_reads_is_what_it_makes_its_output_of(family: str) -> None:
    """Each family by the modules of its own, from the one site to the other."""
    sites, found, _ = looked_at(network(family))
    for number, block in enumerate(sites.blocks):
        given, out = found[f"blocks.{number}.mlp.in"], sites.taps[f"blocks.{number}.mlp.out"]
        with torch.no_grad():
            if family in {"bert", "roberta", "mpnet"}:
                again = block.output.dense(block.intermediate(given))
            elif family == "opt":
                again = block.fc2(block.activation_fn(block.fc1(given)))
            elif family in {"bloom", "mpt"}:  # their modules add the residual themselves
                again = (block.mlp if family == "bloom" else block.ffn)(given, torch.zeros_like(given))
            else:
                again = sites.taps[f"blocks.{number}.mlp.in"].module(given)
            again = again if isinstance(again, torch.Tensor) else again[0]
            if family in {"gemma2", "gemma3_text", "olmo2", "glm4"}:
                again = out.module(again)
        expected = found[f"blocks.{number}.mlp.out"]
        torch.testing.assert_close(again.reshape(expected.shape) * out.scale, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_norm_gives_before_its_gain_becomes_with_it_what_the_mlp_reads(family: str) -> None:
    sites, found, _ = looked_at(network(family))
    one_norm = {*PARALLEL - {"gpt_neox"}, "bert", "roberta", "mpnet", "distilbert", "olmo2"}
    assert ("blocks.1.mlp.normed" in found) == (family not in one_norm)
    for block in range(3) if "blocks.1.mlp.normed" in found else ():
        norm = sites.taps[f"blocks.{block}.mlp.normed"].module
        gain = norm.weight + 1 if family.startswith("gemma") else norm.weight
        offset = getattr(norm, "bias", None)
        again = found[f"blocks.{block}.mlp.normed"] * gain.data + (0 if offset is None else offset.data)
        torch.testing.assert_close(again, found[f"blocks.{block}.mlp.in"], rtol=1e-5, atol=1e-5)


def test_nothing_is_put_at_a_site_that_is_computed() -> None:
    model = network("llama")
    taps = {"blocks.1.mlp.normed": sites_of(model).taps["blocks.1.mlp.normed"]}
    with (
        torch.no_grad(),
        watching(taps, lambda _, states: states),
        pytest.raises(SubjectError, match="is computed from"),
    ):
        model(input_ids=IDS)


TINY: dict[str, Any] = {
    "vocab_size": 1414, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 96, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
SEQ2SEQ: dict[str, Any] = {
    "d_model": 32, "decoder_layers": 3, "decoder_attention_heads": 4, "decoder_ffn_dim": 48, "encoder_layers": 3,
    "encoder_attention_heads": 4, "encoder_ffn_dim": 48, "vocab_size": 1414, "max_position_embeddings": 96,
    "is_decoder": True, "is_encoder_decoder": False,
}  # fmt: skip
OTHERS: dict[str, tuple[dict[str, Any], bool]] = {
    "bart": (SEQ2SEQ, False),
    "marian": ({**SEQ2SEQ, "pad_token_id": 0}, False),
    "openai-gpt": ({"n_embd": 32, "n_layer": 3, "n_head": 4, "vocab_size": 1414, "n_positions": 96}, False),
    "granitemoeshared": (
        {**TINY, "num_local_experts": 4, "num_experts_per_tok": 2, "shared_intermediate_size": 16}, True
    ),
    "afmoe": (
        {**TINY, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "num_dense_layers": 1,
         "layer_types": ["full_attention"] * 3}, True
    ),
    "stablelm": ({**TINY, "use_parallel_residual": True}, False),
    "gpt_neo": ({**TINY, "num_layers": 3, "num_heads": 4, "attention_types": [[["global"], 3]]}, True),
}  # fmt: skip
"""Families with blocks of another build, and whether something lies between their attention and MLP."""


@pytest.mark.parametrize("family", OTHERS)
def test_no_family_gets_a_site_that_is_not_what_its_name_says(family: str) -> None:
    """A site may be missing; one that is there has to add up."""
    settings, between = OTHERS[family]
    with global_seeds(5):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **settings))
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    sites, found, _ = looked_at(model.eval())
    assert sites.layers == 3 and ("blocks.1.mid" in found) == between
    for block in range(3):
        seen = {name: found.get(f"blocks.{block}.{name}") for name in ("in", "attn.out", "mid", "mlp.out", "out")}
        if seen["mid"] is not None:
            torch.testing.assert_close(seen["mid"], seen["in"] + seen["attn.out"], rtol=1e-5, atol=1e-5)
        if sites.sums and seen["mlp.out"] is not None:
            total = seen["in"] + seen["attn.out"] + seen["mlp.out"]
            torch.testing.assert_close(total, seen["out"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "distilbert"])
def test_encoders_that_norm_afterwards_add_before_their_norms(family: str) -> None:
    model = network(family)
    sites, found, _ = looked_at(model)
    assert not sites.sums
    for number, block in enumerate(sites.blocks):
        if family == "distilbert":
            first, second = block.sa_layer_norm, block.output_layer_norm
        elif family == "mpnet":
            first, second = block.attention.LayerNorm, block.output.LayerNorm
        else:
            first, second = block.attention.output.LayerNorm, block.output.LayerNorm
        with torch.no_grad():
            middle = first(found[f"blocks.{number}.in"] + found[f"blocks.{number}.attn.out"])
            out = second(middle + found[f"blocks.{number}.mlp.out"])
        torch.testing.assert_close(out, found[f"blocks.{number}.out"], rtol=1e-5, atol=1e-5)


def test_parts_are_those_of_the_modules_that_are_named() -> None:
    """Each part computed again from the stream by the module itself, not by difference."""
    model = network("gemma2")
    sites, found, _ = looked_at(model)
    for number, block in enumerate(sites.blocks):
        with torch.no_grad():
            middle = found[f"blocks.{number}.in"] + found[f"blocks.{number}.attn.out"]
            again = block.post_feedforward_layernorm(block.mlp(block.pre_feedforward_layernorm(middle)))
        torch.testing.assert_close(again, found[f"blocks.{number}.mlp.out"], rtol=1e-5, atol=1e-5)
    model = network("mixtral")
    sites, found, _ = looked_at(model)
    with torch.no_grad():
        middle = found["blocks.1.in"] + found["blocks.1.attn.out"]
        again = sites.blocks[1].mlp(sites.blocks[1].post_attention_layernorm(middle))
    torch.testing.assert_close(again, found["blocks.1.mlp.out"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "scale"), [("llama", 1.0), ("gemma", 32**0.5), ("granite", 3.0), ("gpt2", 1.0), ("bloom", 1.0)]
)
def test_embeddings_are_those_of_the_tokens_after_their_scale(family: str, scale: float) -> None:
    model = network(family)
    _, found, _ = looked_at(model)
    table = model.get_input_embeddings().weight.data
    torch.testing.assert_close(found["embed"], table[IDS] * scale, rtol=1e-5, atol=1e-5)


def test_the_embeddings_of_an_encoder_are_what_its_embedding_layer_gives() -> None:
    model = network("bert")
    _, found, _ = looked_at(model)
    with torch.no_grad():
        assert torch.equal(found["embed"], model.embeddings(IDS))


@pytest.mark.parametrize("family", CAUSAL)
def test_a_head_on_final_states_gives_the_models_own_logits(family: str) -> None:
    model = network(family)
    sites, found, out = looked_at(model)
    states = found["final_norm"][0]
    with torch.inference_mode():
        head, vocabulary = separate_head(sites, IDS[0], states)
        assert head is not None and vocabulary == out.logits.shape[-1]
        logs = log_probabilities(head(states[2:7]), vocabulary)
    exact = torch.log_softmax(out.logits[0].double(), dim=-1)[2:7]
    torch.testing.assert_close(logs.double(), exact, rtol=1e-6, atol=1e-5)
    assert logs.dtype == torch.float32


def test_a_head_that_looks_at_more_than_final_states_is_not_separated() -> None:
    model = network("llama")
    plain = type(model).forward

    class Biased(type(model)):  # type: ignore[misc]
        def forward(self, input_ids: torch.Tensor, **rest: Any) -> Any:
            out = plain(self, input_ids=input_ids, **rest)
            out.logits = out.logits + input_ids[..., None].float()[..., -1:, :] % 7 * torch.arange(1414) / 100
            return out

    model.__class__ = Biased
    sites, found, out = looked_at(model)
    with torch.inference_mode():
        head, vocabulary = separate_head(sites, IDS[0], found["final_norm"][0])
    assert head is None and vocabulary == out.logits.shape[-1]


def test_patterns_name_sites_in_the_order_of_the_network() -> None:
    sites = sites_of(network("llama"))
    assert sites.named(("final_norm", "blocks.*.out", "embed")) == (
        "embed", "blocks.0.out", "blocks.1.out", "blocks.2.out", "final_norm",
    )  # fmt: skip
    assert sites.named(("blocks.1.attn.out",)) == ("blocks.1.attn.out",)
    with pytest.raises(
        SubjectError, match=r"has blocks\.0 to blocks\.2 and no site 'blocks\.\*\.middle'; known: embed, blocks"
    ):
        sites.named(("blocks.*.middle",))


@pytest.mark.parametrize("family", ["llama", "gemma2", "granite", "gpt2", "opt", "bert"])
def test_what_is_put_at_a_site_is_what_the_network_goes_on_with(family: str) -> None:
    model = network(family)
    sites, before, _ = looked_at(model)
    put = torch.randn(before["blocks.1.in"].shape, generator=torch.Generator().manual_seed(2))

    def after_putting(at: str) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}

        def seen(site: str, states: torch.Tensor) -> torch.Tensor | None:
            found[site] = states.reshape(2, 9, -1).clone()
            return put.reshape(states.shape) if site == at else None

        with torch.no_grad(), watching(sites.taps, seen):
            model(input_ids=IDS)
        return found

    assert torch.equal(after_putting("blocks.0.out")["blocks.1.in"], put)
    assert torch.equal(after_putting("blocks.1.in")["blocks.0.out"], before["blocks.0.out"])
    if sites.sums:
        moved = after_putting("blocks.1.attn.out")
        expected = moved["blocks.1.in"] + put + moved["blocks.1.mlp.out"]
        torch.testing.assert_close(moved["blocks.1.out"], expected, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        again = looked_at(model)[1]
    assert all(torch.equal(again[site], before[site]) for site in before)  # hooks are gone


def test_putting_a_final_state_changes_the_logits() -> None:
    model = network("gpt2")
    sites = sites_of(model)
    put = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad(), watching({"final_norm": sites.taps["final_norm"]}, lambda site, states: put):
        logits = model(input_ids=IDS).logits
    torch.testing.assert_close(logits, put @ model.lm_head.weight.T)


def test_an_adapter_leaves_the_sites_where_they_are() -> None:
    model = network("llama")
    _, before, _ = looked_at(model)
    with global_seeds(1):
        wrapped = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["norm"])).eval()
    sites = sites_of(wrapped)
    _, found, _ = looked_at(wrapped)
    assert all(torch.equal(found[site], before[site]) for site in before)  # B is zero in a new adapter
    assert sites.layers == 3
