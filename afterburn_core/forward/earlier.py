"""Answers of an earlier run, read from the recorded files in its directory: `--answers RUN_DIR`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from afterburn_core.backends.recorded_content import Recording, collect
from afterburn_core.backends.recorded_formats.entry import Provenance
from afterburn_core.backends.recorded_reading import entries
from afterburn_core.errors import ConfigError
from afterburn_core.generation.model import Responses
from afterburn_core.result.model import Input

_FILE = "core.samples_{}.jsonl.gz"


def input_of_run(directory: str | Path) -> Input:
    """The run's answers as an input of another run: their digest, and how many prompts they answer.

    Raises:
        ConfigError, SubjectError: as `answers_of_run`.
    """
    answered = answers_of_run(directory)
    directory = Path(directory)
    files = (directory / "artifacts" / _FILE.format(side) for side in ("base", "trained"))
    contents = [hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for path in files]
    return Input(
        id="answers.earlier_run",
        kind="answers",
        label=directory.resolve().name,
        sha256=hashlib.sha256(" ".join(contents).encode()).hexdigest(),
        n=len(answered),
    )


def answers_of_run(directory: str | Path) -> tuple[Responses, ...]:
    """Both sides' answers of a run, by prompt, in the order of its files.

    Raises:
        ConfigError: there is no such run, or it kept no answers.
        SubjectError: a file is faulty, or the sides were asked different prompts under one id.
    """
    directory = Path(directory)
    folder = directory / "artifacts"
    if not folder.is_dir():
        raise ConfigError(
            f"--answers {directory}: is no run directory (it has no artifacts/); name one of a finished run"
        )
    sides: dict[str, Recording] = {}
    for side in ("base", "trained"):
        path = folder / _FILE.format(side)
        if path.is_file():
            sides[side] = collect(entries([path], Provenance()), str(path))
    if not sides:
        raise ConfigError(
            f"--answers {directory}: holds no answers ({_FILE.format('base')} is missing); runs keep them where models "
            "wrote, unless --no-excerpts was given"
        )
    probes = {name: probe for recording in sides.values() for name, probe in recording.probes.items()}
    for recording in sides.values():
        for name, probe in recording.probes.items():
            if probe.messages != probes[name].messages:
                raise ConfigError(f"--answers {directory}: prompt {name!r} is not the same on both sides; run it again")
    answers = {side: recording.samples for side, recording in sides.items()}
    return tuple(
        Responses(
            probe=probe,
            base=answers.get("base", {}).get(name, ()),
            trained=answers.get("trained", {}).get(name, ()),
        )
        for name, probe in probes.items()
    )
