"""Where an endpoint is, and with which key it is asked. A key is held where nothing prints it."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

import attrs

from afterburn_core.errors import SubjectError

Route = Literal["chat", "completions"]

KEY = "AFTERBURN_API_KEY"
ALLOW_HTTP = "AFTERBURN_API_ALLOW_HTTP"
_SAID = 200  # characters of a server's message inside ours
_OPENAI_KEY = "OPENAI_API_KEY"
_OPENAI_HOST = "api.openai.com"
_ROUTES: Mapping[str, Route] = {"/chat/completions": "chat", "/completions": "completions"}


class Key:
    """A secret; its text is asked for where a request is sent and nowhere else."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Key(…)"

    def __reduce__(self) -> str:
        raise TypeError("a key cannot be pickled")

    def header(self) -> str:
        """The value of the `Authorization` header."""
        return f"Bearer {self._text}"

    def hide(self, text: str) -> str:
        """`text` without the key, or any half of it, such as servers repeat in messages."""
        for part in (self._text, self._text[:12], self._text[-12:]):
            if len(part) >= 6:
                text = text.replace(part, "…")
        return text


@attrs.frozen(kw_only=True)
class Address:
    """A base URL taken apart."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str
    """Without a slash at its end: `/v1`."""
    query: str = attrs.field(default="", repr=False)
    """Sent along with every request, and shown nowhere: some services take secrets there."""
    route: Route | None = None
    """The endpoint that the URL names; `None` leaves it to the template."""
    key: Key | None = None

    @property
    def local(self) -> bool:
        """Whether requests stay on this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def public(self) -> str:
        """The URL as messages show it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    def identity(self, model: str) -> str:
        """sha256 of address, route and model: what tells one served model from another, and gives no address away."""
        return hashlib.sha256("\n".join((self.public, self.route or "", model)).encode()).hexdigest()

    def target(self, resource: str) -> str:
        """Path and query of a resource such as `/models`."""
        return f"{self.path}{resource}" + (f"?{self.query}" if self.query else "")


def parse_address(url: str, environment: Mapping[str, str] | None = None) -> Address:
    """Takes apart a URL such as `http://localhost:8000/v1`, and finds the key for its host.

    `?completions` asks for the plain completion endpoint. A URL without a path means `/v1`; one that ends in an
    endpoint means its parent.

    Args:
        url: as `api:` names it, without the model.
        environment: instead of the process's variables.

    Raises:
        SubjectError: it is no such URL, holds a password, or would send a key unencrypted over a network.
    """
    environment = os.environ if environment is None else environment
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise SubjectError("api: the URL's port is no number; give api:http://HOST:PORT/v1#MODEL") from None
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise SubjectError("api: needs a URL that begins with http:// or https://; give api:http://HOST:PORT/v1#MODEL")
    if "@" in parts.netloc:
        raise SubjectError(f"api:{host}: the URL holds a name or password; leave it out and set {KEY} instead")
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    path, route = parts.path.rstrip("/"), None
    for ending, meant in _ROUTES.items():
        if path.endswith(ending):
            path, route = path.removesuffix(ending), meant
            break
    query = [part for part in parts.query.split("&") if part]
    if "completions" in query:
        query.remove("completions")
        route = "completions"
    address = Address(
        scheme=scheme,
        host=host,
        port=port or (443 if scheme == "https" else 80),
        path=path or "/v1",
        query="&".join(query),
        route=route,
        key=_key(host, environment),
    )
    secret = address.key is not None or bool(address.query)
    if secret and scheme == "http" and not address.local and environment.get(ALLOW_HTTP) != "1":
        raise SubjectError(
            f"{address.public}: a key would be sent over http without encryption; use https, or set {ALLOW_HTTP}=1 "
            "if the network is yours"
        )
    return address


def key_variable(host: str) -> str:
    """Name of the variable with the key for one host: `AFTERBURN_API_KEY_API_EXAMPLE_COM`."""
    return f"{KEY}_{re.sub(r'[^A-Za-z0-9]', '_', host).upper()}"


def _key(host: str, environment: Mapping[str, str]) -> Key | None:
    """The key for a host. OpenAI's key goes to OpenAI alone: no other server has a right to see it."""
    names = [key_variable(host), KEY] + ([_OPENAI_KEY] if host == _OPENAI_HOST else [])
    for name in names:
        text = environment.get(name, "").strip()
        if not text:
            continue
        if not text.isascii() or not text.isprintable() or " " in text:
            raise SubjectError(f"{name}: holds characters that no key has (spaces, line ends …); set it again")
        return Key(text)
    return None


def shown_model(name: str) -> str:
    """A model's name without the folders of the server's machine, by which some servers name models."""
    return name.rstrip("/").rpartition("/")[2] if name.startswith(("/", "~", ".")) else name


def clip(text: str, key: Key | None) -> str:
    """What a server said, on one line, short, without the key."""
    text = " ".join((key.hide(text) if key else text).split())
    return repr(text if len(text) <= _SAID else f"{text[: _SAID - 1]}…")
