"""Keys reach the server they are for, and nothing else: no message, label, digest, document, log or copy."""

from __future__ import annotations

import json
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import attrs
import pytest

from afterburn_core.backends.api import open_subject
from afterburn_core.backends.api_address import parse_address
from afterburn_core.backends.api_retry import Patience
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Decoding, Request, Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.model import Message
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import describe

_spec = spec_from_file_location("afterburn_tests_api_server", Path(__file__).with_name("api_server.py"))
assert _spec is not None and _spec.loader is not None
server: Any = module_from_spec(_spec)
_spec.loader.exec_module(server)

KEY = "sk-Zq81-correct-horse-battery-staple-77"
HASTE = Patience(attempts=2, first_delay=0.01, stall=0.3, deadline=0.8, grace=0.5)
ASKED = tuple(
    Request(probe=f"p{n}", index=0, messages=(Message(role="user", content=f"question {n}"),), seed=n) for n in range(3)
)


def generate(endpoint: Any) -> tuple[Any, Any, list[Any]]:
    reference = parse_reference(f"api:{endpoint.url}?tenant=hidden-{KEY}#served-model")
    subject = attrs.evolve(open_subject(reference, role="base", base=None, registry=Registry([])), patience=HASTE)
    made = subject.generator(Decoding(), Serving())
    return reference, subject, [made, *made.generate(ASKED)]


def assert_hidden(*things: Any) -> None:
    for thing in things:
        for text in (str(thing), repr(thing)):
            assert KEY not in text and KEY[:12] not in text and KEY[-12:] not in text


def test_a_key_from_the_environment_is_sent_and_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AFTERBURN_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with server.serving() as endpoint:
        reference, subject, (made, *completed) = generate(endpoint)
    assert [headers["Authorization"] for headers in endpoint.headers] == [f"Bearer {KEY}"] * 3
    assert endpoint.paths[0] == f"/v1/chat/completions?tenant=hidden-{KEY}"
    assert_hidden(
        reference, reference.text, reference.label, subject, subject.facts, made.facts, describe(subject.facts, ()),
        *completed, *vars(made).values(), caplog.text, *capfd.readouterr(),
    )  # fmt: skip
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(subject.address.key)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 429, 500])
def test_no_failure_repeats_the_key(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers like to say which key it was that they did not like."""
    monkeypatch.setenv("AFTERBURN_API_KEY", KEY)

    def plan(handler: Any, number: int, body: Any) -> bool:
        said = f"Incorrect API key provided: {KEY[:14]}**** or {KEY} or ****{KEY[-13:]}"
        handler.send_json({"error": {"message": said}}, status, Location=f"http://elsewhere.example/?key={KEY}")
        return True

    with server.serving(plan) as endpoint, pytest.raises(SubjectError) as error:
        generate(endpoint)
    shown = "".join(traceback.format_exception(error.value))
    assert "Incorrect" in shown or status in (302, 401, 403, 429, 500)
    assert_hidden(error.value, shown, vars(error.value))


@pytest.mark.slow
def test_a_whole_run_leaves_the_key_in_no_file_and_on_no_screen(tmp_path: Path) -> None:
    """The command line, first with a server that fails and repeats the key, then to the report."""
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"id": f"q{n}", "prompt": f"Question {n}?"}) + "\n" for n in range(12)))
    environment = {**os.environ, "AFTERBURN_API_KEY": KEY, "AFTERBURN_CACHE_DIR": str(tmp_path / "cache")}
    faulty = True

    def plan(handler: Any, number: int, body: Any) -> bool:
        if faulty and number == 5:
            handler.send_json({"error": {"message": f"no good: {KEY}"}}, 400)
            return True
        return False

    shown = b""
    with server.serving(plan) as endpoint:
        url = f"api:{endpoint.url}?token={KEY}"
        arguments = ["--base", f"{url}#one", "--trained", f"{url}#two", "--prompts", str(prompts)]
        arguments += ["--run-dir", str(tmp_path / "run"), "-o", str(tmp_path / "report.html"), "--debug"]
        for expected in (2, 0):
            command = [sys.executable, "-m", "afterburn_core", "behaviour", *arguments]
            done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=100)
            assert done.returncode == expected, (done.stdout + done.stderr).decode()
            shown += done.stdout + done.stderr
            faulty = False
    assert len(endpoint.requests) == 2 * 12 + 1  # one refused, none asked twice
    assert b"no good" in shown and KEY.encode() not in shown
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 4 and not [file for file in files if KEY.encode() in file.read_bytes()]


def test_a_key_is_not_sent_over_a_network_without_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERBURN_API_KEY", KEY)
    for url in ("http://models.example/v1", "http://192.168.1.5:8000/v1", "http://127.0.0.1.models.example/v1"):
        with pytest.raises(SubjectError, match="over http without encryption; use https, or set") as error:
            parse_address(url)
        assert_hidden(error.value)
    for url in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:8000/v1", "https://models.example/v1"):
        assert parse_address(url).key is not None
    monkeypatch.setenv("AFTERBURN_API_ALLOW_HTTP", "1")
    assert parse_address("http://models.example/v1").key is not None
    monkeypatch.delenv("AFTERBURN_API_ALLOW_HTTP")
    monkeypatch.delenv("AFTERBURN_API_KEY")
    assert parse_address("http://models.example/v1").key is None
    with pytest.raises(SubjectError, match="over http without encryption"):
        parse_address(f"http://models.example/v1?key={KEY}")


def test_a_proxy_sees_where_to_and_not_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERBURN_API_KEY", KEY)
    seen: list[bytes] = []

    def refuse(listening: socket.socket) -> None:
        for _ in range(2):
            connection, _ = listening.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("https_proxy", f"http://me:hidden@127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        thread = threading.Thread(target=refuse, args=(listening,), daemon=True)
        thread.start()
        reference = parse_reference("api:https://models.example/v1#m")
        subject = attrs.evolve(open_subject(reference, role="base", base=None, registry=Registry([])), patience=HASTE)
        with pytest.raises(SubjectError, match="failed 2 times, last: no connection") as error:
            list(subject.generator(Decoding(), Serving()).generate(ASKED))
        thread.join(5)
    assert seen[0].startswith(b"CONNECT models.example:443 ") and b"Proxy-Authorization: Basic " in seen[0]
    assert KEY.encode() not in b"".join(seen)
    assert_hidden(error.value)
    assert "hidden" not in str(error.value)


def test_every_key_goes_to_its_own_host() -> None:
    def sent(url: str, **environment: str) -> str | None:
        key = parse_address(url, environment).key
        return None if key is None else key.header()

    assert sent("https://api.openai.com/v1", OPENAI_API_KEY="one") == "Bearer one"
    assert sent("https://models.example/v1", OPENAI_API_KEY="one") is None  # nobody else may see that
    assert sent("https://api.openai.com.evil.example/v1", OPENAI_API_KEY="one") is None
    both = {"AFTERBURN_API_KEY": "one", "AFTERBURN_API_KEY_MODELS_EXAMPLE": "two"}
    assert sent("https://models.example/v1", **both) == "Bearer two"
    assert sent("https://other.example/v1", **both) == "Bearer one"


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_what_is_no_key_is_refused_by_the_name_of_its_variable(key: str) -> None:
    with pytest.raises(SubjectError, match="AFTERBURN_API_KEY: holds characters that no key has") as error:
        parse_address("https://models.example/v1", {"AFTERBURN_API_KEY": key})
    assert key not in str(error.value)


@pytest.mark.parametrize(
    ("url", "path", "route"),
    [
        ("http://h:8000", "/v1", None),
        ("http://h:8000/", "/v1", None),
        ("http://h:8000/v1/", "/v1", None),
        ("http://h:8000/api/v2", "/api/v2", None),
        ("http://h:8000/v1/chat/completions", "/v1", "chat"),
        ("http://h:8000/v1/completions", "/v1", "completions"),
        ("http://h:8000/v1?completions", "/v1", "completions"),
    ],
)
def test_a_url_may_be_given_as_it_stands_in_a_manual(url: str, path: str, route: str | None) -> None:
    address = parse_address(url, {})
    assert (address.host, address.port, address.path, address.route) == ("h", 8000, path, route)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("api:", "needs a URL"),
        ("api:localhost:8000#m", "needs a URL"),
        ("api:ftp://h/v1#m", "needs a URL"),
        ("api:http://#m", "needs a URL"),
        ("api:http://[::1#m", "needs a URL"),
        ("api:http://h:port/v1#m", "port is no number"),
        (
            f"api:https://me:{KEY}@models.example/v1#m",
            "holds a name or password; leave it out and set AFTERBURN_API_KEY",
        ),
    ],
)
def test_what_is_no_endpoint_is_refused_with_the_form_it_should_have(text: str, message: str) -> None:
    with pytest.raises(SubjectError, match=message) as error:
        open_subject(parse_reference(text), role="base", base=None, registry=Registry([]))
    assert_hidden(error.value)


def test_a_model_named_by_a_folder_of_its_server_shows_the_folder_nowhere() -> None:
    reference = parse_reference("api:http://127.0.0.1:1/v1#/var/somebody/models/tiny")
    subject = open_subject(reference, role="base", base=None, registry=Registry([]))
    made = subject.generator(Decoding(), Serving())
    assert (subject.facts.label, reference.label) == ("tiny", "tiny")
    assert "somebody" not in f"{subject.facts} {made.facts}"
