"""What expressions of a program stand for: `s.exit` is `sys.exit` after `import sys as s`.

Followed are imports, assignments, walruses and default arguments, `getattr` and `vars` with a text that is known,
`__import__`, `importlib.import_module`, `sys.modules[...]`, `functools.partial`. Where a name is bound more than once
every meaning counts, whatever the order.
"""

from __future__ import annotations

import ast
import builtins

Meanings = frozenset[str]
NOTHING: Meanings = frozenset()
_ROUNDS = 4  # aliases of aliases
_MODULES = ("sys", "os", "builtins", "atexit", "inspect")
"""Also reached as an attribute of other modules: `logging.os._exit`."""
_STARRED = (*_MODULES, "unittest", "pytest", "time", "random", "signal", "traceback")
_BUILTIN = frozenset(dir(builtins)) | {"exit", "quit"}


class Names:
    """The names of one syntax tree."""

    def __init__(self, tree: ast.AST) -> None:
        self._bound: dict[str, set[str]] = {}
        self._texts: dict[str, set[str]] = {}
        self._assigned: set[str] = set()
        self._stars: list[str] = []
        nodes = list(ast.walk(tree))
        for node in nodes:
            self._imports(node)
        for _ in range(_ROUNDS):
            before = sum(map(len, self._bound.values()))
            for node in nodes:
                self._assignments(node)
            if sum(map(len, self._bound.values())) == before:
                break

    def of(self, node: ast.AST | None) -> Meanings:
        """Dotted names that the expression may stand for; empty where nothing is known."""
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Attribute):
            return frozenset(_plain(f"{owner}.{node.attr}") for owner in self.of(node.value))
        if isinstance(node, ast.NamedExpr):
            return self.of(node.value)
        if isinstance(node, ast.IfExp):
            return self.of(node.body) | self.of(node.orelse)
        if isinstance(node, ast.BoolOp):
            return NOTHING.union(*map(self.of, node.values))
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        return NOTHING

    def text(self, node: ast.AST | None) -> str | None:
        """The text that an expression is, where it can be told without running it."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.Name):
            known = self._texts.get(node.id, set())
            return next(iter(known)) if len(known) == 1 else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.text(node.left), self.text(node.right)
            return None if left is None or right is None else left + right
        if isinstance(node, ast.JoinedStr):
            parts = [self.text(part.value if isinstance(part, ast.FormattedValue) else part) for part in node.values]
            return None if None in parts else "".join(part or "" for part in parts)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            whole = self.text(node.value)
            reverse = ast.unparse(node.slice) == "::-1"
            return whole[::-1] if whole is not None and reverse else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join":
            glue = self.text(node.func.value)
            pieces = node.args[0].elts if node.args and isinstance(node.args[0], ast.List | ast.Tuple) else None
            texts = None if pieces is None else [self.text(piece) for piece in pieces]
            return glue.join(t or "" for t in texts) if glue is not None and texts and None not in texts else None
        return None

    def _name(self, name: str) -> Meanings:
        known = self._bound.get(name)
        if known:
            return frozenset(known)
        if name == "__builtins__":
            return frozenset({"builtins"})
        starred = frozenset(f"{module}.{name}" for module in self._stars)
        if name in self._assigned:
            return starred
        return starred | {f"builtins.{name}"} if name in _BUILTIN else starred

    def _imports(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for one in node.names:
                self._bind(one.asname or one.name.split(".")[0], {one.name if one.asname else one.name.split(".")[0]})
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for one in node.names:
                if one.name == "*":
                    self._stars += [node.module] if node.module in _STARRED else []
                else:
                    self._bind(one.asname or one.name, {_plain(f"{node.module}.{one.name}")})
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._assigned.add(node.name)

    def _assignments(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            self._assign(node.target, node.value)
        elif isinstance(node, ast.arguments):
            given = [*node.posonlyargs, *node.args]
            for argument, default in zip(given[len(given) - len(node.defaults) :], node.defaults, strict=True):
                self._bind(argument.arg, self.of(default))
            for argument, value in zip(node.kwonlyargs, node.kw_defaults, strict=True):
                self._bind(argument.arg, self.of(value))

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._assigned.add(target.id)
            self._bind(target.id, self.of(value))
            text = self.text(value)
            if text is not None:
                self._texts.setdefault(target.id, set()).add(text)
        elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
            for one, its in zip(target.elts, value.elts, strict=False):
                self._assign(one, its)

    def _bind(self, name: str, meanings: set[str] | Meanings) -> None:
        if meanings:
            self._bound.setdefault(name, set()).update(meanings)

    def _call(self, node: ast.Call) -> Meanings:
        called = self.of(node.func)
        first = node.args[0] if node.args else None
        if "builtins.getattr" in called and len(node.args) > 1:
            name = self.text(node.args[1])
            return NOTHING if name is None else frozenset(_plain(f"{owner}.{name}") for owner in self.of(first))
        if called & {"builtins.__import__", "importlib.import_module"}:
            name = self.text(first)
            return NOTHING if name is None else frozenset({name})
        if called & {"builtins.vars", "functools.partial"}:
            return self.of(first)
        if called & {"builtins.globals", "builtins.locals"}:
            return frozenset({"globals"})
        return NOTHING

    def _subscript(self, node: ast.Subscript) -> Meanings:
        key = self.text(node.slice)
        if key is None:
            return NOTHING
        found: set[str] = set()
        for owner in self.of(node.value):
            if owner == "sys.modules":
                found.add(key)
            elif owner == "globals":
                found |= self._name(key)
            else:
                found.add(_plain(f"{owner.removesuffix('.__dict__')}.{key}"))
        return frozenset(found)


def _plain(dotted: str) -> str:
    """One spelling: `os.sys.exit` is `sys.exit`, `posix._exit` is `os._exit`."""
    parts = dotted.replace("__builtins__", "builtins").split(".")
    if parts[0] == "posix":
        parts[0] = "os"
    inner = [number for number, part in enumerate(parts[:-1]) if part in _MODULES]
    return ".".join(parts[inner[-1] :] if inner else parts)
