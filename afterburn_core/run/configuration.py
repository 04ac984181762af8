"""Configuration: what flags and `.afterburn.yaml` hold, merged, checked and frozen before anything opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import attrs
import cattrs
import yaml

from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import GROUP, Registry, suggestion
from afterburn_core.run.needs import Preset

FILE_NAMES = (".afterburn.yaml", ".afterburn.yml")

Method = Literal["sft", "dpo", "rlhf", "rlvr", "grpo", "lora", "qlora", "unknown"]
METHODS: tuple[str, ...] = get_args(Method)
TEMPLATES: tuple[str, ...] = ("auto", "chat", "plain")
DTYPES: tuple[str, ...] = ("auto", "float32", "bfloat16", "float16")
FAIL_ON: tuple[str, ...] = ("note", "warning", "error", "never")


@attrs.frozen(kw_only=True)
class Settings:
    """Everything a run can be told. The names are those of the flags, with underscores."""

    base: str | None = None
    trained: str | None = None
    method: Method = "unknown"
    preset: Preset = "standard"
    """How much is measured: `quick` (norms), `standard` (spectra too), `full` (everything, in float64)."""
    plugins: tuple[str, ...] | None = None
    """Plugins that take part besides the core; `None` means all installed ones."""
    backend: str | None = None
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    executor: str = "core.local"
    """Runs the tasks of a pass; `core.local` are threads of this process."""
    run_dir: str | None = None
    cache_dir: str | None = None
    cache: bool = True
    strict: bool = False
    policy: str | None = None
    fail_on: Literal["note", "warning", "error", "never"] | None = None
    """Lowest level of a `fail` finding that fails the verdict; overrides the policy's."""
    excerpts: bool = True
    """False keeps texts of files, prompts and outputs out of the document."""
    output: tuple[str, ...] = ()
    suite: tuple[str, ...] = ()
    """Probe sets that are asked: `math`, `math:40` for 40 prompts, `math@7` for those of seed 7; empty means the
    default ones."""
    prompts: tuple[str, ...] = ()
    """Files or directories of prompts of the user's own."""
    corpus: tuple[str, ...] = ()
    """Texts of the user's own that both models read: files, directories, data sets; empty means the default ones."""
    answers: str | None = None
    """Directory of an earlier run whose answers are read in place of this run's."""
    samples: int = 1
    """Texts per prompt."""
    max_new_tokens: int | None = None
    """Limit of one text; `None` leaves it to the preset: 128, 256 or 512."""
    temperature: float | None = None
    """0 is greedy; `None` means 0 for one sample per prompt and 1 for several."""
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    template: Literal["auto", "chat", "plain"] = "auto"
    """`auto`: each model's own chat template where it has one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision in which models write; `auto`: as stored on a GPU, float32 on a CPU."""
    batch_size: int | None = None
    """Most texts written at once; halved when memory runs out."""
    judge: str | None = None
    """A third model that compares answers, named like the others; nobody is asked without it."""
    reward: str | None = None
    """What training optimised, as a scorer of answers: `module:function`, or the directory of a reward model."""
    gold: str | None = None
    """What training was meant to improve, named likewise; else gold answers say what is right."""
    control: tuple[str, ...] = ()
    """Nulls beside the pair: `resample`, `matched`, `scrambled` (each perhaps with `:n`), `rounding`, or a model."""
    allow_code_execution: bool = False
    """Whether code that models wrote may be run, in a child process without network."""
    options: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    """Options of analyzers and detectors, by component name."""

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.seed < 2**53:
            raise ConfigError(f"seed: {self.seed} is not between 0 and 2**53 - 1")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads: {self.threads} is not at least 1")
        for name, least in (("samples", 1), ("max_new_tokens", 1), ("batch_size", 1), ("top_k", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name}: {value} is not at least {least}")
        for name, low, high in (("temperature", 0.0, 100.0), ("top_p", 1e-9, 1.0), ("min_p", 0.0, 1.0)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(f"{name}: {value} is not between {low:g} and {high:g}")
        if not self.repetition_penalty > 0:
            raise ConfigError(f"repetition_penalty: {self.repetition_penalty} is not above 0")


def load_settings(
    path: Path | None,
    flags: Mapping[str, Any],
    start: Path | None = None,
    *,
    defaults: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from a configuration file and flags; a flag that is not `None` wins.

    Args:
        path: the file given by `--config`, or `None` to look for `.afterburn.yaml` from `start` upwards.
        flags: values by field name; `None` means not given.
        start: where to begin looking; the working directory if absent.
        defaults: what a command takes where neither says anything.

    Raises:
        ConfigError: the file is missing or malformed, or a key is unknown or of the wrong type.
    """
    found = path if path is not None else _find(start or Path.cwd())
    values = _read(found) if found is not None else {}
    where = found.name if found is not None else "flags"
    if found is not None:
        values = _resolve_paths(values, found.parent)
    merged = {**(defaults or {}), **values, **{key: value for key, value in flags.items() if value is not None}}
    settings: Settings = structure(merged, Settings, where)
    return settings


def with_suites(plugins: tuple[str, ...], settings: Settings) -> tuple[str, ...]:
    """The plugins, with those that bring the probe sets which the user named in full: `mine.chess` needs `mine`."""
    owners = (name.partition(".")[0] for name in settings.suite if "." in name)
    return tuple(dict.fromkeys((*plugins, *owners)))


def structure(values: Mapping[str, Any], kind: type, where: str, converter: cattrs.Converter | None = None) -> Any:
    """An instance of the attrs class `kind`, strictly: unknown keys and wrong types are refused by name.

    Args:
        values: by field name.
        kind: what to make of them.
        where: what the message begins with.
        converter: one that knows types of its own, made from `strict_converter()`.

    Raises:
        ConfigError: one line with the place, the fault and the nearest known key.
    """
    known = {field.name for field in attrs.fields(kind)}
    for key in values:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{suggestion(str(key), known)}")
    try:
        return (converter or _CONVERTER).structure(dict(values), kind)
    except ConfigError:
        raise
    except Exception as error:  # cattrs raises groups of whatever the hooks raise
        problems = cattrs.transform_error(error, path="$", format_exception=_fault)
        raise ConfigError(f"{where}: {'; '.join(map(_placed, problems))}") from error


def refuse_unknown_options(options: Mapping[str, Mapping[str, Any]], registry: Registry, where: str) -> None:
    """Options of a component that no plugin has are a slip; those of an installed plugin that takes no part are not.

    Raises:
        ConfigError: a name is unknown, and the message suggests the nearest one; or a value is none that JSON has,
            such as NaN or a date, so that no digest could be taken of it.
    """
    try:
        json.dumps(options, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: options hold a value that JSON does not have ({error})") from error
    known = [registered.spec.name for role in ("analyzer", "detector") for registered in registry.specs(role)]
    installed = {entry.name for entry in entry_points(group=GROUP)}
    for name in options:
        if name not in known and name.partition(".")[0] not in installed - registry.plugins.keys():
            raise ConfigError(f"{where}: options of {name!r}, which no plugin has{suggestion(name, known)}")


def _placed(problem: str) -> str:
    """`fault @ $.key` with the key first; a validator's fault names its key itself and comes with no more than `$`."""
    fault, _, place = problem.rpartition(" @ $")
    return f"{place.lstrip('.')}: {fault}" if place else fault


def _fault(error: BaseException, kind: type | None) -> str:
    if isinstance(error, KeyError) and len(error.args) == 1:  # its place names the key
        return "is missing"
    if isinstance(error, cattrs.errors.ForbiddenExtraKeysError):
        known = {field.name for field in attrs.fields(error.cl)}
        return "; ".join(f"unknown key {key!r}{suggestion(key, known)}" for key in sorted(error.extra_fields))
    if isinstance(error, (AttributeError, TypeError)):  # what cattrs comes upon where it takes a value for a mapping
        return "expected keys and values"
    return str(error) or type(error).__name__


def _strict(kind: type, names: str) -> Any:
    def hook(value: Any, _: Any) -> Any:
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            raise ConfigError(f"expected {names}, got {value!r}")
        return value

    return hook


def strict_converter() -> cattrs.Converter:
    """A new converter that takes texts for texts and numbers for numbers, and no key it does not know."""
    # cattrs turns "3" into 3 and "false" into True; configuration must say what it means
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind, names in ((str, "text"), (int, "an integer"), (float, "a number"), (bool, "true or false")):
        converter.register_structure_hook(kind, _strict(kind, names))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _texts)
    converter.register_structure_hook_func(_is_literal, _one_of)
    return converter


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _one_of(value: Any, kind: Any) -> Any:
    if value not in get_args(kind):
        raise ConfigError(f"{value!r} is not one of {', '.join(map(str, get_args(kind)))}")
    return value


def _texts(value: Any, _: Any) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ConfigError(f"expected a list of texts, got {value!r}")


_CONVERTER = strict_converter()


def _find(start: Path) -> Path | None:
    for directory in (start.resolve(), *start.resolve().parents):
        for name in FILE_NAMES:
            if (directory / name).is_file():
                return directory / name
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error.__class__.__name__}); give an existing YAML file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}: not valid YAML{line}: {getattr(error, 'problem', error)}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(values).__name__}")
    return values


def _resolve_paths(values: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Relative paths in a file mean relative to that file."""
    resolved = dict(values)
    for key in ("base", "trained", "judge", "reward", "gold"):
        value = resolved.get(key)
        if isinstance(value, str) and (directory / value).exists():
            resolved[key] = str(directory / value)
    for key in ("run_dir", "cache_dir", "answers"):
        if isinstance(resolved.get(key), str):
            resolved[key] = str(directory / resolved[key])
    for key in ("prompts", "corpus", "control"):
        named = resolved.get(key)
        if isinstance(named, list):
            resolved[key] = [
                str(directory / f) if isinstance(f, str) and (directory / f).exists() else f for f in named
            ]
    policy = resolved.get("policy")
    if isinstance(policy, str) and (directory / policy).exists():
        resolved["policy"] = str(directory / policy)
    return resolved
