"""HTTP to one endpoint: time limits on every step, and a clear word for every failure.

Every request has a connection of its own. On a connection that is used again, an answer that comes twice, or late, is
taken for the answer to the next request, and nothing in the protocol tells; a handshake costs little beside a text.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from afterburn_core import __version__
from afterburn_core.backends.api_address import KEY, Address, clip, key_variable
from afterburn_core.backends.api_retry import Patience, Transient, Unreachable, parse_retry_after
from afterburn_core.errors import SubjectError

BODY_LIMIT = 64 << 20
"""Bytes of one answer."""
_TRANSIENT = frozenset({408, 409, 425, 429})


class Refused(Exception):
    """The server does not take the request as it is (400, 422); another dialect may do."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status
        self.said = said


@attrs.frozen(kw_only=True)
class Reply:
    """An answer that is a JSON object."""

    body: dict[str, Any]
    server: str | None
    """The `Server` header."""


class Client:
    """Asks one endpoint, one request after the other, for one thread; `abort` may be called by another."""

    def __init__(self, address: Address, patience: Patience) -> None:
        self._address = address
        self._patience = patience
        self._connection: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None  # the connection forgets it when an answer begins
        self._aborted = threading.Event()

    def get(self, resource: str) -> Reply:
        """The answer to a GET. Raises as `post` does."""
        return self._ask("GET", resource, None)

    def post(self, resource: str, payload: dict[str, Any]) -> Reply:
        """The answer to a POST of a JSON object.

        Raises:
            Transient: asking again may help.
            Refused: the server does not take these parameters.
            SubjectError: asking again does not help.
        """
        return self._ask("POST", resource, json.dumps(payload, ensure_ascii=False, allow_nan=False).encode())

    def abort(self) -> None:
        """Ends what is under way: the waiting thread gets an error at once."""
        self._aborted.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends the connection."""
        self._socket = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, method: str, resource: str, body: bytes | None) -> Reply:
        try:
            return self._exchange(method, resource, body)
        except TimeoutError:
            raise Transient("the server sent nothing for too long") from None
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            raise Transient(f"the connection was cut ({type(error).__name__})") from None
        except http.client.IncompleteRead as error:
            raise Transient(f"the answer was cut after {len(error.partial)} bytes") from None
        except ssl.SSLCertVerificationError as error:
            where = self._address.public
            message = f"{where}: its certificate is not valid ({error.verify_message}); correct the URL"
            raise SubjectError(message) from None
        except socket.gaierror as error:
            raise Unreachable(f"the host's name cannot be looked up ({error.strerror})") from None
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"no connection ({_reason(error)})") from None
        finally:
            self.close()

    def _exchange(self, method: str, resource: str, body: bytes | None) -> Reply:
        self._connection = connection = _connect(self._address, self._patience.connect)
        connection.connect()
        self._socket = connection.sock
        if self._aborted.is_set():
            raise ConnectionAbortedError("the run ended")
        connection.sock.settimeout(self._patience.stall)
        headers = {"Accept": "application/json", "Connection": "close", "User-Agent": f"afterburn/{__version__}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._address.key is not None:
            headers["Authorization"] = self._address.key.header()
        until = time.monotonic() + self._patience.deadline
        connection.request(method, self._address.target(resource), body=body, headers=headers)
        with connection.getresponse() as response:
            return self._judge(response, self._read(response, until))

    def _read(self, response: http.client.HTTPResponse, until: float) -> bytes:
        """The whole body; `IncompleteRead` where the connection ends before it does."""
        expected, chunks, size = response.length, [], 0
        while True:
            chunk = response.read1(1 << 16)
            if not chunk:
                break
            chunks.append(chunk)
            size += len(chunk)
            if size > BODY_LIMIT:
                raise SubjectError(
                    f"{self._address.public}: answers with more than {BODY_LIMIT >> 20} MiB; check the URL"
                )
            if time.monotonic() > until:
                raise Transient(f"the answer was not complete after {self._patience.deadline:g} s")
        if expected is not None and size < expected:
            raise http.client.IncompleteRead(b"".join(chunks), expected - size)
        return b"".join(chunks)

    def _judge(self, response: http.client.HTTPResponse, text: bytes) -> Reply:
        status = response.status
        if 200 <= status < 300:
            try:
                body = json.loads(text)
            except (ValueError, RecursionError):
                raise Transient("the answer is no JSON") from None
            if not isinstance(body, dict):
                raise Transient("the answer is no JSON object")
            if "choices" not in body and "data" not in body and "error" in body:
                raise Transient(f"the answer is an error ({clip(_said(text), self._address.key)})")
            return Reply(body=body, server=response.headers.get("Server"))
        where, said = self._address.public, clip(_said(text), self._address.key)
        if status in (400, 422):
            raise Refused(status, _said(text))
        if status == 429 and "insufficient_quota" in _said(text):
            raise SubjectError(f"{where}: the account's quota is used up (429); add to it and run again")
        if status in _TRANSIENT or status >= 500:
            retry_after = parse_retry_after(response.headers.get("Retry-After"))
            raise Transient(f"status {status}", retry_after)
        if status in (401, 403):  # what the server says may repeat parts of the key
            names = f"{KEY} or {key_variable(self._address.host)}"
            had = "the key is not accepted" if self._address.key else "a key is needed"
            raise SubjectError(f"{where}: {had} ({status}); set {names} in the environment")
        if 300 <= status < 400:
            host = urlsplit(response.headers.get("Location", "")).hostname or "elsewhere"
            raise SubjectError(f"{where}: moved to {host} ({status}), and keys follow no redirect; give the new URL")
        if status == 404:
            raise SubjectError(f"{where}: no such model or endpoint (404: {said}); check the URL and the name after #")
        raise SubjectError(f"{where}: refused the request ({status}: {said}); check the URL")


def _connect(address: Address, timeout: float) -> http.client.HTTPConnection:
    """A connection, through the proxy that the environment names for https."""
    if address.scheme == "http":
        return http.client.HTTPConnection(address.host, address.port, timeout=timeout)
    context = ssl.create_default_context()
    proxy = None if address.local or proxy_bypass(address.host) else getproxies().get("https")
    via = urlsplit(proxy if proxy and "//" in proxy else f"//{proxy}") if proxy else None
    if via is None or via.hostname is None:
        return http.client.HTTPSConnection(address.host, address.port, timeout=timeout, context=context)
    connection = http.client.HTTPSConnection(via.hostname, via.port or 8080, timeout=timeout, context=context)
    headers = {}
    if via.username is not None:
        pair = f"{unquote(via.username)}:{unquote(via.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    connection.set_tunnel(address.host, address.port, headers=headers)
    return connection


def _said(text: bytes) -> str:
    """The message in an error's body, in the forms that servers use."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return text[:2000].decode("utf-8", "replace")
    if isinstance(body, dict):
        error = body.get("error", body.get("detail", body.get("message", body)))
        if isinstance(error, dict):
            parts = (error.get("message"), error.get("code"), error.get("param"))
            return " ".join(str(part) for part in parts if part) or json.dumps(error)[:2000]
        return str(error)
    return str(body)[:2000]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
