"""What writing costs, from configuration alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from afterburn_core.backends.transformers_cost import (
    CPU_FLOP_PER_SECOND,
    SECONDS_PER_STEP,
    batch_size,
    both_fit,
    context_length,
    kept_bytes_per_token,
    tokens_estimate,
)
from afterburn_core.run.memory import available_memory

LLAMA_8B = {
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
}
GPT2 = {"n_layer": 12, "n_embd": 768, "n_head": 12, "n_positions": 1024}


def test_keys_and_values_per_token_are_those_of_known_models() -> None:
    assert kept_bytes_per_token(LLAMA_8B, 2) == 131_072  # 2 · 32 layers · 8 heads · 128 · 2 bytes
    assert kept_bytes_per_token({"text_config": LLAMA_8B}, 2) == 131_072
    assert kept_bytes_per_token(GPT2, 4) == 2 * 12 * 768 * 4
    assert (context_length(LLAMA_8B), context_length(GPT2), context_length({})) == (8192, 1024, None)


def test_batches_are_bounded_by_rows_and_by_the_tokens_that_are_kept() -> None:
    size = batch_size(LLAMA_8B, parameters=8_000_000_000, device="cuda", width=2)
    assert size.tokens == (8 << 30) // 131_072
    assert size.rows_for(100) == 128
    assert size.rows_for(4096) == 16
    assert size.rows_for(10**9) == 1
    assert batch_size(GPT2, parameters=1 << 27, device="cpu", width=4).rows == 64
    assert batch_size(GPT2, parameters=1 << 30, device="cpu", width=4).rows == 32


def test_the_estimate_counts_operations_and_steps() -> None:
    seconds = tokens_estimate(parameters=10**9, prompt_tokens=50, new_tokens=100, samples=128, rows=64)
    assert seconds == pytest.approx(2e9 * 128 * 150 / CPU_FLOP_PER_SECOND + SECONDS_PER_STEP["cpu"] * 100 * 2)
    more = tokens_estimate(parameters=10**9, prompt_tokens=50, new_tokens=200, samples=128, rows=64)
    assert more > seconds
    assert tokens_estimate(parameters=10**9, prompt_tokens=50, new_tokens=100, samples=0) == 0


def test_two_models_fit_only_where_memory_has_room_for_both() -> None:
    assert both_fit(1 << 20, 1 << 20) == (available_memory() > (2 << 30) + (1 << 22))
    assert not both_fit(available_memory(), 1)
    assert not both_fit(available_memory() // 4, available_memory() // 4, widening=2.0)


def test_neither_torch_nor_transformers_is_imported() -> None:
    """Opening and planning ask this module, and have to start at once."""
    code = (
        "import sys, pathlib\n"
        "from afterburn_core.backends.transformers_cost import can_write, tokens_estimate\n"
        "can_write(pathlib.Path('.'), {'model_type': 'llama', 'architectures': ['LlamaForCausalLM']})\n"
        "sys.exit(bool({'torch', 'transformers', 'numpy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
