"""Scorers of the user's own: functions, recorded fields, reward models; what is wrong with one is said in a line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from afterburn_core.errors import ConfigError
from afterburn_core.generation.model import Sample, Serving
from afterburn_core.generation.scoring import Scoring, open_scorers
from afterburn_core.probes.model import Message, Probe
from afterburn_core.run.progress import Silent

PROBES = (
    Probe(id="a", prompt="Add 1 and 2.", gold="3", category="sums", properties={"level": 1}),
    Probe(
        id="b",
        prompt=(
            Message(role="user", content="Hi"),
            Message(role="assistant", content="Yes?"),
            Message(role="user", content="Bye"),
        ),
    ),
)
ANSWERS: dict[str, dict[tuple[str, int], Sample]] = {
    "base": {("a", 0): Sample(index=0, text="3"), ("b", 0): Sample(index=0, text="Goodbye")},
    "trained": {("a", 0): Sample(index=0, text="It is 3."), ("b", 0): Sample(index=0, text="Goodbye")},
}


def scorers(**named: str) -> Scoring:
    return open_scorers(named, serving=Serving(), cache=None, progress=Silent())  # type: ignore[arg-type]


def scores(scoring: Scoring, role: str = "reward") -> dict[tuple[str, str], float | None]:
    found = scoring.scored(ANSWERS, PROBES)
    return {(side, key[0]): sample.scores.get(role) for side, own in found.items() for key, sample in own.items()}


def written(tmp_path: Path, source: str) -> str:
    file = tmp_path / "mine.py"
    file.write_text(source, encoding="utf-8")
    return str(file)


def test_a_function_over_all_answers_is_called_as_trainers_call_it(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "def reward(prompts, completions, gold, level, **kwargs):\n"
        "    assert kwargs['probe_id'] == ['a', 'b', 'a']\n"
        "    assert prompts[1] == 'user: Hi\\nassistant: Yes?\\nuser: Bye'\n"
        "    return [len(c) + (g == '3') * (l or 0) * 100 for c, g, l in zip(completions, gold, level)]\n",
    )
    assert scores(scorers(reward=f"{file}:reward")) == {  # Goodbye is scored once for both sides
        ("base", "a"): 101.0,
        ("base", "b"): 7.0,
        ("trained", "a"): 108.0,
        ("trained", "b"): 7.0,
    }


def test_a_function_over_one_answer_may_have_nothing_to_say(tmp_path: Path) -> None:
    file = written(tmp_path, "def gold(completion, gold):\n    return None if gold is None else gold in completion\n")
    found = scores(scorers(gold=f"{file}:gold"), "gold")
    assert found == {("base", "a"): 1.0, ("trained", "a"): 1.0, ("base", "b"): None, ("trained", "b"): None}


@pytest.mark.parametrize(
    ("source", "name", "told"),
    [
        (
            "def reward(answer):\n    return 1\n",
            "reward",
            "must take (prompts, completions, …) or (prompt, completion, …), not (answer)",
        ),
        ("def score(completion):\n    return 1\n", "reward", "has no function 'reward'; it has score"),
        ("1/0\n", "reward", "cannot be imported (ZeroDivisionError: division by zero)"),
    ],
)
def test_a_function_that_cannot_be_used_is_refused_before_anything_is_written(
    tmp_path: Path, source: str, name: str, told: str
) -> None:
    with pytest.raises(ConfigError) as error:
        scorers(reward=f"{written(tmp_path, source)}:{name}")
    assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def r(prompt, completion):\n    raise KeyError('x')\n", "failed on prompt 'a' (KeyError: 'x')"),
        ("def r(completions):\n    return [1.0]\n", "returned 1 values for 3 completions"),
        ("def r(completion):\n    return float('nan')\n", "gave nan for prompt 'a'"),
        ("def r(completion):\n    return 'good'\n", "gave 'good' for prompt 'a'"),
        ("def r(completions):\n    return 5\n", "must return a list with a number per completion, not 5"),
    ],
)
def test_a_function_that_fails_says_where(tmp_path: Path, source: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        scores(scorers(reward=f"{written(tmp_path, source)}:r"))
    assert told in str(error.value)


def test_recorded_numbers_serve_as_scores() -> None:
    rows = {
        "base": {("a", 0): Sample(index=0, text="x", labels={"rm": 2})},
        "trained": {("a", 0): Sample(index=0, text="x", labels={"rm": 5.5})},
    }
    found = scorers(reward="label:rm").scored(rows, PROBES)
    assert [found[side]["a", 0].scores for side in ("base", "trained")] == [{"reward": 2.0}, {"reward": 5.5}]
    with pytest.raises(ConfigError, match="label:reward: no recorded row has this field; they have rm"):
        scorers(reward="label:reward").scored(rows, PROBES)


def test_neither_a_function_nor_a_model_nor_the_reward_twice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--reward nonsense: is neither"):
        scorers(reward="nonsense")
    with pytest.raises(ConfigError, match="is the reward itself"):
        scorers(reward="label:x", gold="label:x")
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}), encoding="utf-8")
    with pytest.raises(ConfigError, match="must be a sequence classifier with one output; it is LlamaForCausalLM"):
        scorers(reward=str(tmp_path))


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("afterburn_organisms")
    from afterburn_organisms import organism

    tokenizer = transformers.AutoTokenizer.from_pretrained(organism("base").path)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_labels=1, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.LlamaForSequenceClassification(config).eval()
    folder = tmp_path_factory.mktemp("reward")
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, network, tokenizer


def test_a_reward_model_scores_as_it_does_alone_without_padding(
    reward_model: tuple[Path, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    folder, network, tokenizer = reward_model
    named: dict[Any, Any] = {"reward": str(folder)}
    found = open_scorers(named, serving=Serving(), cache=tmp_path, progress=Silent()).scored(ANSWERS, PROBES)
    for probe in PROBES:
        turns = [{"role": m.role, "content": m.content} for m in probe.messages]
        for side in ANSWERS:
            text = tokenizer.apply_chat_template(
                [*turns, {"role": "assistant", "content": ANSWERS[side][probe.id, 0].text}], tokenize=False
            )
            with torch.inference_mode():
                ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
                alone = float(network(input_ids=ids).logits[0, 0])
            assert found[side][probe.id, 0].scores["reward"] == pytest.approx(alone, abs=1e-5)
    monkeypatch.setitem(sys.modules, "afterburn_core.backends.transformers_loading", None)  # nothing is loaded again
    again = open_scorers(named, serving=Serving(), cache=tmp_path, progress=Silent()).scored(ANSWERS, PROBES)
    assert again == found
