"""Why a target of the scoreboard is missed, by kind and rule; `alarms` for false alarms. Written by hand, from what
the runs say."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MISSED: Mapping[tuple[str, str], str] = MappingProxyType({})
