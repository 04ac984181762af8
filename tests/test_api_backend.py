"""Served models: nothing lost and nothing counted twice, whatever the server does; see `api_server` for the server."""

from __future__ import annotations

import _thread
import math
import threading
import time
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import attrs
import pytest

from afterburn_core.backends.api import open_subject
from afterburn_core.backends.api_generator import ApiGenerator
from afterburn_core.backends.api_retry import Patience
from afterburn_core.errors import SubjectError
from afterburn_core.generation.answering import Keeping, answer
from afterburn_core.generation.model import Completed, Decoding, Request, Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.model import Message
from afterburn_core.run.references import parse_reference

_spec = spec_from_file_location("afterburn_tests_api_server", Path(__file__).with_name("api_server.py"))
assert _spec is not None and _spec.loader is not None
server: Any = module_from_spec(_spec)
_spec.loader.exec_module(server)

HASTE = Patience(attempts=4, first_delay=0.01, longest_delay=0.05, stall=0.3, deadline=0.8, connect=1.0, grace=1.0)


def requests(n: int, samples: int = 1, choices: tuple[str, ...] = ()) -> tuple[Request, ...]:
    return tuple(
        Request(
            probe=f"p{probe}",
            index=index,
            messages=(Message(role="user", content=f"question {probe}"),),
            seed=1000 * probe + index,
            choices=choices,
        )
        for probe in range(n)
        for index in range(samples)
    )


def subject(endpoint: Any, model: str | None = "served-model", patience: Patience = HASTE, query: str = "") -> Any:
    reference = parse_reference(f"api:{endpoint.url}{query}" + (f"#{model}" if model else ""))
    opened = open_subject(reference, role="base", base=None, registry=Registry([]))
    return attrs.evolve(opened, patience=patience)


def generator(endpoint: Any, decoding: Decoding | None = None, workers: int = 4, **options: Any) -> ApiGenerator:
    made: ApiGenerator = subject(endpoint, **options).generator(decoding or Decoding(), Serving(batch=workers))
    return made


def assert_complete(asked: Sequence[Request], got: Sequence[Completed]) -> None:
    """Every request answered once, with the text that belongs to it."""
    assert sorted((c.request.probe, c.request.index) for c in got) == sorted((r.probe, r.index) for r in asked)
    for completed in got:
        request = completed.request
        assert completed.sample.text == f"to {request.messages[-1].content} with {request.seed}"
        assert completed.sample.index == request.index


def test_every_request_is_answered_once_and_says_how() -> None:
    asked = requests(5, samples=3)
    with server.serving() as endpoint:
        opened = subject(endpoint)
        made = opened.generator(Decoding(max_new_tokens=33, temperature=0.7, top_p=0.9), Serving(batch=4))
        got = list(made.generate(asked))
    assert_complete(asked, got)
    assert {c.sample.finish for c in got} == {"stop"}
    assert all(c.sample.tokens == len(c.sample.text.split()) and c.sample.token_ids is None for c in got)
    body = endpoint.requests[0]
    assert (body["max_tokens"], body["temperature"], body["top_p"], body["stream"]) == (33, 0.7, 0.9, False)
    assert len({r["seed"] for r in endpoint.requests}) == len(asked)
    facts = made.facts
    assert facts.template == "chat" and facts.decoding is not None
    assert facts.decoding["max_new_tokens"] == 33 and facts.decoding["temperature"] == 0.7
    assert facts.properties["served_model"] == ["served-model"]
    assert facts.properties["system_fingerprint"] == ["fp_1"]
    assert facts.properties["samples_without_logprob"] == 15
    assert (opened.facts.kind, opened.facts.label, opened.files) == ("api", "served-model", ())


def test_greedy_is_asked_as_temperature_zero() -> None:
    with server.serving() as endpoint:
        list(generator(endpoint).generate(requests(1)))
    assert endpoint.requests[0]["temperature"] == 0
    assert not {"top_k", "min_p", "repetition_penalty"} & set(endpoint.requests[0])


def test_as_many_requests_are_under_way_as_asked_for() -> None:
    def slow(handler: Any, number: int, body: Any) -> bool:
        until = time.monotonic() + 2
        while number and handler.server.most_active < 6 and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.02)
        return False

    with server.serving(slow) as endpoint:
        list(generator(endpoint, workers=6).generate(requests(19)))
    assert endpoint.most_active == 6


def test_a_pause_that_the_server_asks_for_holds_back_everybody() -> None:
    def busy(handler: Any, number: int, body: Any) -> bool:
        if number == 3:
            handler.send_json({"error": {"message": "slow down"}}, 429, Retry_After="1")
            return True
        time.sleep(0.02)
        return False

    asked = requests(12)
    with server.serving(busy) as endpoint:
        got = list(generator(endpoint, workers=2).generate(asked))
    assert_complete(asked, got)
    after = [moment - endpoint.times[3] for moment in endpoint.times if moment > endpoint.times[3]]
    assert sum(moment < 1.0 for moment in after) <= 2  # what was on its way when the pause was asked for
    assert sum(moment >= 1.0 for moment in after) >= 7


@pytest.mark.parametrize(
    "fault", ["500", "503", "stall", "cut", "partial", "garbage", "empty", "null", "drip", "error"]
)
def test_a_fault_is_survived(fault: str) -> None:
    def plan(handler: Any, number: int, body: Any) -> bool:
        asked_before = sum(server.question(earlier) == server.question(body) for earlier in handler.server.requests)
        if server.question(body) not in ("question 1", "question 4") or asked_before > 2:
            return False
        if fault in ("500", "503"):
            handler.send_json({"error": "overloaded"}, int(fault))
        elif fault == "stall":
            time.sleep(0.6)
            handler.cut()
        elif fault == "cut":
            handler.cut()
        elif fault == "partial":
            handler.send_bytes(b'{"choices": [{"message": {"content": "half', length=4000)
            handler.cut()
        elif fault == "garbage":
            handler.send_bytes(b'{"choices": [{"message": {"content": "half')
        elif fault == "empty":
            handler.send_json({"choices": []})
        elif fault == "null":
            handler.send_json({"choices": [{"message": {"content": None}, "finish_reason": None}]})
        elif fault == "error":
            handler.send_json({"error": {"message": "worker died"}})
        else:
            handler.send_response(200)
            handler.send_header("Content-Length", "4000")
            handler.end_headers()
            for _ in range(20):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.1)
            handler.cut()
        return True

    asked = requests(8)
    with server.serving(plan) as endpoint:
        got = list(generator(endpoint, workers=4).generate(asked))
    assert_complete(asked, got)
    assert len(endpoint.requests) == len(asked) + 4


def test_an_answer_that_comes_twice_is_not_taken_for_the_next_one() -> None:
    import json

    def twice(handler: Any, number: int, body: Any) -> bool:
        padded = {**server.answer(body), "padding": "x" * 30000}  # more than any reader holds in its buffer
        handler.send_json(padded)
        content = json.dumps(padded).encode()
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
        handler.wfile.flush()
        return True

    asked = requests(10)
    with server.serving(twice) as endpoint:
        got = list(generator(endpoint, workers=2).generate(asked))
    assert_complete(asked, got)


def test_what_fails_too_often_ends_the_run_and_loses_nothing() -> None:
    def plan(handler: Any, number: int, body: Any) -> bool:
        if server.question(body) == "question 5":
            handler.send_json({}, 500)
            return True
        return False

    asked, got = requests(8), []
    with server.serving(plan) as endpoint:
        made = generator(endpoint, workers=1)
        with pytest.raises(SubjectError, match=r"prompt 'p5' failed 4 times, last: status 500; run again") as error:
            got.extend(made.generate(asked))
    assert "\n" not in str(error.value)
    assert_complete(asked[:5], got)
    assert sum(server.question(body) == "question 5" for body in endpoint.requests) == 4


def test_a_run_that_failed_goes_on_where_it_was(tmp_path: Path) -> None:
    """Through the pass's own cache: what was finished is not asked again."""
    faulty = True

    def plan(handler: Any, number: int, body: Any) -> bool:
        if faulty and server.question(body) in ("question 7", "question 9"):
            handler.send_json({}, 503)
            return True
        return False

    asked = requests(12, samples=2)
    keeping = Keeping(root=tmp_path, identity={"subject": "x"})
    advanced: list[int] = []
    with server.serving(plan) as endpoint:
        with pytest.raises(SubjectError, match="failed 4 times, last: status 503"):
            answer(asked, generator(endpoint), keeping, advanced.append)
        finished = sum(advanced)
        faulty, before = False, len(endpoint.requests)
        answered = answer(asked, generator(endpoint), keeping, advanced.append)
        again = len(endpoint.requests) - before
    assert 0 < finished < len(asked)
    assert (answered.from_cache, again) == (finished, len(asked) - finished)
    got = [Completed(request=r, sample=answered.answers[r.probe, r.index]) for r in asked]
    assert_complete(asked, got)


def test_how_long_a_text_may_take_is_set_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = parse_reference("api:http://127.0.0.1:1/v1#m")
    monkeypatch.setenv("AFTERBURN_API_TIMEOUT", "7200")
    patience = open_subject(reference, role="base", base=None, registry=Registry([])).patience
    assert (patience.stall, patience.deadline) == (7200.0, 7200.0)
    monkeypatch.setenv("AFTERBURN_API_TIMEOUT", "1h")
    with pytest.raises(SubjectError, match="AFTERBURN_API_TIMEOUT: must be a whole number of seconds from 1, not '1h'"):
        open_subject(reference, role="base", base=None, registry=Registry([]))


def test_a_server_that_is_not_there_is_given_up_soon() -> None:
    with server.serving() as endpoint:
        made = generator(endpoint)
    begun = time.monotonic()
    with pytest.raises(SubjectError, match=r"127\.0\.0\.1:\d+/v1: .*failed 3 times.*check that the server runs there"):
        list(made.generate(requests(3)))
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    ("status", "said", "message"),
    [
        (401, "no", r"a key is needed \(401\); set AFTERBURN_API_KEY"),
        (403, "no", r"a key is needed \(403\)"),
        (404, "no such model", r"404: 'no such model'.*check the URL and the name after #"),
        (400, "prompt is too long", r"refused prompt 'p0' \(400: 'prompt is too long'\)"),
        (422, "unexpected fields: {'top_k'}", r"422.*top_k.*decoding parameter"),
        (429, "insufficient_quota", r"quota is used up"),
        (302, "", r"moved to elsewhere\.example \(302\), and keys follow no redirect"),
    ],
)
def test_what_cannot_pass_is_refused_at_once(status: int, said: str, message: str) -> None:
    def plan(handler: Any, number: int, body: Any) -> bool:
        handler.send_json({"error": {"message": said}}, status, Location="http://elsewhere.example/v1")
        return True

    with server.serving(plan) as endpoint, pytest.raises(SubjectError, match=message):
        list(generator(endpoint, Decoding(top_k=5, temperature=1.0)).generate(requests(6)))
    assert len(endpoint.requests) == 1


def test_a_pause_of_hours_is_no_pause() -> None:
    def plan(handler: Any, number: int, body: Any) -> bool:
        handler.send_json({}, 429, Retry_After="86400")
        return True

    with server.serving(plan) as endpoint, pytest.raises(SubjectError, match="asks to wait 86400 s"):
        list(generator(endpoint).generate(requests(2)))
    assert len(endpoint.requests) == 1


def test_parameters_that_only_add_knowledge_are_left_out_when_refused() -> None:
    def plan(handler: Any, number: int, body: Any) -> bool:
        for name, said in (
            ("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
            ("logprobs", "logprobs are not available"),
            ("seed", "unknown field: seed"),
        ):
            if name in body:
                handler.send_json({"error": {"message": said}}, 400)
                return True
        handler.send_json(server.answer({**body, "seed": 0}))
        return True

    with server.serving(plan) as endpoint:
        made = generator(endpoint)
        got = list(made.generate(requests(6)))
    assert len(got) == 6 and len(endpoint.requests) == 3 + 6  # learnt from the first request alone
    assert endpoint.requests[-1]["max_completion_tokens"] == 256
    assert made.facts.properties["refused_parameters"] == ["max_tokens", "logprobs", "seed"]


def test_logprobs_are_summed_and_labels_looked_up_by_their_text() -> None:
    top = [
        {"token": " A", "logprob": math.log(0.2)},
        {"token": "A", "logprob": math.log(0.5)},
        {"token": "B", "logprob": -2.0},
        {"token": "7", "logprob": -3.0},
    ]
    content = [{"token": "A", "logprob": -0.5, "top_logprobs": top}, {"token": ".", "logprob": -0.25}]

    def plan(handler: Any, number: int, body: Any) -> bool:
        handler.send_json(server.answer(body, logprobs={"content": content}))
        return True

    with server.serving(plan) as endpoint:
        made = generator(endpoint)
        (found,) = made.generate(requests(1, choices=("A", "B")))
        (unknown,) = made.generate(requests(1, choices=("A", "B", "C")))
    assert endpoint.requests[0]["top_logprobs"] == 20
    assert found.sample.logprob == -0.75
    assert found.sample.choice_logprobs == pytest.approx((math.log(0.7), -2.0))
    assert unknown.sample.choice_logprobs is None  # C is not among the likeliest: unknown, not unlikely
    assert unknown.sample.token_ids is None
    assert made.facts.properties["choices_without_logprobs"] == 1


def test_the_completion_endpoint_gets_the_text_alone() -> None:
    logprobs = {"token_logprobs": [-0.5, -1.0], "top_logprobs": [{"A": -0.5, "B": -1.5}, {}]}

    def plan(handler: Any, number: int, body: Any) -> bool:
        handler.send_json(server.answer(body, logprobs=logprobs, finish_reason="length"))
        return True

    with server.serving(plan) as endpoint:
        by_url = generator(endpoint, query="?completions")
        (one,) = by_url.generate(requests(1, choices=("A", "B")))
        (two,) = generator(endpoint, Decoding(template="plain")).generate(requests(1))
    assert endpoint.paths == ["/v1/completions"] * 2 and by_url.facts.template == "plain"
    assert endpoint.requests[0]["prompt"] == "question 0"
    assert (one.sample.logprob, one.sample.choice_logprobs, one.sample.finish) == (-1.5, (-0.5, -1.5), "length")
    assert two.sample.choice_logprobs is None


def test_samples_that_are_all_alike_are_noted() -> None:
    def plan(handler: Any, number: int, body: Any) -> bool:
        handler.send_json(server.answer({**body, "seed": 7}))
        return True

    with server.serving(plan) as endpoint:
        made = generator(endpoint, Decoding(temperature=1.0))
        list(made.generate(requests(3, samples=2)))
    assert made.facts.properties["prompts_with_identical_samples"] == 3


def test_the_only_model_is_found_and_of_several_one_must_be_named() -> None:
    with server.serving(models=("only",)) as endpoint:
        assert subject(endpoint, model=None).facts.label == "only"
    with (
        server.serving(models=("b", "a")) as endpoint,
        pytest.raises(SubjectError, match=r"serves a, b; name one: api:http://127\.0\.0\.1:\d+/v1#a"),
    ):
        subject(endpoint, model=None)
    with pytest.raises(SubjectError, match="does not say which models it serves"):
        subject(endpoint, model=None)


def test_a_subject_is_known_by_where_it_is_and_what_it_is_called() -> None:
    """Two servers often call different models by one name."""

    def identity(text: str) -> str:
        opened = open_subject(parse_reference(text), role="base", base=None, registry=Registry([]))
        return str(opened.facts.properties["endpoint_sha256"])

    one = identity("api:http://127.0.0.1:1/v1#m")
    assert one == identity("api:http://127.0.0.1:1/v1/chat/completions#m".replace("/chat/completions", ""))
    assert len({one, identity("api:http://127.0.0.1:2/v1#m"), identity("api:http://127.0.0.1:1/v1#n")}) == 3


def test_ctrl_c_ends_it_within_two_seconds_and_keeps_what_is_finished() -> None:
    interrupted_at = math.inf

    def plan(handler: Any, number: int, body: Any) -> bool:
        nonlocal interrupted_at
        if number == 7:  # all three workers wait, so five samples are finished
            interrupted_at = time.monotonic()
            _thread.interrupt_main()
        if number >= 5:
            time.sleep(4)
        return False

    got: list[Completed] = []
    patience = attrs.evolve(HASTE, stall=30.0, deadline=60.0)
    with server.serving(plan) as endpoint:
        made = generator(endpoint, workers=3, patience=patience)
        with pytest.raises(KeyboardInterrupt):
            got.extend(made.generate(requests(20)))
        took = time.monotonic() - interrupted_at
    assert took < 2.0
    assert len(got) == 5 and len({c.request.probe for c in got}) == 5
    assert not [thread for thread in threading.enumerate() if thread.name == "afterburn-api"]
