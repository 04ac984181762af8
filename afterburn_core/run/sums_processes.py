"""Sums of parts in processes of their own, one per worker.

The loop of `kernels` is some twenty short calls per block. Threads that take turns at the interpreter's lock between
them get little done side by side; forked processes share the opened files and nothing else. A worker's thread hands
its process a part and waits for a few numbers.

Processes are forked before any thread of ours runs, and only where that is safe: on Linux, without torch or a GPU,
whose threads would not survive it, and while the calling thread is the only one.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import attrs

from afterburn_core.backends.tensors import WeightSource
from afterburn_core.errors import SubjectError
from afterburn_core.run.align import AlignedTensor, Span
from afterburn_core.run.matrix_parts import Extent
from afterburn_core.run.parts import Assignment, PartReader, PartResult, Wanted

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

WORTHWHILE = 1 << 25
"""Elements to compare from which processes pay: some hundredths of a second for each."""


@attrs.frozen(kw_only=True, eq=False)
class _SumsOnly:
    """A tensor of which sums alone are wanted."""

    tensor: AlignedTensor
    extent: Extent | None = None
    by_row: bool = False
    wanted: Wanted = attrs.field(factory=Wanted.none)


class ProcessReader(PartReader):
    """A `PartReader` whose sums are taken in a process of its own; one instance serves one worker."""

    def __init__(self, base: WeightSource, trained: WeightSource, aligned: Sequence[AlignedTensor]) -> None:
        super().__init__(base, trained, "cpu", None)
        self._numbers = {tensor.name: number for number, tensor in enumerate(aligned)}
        context = multiprocessing.get_context("fork")
        self._connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_serve, args=(theirs, self._connection, PartReader(base, trained, "cpu", None), aligned), daemon=True
        )
        self._process.start()
        theirs.close()

    def read(self, work: Assignment, spans: Sequence[Span], *, keep: bool) -> PartResult:
        """See `PartReader.read`; no elements stay.

        Raises:
            SubjectError: a file cannot be read, or the process was ended from outside.
        """
        try:
            self._connection.send((self._numbers[work.tensor.name], tuple(spans)))
            found: PartResult | BaseException = self._connection.recv()
        except (EOFError, OSError) as error:
            raise SubjectError(
                f"{work.tensor.name}: the process that compared it was ended from outside, perhaps for lack of "
                "memory; run again, with --threads 1 if it happens again"
            ) from error
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """Ends the process.

        It is told so: processes forked after it hold this end of the pipe too, so that closing it alone ends nothing.
        """
        with suppress(OSError):  # it is gone already
            self._connection.send(None)
        self._connection.close()
        self._process.join(timeout=1)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def can_fork(base: WeightSource, trained: WeightSource) -> bool:
    """Whether processes may be forked here for these sources."""
    return (
        sys.platform == "linux"
        and "torch" not in sys.modules
        and threading.active_count() == 1
        and all(hasattr(source, "read_array") for source in (base, trained))
        and not multiprocessing.current_process().daemon
    )


def _serve(connection: Connection, parents: Connection, reader: PartReader, aligned: Sequence[AlignedTensor]) -> None:
    """Answers until it is told to end, or the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    parents.close()  # inherited; open, it would keep the pipe from ending with the parent
    while True:
        try:
            asked = connection.recv()
        except (EOFError, OSError):
            return
        if asked is None:
            return
        number, spans = asked
        try:
            result = reader.read(_SumsOnly(tensor=aligned[number]), spans, keep=False)
            connection.send(attrs.evolve(result, stored=None))
        except BrokenPipeError:
            return
        except Exception as error:  # noqa: BLE001 - raised again where the part was asked for
            connection.send(error)
