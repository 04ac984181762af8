"""How a subject is named on the command line, parsed without touching a model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import attrs

from afterburn_core.errors import SubjectError

Scheme = Literal["path", "hub", "recorded", "api"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+|[A-Za-z0-9][\w.-]*")


@attrs.frozen(kw_only=True)
class SubjectReference:
    """A parsed name of a subject."""

    text: str
    """As the user wrote it, less any password or query of a URL."""
    scheme: Scheme
    path: Path | None = None
    """For `path` and `recorded`."""
    hub_id: str | None = None
    revision: str | None = None
    cached_only: bool = False
    """Whether a hub id may only be taken from the client's cache: the user did not type it."""
    url: str | None = attrs.field(default=None, repr=False)
    """For `api`: with its query, which may hold a secret."""
    model: str | None = None
    """For `api`: the model's name at the endpoint."""

    @property
    def label(self) -> str:
        """What reports call the subject: never an absolute path."""
        if self.path is not None:
            return self.path.resolve().name
        model = self.model
        if model is not None and model.startswith(("/", "~", ".")):  # a server may name its models by their folders
            model = model.rstrip("/").rpartition("/")[2]
        return self.hub_id or model or "endpoint"


def parse_reference(text: str) -> SubjectReference:
    """Parses a directory, file, hub id (`org/name@revision`), `recorded:FILE` or `api:URL#model`.

    An existing path always wins over a hub id of the same spelling; a text that looks like a path is never taken
    for a hub id, so that a mistyped directory is an error and not a download.

    Raises:
        SubjectError: the text is empty, or is a path that does not exist.
    """
    if not text.strip():
        raise SubjectError("the subject's name is empty; give a directory, a weight file or a hub id")
    if text.startswith("recorded:"):
        return _recorded(text)
    if text.startswith("api:"):
        return _api(text)
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise SubjectError(f"{text}: {error} Give the whole path") from error
    if path.exists():
        return SubjectReference(text=text, scheme="path", path=path)
    name, _, revision = text.partition("@")
    looks_like_path = text.startswith((".", "/", "~", "\\")) or name.count("/") != 1 or bool(path.suffix in _SUFFIXES)
    if looks_like_path or not _HUB_ID.fullmatch(name):
        raise SubjectError(f"{text}: no such file or directory; check the path (a hub id has the form org/name)")
    return SubjectReference(text=text, scheme="hub", hub_id=name, revision=revision or None)


def _recorded(text: str) -> SubjectReference:
    name = text.removeprefix("recorded:")
    if not name.strip():
        raise SubjectError("recorded: names no file; give recorded:FILE.jsonl or a directory of such files")
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:
        raise SubjectError(f"{text}: {error} Give the whole path") from error
    return SubjectReference(text=text, scheme="recorded", path=path)


def _api(text: str) -> SubjectReference:
    """The URL is kept whole for the backend; `text`, which is shown, has neither password nor query."""
    url, _, model = text.removeprefix("api:").partition("#")
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https"):
        raise SubjectError("api: needs a URL that begins with http:// or https://; give api:http://HOST:PORT/v1#MODEL")
    route = "?completions" if "completions" in parts.query.split("&") else ""
    shown = f"api:{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{route}"
    return SubjectReference(
        text=f"{shown}#{model}" if model else shown, scheme="api", url=url, model=model.strip() or None
    )


_SUFFIXES = {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".json"}
