"""Options of commands that sign, and the passphrase that they ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afterburn_core.errors import ConfigError

if TYPE_CHECKING:
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.plugin.roles import Signer

PASSPHRASE = "AFTERBURN_KEY_PASSPHRASE"
KEY = "AFTERBURN_KEY"


def signer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--signer` and `--signer-option`."""
    decorators = (
        click.option("--signer", "signer_name", metavar="NAME", help="Sign with a signer of a plugin, as for an HSM."),
        click.option(
            "--signer-option",
            "signer_values",
            multiple=True,
            metavar="NAME=VALUE",
            help="An option of the signer. Repeats.",
        ),
    )
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def signing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--key`, `--signer` and `--signer-option`."""
    key = click.option(
        "--key",
        "key_path",
        type=click.Path(path_type=Path),
        envvar=KEY,
        show_envvar=True,
        help="Encrypted private key, as `afterburn keygen` writes it.",
    )
    return key(signer_options(command))


def chosen_signer(
    key_path: Path | None, signer_name: str | None, signer_values: Iterable[str], registry: Registry
) -> Signer | None:
    """What the flags name to sign with, or `None`.

    Raises:
        ConfigError: the flags contradict each other, or what they name cannot be used.
    """
    from afterburn_core.certify.extras import extras

    options: dict[str, Any] = {}
    for text in signer_values:
        name, given, value = text.partition("=")
        if not given or not name:
            raise ConfigError(f"--signer-option {text!r}: write NAME=VALUE")
        if name in options:
            raise ConfigError(f"--signer-option {name} is given twice")
        options[name] = value
    if signer_name is not None:
        options = _typed(options, registry.get("signer", signer_name).spec.options)
    if key_path is None and signer_name is None and not options:
        return None
    with extras("signing"):
        from afterburn_core.certify.keys import signer_of
    return signer_of(key_path, signer_name, options, registry, lambda: passphrase(f"Passphrase of {key_path}"))


def _typed(options: dict[str, Any], declared: type | None) -> dict[str, Any]:
    """Numbers and truth values for the options that are such; everything else stays text, be it all digits."""
    if declared is None:
        return options
    import attrs

    wanted: dict[str, Any] = {field.name: field.type for field in attrs.fields(attrs.resolve_types(declared))}
    readers: dict[Any, Callable[[str], Any]] = {
        int: int,
        float: float,
        bool: {"true": True, "false": False}.__getitem__,
    }
    words: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false"}
    typed = {}
    for name, text in options.items():
        kind = wanted.get(name)
        try:
            typed[name] = readers.get(kind, str)(text)
        except (ValueError, KeyError) as error:
            raise ConfigError(f"--signer-option {name}={text}: must be {words[kind]}") from error
    return typed


def passphrase(prompt: str, *, confirm: bool = False) -> str:
    """From the environment, or from who sits at the terminal.

    Raises:
        ConfigError: there is neither.
    """
    if given := os.environ.get(PASSPHRASE):
        return given
    if not sys.stdin.isatty():
        raise ConfigError(f"no passphrase: set {PASSPHRASE}, or run it in a terminal to be asked")
    return _asked(prompt, confirm)


@cache
def _asked(prompt: str, confirm: bool) -> str:
    """Once per key and command, however many things are signed."""
    return str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True))
