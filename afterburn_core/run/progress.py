"""Progress as the runner reports it. The CLI shows a bar or plain lines; everybody else gets silence."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives progress; called from several threads."""

    def begin(self, stage: str, total: int, unit: str) -> None:
        """A stage starts: `total` units (`bytes`, `parameters`) are to come."""
        ...

    def advance(self, count: int) -> None: ...

    def end(self) -> None: ...


class Silent:
    """Shows nothing."""

    def begin(self, stage: str, total: int, unit: str) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def end(self) -> None:
        pass
