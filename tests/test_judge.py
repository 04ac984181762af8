"""A third model as judge: asked in both orders over a real socket, corrected by gold, and never needed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from afterburn_core import Diagnoser, DiagnosticReport
from afterburn_core.errors import ConfigError

COUNT = 40


class Endpoint(BaseHTTPRequestHandler):
    """An OpenAI-compatible server whose model prefers whichever answer has the word 'because'."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send({"data": [{"id": "umpire"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][-1]["content"]
        first, second = (part.split(">", 1)[1] for part in text.split("<answer_")[1:])
        a, b = "because" in first, "because" in second
        verdict = "tie" if a == b else "A" if a else "B"
        self.server.asked.append(text)  # type: ignore[attr-defined]
        message = {"role": "assistant", "content": f"It gives a reason.\nVerdict: {verdict}"}
        self._send({"model": "umpire", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    def _send(self, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def write(path: Path, answers: list[str], **labels: list[object]) -> str:
    rows = []
    for number, answer in enumerate(answers):
        row = {"prompt_id": f"q{number}", "prompt": f"Why {number}?", "sample": 0, "output": answer}
        rows.append(json.dumps({**row, **{name: values[number] for name, values in labels.items()}}))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return f"recorded:{path}"


def judged(tmp_path: Path, server: ThreadingHTTPServer, base: str, trained: str) -> DiagnosticReport:
    judge = f"api:http://127.0.0.1:{server.server_address[1]}/v1#umpire"
    return Diagnoser(
        base, trained, judge=judge, run_dir=tmp_path / "run", cache_dir=tmp_path / "cache", plugins=["behaviour"]
    ).run()


def preference(report: DiagnosticReport, metric: str = "behaviour.judge.preference") -> float | None:
    (measurement,) = report.measurements(metric)
    return measurement.value


def test_a_preferred_side_is_found_in_both_orders(tmp_path: Path, endpoint: ThreadingHTTPServer) -> None:
    base = write(tmp_path / "a.jsonl", [f"So it is, {n}." for n in range(COUNT)])
    trained = write(tmp_path / "b.jsonl", [f"So it is because of {n}." for n in range(COUNT)])
    report = judged(tmp_path, endpoint, base, trained)
    assert preference(report) == 0.5
    assert preference(report, "behaviour.judge.position_bias") == 0.0
    assert preference(report, "behaviour.judge.consistency") == 1.0
    (found,) = report.measurements("behaviour.judge.preference")
    assert found.reason is not None and "uncorrected" in found.reason
    asked = endpoint.asked  # type: ignore[attr-defined]
    assert len(asked) == len(set(asked)) == 2 * COUNT
    assert any(entry.kind == "judge" and entry.label == "umpire" for entry in report.result.inputs)
    assert any(artifact.id == "behaviour.judge_replies" for artifact in report.result.artifacts)


def test_swapping_the_sides_negates_the_preference(tmp_path: Path, endpoint: ThreadingHTTPServer) -> None:
    base = write(tmp_path / "a.jsonl", [f"So it is because of {n}." for n in range(COUNT)])
    trained = write(tmp_path / "b.jsonl", [f"So it is, {n}." for n in range(COUNT)])
    assert preference(judged(tmp_path, endpoint, base, trained)) == -0.5


@pytest.mark.parametrize("labelled", [COUNT, COUNT // 2])
def test_a_judge_that_misjudges_is_corrected_by_gold(
    tmp_path: Path, endpoint: ThreadingHTTPServer, labelled: int
) -> None:
    """The judge likes reasons; where answers can be checked, those with reasons are the wrong ones."""
    right, wrong = ([True, *[truth] * (labelled - 1), *[None] * (COUNT - labelled)] for truth in (True, False))
    base = write(tmp_path / "a.jsonl", [f"So it is, {n}." for n in range(COUNT)], is_correct=right)
    trained = write(tmp_path / "b.jsonl", [f"It is because of {n}." for n in range(COUNT)], is_correct=wrong)
    report = judged(tmp_path, endpoint, base, trained)
    assert preference(report) == 0.5
    expected = -0.5 * (labelled - 1) / labelled  # one tie, else base's answer is the right one
    assert preference(report, "behaviour.judge.preference_corrected") == pytest.approx(expected)


def test_a_second_run_asks_nobody_again(tmp_path: Path, endpoint: ThreadingHTTPServer) -> None:
    base = write(tmp_path / "a.jsonl", [f"So it is, {n}." for n in range(COUNT)])
    trained = write(tmp_path / "b.jsonl", [f"So it is because of {n}." for n in range(COUNT)])
    first = judged(tmp_path, endpoint, base, trained)
    asked = list(endpoint.asked)  # type: ignore[attr-defined]
    assert judged(tmp_path, endpoint, base, trained).measurements() == first.measurements()
    assert endpoint.asked == asked  # type: ignore[attr-defined]


def test_equal_answers_are_ties_that_nobody_is_asked_about(tmp_path: Path, endpoint: ThreadingHTTPServer) -> None:
    base = write(tmp_path / "a.jsonl", ["It is so."] * COUNT)
    report = judged(tmp_path, endpoint, base, write(tmp_path / "b.jsonl", ["It is so."] * COUNT))
    assert preference(report) == 0.0
    assert not endpoint.asked  # type: ignore[attr-defined]


def test_an_endpoint_that_cannot_be_reached_leaves_the_run_incomplete_and_the_rest_whole(tmp_path: Path) -> None:
    base = write(tmp_path / "a.jsonl", [f"So it is, {n}." for n in range(COUNT)])
    trained = write(tmp_path / "b.jsonl", [f"So it is because of {n}." for n in range(COUNT)])
    report = Diagnoser(
        base, trained, judge="api:http://127.0.0.1:9/v1#umpire", run_dir=tmp_path / "run", use_cache=False,
        plugins=["behaviour"],
    ).run()  # fmt: skip
    (execution,) = [e for e in report.result.executions if e.component == "behaviour.judge"]
    assert execution.status == "failed" and execution.reason is not None and "umpire" in execution.reason
    assert report.verdict.status == "incomplete"
    assert report.measurements("behaviour.length.log_ratio")


def test_without_a_judge_nothing_is_missing(tmp_path: Path) -> None:
    base = write(tmp_path / "a.jsonl", [f"So it is, {n}." for n in range(COUNT)])
    report = Diagnoser(base, base, run_dir=tmp_path / "run", use_cache=False, plugins=["behaviour"]).run()
    (execution,) = [e for e in report.result.executions if e.component == "behaviour.judge"]
    assert execution.status == "skipped" and not execution.applicable
    assert report.verdict.status == "pass"


def test_recorded_outputs_cannot_judge(tmp_path: Path) -> None:
    base = write(tmp_path / "a.jsonl", ["It is so."] * COUNT)
    with pytest.raises(ConfigError, match="cannot write"):
        Diagnoser(base, base, judge=base, run_dir=tmp_path / "run", plugins=["behaviour"]).run()
