"""How one pass of a run went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.result.model import Notification


@attrs.frozen(kw_only=True)
class Swept:
    """How one pass went."""

    counters: Mapping[str, int] = attrs.field(factory=dict)
    notes: tuple[Notification, ...] = ()
    stopped: str | None = None
    """Why it ended early, if it did."""
    payloads: tuple[ArtifactPayload, ...] = ()
    properties: Mapping[str, Any] = attrs.field(factory=dict)
