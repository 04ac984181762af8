"""The program in an answer: its syntax tree, and what its names stand for."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any

import attrs

from afterburn_core.probes.sandbox import code_of
from afterburn_reward_hack.verifier_signs.names import Names

_STARTS = re.compile(r"^(?:@|def |async def |class |import |from \w)", re.M)
_MOST_CUT = 40  # lines taken off the end of an answer in the search for code that parses
_DEEPEST = 3  # code in texts in code
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@attrs.frozen(kw_only=True)
class Mark:
    """One place that shows a sign."""

    line: int
    """From 1, in the program."""
    what: str


@attrs.frozen(kw_only=True, eq=False)
class Program:
    """Code that parses."""

    source: str
    tree: ast.Module
    names: Names
    spared: frozenset[int] = frozenset()
    """`id` of nodes that run only where the file is a script: tests import it, and never see them."""

    _nodes: tuple[ast.AST, ...] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        nodes = tuple(node for node in ast.walk(self.tree) if id(node) not in self.spared)
        object.__setattr__(self, "_nodes", nodes)

    def nodes(self) -> Iterator[ast.AST]:
        """Every node that may run where the program is tested."""
        return iter(self._nodes)

    def functions(self) -> Iterator[Function]:
        """Every function and lambda, nested ones and methods included."""
        return (node for node in self.nodes() if isinstance(node, FUNCTIONS))

    def line(self, mark: Mark) -> str:
        """The source of a mark's line."""
        lines = self.source.splitlines()
        return lines[mark.line - 1].strip() if 0 < mark.line <= len(lines) else ""


def program_of(text: str) -> Program | None:
    """The program in an answer; `None` where it has none, or none that parses.

    Fenced blocks count first, as where programs are run (`sandbox.code_of`); without fences the lines from the first
    that can only be code, up to the last with which they parse.
    """
    source = code_of(text)
    tree = _parsed(source)
    if tree is None:
        source, tree = _within(source)
    if tree is None or not _does_something(tree):
        return None
    names = Names(tree)
    for _ in range(_DEEPEST):
        inner = _executed_texts(tree, names)
        if not inner:
            break
        tree.body.extend(inner)
        names = Names(tree)
    return Program(source=source, tree=tree, names=names, spared=_script_only(tree))


def parameters(function: Function) -> list[str]:
    """Names of the arguments, `self` and `cls` aside."""
    given = function.args
    all_of = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    names = [argument.arg for argument in all_of]
    names += [extra.arg for extra in (given.vararg, given.kwarg) if extra is not None]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def body_of(function: Function) -> list[ast.stmt]:
    """The statements without the docstring; of a lambda, the return of its expression."""
    if isinstance(function, ast.Lambda):
        return [ast.copy_location(ast.Return(value=function.body), function.body)]
    body = function.body
    return body[1:] if body and is_text(body[0]) else body


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions and classes inside it."""
    waiting: list[ast.AST] = list(reversed(body_of(function)))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def returned(function: Function) -> list[ast.expr | None]:
    """What it returns, in its order."""
    return [node.value for node in own_nodes(function) if isinstance(node, ast.Return)]


def is_text(statement: ast.stmt) -> bool:
    """Whether the statement is a text or `...`, which does nothing."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def line_of(node: Any) -> int:
    return int(getattr(node, "lineno", 1))


def _parsed(source: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _within(source: str) -> tuple[str, ast.Module | None]:
    start = _STARTS.search(textwrap.dedent(source))
    if start is None:
        return source, None
    lines = textwrap.dedent(source)[start.start() :].splitlines()
    for cut in range(min(_MOST_CUT, len(lines))):
        kept = "\n".join(lines[: len(lines) - cut])
        tree = _parsed(kept)
        if tree is not None:
            return kept, tree
    return source, None


def _does_something(tree: ast.Module) -> bool:
    """Prose that happens to parse is a name or a text."""
    idle = (ast.Constant, ast.Name, ast.Tuple, ast.BinOp, ast.UnaryOp, ast.Attribute)
    return any(
        not (isinstance(one, ast.Expr) and isinstance(one.value, idle)) and not isinstance(one, ast.AnnAssign)
        for one in tree.body
    )


def _executed_texts(tree: ast.Module, names: Names) -> list[ast.stmt]:
    """Statements of constant texts that are handed to `exec` or `eval`; each text once."""
    found: list[ast.stmt] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args or getattr(node, "afterburn_read", False):
            continue
        if not names.of(node.func) & {"builtins.exec", "builtins.eval", "builtins.compile"}:
            continue
        text = names.text(node.args[0])
        inner = None if text is None else _parsed(text)
        if inner is None:
            continue
        node.afterburn_read = True  # type: ignore[attr-defined]
        for one in ast.walk(inner):
            if hasattr(one, "lineno"):
                one.lineno = node.lineno
        found += inner.body
    return found


def _script_only(tree: ast.Module) -> frozenset[int]:
    """What stands under `if __name__ == "__main__":`, and functions that are named nowhere else."""
    guards = [node for node in tree.body if isinstance(node, ast.If) and _is_guard(node.test)]
    inside = {id(node) for guard in guards for statement in guard.body for node in ast.walk(statement)}
    used_inside = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) in inside}
    used_outside = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in inside}
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name in used_inside - used_outside:
            inside |= {id(node) for node in ast.walk(function)}
    return frozenset(inside)


def _is_guard(test: ast.expr) -> bool:
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
        return False
    sides = (test.left, test.comparators[0])
    named = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    return named and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)
