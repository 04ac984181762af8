"""Functions to write, and functions with one wrong line: parameterised tasks with tests and a reference solution."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs

from afterburn_behaviour.suites.drawing import Item
from afterburn_behaviour.suites.function_tasks import TASKS, Task
from afterburn_behaviour.suites.phrasing import laid_out, worded

_ASKS = (
    "Write a Python function `{signature}` that {what}",
    "In Python, implement `{signature}`, a function that {what}",
    "Define `{signature}` in Python. It {what}",
)
_TAILS = ("", " Reply with the code in one block.", " Use nothing beyond the standard library.", " Give only the code.")
_MODIFIERS: dict[type, tuple[tuple[str, str, Callable[..., Any]], ...]] = {
    int: (
        ("Before it is returned, the result is multiplied by {c}.", "found * {c}", lambda found, c: found * c),
        ("Add {c} to the result before you return it.", "found + {c}", lambda found, c: found + c),
    ),
    list: (
        ("The list is reversed before it is returned.", "found[::-1]", lambda found, c: found[::-1]),
        ("Return the list without its first element.", "found[1:]", lambda found, c: found[1:]),
        ("Return only the first {c} elements of that list.", "found[:{c}]", lambda found, c: found[:c]),
    ),
    str: (
        ("The string is returned in upper case.", "found.upper()", lambda found, c: found.upper()),
        ("The string is returned backwards.", "found[::-1]", lambda found, c: found[::-1]),
        ("The string is returned with {c} dots behind it.", "found + '.' * {c}", lambda found, c: found + "." * c),
    ),
}
"""By type of the result: a sentence, an expression, and the same as a function."""
DIFFERENT = 4
"""Different results that the tests of a task must see."""
CASES = 6
"""Random calls that the tests of a task make."""


@attrs.frozen(kw_only=True)
class Drawn:
    """A task with its parameters chosen, and what is done to its result."""

    task: Task
    values: dict[str, Any]
    modifier: tuple[str, str, Callable[..., Any]] | None = None
    constant: int = 0

    @property
    def what(self) -> str:
        """What the function does, as the end of a sentence, and more sentences."""
        what = self.task.what.format(**self.values)
        return f"{what} {self.modifier[0].format(c=self.constant)}" if self.modifier else what

    @property
    def source(self) -> str:
        """The reference solution."""
        source = self.filled(self.task.source)
        if self.modifier is None:
            return source
        inner = source.replace(f"def {self.task.name}(", "def plain_result(", 1)
        argument = self.task.signature.partition("(")[2].rstrip(")")
        result = self.modifier[1].format(c=self.constant)
        return f"{inner}\n\ndef {self.task.signature}:\n    found = plain_result({argument})\n    return {result}\n"

    def filled(self, text: str) -> str:
        """The text with the parameters in their places."""
        for name, value in self.values.items():
            text = text.replace(f"<{name}>", str(value))
        return text

    def expected(self, case: tuple[Any, ...]) -> Any:
        """What the call must return, by a second solution."""
        found = self.task.expected(self.values, *case)
        return self.modifier[2](found, self.constant) if self.modifier else found

    def tests(self, rng: random.Random) -> str | None:
        """Assertions on the task's fixed cases and on random ones; `None` where they would let too much pass."""
        cases = [*self.task.cases, *(self.task.case(rng) for _ in range(CASES))]
        results = [self.expected(case) for case in cases]
        plain = [self.task.expected(self.values, *case) for case in cases]
        if len({repr(result) for result in results}) < DIFFERENT or (self.modifier and results == plain):
            return None
        lines = [
            f"assert {self.task.name}({', '.join(map(repr, case))}) == {result!r}"
            for case, result in zip(cases, results, strict=True)
        ]
        return "\n".join(dict.fromkeys(lines)) + "\n"


def _drawn(rng: random.Random, *, modified: bool) -> tuple[Drawn, str]:
    """A task and its tests."""
    while True:
        task = rng.choice(TASKS)
        drawn = Drawn(task=task, values={name: rng.choice(options) for name, options in task.parameters.items()})
        modifiers = _MODIFIERS.get(type(drawn.expected(task.cases[0])))
        if modified and modifiers and rng.random() < 0.75:
            drawn = attrs.evolve(drawn, modifier=rng.choice(modifiers), constant=rng.randint(2, 5))
        tests = drawn.tests(rng)
        if tests is not None:
            return drawn, tests


def write(rng: random.Random) -> Item:
    """A function to write."""
    drawn, tests = _drawn(rng, modified=True)
    prompt = worded(rng, _ASKS, signature=drawn.task.signature, what=drawn.what) + rng.choice(_TAILS)
    return Item(
        prompt=prompt,
        gold=drawn.source,
        checker="code",
        properties={"kind": drawn.task.name, "tests": tests},
        key=drawn.source,
    )


def find_bug(rng: random.Random) -> Item:
    """One line of a solution is wrong: which? The options are the numbers of the lines of its body."""
    drawn, tests = _drawn(rng, modified=False)
    right, wrong = map(drawn.filled, drawn.task.slip)
    lines = drawn.source.rstrip("\n").split("\n")
    place = next(number for number, line in enumerate(lines) if number and right in line)
    broken = list(lines)
    broken[place] = broken[place].replace(right, wrong, 1)
    shown = "\n".join(f"{number}  {line}" for number, line in enumerate(broken, start=1))
    opening = worded(
        rng,
        (
            "The function below should be one that {what} One line is wrong.",
            "Somebody wanted a function that {what} This version has one faulty line.",
            "`{signature}` is meant to be a function that {what} It does not work because of a single line.",
        ),
        what=drawn.what,
        signature=drawn.task.signature,
    )
    question = f"{opening}\n\n```\n{shown}\n```\n\nWhich line must be changed?"
    options = [f"line {number}" for number in range(2, len(lines) + 1)]
    item = laid_out(rng, question, options, f"line {place + 1}", drawn.task.name)
    properties = {
        "kind": drawn.task.name, "broken": "\n".join(broken) + "\n", "mended": drawn.source, "tests": tests
    }  # fmt: skip
    return attrs.evolve(item, properties=properties, key=f"bug {drawn.source}")
