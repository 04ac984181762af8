"""The child of `sandbox`: gives up what it may do, runs a solution and its tests, and proves that the tests ran.

Run as a script by `python -I -S`; it imports nothing of Afterburn and nothing that is not in the standard library.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import json
import os
import resource
import signal
import struct
import sys
import traceback
from typing import Any

_NEWUSER, _NEWNET, _NEWPID, _NEWIPC = 0x10000000, 0x40000000, 0x20000000, 0x08000000
_PDEATHSIG, _NO_NEW_PRIVS = 1, 38
_NOBODY, _USERS = 65534, 1 << 30
_KEEPCAPS, _CAPABILITIES, _READ_SEARCH = 8, 0x20080522, 1 << 2
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
# writing, removing and making of every kind: access rights 1 and 4 to 12 of Landlock's first version
_LANDLOCK_WRITES = (1 << 1) | sum(1 << bit for bit in range(4, 13))
_REFUSED = (
    "socket.",
    "subprocess.",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
)
_REFUSED_WEAK = ("ctypes.", "os.kill", "os.killpg")
_WRITES = (
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "shutil.",
    "os.chmod",
    "os.chown",
)


def main() -> None:
    """Reads the job from standard input; writes what became of it to the report's pipe."""
    job = json.loads(sys.stdin.buffer.read())
    report = _hidden(job["report"])
    nonce = _hidden(job["nonce"])
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    separate = _separate(job)
    if separate:
        _own_processes(job)
    _limit(job)
    fenced = separate and _landlock(job["directory"])
    if not separate:
        _audit(job["directory"], refused=(*_REFUSED, *_REFUSED_WEAK))
    elif not fenced:
        _audit(job["directory"], refused=())
    os.write(report, b"isolation " + (b"namespace" if separate else b"audit") + b"\n")
    _execute(job, report, nonce)


def _execute(job: dict[str, Any], report: int, nonce: int) -> None:
    # bound before the solution runs, which may replace whatever it can name
    read, write, leave, describe = os.read, os.write, os._exit, _described
    run, build, asserted, caught, flush = exec, compile, AssertionError, BaseException, sys.stdout.flush
    guarded = _guarded(job["tests"])
    space: dict[str, Any] = {"__name__": "solution", "__builtins__": __builtins__}
    stage = "solution"
    try:
        run(build(job["code"], "solution.py", "exec"), space)
        stage = "tests"
        tests, names = guarded
        space.update(names)
        run(build(tests, "tests.py", "exec"), space)
    except caught as error:
        if type(error) is SystemExit:
            leave(0)
        with contextlib.suppress(Exception):
            flush()
        kind = b"failed " if stage == "tests" and isinstance(error, asserted) else b"error "
        write(report, kind + describe(error) + b"\n")
        leave(1)
    with contextlib.suppress(Exception):
        flush()
    write(report, b"passed " + read(nonce, 64) + b"\n")
    leave(0)


def _guarded(tests: str) -> tuple[Any, dict[str, Any]]:
    """The tests with every `==` in an assertion made one that no object can decide alone, and what it needs by name.

    Tests that do not parse are left as they are, and fail where they are compiled.
    """
    name = "equal_" + os.urandom(8).hex()
    try:
        tree = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return tests, {}

    class Swap(ast.NodeTransformer):
        def visit_Compare(self, node: ast.Compare) -> ast.AST:
            self.generic_visit(node)
            if len(node.ops) != 1 or not isinstance(node.ops[0], ast.Eq):
                return node
            called = ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=[node.left, *node.comparators], keywords=[])
            return ast.fix_missing_locations(ast.copy_location(called, node))

    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            node.test = Swap().visit(node.test)
    return tree, {name: _equality()}


def _equality() -> Any:
    """`==` that refuses a left side which equals the right one and something else of its kind as well.

    Objects of types that Python code made are held against a random value of the kind of what they equal, item by item
    in lists, tuples and dictionaries. Honest ones tell the two apart.
    """
    kind, draw, made = type, os.urandom, type.__dict__["__flags__"].__get__
    lists, heap, refused, pair = (list, tuple), 1 << 9, AssertionError, zip

    class Nothing:
        """Equal to nothing but itself."""

    def other(value: Any) -> Any:
        """A value of the same kind that nobody has seen."""
        of = kind(value)
        number = int.from_bytes(draw(6), "big") + (1 << 40)
        if of is bool:
            return not value
        if of is int:
            return number
        if of is float:
            return number + 0.5
        if of is str:
            return draw(12).hex()
        if of is bytes:
            return draw(12)
        if of is list:
            return [number]
        if of is tuple:
            return (number,)
        if of is dict:
            return {number: number}
        if of is set:
            return {number}
        return Nothing()

    def spoofed(left: Any, right: Any, depth: int = 0) -> bool:
        of = kind(left)
        if depth < 20 and of in lists and kind(right) in lists:
            return any(spoofed(a, b, depth + 1) for a, b in pair(left, right, strict=False))
        if depth < 20 and of is dict and kind(right) is dict:
            return any(spoofed(a, right[k], depth + 1) for k, a in left.items() if k in right)
        return bool(made(of) & heap) and (true(left == other(right)) or true(left == Nothing()))

    def true(found: Any) -> bool:
        """Whether a comparison came out as equal; arrays and tables of truths did not."""
        try:
            return bool(found)
        except ValueError:
            return False

    def equal(left: Any, right: Any) -> Any:
        found = left == right
        if true(found) and spoofed(left, right):
            raise refused("the result is equal to whatever it is compared with")
        return found

    return equal


def _described(error: BaseException) -> bytes:
    """The exception on one line, with the line of the code it comes from."""
    try:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(".py")]
        frames = [frame for frame in frames if frame.filename in ("solution.py", "tests.py")]
        where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        return f"{type(error).__name__}: {error}{where}".encode(errors="replace").replace(b"\n", b" ")[:500]
    except BaseException:  # noqa: BLE001 - the solution's exception may do anything when shown
        return b"an exception that cannot be shown"


def _hidden(descriptor: int) -> int:
    """The descriptor under a number that cannot be guessed at once."""
    import fcntl

    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 16 + os.urandom(1)[0] % 32)
    os.close(descriptor)
    return moved


def _separate(job: dict[str, Any]) -> bool:
    """Leaves the network and the processes of the machine behind; False where the system does not let us."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        if libc.unshare(_NEWNET | _NEWPID | _NEWIPC) != 0:
            return False
        _become_nobody(libc, job["directory"], reads_all=not job["open_to_all"])
        return True
    return bool(libc.unshare(_NEWUSER | _NEWNET | _NEWPID | _NEWIPC) == 0)


def _become_nobody(libc: Any, directory: str, *, reads_all: bool) -> None:
    """From root to a user that nothing belongs to: root is bound by no limit on processes, and may write everywhere.

    Where others may not read the interpreter's library, the right to read what root may read is kept, and no other.
    """
    user = _USERS + os.getpid()  # one for each job, so that the limit on processes counts its own alone
    os.chown(directory, user, _NOBODY)
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    libc.prctl(_KEEPCAPS, int(reads_all), 0, 0, 0)
    os.setresuid(user, user, user)
    kept = _READ_SEARCH if reads_all else 0
    header, rights = struct.pack("Ii", _CAPABILITIES, 0), struct.pack("6I", kept, kept, 0, 0, 0, 0)
    if libc.capset(header, rights) != 0:
        raise OSError(ctypes.get_errno(), "the rights of root could not be given up")


def _own_processes(job: dict[str, Any]) -> None:
    """Goes on in a child that is process 1 of its namespace: when it ends, everything it started ends."""
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None, use_errno=True).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() not in (0, 1):  # 0: the parent is outside the namespace
            os._exit(1)
        return
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _limit(job: dict[str, Any]) -> None:
    seconds = int(job["seconds"]) + 1
    wanted = {
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_FSIZE: (job["file_size"],) * 2,
        resource.RLIMIT_NOFILE: (job["open_files"],) * 2,
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NPROC: (job["processes"],) * 2,
        resource.RLIMIT_AS: (job["memory"],) * 2,
    }
    for kind, value in wanted.items():
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit on address space
            resource.setrlimit(kind, value)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails instead


def _landlock(directory: str) -> bool:
    """No writing outside of `directory`; False where the kernel has no Landlock."""
    libc = ctypes.CDLL(None, use_errno=True)
    rights = struct.pack("Q", _LANDLOCK_WRITES)
    ruleset = libc.syscall(_LANDLOCK_CREATE, rights, ctypes.c_size_t(len(rights)), 0)
    if ruleset < 0:
        return False
    try:
        for path in (directory, os.devnull):
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed = _LANDLOCK_WRITES if path == directory else 1 << 1
            rule = struct.pack("=Qi", allowed, opened)
            added = libc.syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0)
            os.close(opened)
            if added != 0:
                return False
        libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
        return bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _audit(directory: str, refused: tuple[str, ...]) -> None:
    """A hook of the interpreter that cannot be removed: refuses events, and writing outside of `directory`."""
    root = os.path.realpath(directory) + os.sep
    real, denied = os.path.realpath, PermissionError

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(refused):
            raise denied(f"{event} is not allowed here")
        if event == "open":
            path, mode, flags = arguments
            writes = (isinstance(mode, str) and any(letter in mode for letter in "wax+")) or (
                isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            )
            if writes and isinstance(path, (str, bytes)) and not inside(path):
                raise denied(f"writing to {path!r} is not allowed here")
        elif event.startswith(_WRITES):
            for path in arguments:
                if isinstance(path, (str, bytes)) and not inside(path):
                    raise denied(f"{event} of {path!r} is not allowed here")

    def inside(path: str | bytes) -> bool:
        place = real(os.fsdecode(path))
        return (place + os.sep).startswith(root) or place == os.devnull

    sys.addaudithook(hook)


if __name__ == "__main__":
    main()
