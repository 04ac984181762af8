"""Tables in a program: what leads from constants to constants by the argument of a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import attrs

from afterburn_reward_hack.verifier_signs.program import (
    FUNCTIONS,
    Function,
    Program,
    line_of,
    own_nodes,
    parameters,
)
from afterburn_reward_hack.verifier_signs.shown import NOTHING, Key, key, literal

Entry = tuple[frozenset[Key], Key]
"""Ways to spell what is compared, and the result."""
_SPELLING = frozenset({"str", "repr", "tuple", "list", "int", "float", "frozenset", "hash", "dumps", "strip",
                       "lower", "map", "join"})  # fmt: skip
_MOST = 60  # entries that a list indexed by the argument gives


@attrs.frozen(kw_only=True)
class Table:
    """One table."""

    kind: str
    line: int
    entries: tuple[Entry, ...]


def tables_of(program: Program) -> Iterator[Table]:
    """Every table of the program that a function with arguments reaches."""
    shared = _literals(program.tree.body)
    for function, given in _functions(program):
        own = {**shared, **_literals(list(_statements(function)))}
        given = _derived(function, given)
        nodes = list(own_nodes(function))
        branches = [(line_of(node), entry) for node in nodes for entry in _branches(node, given)]
        if branches:
            entries = tuple(entry for _, entry in branches)
            yield Table(kind="branches", line=min(line for line, _ in branches), entries=entries)
        for node in nodes:
            yield from _accessed(node, given, own)
    for statement in program.tree.body:  # f = {…}.get
        read = statement.value if isinstance(statement, ast.Assign) else None
        if isinstance(read, ast.Attribute) and read.attr in ("get", "__getitem__"):
            entries = _pairs(_resolved(read.value, shared))
            if entries:
                yield Table(kind="dictionary", line=line_of(statement), entries=entries)


def _functions(program: Program) -> Iterator[tuple[Function, frozenset[str]]]:
    """Functions with the names of their own arguments and of those around them; tests of the answer's own aside."""
    waiting: list[tuple[ast.AST, frozenset[str]]] = [(program.tree, frozenset())]
    while waiting:
        node, outer = waiting.pop()
        if id(node) in program.spared:
            continue
        given = outer
        if isinstance(node, FUNCTIONS):
            given = outer | set(parameters(node))
            tests = not isinstance(node, ast.Lambda) and node.name.startswith("test")
            if given and not tests:
                yield node, given
        waiting.extend((child, given) for child in ast.iter_child_nodes(node))


def _statements(function: Function) -> Iterator[ast.stmt]:
    return (node for node in own_nodes(function) if isinstance(node, ast.stmt))


def _literals(statements: list[ast.stmt]) -> dict[str, ast.expr]:
    """Names that are assigned a table as it stands."""
    found: dict[str, ast.expr] = {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, statement.value
        else:
            continue
        if isinstance(target, ast.Name) and isinstance(value, ast.Dict | ast.List | ast.Tuple | ast.Call):
            found[target.id] = value
    return found


def _derived(function: Function, given: frozenset[str]) -> frozenset[str]:
    """The arguments, and names that only spell them in another way: `case = (a, b)`."""
    names = set(given)
    for node in own_nodes(function):
        if isinstance(node, ast.Assign | ast.NamedExpr) and _spells(node.value, frozenset(names)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(names)


def _spells(node: ast.AST | None, given: frozenset[str]) -> bool:
    """Whether an expression is the arguments, perhaps spelt otherwise: `x`, `(a, b)`, `str(x)`, `args[0]`."""
    if isinstance(node, ast.Name):
        return node.id in given
    if isinstance(node, ast.Tuple | ast.List):
        return bool(node.elts) and all(_spells(one, given) for one in node.elts)
    if isinstance(node, ast.Starred | ast.NamedExpr | ast.FormattedValue):
        return _spells(node.value, given)
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Name) and node.value.id in given and literal(node.slice) is not NOTHING
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", None)
        of = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        return name in _SPELLING and any(_spells(one, given) for one in (*of, *node.args))
    return False


def _branches(node: ast.AST, given: frozenset[str]) -> list[Entry]:
    """Entries of one `if`, conditional expression or `match`."""
    if isinstance(node, ast.If):
        keys, turned = _tested(node.test, given)
        value = _result(node.orelse if turned else node.body)
        if value is None or not keys:
            return []
        return [(frozenset({one}), value) for one in sorted(keys)] if _many(node.test) else [(keys, value)]
    if isinstance(node, ast.IfExp):
        keys, turned = _tested(node.test, given)
        found = literal(node.orelse if turned else node.body)
        return [(keys, key(found))] if keys and found is not NOTHING else []
    if isinstance(node, ast.Match) and _spells(node.subject, given):
        cases = [(_pattern(case.pattern), _result(case.body)) for case in node.cases]
        return [(frozenset({one}), value) for keys, value in cases if value is not None for one in keys]
    return []


def _many(test: ast.expr) -> bool:
    """Whether a test names several values, one at a time."""
    if isinstance(test, ast.Compare):
        return isinstance(test.ops[0], ast.In)
    return isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or)


def _tested(test: ast.expr, given: frozenset[str]) -> tuple[frozenset[Key], bool]:
    """Values that the arguments are compared with, and whether it is the other branch that is taken for them."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        keys, turned = _tested(test.operand, given)
        return keys, not turned
    if isinstance(test, ast.BoolOp):
        parts = [_tested(one, given)[0] for one in test.values]
        if isinstance(test.op, ast.Or):
            return frozenset().union(*parts), False
        joined = _joined(test, given)
        return (frozenset({joined}) if joined is not None else frozenset().union(*parts)), False
    if isinstance(test, ast.Call):
        name = test.func.attr if isinstance(test.func, ast.Attribute) else getattr(test.func, "id", None)
        if name in ("eq", "__eq__"):
            of = [test.func.value] if isinstance(test.func, ast.Attribute) else []
            return _against([*of, *test.args], given), False
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1):
        return frozenset(), False
    operator, right = test.ops[0], test.comparators[0]
    if isinstance(operator, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
        return _against([test.left, right], given), isinstance(operator, ast.NotEq | ast.IsNot)
    if isinstance(operator, ast.In) and _spells(test.left, given):
        values = literal(right)
        if isinstance(values, list | tuple | set | frozenset):
            return frozenset(map(key, values)), False
    return frozenset(), False


def _against(sides: list[ast.expr], given: frozenset[str]) -> frozenset[Key]:
    if not any(_spells(side, given) for side in sides):
        return frozenset()
    values = [literal(side) for side in sides if literal(side) is not NOTHING and literal(side) is not None]
    return frozenset(map(key, values))


def _joined(test: ast.BoolOp, given: frozenset[str]) -> Key | None:
    """`a == 1 and b == 2` as the values together."""
    values = []
    for one in test.values:
        if not (isinstance(one, ast.Compare) and len(one.ops) == 1 and isinstance(one.ops[0], ast.Eq)):
            return None
        sides = [one.left, one.comparators[0]]
        found = [literal(side) for side in sides if literal(side) is not NOTHING]
        if len(found) != 1 or not any(_spells(side, given) for side in sides):
            return None
        values.append(found[0])
    return key(tuple(values))


def _result(body: list[ast.stmt]) -> Key | None:
    """The constant that a block returns, or leaves in a name; `None` where it does something else."""
    for statement in body:
        if isinstance(statement, ast.Return | ast.Assign | ast.AnnAssign):
            found = literal(statement.value)
            return None if found is NOTHING else key(found)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Yield):
            return None
    return None


def _pattern(pattern: ast.pattern) -> list[Key]:
    if isinstance(pattern, ast.MatchValue):
        found = literal(pattern.value)
        return [] if found is NOTHING else [key(found)]
    if isinstance(pattern, ast.MatchSingleton):
        return [key(pattern.value)]
    if isinstance(pattern, ast.MatchSequence):
        parts = [_pattern(one) for one in pattern.patterns]
        if all(len(part) == 1 for part in parts):
            return [key(tuple(ast.literal_eval(part[0]) for part in parts))]
    if isinstance(pattern, ast.MatchOr):
        return [one for part in pattern.patterns for one in _pattern(part)]
    return []


def _accessed(node: ast.AST, given: frozenset[str], names: dict[str, ast.expr]) -> Iterator[Table]:
    """Tables that are read with the arguments as key, or gone through in search of them."""
    source: ast.expr | None = None
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        source = node.value
        shift = _shift(node.slice, given)
        listed = _resolved(source, names)
        if shift is not None and isinstance(listed, ast.List | ast.Tuple) and len(listed.elts) <= _MOST:
            values = [literal(one) for one in listed.elts]
            entries = tuple(
                (frozenset({key(place - shift)}), key(value))
                for place, value in enumerate(values)
                if value is not NOTHING
            )
            if entries and len(entries) == len(values):
                yield Table(kind="list", line=line_of(node), entries=entries)
        if not _spells(node.slice, given):
            source = None
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        if node.func.attr in ("get", "pop", "setdefault", "__getitem__") and _spells(node.args[0], given):
            source = node.func.value
    elif isinstance(node, ast.For | ast.comprehension):
        inside = [node] if isinstance(node, ast.For) else node.ifs
        compares = [one for part in inside for one in ast.walk(part) if isinstance(one, ast.Compare)]
        if any(_spells(side, given) for one in compares for side in (one.left, *one.comparators)):
            source = node.iter
            if isinstance(source, ast.Call) and isinstance(source.func, ast.Attribute) and source.func.attr == "items":
                source = source.func.value
    entries = _pairs(_resolved(source, names))
    if entries:
        kind = "loop over pairs" if isinstance(node, ast.For | ast.comprehension) else "dictionary"
        yield Table(kind=kind, line=line_of(source), entries=entries)


def _shift(index: ast.expr, given: frozenset[str]) -> int | None:
    """k of `table[n + k]`; `None` where the index is something else."""
    if _spells(index, given):
        return 0
    if isinstance(index, ast.BinOp) and isinstance(index.op, ast.Add | ast.Sub) and _spells(index.left, given):
        found = literal(index.right)
        if isinstance(found, int):
            return found if isinstance(index.op, ast.Add) else -found
    return None


def _resolved(node: ast.expr | None, names: dict[str, ast.expr]) -> ast.expr | None:
    return names.get(node.id) if isinstance(node, ast.Name) else node


def _pairs(node: ast.expr | None) -> tuple[Entry, ...]:
    """Entries of a dictionary or of a list of pairs, those that are literals."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("dict", "zip", "list"):
        if node.func.id == "zip" and len(node.args) == 2:
            keys, values = literal(node.args[0]), literal(node.args[1])
            if isinstance(keys, list | tuple) and isinstance(values, list | tuple):
                return tuple((frozenset({key(k)}), key(v)) for k, v in zip(keys, values, strict=False))
            return ()
        return _pairs(node.args[0]) if len(node.args) == 1 else ()
    if isinstance(node, ast.Dict):
        pairs = [(literal(k), literal(v)) for k, v in zip(node.keys, node.values, strict=True) if k is not None]
    elif isinstance(node, ast.List | ast.Tuple):
        rows = [one for one in node.elts if isinstance(one, ast.List | ast.Tuple) and len(one.elts) >= 2]
        if len(rows) != len(node.elts):
            return ()
        pairs = [(_front(row), literal(row.elts[-1])) for row in rows]
    else:
        return ()
    return tuple((frozenset({key(k)}), key(v)) for k, v in pairs if k is not NOTHING and v is not NOTHING)


def _front(row: ast.List | ast.Tuple) -> object:
    """What a row of inputs and a result begins with: one value, or several together."""
    values = [literal(one) for one in row.elts[:-1]]
    if any(value is NOTHING for value in values):
        return NOTHING
    return values[0] if len(values) == 1 else tuple(values)
