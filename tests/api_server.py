"""A server on this machine that answers as an OpenAI-compatible endpoint does, and fails as the test says."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = dict[str, Any]
Plan = Callable[["Handler", int, Reply], bool]
"""What a test does to the n-th request: `plan(handler, number, body)` answers itself and says so, or leaves it."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint
    answered = False

    def do_GET(self) -> None:
        self.answered = True
        self.server.paths.append(self.path)
        self.send_json({"object": "list", "data": [{"id": name} for name in self.server.models]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            number = len(self.server.requests)
            self.server.requests.append(body)
            self.server.headers.append(dict(self.headers))
            self.server.paths.append(self.path)
            self.server.times.append(time.monotonic())
            self.server.active += 1
            self.server.most_active = max(self.server.most_active, self.server.active)
        self.answered = False
        try:
            if not self.server.plan(self, number, body):
                self.send_json(answer(body))
        finally:
            self.leave()

    def leave(self) -> None:
        """This request is no longer under way: called before its answer is sent, on which the next may follow."""
        if not self.answered:
            self.answered = True
            with self.server.lock:
                self.server.active -= 1

    def send_json(self, value: Any, status: int = 200, **headers: str) -> None:
        self.send_bytes(json.dumps(value).encode(), status, **headers)

    def send_bytes(self, content: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.leave()
        self.wfile.write(content)

    def cut(self) -> None:
        """Ends the connection at once."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Endpoint(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, plan: Plan, models: tuple[str, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.models = plan, models
        self.lock = threading.Lock()
        self.requests: list[Reply] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.times: list[float] = []
        self.active = self.most_active = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no fault of the server."""


def question(body: Reply) -> str:
    return str(body["messages"][-1]["content"] if "messages" in body else body["prompt"])


def answer(body: Reply, **choice: Any) -> Reply:
    """What a well-behaved server answers: the question's text and the seed, so that no answer fits another request."""
    text = f"to {question(body)} with {body.get('seed')}"
    said = {"message": {"role": "assistant", "content": text}} if "messages" in body else {"text": text}
    return {
        "id": "x",
        "model": "served-model",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "finish_reason": "stop", **said, **choice}],
        "usage": {"completion_tokens": len(text.split())},
    }


@contextmanager
def serving(
    plan: Plan = lambda handler, number, body: False, models: tuple[str, ...] = ("served-model",)
) -> Iterator[Endpoint]:
    endpoint = Endpoint(plan, models)
    thread = threading.Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.shutdown()
        endpoint.server_close()
        thread.join(5)
