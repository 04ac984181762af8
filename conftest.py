"""Two options for runs in several environments: what has passed in one need not run again in the next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("several environments")
    group.addoption("--record-passed", type=Path, metavar="FILE", help="Add the ids of tests that pass to this file.")
    group.addoption("--leave-out", type=Path, metavar="FILE", help="Leave out the tests whose ids this file lists.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    listed: Path | None = config.getoption("--leave-out")
    if listed is None or not listed.is_file():
        return
    passed = set(listed.read_text(encoding="utf-8").splitlines())
    left_out = [item for item in items if item.nodeid in passed]
    items[:] = [item for item in items if item.nodeid not in passed]
    config.hook.pytest_deselected(items=left_out)


class Recorder:
    """Keeps the ids of tests of which every phase passed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._passed: dict[str, bool] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._passed[report.nodeid] = report.passed and self._passed.get(report.nodeid, True)

    def pytest_sessionfinish(self) -> None:
        with self._file.open("a", encoding="utf-8") as out:
            out.writelines(f"{name}\n" for name in self._names())

    def _names(self) -> Iterator[str]:
        return (name for name, passed in sorted(self._passed.items()) if passed)


def pytest_configure(config: pytest.Config) -> None:
    file: Path | None = config.getoption("--record-passed")
    if file is not None and not hasattr(config, "workerinput"):  # of a parallel run, its controller alone
        config.pluginmanager.register(Recorder(file))
