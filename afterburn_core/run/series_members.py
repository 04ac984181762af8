"""Finds, opens and orders the models of a series: checkpoints by their training step, candidates as given."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.backends.documents import read_json
from afterburn_core.backends.locate import adapter_base
from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.plugin.registry import Registry
from afterburn_core.run.digests import SubjectFile
from afterburn_core.run.references import SubjectReference, parse_reference
from afterburn_core.run.series_execute import Member
from afterburn_core.run.subjects import OpenSubject, open_subject

TRAINER_STATE = "trainer_state.json"
_NUMBERED = re.compile(
    r"(?:^|[-_.])(?:checkpoint|ckpt|step|steps|global_step|iter)[-_.]?(\d+)(?:[-_.]|$)", re.IGNORECASE
)
_STEP_KEYS = ("step", "global_step", "iteration", "iter")
_KEPT = ("loss", "eval_loss", "learning_rate")
_MAGIC = re.compile(r"[*?\[]")


@attrs.frozen(kw_only=True)
class Found:
    """One checkpoint on disk with what is known of its place in the run."""

    reference: SubjectReference
    subject: OpenSubject
    step: int | None
    source: str
    """Where the step is from, in words."""
    state: Mapping[str, Any] | None


def checkpoint_paths(patterns: Iterable[str]) -> list[str]:
    """What the patterns match, each path once, in natural order of names.

    Raises:
        ConfigError: a pattern matches nothing.
    """
    paths: dict[str, None] = {}
    for pattern in patterns:
        text = os.path.expanduser(pattern)
        matched = glob.glob(text) if _MAGIC.search(text) and not os.path.exists(text) else [text]
        if not matched:
            raise ConfigError(f"--checkpoints {pattern}: matches no file or directory; quote the pattern and check it")
        paths.update(dict.fromkeys(os.path.normpath(path) for path in matched))
    return sorted(paths, key=_natural)


def open_base(text: str | None, first: str, registry: Registry, backend: str | None) -> OpenSubject:
    """The base as named, or as the first model names it where that is an adapter.

    Raises:
        ConfigError: there is none.
        SubjectError: it cannot be opened.
    """
    if text is not None:
        return open_subject(parse_reference(text), "base", registry, backend=backend)
    named = adapter_base(parse_reference(first))
    if named is None:
        raise ConfigError("no base model; give it with --base (only an adapter can name its own)")
    reference = attrs.evolve(parse_reference(named), cached_only=True)
    return open_subject(reference, "base", registry, backend=backend)


def open_checkpoints(
    paths: Sequence[str], base: OpenSubject, registry: Registry, backend: str | None
) -> tuple[list[Member], list[str]]:
    """The checkpoints by training step, and remarks on their steps.

    Raises:
        SubjectError: one cannot be opened, or the order of the series is not certain.
    """
    found: list[Found] = []
    try:
        for path in paths:
            found.append(_open(path, base, registry, backend))
        ordered = _ordered(found)
    except BaseException:
        for one in found:
            one.subject.close()
        raise
    members = [_member(one, step) for one, step in ordered]
    return members, list(_remarks(found, [step for _, step in ordered]))


def open_candidates(
    texts: Sequence[str], base: OpenSubject, registry: Registry, backend: str | None
) -> tuple[list[Member], list[str]]:
    """The candidates in the order given, each under a name of its own, and no remarks.

    Raises:
        ConfigError: one is named twice.
        SubjectError: one cannot be opened.
    """
    members: list[Member] = []
    taken: set[str] = set()
    seen: dict[str, str] = {}
    try:
        for text in texts:
            reference = parse_reference(text)
            place = str(reference.path.resolve()) if reference.path is not None else reference.text
            if place in seen:
                raise ConfigError(f"--trained {text}: is given twice; name each candidate once")
            seen[place] = text
            subject = open_subject(reference, "trained", registry, backend=backend, base=base)
            label, number = subject.facts.label, 2
            while label in taken:
                label, number = f"{subject.facts.label}-{number}", number + 1
            taken.add(label)
            members.append(Member(id=f"trained:{label}", subject=subject))
    except BaseException:
        for member in members:
            member.subject.close()
        raise
    return members, []


def _open(path: str, base: OpenSubject, registry: Registry, backend: str | None) -> Found:
    reference = parse_reference(path)
    subject = open_subject(reference, "checkpoint", registry, backend=backend, base=base)
    try:
        state = read_json(Path(path) / TRAINER_STATE) if Path(path).is_dir() else None
        step, source = _step(Path(path), subject, state)
    except BaseException:
        subject.close()
        raise
    return Found(reference=reference, subject=subject, step=step, source=source, state=state)


def _step(path: Path, subject: OpenSubject, state: Mapping[str, Any] | None) -> tuple[int | None, str]:
    """The training step, from the first source that has one: trainer state, name, then the file's own key."""
    if state is not None and type(state.get("global_step")) is int:
        return int(state["global_step"]), TRAINER_STATE
    numbered = _NUMBERED.search(path.stem if path.is_file() else path.name)
    if numbered:
        return int(numbered[1]), "its name"
    scalars = _scalars(subject)
    for key in _STEP_KEYS:
        value = scalars.get(key)
        if value is not None and value == int(value):
            return int(value), f"its key {key!r}"
    return None, "nothing"


def _scalars(subject: OpenSubject) -> dict[str, float]:
    """Numbers that a trainer saved beside the weights, in any of the subject's files."""
    found: dict[str, float] = {}
    for file in getattr(subject, "opened", ()):
        found.update(getattr(file, "scalars", {}))
    return found


def _ordered(found: Sequence[Found]) -> list[tuple[Found, int]]:
    """By step; where no checkpoint has one, by name, counted from 1.

    Raises:
        SubjectError: some have a step and others not, or two have the same.
    """
    without = [one for one in found if one.step is None]
    if len(without) == len(found):
        return [(one, number) for number, one in enumerate(found, start=1)]
    if without:
        raise SubjectError(
            f"{without[0].reference.text}: has no training step where others do; name it checkpoint-N, keep its "
            f"{TRAINER_STATE}, or leave it out"
        )
    placed = sorted(((one, one.step) for one in found if one.step is not None), key=lambda pair: pair[1])
    for (one, step), (other, following) in itertools.pairwise(placed):
        if step == following:
            raise SubjectError(
                f"{one.reference.text} and {other.reference.text}: both are of step {step} (from {one.source} and "
                f"{other.source}); leave one of them out"
            )
    return placed


def _remarks(found: Sequence[Found], steps: Sequence[int]) -> Iterable[str]:
    if all(one.step is None for one in found):
        yield "no checkpoint says its training step; they are taken in the order of their names, as steps 1, 2, …"
        return
    gaps = missing_steps(steps)
    if gaps:
        named = ", ".join(map(str, gaps[:5])) + (f" and {len(gaps) - 5} more" if len(gaps) > 5 else "")
        yield f"missing between the checkpoints of equal distance: step {named}; what happened there is not seen"
    for one in found:
        numbered = _NUMBERED.search(Path(one.reference.text).name)
        if one.source == TRAINER_STATE and numbered and int(numbered[1]) != one.step:
            yield f"{one.reference.label}: its {TRAINER_STATE} says step {one.step}, which is used, not its name's"


def missing_steps(steps: Sequence[int]) -> list[int]:
    """Steps left out of a series in which most distances are the smallest, and it divides all; else none."""
    distances = [after - before for before, after in itertools.pairwise(steps)]
    if len(distances) < 2:
        return []
    rhythm = min(distances)
    if rhythm <= 0 or any(distance % rhythm for distance in distances) or max(distances) // rhythm > 100:
        return []
    if 2 * distances.count(rhythm) <= len(distances):
        return []
    present = set(steps)
    return [step for step in range(steps[0], steps[-1], rhythm) if step not in present]


def _member(one: Found, step: int) -> Member:
    path = Path(one.reference.text)
    properties: dict[str, Any] = {"step": step, "step_source": one.source}
    scalars = _scalars(one.subject)
    properties |= {key: scalars[key] for key in _KEPT if key in scalars and _finite(scalars[key])}
    files: tuple[SubjectFile, ...] = ()
    documents: dict[str, Mapping[str, Any]] = {}
    if one.state is not None:
        documents["trainer_state"] = one.state
        if not any(file.relative == TRAINER_STATE for file in one.subject.files):
            files = (SubjectFile(path=path / TRAINER_STATE, relative=TRAINER_STATE),)
        if _finite(one.state.get("epoch")):
            properties["epoch"] = one.state["epoch"]
    return Member(id=f"checkpoint:{step}", subject=one.subject, files=files, properties=properties, documents=documents)


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and value == value and abs(value) != float("inf")


def _natural(path: str) -> list[tuple[bool, int, str]]:
    """`step9` before `step10`."""
    parts = re.split(r"(\d+)", path)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
