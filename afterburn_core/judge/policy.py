"""Policies read: from YAML files, from those that are shipped, and from the documents that were judged under them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cache, partial
from operator import eq
from pathlib import Path
from typing import Any, Literal

import attrs
import cattrs
import yaml
from cattrs.cols import homogenous_tuple_structure_factory

from afterburn_core.errors import ConfigError
from afterburn_core.judge.policy_model import EACH, Control, Policy, Suppression, Threshold
from afterburn_core.plugin.registry import suggestion
from afterburn_core.resources import template_dir
from afterburn_core.result.model import Result, Scope
from afterburn_core.run.configuration import strict_converter, structure

__all__ = ["PROPERTY", "Policy", "load_policy", "overridden", "policy_of", "shipped", "shipped_path", "structured"]

PROPERTY = "core.policy"
"""Key of `Result.properties` under which the canonical form of the policy stands that the verdict was reached under."""

_LISTS: tuple[Any, ...] = (tuple[Control, ...], tuple[Suppression, ...], tuple[Threshold, ...])


def overridden(policy: Policy, fail_on: str | None) -> Policy:
    """The policy with the bar that a flag gives, if one is given; the name says so."""
    if fail_on is None or fail_on == policy.fail_on:
        return policy
    values = {**policy.canonical(), "fail_on": fail_on, "name": f"{policy.name}, fail on {fail_on}"}
    return structured(values, "flags")


def load_policy(path: Path | None) -> Policy:
    """The policy in a YAML file, the shipped one of that name (`adapter`, `rl`, `sft`), or the default one.

    A file of the name wins over the shipped policy.

    Raises:
        ConfigError: the file is missing or malformed, a key is unknown or stands twice, or a value makes no sense.
    """
    if path is None:
        return Policy()
    if str(path) in shipped() and not path.is_file():
        path = shipped_path(str(path))
    values = _read(path)
    if not isinstance(values, dict):
        raise ConfigError(f"policy {path}: expected keys and values")
    return structured({"name": path.stem, **values}, f"policy {path.name}")


def shipped() -> tuple[str, ...]:
    """Names of the policies that come with the program, sorted."""
    return tuple(sorted(path.stem for path in template_dir("policies").glob("*.yaml")))


def shipped_path(name: str) -> Path:
    """The file of a shipped policy.

    Raises:
        ConfigError: there is none of this name.
    """
    known = shipped()
    if name not in known:
        raise ConfigError(f"no shipped policy is named {name!r}{suggestion(name, known)}; there are {', '.join(known)}")
    return template_dir("policies") / f"{name}.yaml"


def policy_of(result: Result) -> Policy | None:
    """The policy that the document's verdict was reached under, out of its properties.

    `None` where the document does not keep it (those written before policies were kept do not), or keeps one that is
    not the one its verdict names.
    """
    kept = result.properties.get(PROPERTY)
    if not isinstance(kept, Mapping):
        return None
    try:
        policy = structured(dict(kept), "the document's policy")
    except ConfigError:
        return None
    return policy if policy.reference() == result.verdict.policy else None


def _read(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a safe loader, made stricter
    except OSError as error:
        known = f", or name one that is shipped: {', '.join(shipped())}"
        raise ConfigError(
            f"policy {path}: cannot be read ({error.strerror}); give an existing YAML file{known}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"policy {path}: not valid YAML ({' '.join(str(error).split())})") from error


class _Loader(yaml.SafeLoader):
    """YAML in which no key stands twice: PyYAML would silently take the last, so that a gate reads other than it
    looks."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def structured(values: Mapping[str, Any], where: str) -> Policy:
    """The policy of plain values, such as its canonical form; raises `ConfigError`, which names `where`."""
    policy: Policy = structure(values, Policy, where, _converter())
    return policy


@cache
def _converter() -> cattrs.Converter:
    converter = strict_converter()
    converter.register_structure_hook_func(
        lambda kind: kind in (Scope | Literal["each"] | None, Scope | None), lambda value, _: _scope(value, converter)
    )
    converter.register_structure_hook(date, lambda value, _: _day(value))
    for kind in _LISTS:
        converter.register_structure_hook_func(partial(eq, kind), _list_of(kind, converter))
    return converter


def _list_of(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    entries = homogenous_tuple_structure_factory(kind, converter)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"expected a list, got {value!r}")
        return entries(value, kind)

    return hook


def _scope(value: Any, converter: cattrs.Converter) -> Scope | Literal["each"] | None:
    if value is None or value == EACH:
        return value  # type: ignore[no-any-return]
    if not isinstance(value, Mapping):
        raise ConfigError(f"expected {EACH!r} or fields of a scope such as {{layer: 3}}, got {value!r}")
    known = [field.name for field in attrs.fields(Scope)]
    for key in value:
        if key not in known:
            raise ConfigError(f"unknown field {key!r}{suggestion(str(key), known)}; there are {', '.join(known)}")
    return converter.structure(dict(value), Scope)


def _day(value: Any) -> date:
    """YAML reads an unquoted day as a date, JSON and a quoted one give a text."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value) if len(value) == 10 else _refuse_day(value)
        except ValueError:
            return _refuse_day(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    return _refuse_day(value)


def _refuse_day(value: Any) -> date:
    raise ConfigError(f"expected a day of the calendar such as 2027-01-31, got {value!r}")
