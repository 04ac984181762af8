"""What a live pair writes: batches write what single texts do, mixtures are what their formula says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from afterburn_core.backends.transformers_live import TransformersLive
from afterburn_core.errors import SubjectError
from afterburn_core.forward.live import BASE, TRAINED, Blend, Mixture, Steer
from afterburn_core.probes.model import Message
from afterburn_core.testing.guards import watched_globals
from afterburn_core.testing.live import live_pair
from tests.live_models import family, fine_tuned

PROMPTS = tuple((1, *range(10 + 7 * n, 10 + 7 * n + 1 + (5 * n) % 17)) for n in range(14))
SEEDS = tuple(range(14))


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    made: dict[str, tuple[Path, Path]] = {}

    def pair(name: str) -> tuple[Path, Path]:
        if name not in made:
            base = family(tmp_path_factory.mktemp("base"), name)
            made[name] = base, fine_tuned(base, tmp_path_factory.mktemp("trained"))
        return made[name]

    return pair


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def live(request: pytest.FixtureRequest, directories: Any) -> Iterator[TransformersLive]:
    with live_pair(*directories(request.param)) as live:
        live._ends = frozenset({2, *range(100, 1414, 9)})  # so that texts end at different steps
        yield live


def tokens(texts: Sequence[Any]) -> list[tuple[int, ...]]:
    return [text.token_ids for text in texts]


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"temperature": 1.0},
        {"blend": Blend(default=0.5)},
        {"mixture": Mixture(alpha=3.0)},
        {"mixture": Mixture(alpha=2.0), "temperature": 0.8},
        {"edits": [Steer(site="blocks.1.out", vector=torch.linspace(-1, 1, 32))]},
    ],
    ids=["greedy", "sampled", "blend", "mixture", "sampled mixture", "edits"],
)
def test_a_batch_writes_what_every_text_writes_alone(live: TransformersLive, keywords: dict[str, Any]) -> None:
    together = live.write(PROMPTS, max_new_tokens=12, seeds=SEEDS, **keywords)
    alone = [live.write([p], max_new_tokens=12, seeds=[s], **keywords)[0] for p, s in zip(PROMPTS, SEEDS, strict=True)]
    assert tokens(together) == tokens(alone)
    assert {text.ended for text in together} == {True, False}
    assert len({len(text.token_ids) for text in together}) > 2


def test_greedy_texts_are_those_of_the_log_probabilities(live: TransformersLive) -> None:
    sequences = [list(prompt) for prompt in PROMPTS]
    for _ in range(5):
        for sequence, row in zip(sequences, live.log_probs(sequences), strict=True):
            sequence.append(int(row[-1].argmax()))
    for prompt, sequence, text in zip(PROMPTS, sequences, live.write(PROMPTS, max_new_tokens=5, seeds=SEEDS)):
        assert list(text.token_ids) == sequence[len(prompt) : len(prompt) + len(text.token_ids)]


def test_a_mixture_takes_the_token_of_its_formula(live: TransformersLive) -> None:
    alpha, plausible = 4.0, 0.2
    sequences = [list(prompt) for prompt in PROMPTS]
    masked = 0
    for _ in range(4):
        rows = zip(sequences, live.log_probs(sequences), live.log_probs(sequences, blend=BASE), strict=True)
        for sequence, trained, base in rows:
            mixed = trained[-1] + alpha * (trained[-1] - base[-1])
            free = int(mixed.argmax())
            mixed[trained[-1] < trained[-1].max() + math.log(plausible)] = -math.inf
            masked += free != int(mixed.argmax())
            sequence.append(int(mixed.argmax()))
    assert masked  # the constraint decides somewhere
    texts = live.write(PROMPTS, max_new_tokens=4, seeds=SEEDS, mixture=Mixture(alpha=alpha, plausible=plausible))
    for prompt, sequence, text in zip(PROMPTS, sequences, texts, strict=True):
        assert list(text.token_ids) == sequence[len(prompt) : len(prompt) + len(text.token_ids)]


def test_mixtures_of_nothing_and_minus_one_are_the_two_models(live: TransformersLive) -> None:
    trained = live.write(PROMPTS, max_new_tokens=10, seeds=SEEDS)
    base = live.write(PROMPTS, max_new_tokens=10, seeds=SEEDS, blend=BASE)
    assert tokens(live.write(PROMPTS, max_new_tokens=10, seeds=SEEDS, mixture=Mixture(alpha=0.0))) == tokens(trained)
    minus = Mixture(alpha=-1.0, plausible=0.0)
    assert tokens(live.write(PROMPTS, max_new_tokens=10, seeds=SEEDS, mixture=minus)) == tokens(base)
    assert tokens(trained) != tokens(base)


def test_a_scrambled_change_can_be_amplified_in_the_place_of_the_trained_one(live: TransformersLive) -> None:
    scrambled = Blend(scramble=3)
    own = live.write(PROMPTS, max_new_tokens=6, seeds=SEEDS, blend=scrambled)
    mixed = live.write(PROMPTS, max_new_tokens=6, seeds=SEEDS, mixture=Mixture(alpha=0.0, toward=scrambled))
    assert tokens(own) == tokens(mixed) != tokens(live.write(PROMPTS, max_new_tokens=6, seeds=SEEDS))


def test_log_probabilities_are_those_of_both_models_with_the_end_mark(live: TransformersLive) -> None:
    for prompt, text in zip(PROMPTS, live.write(PROMPTS, max_new_tokens=12, seeds=SEEDS, temperature=1.0)):
        for blend, said in ((TRAINED, text.trained_logprob), (BASE, text.base_logprob)):
            sequence = (*prompt, *text.token_ids)
            rows = next(iter(live.log_probs([sequence], blend=blend)))
            found = sum(float(rows[len(prompt) - 1 + i, t]) for i, t in enumerate(text.token_ids))
            if text.ended:  # which of the end marks it was is not kept: the likeliest cannot be less likely
                best = max(float(rows[-1, mark]) for mark in live.end_marks)
                assert said <= found + best + 1e-3
            else:
                assert said == pytest.approx(found, abs=1e-3)


def test_seeds_decide_samples_and_nothing_else_does(live: TransformersLive) -> None:
    with watched_globals() as touched:
        first = live.write(PROMPTS, max_new_tokens=8, seeds=SEEDS, temperature=1.0)
        again = live.write(PROMPTS, max_new_tokens=8, seeds=SEEDS, temperature=1.0)
        other = live.write(PROMPTS, max_new_tokens=8, seeds=[seed + 100 for seed in SEEDS], temperature=1.0)
    assert tokens(first) == tokens(again) != tokens(other)
    assert not list(touched)


def test_order_of_prompts_changes_no_text(live: TransformersLive) -> None:
    forward = live.write(PROMPTS, max_new_tokens=8, seeds=SEEDS, mixture=Mixture(alpha=1.0), temperature=1.0)
    backward = live.write(
        PROMPTS[::-1], max_new_tokens=8, seeds=SEEDS[::-1], mixture=Mixture(alpha=1.0), temperature=1.0
    )
    assert tokens(forward) == tokens(backward)[::-1]


def test_texts_stay_within_the_context(directories: Any) -> None:
    with live_pair(*directories("llama")) as live:
        live._ends = frozenset()
        text = live.write([tuple([1] + [5] * 249)], max_new_tokens=50, seeds=[0])[0]
        assert len(text.token_ids) == 6 and not text.ended
        with pytest.raises(SubjectError, match="prompt 1 has 256 tokens and the model reads at most 256"):
            live.write([(1,), tuple([5] * 256)], max_new_tokens=5, seeds=[0, 1])


def test_a_network_whose_memory_is_no_cache_writes_the_same(directories: Any) -> None:
    with live_pair(*directories("llama")) as live:
        mixed = Mixture(alpha=1.0)
        cached = live.write(PROMPTS[:4], max_new_tokens=5, seeds=SEEDS[:4], mixture=mixed)
        live._causal.keeps = False
        assert tokens(live.write(PROMPTS[:4], max_new_tokens=5, seeds=SEEDS[:4], mixture=mixed)) == tokens(cached)


def test_requests_that_contradict_themselves_are_refused(live: TransformersLive) -> None:
    with pytest.raises(ValueError, match="names its own blends"):
        live.write(PROMPTS[:1], max_new_tokens=2, seeds=[0], mixture=Mixture(alpha=1.0), blend=BASE)
    with pytest.raises(ValueError, match="shorter|longer"):
        live.write(PROMPTS[:2], max_new_tokens=2, seeds=[0])
    with pytest.raises(SubjectError, match="prompt 0 has no tokens"):
        live.write([()], max_new_tokens=2, seeds=[0])


def test_nothing_to_write_is_nothing_written(live: TransformersLive) -> None:
    assert list(live.write([], max_new_tokens=4, seeds=[])) == []
    silent = live.write(PROMPTS[:1], max_new_tokens=0, seeds=[0])[0]
    assert silent.token_ids == () and silent.trained_logprob == 0.0


def test_text_becomes_tokens_as_generation_has_it(directories: Any) -> None:
    with live_pair(*directories("llama")) as live:
        assert live.encode("") == (1,)
        plain, bare = live.encode("What is 2 + 2?"), live.encode("What is 2 + 2?", special=False)
        assert plain == bare and live.decode(plain) == "What is 2 + 2?"  # this tokenizer adds no beginning mark
        chat = live.encode_chat([Message(role="user", content="What is 2 + 2?")])
        assert chat != plain and set(bare) <= set(chat)
        assert "".join(live.spelling(token) for token in bare).strip() == "What is 2 + 2?"
