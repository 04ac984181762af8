"""What is read from an endpoint's answer: a sample or a reason to ask again, whatever stands in it."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterburn_core.backends.api_dialect import Dialect, label_logprobs, read_sample
from afterburn_core.backends.api_retry import Patience, Transient, parse_retry_after
from afterburn_core.generation.model import Decoding, Request, Sample
from afterburn_core.probes.model import Message

ASKED = Request(probe="p", index=2, messages=(Message(role="user", content="q"),), seed=5, choices=("A", "B"))
TOP = [{"token": "A", "logprob": -0.5}, {"token": "B", "logprob": -1.5}]
ANSWERS: dict[Any, dict[str, Any]] = {
    "chat": {
        "choices": [
            {
                "message": {"role": "assistant", "content": "A", "refusal": None},
                "finish_reason": "stop",
                "logprobs": {"content": [{"token": "A", "logprob": -0.5, "top_logprobs": TOP}]},
            }
        ],
        "usage": {"completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 0}},
    },
    "completions": {
        "choices": [
            {
                "text": "A",
                "finish_reason": "length",
                "logprobs": {"token_logprobs": [-0.5], "top_logprobs": [{"A": -0.5, "B": -1.5}]},
            }
        ],
        "usage": {"completion_tokens": 1},
    },
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in items for path in ((*above, key), *paths(inner, (*above, key)))]


@pytest.mark.parametrize("route", ANSWERS)
@settings(max_examples=300)
@given(data=st.data())
def test_a_wrong_value_anywhere_is_a_sample_or_another_attempt(route: Any, data: st.DataObject) -> None:
    body = copy.deepcopy(ANSWERS[route])
    *above, last = data.draw(st.sampled_from(paths(body)))
    place: Any = body
    for key in above:
        place = place[key]
    place[last] = data.draw(VALUES)
    try:
        sample = read_sample(body, ASKED, route)
    except Transient:
        return
    json.dumps(attrs.asdict(sample), allow_nan=False).encode()
    assert sample.logprob is None or sample.logprob <= 0
    assert sample.choice_logprobs is None or len(sample.choice_logprobs) == 2


@pytest.mark.parametrize("route", ANSWERS)
def test_a_whole_answer_is_read_whole(route: Any) -> None:
    assert read_sample(ANSWERS[route], ASKED, route) == Sample(
        index=2, text="A", tokens=1, finish="stop" if route == "chat" else "length", logprob=-0.5,
        choice_logprobs=(-0.5, -1.5), seed=5,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "text", "finish", "labels"),
    [
        ({"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}, "No.", "stop", {}),
        ({"message": {"content": None}, "finish_reason": "length"}, "", "length", {}),
        ({"message": {"content": ""}, "finish_reason": "content_filter"}, "", "content_filter", {}),
        ({"message": {"content": "x"}, "finish_reason": "tool_calls"}, "x", None, {"finish_reason": "tool_calls"}),
        ({"message": {"content": "x"}}, "x", None, {}),
        ({"message": {"content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]}}, "xy", None, {}),
    ],
)
def test_servers_end_a_text_in_several_ways(choice: Any, text: str, finish: Any, labels: Any) -> None:
    sample = read_sample({"choices": [choice]}, attrs.evolve(ASKED, choices=()), "chat")
    assert (sample.text, sample.finish, sample.labels, sample.tokens) == (text, finish, labels, None)


def test_hidden_reasoning_is_counted_apart() -> None:
    usage = {"completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 40}}
    sample = read_sample({**ANSWERS["chat"], "usage": usage}, ASKED, "chat")
    assert (sample.tokens, sample.labels) == (50, {"reasoning_tokens": 40})


def test_a_token_without_a_probability_leaves_the_sum_unknown() -> None:
    for value in (None, -9999.0, math.nan):
        body = copy.deepcopy(ANSWERS["chat"])
        body["choices"][0]["logprobs"]["content"].append({"token": "x", "logprob": value})
        assert read_sample(body, ASKED, "chat").logprob is None


def test_probabilities_of_one_label_add_up() -> None:
    found = label_logprobs({"A": [math.log(0.25), math.log(0.5)], "B": [-800.0], "C": [-0.1]}, ("A", "B"))
    assert found == pytest.approx((math.log(0.75), -800.0))
    assert label_logprobs({"A": [-1.0]}, ("A", "B")) is None


def test_what_shapes_the_text_is_never_left_out() -> None:
    decoding = Decoding(top_k=5, min_p=0.1, repetition_penalty=1.2, temperature=0.7)
    dialect = Dialect("chat", "m", decoding)
    for said in ("unknown field top_k", "min_p is not supported", "temperature must be 1", "unrecognised"):
        assert not dialect.learn(said, dialect.version)
    body = dialect.payload(ASKED)
    assert (body["top_k"], body["min_p"], body["repetition_penalty"], body["temperature"]) == (5, 0.1, 1.2, 0.7)


def test_fewer_candidates_are_asked_for_before_none() -> None:
    dialect = Dialect("chat", "m", Decoding())
    asked = []
    for _ in range(4):
        asked.append((dialect.payload(ASKED).get("logprobs"), dialect.payload(ASKED).get("top_logprobs")))
        dialect.learn("top_logprobs: too many" if len(asked) < 3 else "logprobs: no", dialect.version)
    assert asked == [(True, 20), (True, 5), (True, None), (None, None)]
    assert dialect.refusals == ("top_logprobs=20", "top_logprobs=5", "logprobs")
    assert dialect.learn("whatever", version=0)  # built before all that was learnt: worth another try


def test_the_schedule_can_be_repeated() -> None:
    patience = Patience(first_delay=1.0, longest_delay=8.0)
    delays = [patience.delay(attempt, seed=3) for attempt in range(1, 8)]
    assert delays == [patience.delay(attempt, seed=3) for attempt in range(1, 8)]
    for attempt, delay in enumerate(delays):
        whole = min(8.0, 2.0**attempt)
        assert whole / 2 <= delay <= whole
    assert delays != [patience.delay(attempt, seed=4) for attempt in range(1, 8)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", None), (None, None)],
)
def test_a_pause_is_read_in_either_form(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text) == seconds
