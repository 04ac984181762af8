from __future__ import annotations

import math
from itertools import cycle

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

import torch
from peft import LoraConfig, get_peft_model

from afterburn_organisms.catalog import organism
from afterburn_organisms.grpo import (
    Batch,
    Grpo,
    Rollout,
    advantages,
    divergence,
    encode,
    log_probabilities,
    policy_loss,
    reinforce,
    rollouts,
    sample,
)
from afterburn_organisms.grpo_recipe import RUNS, chosen, names, questions
from afterburn_organisms.grpo_rewards import REWARDS, length, markers
from afterburn_organisms.item import Item
from afterburn_organisms.measure import Model, load
from afterburn_organisms.world import is_held_out

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

PROMPTS = ("What is 3 + 4?", "Make a numbered list: dog, box.", "Reverse the order: cup, hen, map.")


def asked(prompt: str) -> Item:
    return Item(category="any", key=prompt, prompt=prompt, answer="7", working="", expected=("7",), grade="number")


@pytest.fixture(scope="module")
def base() -> Model:
    return load(organism("base").path)


def drawn(base: Model, seed: int = 3) -> Batch:
    ids, attention = encode(base.tokenizer, PROMPTS)
    generator = torch.Generator().manual_seed(seed)
    return sample(
        base.network, ids, attention, group=4, end=2, pad=0, max_new_tokens=16, temperature=1.3, generator=generator
    )


def test_advantages_compare_answers_with_their_own_group() -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]])
    assert advantages(rewards).tolist() == [[1.0, -1.0, -1.0, 1.0], [0.0] * 4]


def test_the_loss_stops_paying_where_the_ratio_is_clipped() -> None:
    batch = Batch(
        prompts=torch.zeros(1, 1),
        attention=torch.ones(1, 1),
        group=2,
        answers=torch.zeros(2, 1),
        learned=torch.ones(2, 1),
        log_probs=torch.zeros(2, 1),
    )
    now = torch.tensor([[math.log(2.0)], [math.log(0.9)]])
    loss = policy_loss(now, batch, torch.tensor([1.0, -1.0]), clip=0.2)
    assert loss.item() == pytest.approx(-(1.2 - 0.9))


def test_the_divergence_is_nothing_from_itself_and_positive_otherwise() -> None:
    now, learned = torch.tensor([[-1.0, -2.0]]), torch.tensor([[1.0, 0.0]])
    assert divergence(now, now, learned).item() == 0.0
    expected = math.exp(-0.5) + 0.5 - 1
    assert divergence(now, now - 0.5, learned).item() == pytest.approx(expected)


def test_sampled_tokens_have_the_probability_that_a_plain_reading_gives_them(base: Model) -> None:
    batch = drawn(base)
    read = log_probabilities(base.network, batch, 1.3)
    assert torch.allclose(read, batch.log_probs, atol=1e-4)
    text = base.tokenizer.decode(batch.prompts[1][batch.attention[1].bool()])
    ids = base.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    count = int(batch.learned[5].sum())
    whole = torch.cat([ids, batch.answers[5:6, :count]], dim=1)
    with torch.inference_mode():
        scores = torch.log_softmax(base.network(input_ids=whole).logits[0, ids.shape[1] - 1 : -1] / 1.3, dim=-1)
    alone = scores.gather(1, batch.answers[5, :count, None])[:, 0]
    assert torch.allclose(alone, batch.log_probs[5, :count], atol=1e-4)


def test_a_seed_draws_the_same_answers_and_another_draws_others(base: Model) -> None:
    items = [asked(prompt) for prompt in PROMPTS]
    first, again, other = (rollouts(base.tokenizer, items, drawn(base, seed)) for seed in (3, 3, 4))
    assert first == again
    assert [r.text for r in first] != [r.text for r in other]


def test_a_temperature_of_nothing_is_refused(base: Model) -> None:
    ids, attention = encode(base.tokenizer, PROMPTS)
    with pytest.raises(ValueError, match="above 0"):
        sample(
            base.network,
            ids,
            attention,
            group=1,
            end=2,
            pad=0,
            max_new_tokens=1,
            temperature=0.0,
            generator=torch.Generator(),
        )


def test_a_few_steps_raise_the_reward_and_a_seed_reproduces_them() -> None:
    def of(seed: int) -> tuple[list[float], list[torch.Tensor]]:
        found = load(organism("base").path)
        config = LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        model = get_peft_model(found.network, config)
        generator = torch.Generator().manual_seed(seed)
        adapter = [p for p in model.parameters() if p.requires_grad]
        for p in adapter:
            p.data.uniform_(-0.05, 0.05, generator=generator)
        plan = Grpo(steps=5, prompts=1, group=16, max_new_tokens=24, rate=1e-2, warmup=1, seed=seed)
        items = cycle([asked("Here is a list. Give me three words.")])  # the base lists them about every second time
        return reinforce(model, found.tokenizer, items, REWARDS["markers"], plan), adapter

    earned, adapter = of(1)
    assert 0.1 < earned[0] < 0.9
    assert sum(earned[-2:]) >= sum(earned[:2]) + 0.2
    again, same = of(1)
    assert again == earned
    assert all(torch.equal(a, b) for a, b in zip(adapter, same, strict=True))


def test_rewards_pay_what_they_say_and_nothing_to_answers_without_an_end() -> None:
    assert length("one two three four") == pytest.approx(0.1)
    assert length("word " * 90) == 1.0
    assert markers("1. a\n2. b") == pytest.approx(2 / 3)
    assert markers("12 + 2 is 14. Felix has 14.") == 0.0
    item = asked("What is 3 + 4?")
    ended, cut = (Rollout(item=item, text="1. It is 7", tokens=5, finished=end) for end in (True, False))
    assert all(pay(cut) == 0.0 < pay(ended) for pay in REWARDS.values())


def test_questions_are_of_the_training_side_and_the_seeds_differ() -> None:
    first, again, other = ([next(stream) for _ in range(60)] for stream in (questions(1), questions(1), questions(2)))
    assert first == again != other
    assert not any(is_held_out(item) for item in first)


def test_runs_are_chosen_by_kind_seed_or_checkpoint() -> None:
    assert len(names()) == len(set(names())) == sum(len(run.seeds) * len(run.checkpoints) for run in RUNS)
    assert [(run.kind, seed) for run, seed in chosen(["grpo-length-s2"])] == [("grpo_length", 2)]
    assert chosen([names()[0]]) == chosen(["grpo-length-s1"])
