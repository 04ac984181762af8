"""Edits and readings of activations, against networks whose blocks are run by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from afterburn_core.backends.transformers_live import TransformersLive
from afterburn_core.errors import SubjectError
from afterburn_core.forward.live import BASE, TRAINED, Edit, Project, Replace, Steer
from afterburn_core.testing.live import live_pair
from tests.live_models import family, fine_tuned

SEQUENCES = ((1, 50, 60, 70, 80, 90), (1, 300, 7), (1, 9, 8, 7, 6, 5, 4, 3))
VECTOR = torch.linspace(-1, 1, 32)
UNIT = VECTOR / VECTOR.norm()
Change = Callable[[torch.Tensor], torch.Tensor]


@pytest.fixture(scope="module", params=["llama", "gpt2", "gemma2"])
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformersLive]:
    base = family(tmp_path_factory.mktemp("base"), request.param)
    with live_pair(base, fine_tuned(base, tmp_path_factory.mktemp("trained"))) as live:
        yield live


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformersLive]:
    base = family(tmp_path_factory.mktemp("base"), "llama")
    with live_pair(base, fine_tuned(base, tmp_path_factory.mktemp("trained"))) as live:
        yield live


def after(live: TransformersLive, sequence: tuple[int, ...], block: int, change: Change) -> torch.Tensor:
    """Log-probabilities of the base where block `block` gives `change(its output)`: (T, V)."""
    body = live.network.base_model
    blocks = body.h if hasattr(body, "h") else body.layers

    def hook(module: Any, args: Any, output: Any) -> Any:
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    handle = blocks[block].register_forward_hook(hook)
    try:
        with torch.no_grad():
            logits: torch.Tensor = live.network(input_ids=torch.tensor([sequence])).logits[0]
    finally:
        handle.remove()
    return logits.float().log_softmax(-1)


def steered(states: torch.Tensor) -> torch.Tensor:
    return states + 3 * VECTOR


def replaced(states: torch.Tensor) -> torch.Tensor:
    states = states.clone()
    states[:, -2] = 5 * VECTOR
    return states


def projected(states: torch.Tensor) -> torch.Tensor:
    return states - (states @ UNIT)[..., None] * UNIT + 0.7 * UNIT


CASES: dict[str, tuple[Edit, Change]] = {
    "steer": (Steer(site="blocks.1.out", vector=3 * VECTOR), steered),
    "replace": (Replace(site="blocks.1.out", position=-2, vector=5 * VECTOR), replaced),
    "project": (Project(site="blocks.1.out", direction=UNIT, mean=0.7), projected),
}


@pytest.mark.parametrize("case", CASES)
def test_an_edit_is_what_it_says_in_sequences_of_any_length(live: TransformersLive, case: str) -> None:
    edit, change = CASES[case]
    plain = list(live.log_probs(SEQUENCES, blend=BASE))
    found = list(live.log_probs(SEQUENCES, blend=BASE, edits=[edit]))
    for sequence, one, before in zip(SEQUENCES, found, plain, strict=True):
        assert torch.allclose(one, after(live, sequence, 1, change), atol=5e-5)
        assert (one - before).abs().max() > 0.05
    again = list(live.log_probs(SEQUENCES, blend=BASE))
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_under_an_edit_is_what_its_log_probabilities_say(live: TransformersLive, case: str) -> None:
    edit, _ = CASES[case]
    sequences = [list(one) for one in SEQUENCES]
    if isinstance(edit, Replace):
        edit = Replace(site=edit.site, position=1, vector=edit.vector)  # a place that writing does not move
    for _step in range(5):
        rows = live.log_probs(sequences, blend=BASE, edits=[edit])
        for sequence, row in zip(sequences, rows, strict=True):
            sequence.append(int(row[-1].argmax()))
    texts = live.write(SEQUENCES, max_new_tokens=5, seeds=[0, 1, 2], blend=BASE, edits=[edit])
    for prompt, sequence, text in zip(SEQUENCES, sequences, texts, strict=True):
        ends = [i for i, token in enumerate(sequence[len(prompt) :]) if token in live.end_marks]
        written = sequence[len(prompt) :][: ends[0] if ends else None]
        assert list(text.token_ids) == written


def test_a_place_from_the_end_is_that_of_the_prompt_while_writing(llama: TransformersLive) -> None:
    vector = 5 * VECTOR
    fromend = Replace(site="blocks.0.out", position=-2, vector=vector)
    together = llama.write(SEQUENCES, max_new_tokens=6, seeds=[0, 1, 2], edits=[fromend])
    for sequence, text in zip(SEQUENCES, together, strict=True):
        fromstart = Replace(site="blocks.0.out", position=len(sequence) - 2, vector=vector)
        alone = llama.write([sequence], max_new_tokens=6, seeds=[0], edits=[fromstart])
        assert text.token_ids == alone[0].token_ids


def test_every_sequence_may_have_a_vector_of_its_own(llama: TransformersLive) -> None:
    vectors = torch.stack([VECTOR, -VECTOR, 2 * VECTOR])
    both = Replace(site="blocks.0.out", position=1, vector=vectors)
    for method in ("read", "write"):
        for number, sequence in enumerate(SEQUENCES):
            one = Replace(site="blocks.0.out", position=1, vector=vectors[number])
            if method == "read":
                found = list(llama.log_probs(SEQUENCES, edits=[both]))[number]
                assert torch.allclose(found, next(iter(llama.log_probs([sequence], edits=[one]))), atol=1e-5)
            else:
                texts = llama.write(SEQUENCES, max_new_tokens=6, seeds=[0, 1, 2], edits=[both])
                alone = llama.write([sequence], max_new_tokens=6, seeds=[number], edits=[one])
                assert texts[number].token_ids == alone[0].token_ids


def test_edits_of_one_site_follow_one_another(llama: TransformersLive) -> None:
    steer, project = CASES["steer"][0], CASES["project"][0]
    first = next(iter(llama.log_probs(SEQUENCES[:1], blend=BASE, edits=[steer, project])))
    second = next(iter(llama.log_probs(SEQUENCES[:1], blend=BASE, edits=[project, steer])))
    assert torch.allclose(first, after(llama, SEQUENCES[0], 1, lambda one: projected(steered(one))), atol=5e-5)
    assert torch.allclose(second, after(llama, SEQUENCES[0], 1, lambda one: steered(projected(one))), atol=5e-5)


def test_activations_are_those_of_the_sequence_alone_and_with_its_edits(llama: TransformersLive) -> None:
    sites = ["embed", "blocks.*.out", "blocks.1.mlp.out", "final_norm"]
    found = list(llama.activations(SEQUENCES, sites))
    assert list(found[0]) == ["embed", "blocks.0.out", "blocks.1.mlp.out", "blocks.1.out", "blocks.2.out", "final_norm"]
    for sequence, one in zip(SEQUENCES, found, strict=True):
        alone = next(iter(llama.activations([sequence], sites)))
        assert all(torch.allclose(one[site], alone[site], atol=1e-4) for site in one)
        assert all(states.shape == (len(sequence), 32) for states in one.values())
    steer = Steer(site="blocks.1.out", vector=VECTOR)
    moved = next(iter(llama.activations(SEQUENCES[:1], sites, edits=[steer])))
    assert torch.allclose(moved["blocks.1.out"], found[0]["blocks.1.out"] + VECTOR, atol=1e-4)
    assert not torch.allclose(moved["blocks.2.out"], found[0]["blocks.2.out"], atol=0.05)
    assert torch.equal(moved["embed"], found[0]["embed"])


def test_the_readout_of_the_last_block_is_the_models_own_output(live: TransformersLive) -> None:
    logs = next(iter(live.log_probs(SEQUENCES[:1])))
    states = next(iter(live.activations(SEQUENCES[:1], ["blocks.2.out", "final_norm"])))
    with torch.no_grad(), live.applied(TRAINED):
        own = live.network(input_ids=torch.tensor(SEQUENCES[:1])).logits[0]
    assert torch.allclose(live.readout(states["blocks.2.out"]), own, atol=1e-4)  # caps and scales included
    assert torch.allclose(live.readout(states["final_norm"], normed=True), own, atol=1e-4)
    assert torch.allclose(own.log_softmax(-1), logs, atol=1e-4)
    assert not torch.allclose(live.readout(states["final_norm"], normed=True, blend=BASE), own, atol=0.1)


def test_hooks_are_gone_afterwards(llama: TransformersLive) -> None:
    list(llama.log_probs(SEQUENCES, edits=[CASES["steer"][0]]))
    llama.write(SEQUENCES, max_new_tokens=2, seeds=[0, 1, 2], edits=[CASES["project"][0]])
    modules = llama.network.modules()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
    assert "forward" not in llama.network.base_model.__dict__


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Steer(site="blocks.1.out", vector=torch.ones(31)), "width 31 does not fit activations of width 32"),
        (Replace(site="blocks.1.out", position=3, vector=VECTOR), "sequence 1 of 3 tokens has no position 3"),
        (Replace(site="blocks.1.out", position=0, vector=torch.ones(2, 32)), "2 vectors do not suffice for 3"),
        (Project(site="blocks.1.out", direction=VECTOR), "a direction of length 3"),
    ],
)
def test_edits_that_do_not_fit_are_refused(llama: TransformersLive, edit: Edit, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(llama.log_probs(SEQUENCES, edits=[edit]))


def test_a_site_that_is_not_there_is_refused(llama: TransformersLive, tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match=r"no site 'blocks\.7\.out'"):
        list(llama.log_probs(SEQUENCES, edits=[Steer(site="blocks.7.out", vector=VECTOR)]))
