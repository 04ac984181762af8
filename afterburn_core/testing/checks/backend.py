"""Rules for backends that offer weights."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from afterburn_core.backends.tensors import WeightSource
from afterburn_core.errors import AfterburnError, SubjectError
from afterburn_core.plugin.registry import load_factory
from afterburn_core.run.references import SubjectReference, parse_reference
from afterburn_core.run.subjects import OpenSubject, open_subject
from afterburn_core.testing.checkpoints import load_weights
from afterburn_core.testing.guards import digests, network_blocked, watched_globals
from afterburn_core.testing.kit import Target, expect, fail, skip

if TYPE_CHECKING:
    import torch


def check_is_chosen_for_its_own_format(target: Target) -> None:
    """Without `--backend`, a subject in the backend's format is opened by this backend.

    Implement `afterburn_select_backend` and return the name for the references the backend knows. A backend that is the
    first choice on some machines only says so in `BackendSpec.unchosen`.
    """
    reason = load_factory(target.spec.unchosen)() if target.spec.unchosen is not None else None
    if reason is not None:
        skip(reason)
    chosen = target.registry.select_backend(_reference(target))
    expect(chosen == target.name, f"a subject in its own format is opened by {chosen!r} instead")


def check_lists_every_tensor_as_stored(target: Target) -> None:
    """The tensors are those that were saved: the same names, shapes and dtypes, and no others.

    A tensor that is left out is a part of the model that nobody compares.
    """
    with _opened(target) as subject:
        listed = subject.weights().tensors
        stored = _stored(target)
        expect(
            set(listed) == set(stored),
            f"lists {_some(set(listed) - set(stored))} too many and leaves out {_some(set(stored) - set(listed))}",
        )
        for name, value in stored.items():
            info = listed[name]
            expect(info.name == name, f"{name} is described under the name {info.name!r}")
            expect(info.shape == tuple(value.shape), f"{name} has shape {info.shape} instead of {tuple(value.shape)}")
            expect(info.dtype == _DTYPES[str(value.dtype)], f"{name} has dtype {info.dtype} instead of {value.dtype}")


def check_values_equal_bit_for_bit(target: Target) -> None:
    """Reading a tensor, whole or in parts, gives the stored elements to the last bit, in their stored dtype.

    Casting, folding or tying while reading shows up as a change that training did not make.
    """
    import torch

    with _opened(target) as subject:
        source = subject.weights()
        for name, value in _stored(target).items():
            flat, count = value.reshape(-1), value.numel()
            for start, stop in ((0, count), (0, 1), (count // 3, count - 1), (count, count)):
                read = source.read(name, start, stop)
                where = f"elements {start} to {stop} of {name}"
                expect(read.dtype == value.dtype, f"{where} come as {read.dtype}, stored as {value.dtype}")
                expect(read.shape == (stop - start,), f"{where} come in shape {tuple(read.shape)}")
                if stop > start:
                    # as bytes: NaN differs from itself, and 0.0 equals -0.0
                    same = torch.equal(read.view(torch.uint8), flat[start:stop].view(torch.uint8))
                    expect(same, f"{where} are not what was stored")


def check_reads_from_several_threads(target: Target) -> None:
    """Several threads may read at once and each gets its own tensor, which it may change.

    The weights pass reads with all cores.
    """
    import torch

    with _opened(target) as subject, ThreadPoolExecutor(max_workers=4) as pool:
        source, stored = subject.weights(), _stored(target)
        for name, read in pool.map(lambda name: (name, _taken(source, name, stored[name].numel())), sorted(stored) * 4):
            expect(torch.equal(read, stored[name].reshape(-1)), f"{name} differs when several threads read at once")


def check_facts_describe_the_subject(target: Target) -> None:
    """Role, backend, capabilities, parameter count and files are those of the subject, and no path is absolute.

    They become the subject's entry in the document: its identity is the digest of these files.
    """
    reference = _reference(target)
    with _opened(target) as subject:
        facts = subject.facts
        parameters = sum(value.numel() for value in _stored(target).values())
        expect(facts.role == "base", f"opened as base, described as {facts.role!r}")
        expect(facts.backend == target.name, f"names {facts.backend!r} as its backend")
        expect(facts.parameters == parameters, f"counts {facts.parameters} parameters instead of {parameters}")
        beyond = set(facts.capabilities) - set(target.spec.capabilities)
        expect(not beyond, f"offers {_some(beyond)}, which the spec does not declare")
        expect(not Path(facts.label).is_absolute(), f"the label {facts.label!r} is an absolute path")
        expect(subject.files, "names no files; the subject would have no identity")
        for file in subject.files:
            expect(file.path.is_file(), f"names the file {file.relative!r}, which is not there")
            expect(not Path(file.relative).is_absolute(), f"the relative path {file.relative!r} is absolute")
        named = {file.path.resolve() for file in subject.files}
        given = reference.path.resolve() if reference.path is not None else None
        beside = given is not None and (given in named or any(given in path.parents for path in named))
        expect(beside, "none of its files is the one that was given, or lies in the directory that was given")


def check_opening_has_no_side_effects(target: Target) -> None:
    """Opening, reading and closing write no file, open no connection and leave global state alone.

    Models are often on shared or read-only disks, and must not leave the building.
    """
    path = _reference(target).path
    if path is None:
        skip("opens no files")
    folder = path if path.is_dir() else path.parent
    before = digests(folder)
    with network_blocked() as attempts, watched_globals() as changed, _opened(target) as subject:
        source = subject.weights()
        for name, info in source.tensors.items():
            source.read(name, 0, info.numel)
    expect(digests(folder) == before, "files were written or changed")
    expect(not attempts, f"tried {attempts[0] if attempts else ''}")
    expect(not changed, f"changed: {', '.join(changed)}")


def check_refuses_what_it_cannot_open(target: Target) -> None:
    """An empty directory and a file of other content are refused with a `SubjectError` that names them.

    Any other exception reaches the user as a traceback.
    """
    directory = target.workbench.directory / "not a model"
    directory.mkdir(exist_ok=True)
    path = _reference(target).path
    file = target.workbench.directory / f"not-weights{path.suffix if path is not None and path.is_file() else '.bin'}"
    file.write_bytes(b"these are no weights")
    for wrong in (directory, file):
        try:
            open_subject(parse_reference(str(wrong)), "base", target.registry, backend=target.name).close()
        except SubjectError as error:
            expect(wrong.name in str(error), f"the error does not say what it is about: {error}")
        except AfterburnError as error:
            fail(f"{wrong.name} raises {type(error).__name__} instead of SubjectError: {error}")
        else:
            fail(f"{wrong.name} was opened as if it were a model")


def _taken(source: WeightSource, name: str, count: int) -> torch.Tensor:
    """The elements; what was read is zeroed, so that readers who share a buffer are found out."""
    read = source.read(name, 0, count)
    kept = read.clone()
    read.zero_()
    return kept


def _reference(target: Target) -> SubjectReference:
    return parse_reference(str(_example(target)))


def _example(target: Target) -> Path:
    """A subject that the backend should open: its own example, or a Hugging Face directory."""
    if "weights" not in target.spec.capabilities:
        skip("offers no weights")
    pair = target.workbench.pair("identity float32")
    if target.spec.example is None:
        return pair.base

    def write() -> Path:
        directory = target.workbench.directory / f"example of {target.name}"
        directory.mkdir()
        return Path(load_factory(target.spec.example)(directory, load_weights(pair.base)))

    path: Path = target.workbench.keep(("example", target.name), write)
    return path


def _stored(target: Target) -> dict[str, torch.Tensor]:
    return load_weights(target.workbench.pair("identity float32").base)


@contextmanager
def _opened(target: Target) -> Iterator[OpenSubject]:
    subject = open_subject(_reference(target), "base", target.registry, backend=target.name)
    try:
        yield subject
    finally:
        subject.close()


def _some(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:3]) or "nothing"


_DTYPES = {"torch.bfloat16": "BF16", "torch.float16": "F16", "torch.float32": "F32"}

CHECKS = (
    check_is_chosen_for_its_own_format,
    check_lists_every_tensor_as_stored,
    check_values_equal_bit_for_bit,
    check_reads_from_several_threads,
    check_facts_describe_the_subject,
    check_opening_has_no_side_effects,
    check_refuses_what_it_cannot_open,
)
