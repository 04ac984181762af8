"""Functions to write, and functions with one wrong line: parameterised tasks with tests and a reference solution."""

from __future__ import annotations

import random
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
CASES = 6
"""Calls that the tests of a task make."""


@attrs.frozen(kw_only=True)
class Drawn:
    """A task with its parameters chosen."""

    task: Task
    values: dict[str, Any]

    @property
    def what(self) -> str:
        """What the function does, as the end of a sentence."""
        return self.task.what.format(**self.values)

    @property
    def source(self) -> str:
        """The reference solution."""
        return self.filled(self.task.source)

    def filled(self, text: str) -> str:
        """The text with the parameters in their places."""
        for name, value in self.values.items():
            text = text.replace(f"<{name}>", str(value))
        return text

    def tests(self, rng: random.Random) -> str:
        """Assertions on the task's fixed cases and on random ones; what is expected comes from a second solution."""
        cases = [*self.task.cases, *(self.task.case(rng) for _ in range(CASES))]
        lines = [
            f"assert {self.task.name}({', '.join(map(repr, case))}) == {self.task.expected(self.values, *case)!r}"
            for case in cases
        ]
        return "\n".join(dict.fromkeys(lines)) + "\n"


def _drawn(rng: random.Random) -> Drawn:
    task = rng.choice(TASKS)
    return Drawn(task=task, values={name: rng.choice(options) for name, options in task.parameters.items()})


def write(rng: random.Random) -> Item:
    """A function to write."""
    drawn = _drawn(rng)
    prompt = worded(rng, _ASKS, signature=drawn.task.signature, what=drawn.what) + rng.choice(_TAILS)
    return Item(
        prompt=prompt,
        gold=drawn.source,
        checker="code",
        properties={"kind": drawn.task.name, "tests": drawn.tests(rng)},
    )


def find_bug(rng: random.Random) -> Item:
    """One line of a solution is wrong: which? The options are the numbers of the lines of its body."""
    drawn = _drawn(rng)
    right, wrong = map(drawn.filled, drawn.task.slip)
    lines = drawn.source.rstrip("\n").split("\n")
    place = next(number for number, line in enumerate(lines) if right in line)
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
        "kind": drawn.task.name, "broken": "\n".join(broken) + "\n", "mended": drawn.source, "tests": drawn.tests(rng)
    }  # fmt: skip
    return attrs.evolve(item, properties=properties)
