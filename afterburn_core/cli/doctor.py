"""`afterburn doctor`: what is installed, what would not work here, and what to do about it."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections import Counter
from contextlib import redirect_stderr
from importlib.metadata import distributions, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from afterburn_core.cli.options import debug_option

if TYPE_CHECKING:
    from afterburn_core.plugin.specs import BackendSpec


@attrs.frozen(kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    remedy: str | None = None


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Say what is installed and what would not work here. Exit 1 if something needs attention."""
    checks = [*_python(), *_stack(), *_plugins(), *_installation(), *_places()]
    if as_json:
        click.echo(json.dumps([attrs.asdict(check) for check in checks], indent=1))
    else:
        for check in checks:
            click.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.detail}")
            if check.remedy and not check.ok:
                click.echo(f"      {check.remedy}")
    ctx.exit(0 if all(check.ok for check in checks) else 1)


def _python() -> list[Check]:
    ok = sys.version_info >= (3, 11)
    return [Check(name="python", ok=ok, detail=sys.version.split()[0], remedy="install Python 3.11 or newer")]


def _stack() -> list[Check]:
    """The model stack, each package imported for real: an installed package may still not load."""
    checks = []
    for name in ("torch", "numpy", "transformers", "safetensors", "peft"):
        try:
            with redirect_stderr(io.StringIO()):  # what optional parts of theirs lack is nothing to act on
                module = __import__(name)
            detail = str(getattr(module, "__version__", "present"))
            checks.append(Check(name=name, ok=True, detail=detail))
        except Exception as error:  # noqa: BLE001 - broken wheels raise whatever they like on import
            detail = f"not importable ({type(error).__name__})"
            checks.append(Check(name=name, ok=False, detail=detail, remedy="pip install 'afterburn-core[run]'"))
    torch = sys.modules.get("torch")
    if torch is not None:
        device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
        checks.append(Check(name="device", ok=True, detail=device))
    return checks


def _plugins() -> list[Check]:
    from afterburn_core.plugin.registry import Registry

    registry = Registry.discover()
    names = ", ".join(sorted(registry.plugins))
    analyzers = len(registry.specs("analyzer"))
    checks = [
        Check(
            name="plugins",
            ok=analyzers > 0,
            detail=f"{names} ({analyzers} analyzers)",
            remedy="nothing would be measured; install a plugin: pip install ./plugins/weight",
        )
    ]
    checks += [_backend(registered.spec) for registered in registry.specs("backend") if registered.spec.available]
    checks += [
        Check(name=f"plugin {p.plugin}", ok=False, detail=f"{p.stage}: {p.error}", remedy="reinstall or remove it")
        for p in registry.problems
    ]
    return checks


def _backend(spec: BackendSpec) -> Check:
    """Whether a backend that not every machine has can run here, and whether it is chosen by itself."""
    from afterburn_core.plugin.registry import load_factory

    reason = load_factory(str(spec.available))()
    unchosen = load_factory(spec.unchosen)() if spec.unchosen is not None else None
    detail = reason or ("ready" if unchosen is None else f"ready; {unchosen}")
    remedy = "nothing else needs it; remove its plugin if it is not wanted"
    return Check(name=f"backend {spec.name}", ok=reason is None, detail=detail, remedy=remedy)


def _installation() -> list[Check]:
    """Traces that half-removed or doubled installations leave."""
    import afterburn_core

    names = Counter((dist.metadata["Name"] or "").lower() for dist in distributions())
    doubled = sorted(name for name, count in names.items() if count > 1 and name.startswith("afterburn"))
    checks = [
        Check(
            name="installation",
            ok=getattr(afterburn_core, "__file__", None) is not None and not doubled,
            detail=f"installed twice: {', '.join(doubled)}" if doubled else "one copy",
            remedy="remove the stale copy (build/, *.egg-info) or use a fresh environment",
        )
    ]
    owners = {e.dist.name if e.dist else "" for e in entry_points(group="console_scripts") if e.name == "afterburn"}
    foreign = sorted(owners - {"afterburn-core"})
    checks.append(
        Check(
            name="command",
            ok=not foreign,
            detail=f"`afterburn` also belongs to {', '.join(foreign)}" if foreign else "`afterburn` is ours",
            remedy="use `python -m afterburn_core`, or uninstall the other package",
        )
    )
    return checks


def _places() -> list[Check]:
    from afterburn_core.errors import AfterburnError
    from afterburn_core.resources import schema_versions, template_dir
    from afterburn_core.run.cache import default_cache_dir

    try:
        template_dir("report")
        resources = Check(name="resources", ok=True, detail=f"schemas {', '.join(schema_versions())}")
    except AfterburnError as error:
        resources = Check(name="resources", ok=False, detail=str(error), remedy="reinstall afterburn-core")
    place = default_cache_dir()
    existing = next((p for p in (place, *place.parents) if p.exists()), Path("/"))
    free = shutil.disk_usage(existing).free
    cache = Check(
        name="cache",
        ok=free > 100_000_000,
        detail=f"{free / 1e9:.1f} GB free",
        remedy="free some space or set AFTERBURN_CACHE_DIR",
    )
    return [resources, cache]
