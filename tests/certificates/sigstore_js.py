"""sigstore-js, installed once per machine from the lock file beside its script, asked about many bundles at once."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs

SOURCE = Path(__file__).with_name("sigstore-js")
FILES = ("package.json", "package-lock.json", "verify.js")


class Unavailable(Exception):
    """It cannot be installed here; the message says why."""


@attrs.frozen(kw_only=True)
class Question:
    """A bundle, and what it is verified with."""

    name: str
    bundle: bytes
    key: bytes
    """Public key in PEM."""
    authority: Sequence[bytes] = ()
    """The timestamp authority's certificate and its issuers, in DER."""
    timestamps: int = 0
    """How many are asked for."""


def verdicts(questions: Sequence[Question]) -> dict[str, str | None]:
    """Why each bundle does not verify; `None` where it does.

    Raises:
        Unavailable: there is no node or npm, or the packages cannot be had.
    """
    asked = [
        {
            "name": question.name,
            "bundle": _text(question.bundle),
            "key": _text(question.key),
            "authority": [_text(der) for der in question.authority],
            "timestamps": question.timestamps,
        }
        for question in questions
    ]
    finished = subprocess.run(
        ["node", "verify.js"], cwd=installed(), input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    if finished.returncode:
        raise RuntimeError(finished.stderr)
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@cache
def installed() -> Path:
    """The folder with the packages, left in place for the next run."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed")
    wanted = hashlib.sha256(b"".join((SOURCE / name).read_bytes() for name in FILES)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir(), f"afterburn-sigstore-js-{os.getuid()}-{wanted}")
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(prefix="afterburn-npm-", dir=folder.parent) as made:
        new = Path(made, "new")
        shutil.copytree(SOURCE, new)
        finished = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=new,
            env={**os.environ, "HOME": _home()},  # tests have another, without the settings of npm
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if finished.returncode:
            raise Unavailable(f"npm cannot install sigstore-js: {' '.join(finished.stderr.split())[-200:]}")
        try:
            new.rename(folder)
        except OSError:  # another process was quicker
            if not folder.is_dir():
                raise
    return folder


def _home() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_dir
