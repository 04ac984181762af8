"""The backend of served models: OpenAI-compatible chat and completion endpoints. Needs the standard library alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import attrs

from afterburn_core.backends.api_address import Address, parse_address, shown_model
from afterburn_core.backends.api_client import Client, Refused
from afterburn_core.backends.api_generator import ApiGenerator
from afterburn_core.backends.api_retry import Patience, Transient
from afterburn_core.backends.tensors import WeightSource
from afterburn_core.errors import NeedUnavailable, SubjectError
from afterburn_core.generation.model import Decoding, Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.result.model import Role
from afterburn_core.result.strict_json import show
from afterburn_core.run.digests import SubjectFile
from afterburn_core.run.references import SubjectReference
from afterburn_core.run.subjects import OpenSubject, SubjectFacts

NAME = "core.api"
TIMEOUT = "AFTERBURN_API_TIMEOUT"


@attrs.frozen(kw_only=True)
class ApiSubject:
    """A model behind an endpoint."""

    facts: SubjectFacts
    address: Address
    model: str
    patience: Patience = Patience()
    files: tuple[SubjectFile, ...] = ()
    """None: nobody outside can know what is served."""

    def generator(self, decoding: Decoding, serving: Serving) -> ApiGenerator:
        """Asks the endpoint, at most `serving.batch` requests at once."""
        return ApiGenerator(self.address, self.model, decoding, workers=serving.batch, patience=self.patience)

    def weights(self) -> WeightSource:
        raise NeedUnavailable(f"{self.facts.label}: an endpoint shows no weights; give the model's files")

    def documents(self) -> Mapping[str, Mapping[str, Any] | None]:
        return {}

    def close(self) -> None:
        """Nothing is held open."""


def open_subject(
    reference: SubjectReference, *, role: Role, base: OpenSubject | None, registry: Registry
) -> ApiSubject:
    """Finds out where and whom to ask. The endpoint is contacted only where the reference names no model.

    Raises:
        SubjectError: the URL is wrong, or the endpoint serves several models and none was named.
    """
    address = parse_address(reference.url or "")
    patience = _patience()
    model = reference.model or _only_model(address, patience)
    facts = SubjectFacts(
        role=role,
        kind="api",
        label=shown_model(model),
        backend=NAME,
        capabilities=("generate",),
        bytes=0,
        tensors=0,
        parameters=0,
        properties={"model": shown_model(model), "host": address.host, "endpoint_sha256": address.identity(model)},
    )
    return ApiSubject(facts=facts, address=address, model=model, patience=patience)


def _only_model(address: Address, patience: Patience) -> str:
    """The model that the endpoint serves, if it is one."""
    client = Client(address, attrs.evolve(patience, stall=min(patience.stall, 30.0)))
    try:
        body = client.get("/models").body
    except (Transient, Refused) as error:
        raise SubjectError(
            f"{address.public}: does not say which models it serves ({error}); check that it runs, or name the model: "
            f"api:{address.public}#MODEL"
        ) from None
    finally:
        client.close()
    data = body.get("data")
    entries = [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
    names = sorted({name for entry in entries if isinstance(name := entry.get("id"), str) and name})
    if len(names) == 1:
        return names[0]
    if not names:
        raise SubjectError(f"{address.public}: lists no model; name one: api:{address.public}#MODEL")
    listed = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    raise SubjectError(f"{address.public}: serves {listed}; name one: api:{address.public}#{names[0]}")


def _patience() -> Patience:
    """The usual one, with the time that a server may take for a text from the environment."""
    text = os.environ.get(TIMEOUT, "").strip()
    if not text:
        return Patience()
    if not text.isdigit() or not int(text):
        raise SubjectError(f"{TIMEOUT}: must be a whole number of seconds from 1, not {show(text)}")
    return attrs.evolve(Patience(), stall=float(text), deadline=max(float(text), Patience().deadline))
