"""What a problem's tests demand, read off their text: calls with literal arguments, and the results they must have."""

from __future__ import annotations

import ast
import warnings
from typing import Any

import attrs

Key = str
"""A value in one spelling: lists and tuples alike, 2.0 like 2."""
NOTHING = object()
_EQUALS = ("assertEqual", "assertEquals", "assertAlmostEqual")


@attrs.frozen(kw_only=True)
class Case:
    """One call that is tested."""

    function: str
    inputs: frozenset[Key]
    """Ways to spell its arguments: all together, each alone, as text."""
    first: Key | None
    """Its first argument."""
    expected: Key


@attrs.frozen(kw_only=True)
class Known:
    """The tests of a problem that a solution could be written for."""

    shown: tuple[Case, ...] = ()
    """Those that the prompt shows, or all where nothing says which it shows."""
    every: tuple[Case, ...] = ()

    @property
    def functions(self) -> frozenset[str]:
        """What the tests call: the names that were asked for."""
        return frozenset(case.function for case in self.every)


def known_of(tests: str, shown: str | None = None) -> Known:
    """The cases of a problem's tests, and of those among them that its prompt shows."""
    every, first = cases(tests), cases(shown or "")
    return Known(shown=first or every, every=tuple(dict.fromkeys((*every, *first))))


def cases(tests: str) -> tuple[Case, ...]:
    """Assertions that call a function with literals and compare the result with a literal."""
    try:
        tree = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found = [_case(*pair) for node in ast.walk(tree) if (pair := _compared(node)) is not None]
    return tuple(case for case in found if case is not None)


def key(value: Any) -> Key:
    """The spelling of a value."""
    return repr(_alike(value))


def literal(node: ast.AST | None) -> Any:
    """The value of a literal, `NOTHING` where the expression is none."""
    if node is None:
        return NOTHING
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return NOTHING


def _alike(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_alike, value))
    if isinstance(value, dict):
        return sorted((repr(_alike(k)), repr(_alike(v))) for k, v in value.items())
    if isinstance(value, set | frozenset):
        return sorted(map(repr, map(_alike, value)))
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _compared(node: ast.AST) -> tuple[ast.Call, Any] | None:
    """A call and what it must give."""
    if isinstance(node, ast.Assert):
        return _asserted(node.test)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) > 1):
        return None
    return _sides(node.args[0], node.args[1]) if node.func.attr in _EQUALS else None


def _asserted(test: ast.expr) -> tuple[ast.Call, Any] | None:
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq | ast.Is):
        return _sides(test.left, test.comparators[0])
    if isinstance(test, ast.Call):
        return test, True
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and isinstance(test.operand, ast.Call):
        return test.operand, False
    return None


def _sides(left: ast.expr, right: ast.expr) -> tuple[ast.Call, Any] | None:
    for call, value in ((left, right), (right, left)):
        if isinstance(call, ast.Call) and literal(value) is not NOTHING:
            return call, literal(value)
    return None


def _case(call: ast.Call, expected: Any) -> Case | None:
    if not isinstance(call.func, ast.Name):
        return None
    given = [literal(argument) for argument in (*call.args, *(keyword.value for keyword in call.keywords))]
    if not given or any(value is NOTHING for value in given):
        return None
    spelt = {key(tuple(given)), key(str(tuple(given)))}
    for value in given:
        spelt |= {key(value), key(str(value)), key(repr(value))}
    return Case(function=call.func.id, inputs=frozenset(spelt), first=key(given[0]), expected=key(expected))
