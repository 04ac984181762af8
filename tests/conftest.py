"""What the whole-repository tests share. Isolation comes from `afterburn_core.testing.isolation`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# A deadline measures the machine, not the code: other processes share it.
settings.register_profile("afterburn", deadline=None, print_blob=True)
settings.load_profile("afterburn")


@pytest.fixture
def weights_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model writes anything: for tests of what happens around a comparison of weights."""
    monkeypatch.setenv("AFTERBURN_DISABLE_PLUGINS", "activation,behaviour")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def recorded_outputs() -> Path:
    """The folder of recorded outputs of real model pairs, named by `AFTERBURN_DATA`."""
    folder = os.environ.get("AFTERBURN_DATA")
    if not folder:
        pytest.skip("AFTERBURN_DATA is not set")
    path = Path(folder)
    if not path.is_dir():
        pytest.skip(f"AFTERBURN_DATA: {folder} is no directory")
    return path


@pytest.fixture(scope="session")
def repository_files(root: Path) -> tuple[Path, ...]:
    """Every file that is tracked or would be, relative to the checkout."""
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return tuple(sorted(Path(name) for name in listed.split("\0") if name and (root / name).is_file()))
