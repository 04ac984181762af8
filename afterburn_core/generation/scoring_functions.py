"""Scorers that are functions of the user's own, or numbers that a recording already holds.

A function takes either all answers or one, and is told apart by the names of its arguments:

    def reward(prompts, completions, **columns) -> list[float | None]      as trainers of reinforcement learning have it
    def reward(prompt, completion, **columns) -> float | None

Columns are passed where the function names them or takes `**columns`: `gold`, `probe_id`, `category`, and what
`Probe.properties` holds. Prompts of several turns are given as one text, with the roles.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.generation.scoring import Answer
from afterburn_core.probes.model import Probe

_COLUMNS = ("gold", "probe_id", "category")


@attrs.frozen(kw_only=True)
class Recorded:
    """A number that every recorded row holds in a field of its own."""

    PREFIX: ClassVar[str] = "label:"
    field: str

    @property
    def label(self) -> str:
        return f"{self.PREFIX}{self.field}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.label.encode()).hexdigest()

    def __call__(self, answers: Sequence[Answer]) -> list[float | None]:
        """The field of each row; `None` where a row has none.

        Raises:
            ConfigError: a row holds no number there, or none holds the field.
        """
        values = [sample.labels.get(self.field) for _, sample in answers]
        if answers and all(value is None for value in values):
            known = sorted({name for _, sample in answers for name in sample.labels})
            told = f"; they have {', '.join(known[:8])}" if known else ""
            raise ConfigError(f"{self.label}: no recorded row has this field{told}")
        return [
            None if value is None else _number(value, self.label, probe.id)
            for value, (probe, _) in zip(values, answers, strict=True)
        ]

    def close(self) -> None:
        """Nothing to free."""


@attrs.frozen(kw_only=True)
class Function:
    """A function of the user's own."""

    label: str
    sha256: str
    call: Callable[..., Any]
    batched: bool
    columns: frozenset[str] | None
    """Names of the further arguments; `None` where it takes any."""

    def __call__(self, answers: Sequence[Answer]) -> list[float | None]:
        """Its value for every answer.

        Raises:
            ConfigError: it raised, gave another number of values, or something else than finite numbers.
        """
        if not answers:
            return []
        if self.batched:
            given = self._run(
                answers[0][0],
                prompts=[probe.text for probe, _ in answers],
                completions=[sample.text for _, sample in answers],
                **{name: [values.get(name) for values in self._rows(answers)] for name in self._names(answers)},
            )
            values = self._listed(given, len(answers))
        else:
            names = self._names(answers)
            values = [
                self._run(probe, prompt=probe.text, completion=sample.text, **{name: row.get(name) for name in names})
                for (probe, sample), row in zip(answers, self._rows(answers), strict=True)
            ]
        return [
            None if value is None else _number(value, self.label, probe.id)
            for value, (probe, _) in zip(values, answers, strict=True)
        ]

    def _run(self, probe: Probe, **arguments: Any) -> Any:
        try:
            return self.call(**arguments)
        except Exception as error:  # the user's code may raise anything
            where = "" if self.batched else f" on prompt {probe.id!r}"
            told = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise ConfigError(f"{self.label} failed{where} ({told}); mend the function, or leave it out") from error

    def _listed(self, given: Any, n: int) -> list[Any]:
        try:
            values = list(given)
        except TypeError as error:
            raise ConfigError(f"{self.label} must return a list with a number per completion, not {given!r}") from error
        if len(values) != n:
            raise ConfigError(f"{self.label} returned {len(values)} values for {n} completions")
        return values

    def _names(self, answers: Sequence[Answer]) -> list[str]:
        """The further arguments, in a fixed order."""
        if self.columns is not None:
            return sorted(self.columns)
        own = {name for probe, _ in answers for name in probe.properties if name.isidentifier()}
        return sorted({*_COLUMNS, *own} - {"prompt", "completion", "prompts", "completions"})

    def _rows(self, answers: Sequence[Answer]) -> list[dict[str, Any]]:
        return [
            {**probe.properties, "gold": probe.gold, "probe_id": probe.id, "category": probe.category}
            for probe, _ in answers
        ]

    def close(self) -> None:
        """Nothing to free."""


def open_function(role: str, text: str) -> Function:
    """The function that `module:function` or `file.py:function` names.

    Raises:
        ConfigError: there is no such module or function, or it takes neither all answers nor one.
    """
    module_name, _, name = text.rpartition(":")
    module = _imported(role, text, module_name)
    function = getattr(module, name, None)
    if not callable(function):
        known = sorted(key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_")
        told = f"; it has {', '.join(known[:8])}" if known else ""
        raise ConfigError(f"--{role} {text}: {module_name} has no function {name!r}{told}")
    parameters = inspect.signature(function).parameters
    batched = "completions" in parameters
    if not batched and "completion" not in parameters:
        raise ConfigError(
            f"--{role} {text}: the function must take (prompts, completions, …) or (prompt, completion, …), "
            f"not ({', '.join(parameters)})"
        )
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    first = {"prompts", "completions"} if batched else {"prompt", "completion"}
    missing = first - parameters.keys()
    call = function if open_ended or not missing else _without(function, missing)
    source = inspect.getsourcefile(function)
    content = Path(source).read_bytes() if source and Path(source).is_file() else text.encode()
    own = frozenset(name for name, p in parameters.items() if p.kind is not inspect.Parameter.VAR_KEYWORD) - first
    return Function(
        label=f"{Path(module_name).name}:{name}" if module_name.endswith(".py") else text,
        sha256=hashlib.sha256(content + name.encode()).hexdigest(),
        call=call,
        batched=batched,
        columns=None if open_ended else own,
    )


def _without(function: Callable[..., Any], left_out: set[str]) -> Callable[..., Any]:
    def call(**arguments: Any) -> Any:
        return function(**{name: value for name, value in arguments.items() if name not in left_out})

    return call


def _imported(role: str, text: str, name: str) -> ModuleType:
    try:
        if name.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(name).stem, name)
            if spec is None or spec.loader is None or not Path(name).is_file():
                raise ConfigError(f"--{role} {text}: there is no file {name}")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
        here = str(Path.cwd())
        if here not in sys.path:  # as `python -m` would find it
            sys.path.insert(0, here)
        return importlib.import_module(name)
    except ConfigError:
        raise
    except Exception as error:  # importing the user's module runs the user's code
        told = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ConfigError(f"--{role} {text}: {name} cannot be imported ({told})") from error


def _number(value: Any, label: str, probe: str) -> float:
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:  # a number of NumPy or torch
        value = value.item()
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    raise ConfigError(f"{label}: gave {value!r} for prompt {probe!r}; a score must be a finite number, or None")
