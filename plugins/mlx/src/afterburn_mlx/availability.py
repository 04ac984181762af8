"""Where MLX runs, and which subjects it takes without being asked. Imports no model library by itself."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path

from afterburn_core.errors import SubjectError
from afterburn_mlx.families import runs

ADAPTER_FILE = "adapters.safetensors"
"""Where mlx-lm keeps an adapter's weights; PEFT's are in `adapter_model.safetensors`."""
_PEFT_FILE = "adapter_model.safetensors"


def unavailable() -> str | None:
    """Why the backend cannot run on this machine; `None` where it can."""
    return unsupported(platform.system(), platform.machine()) or _missing()


def unsupported(system: str, machine: str) -> str | None:
    """Why MLX has no build for a machine; `None` where it has.

    Args:
        system: as `platform.system()` names it.
        machine: as `platform.machine()` names it.
    """
    if system == "Darwin" and machine != "arm64":
        return "MLX needs Apple silicon, and this Python runs for Intel processors; use one for arm64"
    if system not in {"Darwin", "Linux"}:
        return f"MLX has no build for {system or 'this system'}; it runs on Macs with Apple silicon and on Linux"
    return None


def _missing() -> str | None:
    for package, name in (("mlx", "mlx"), ("mlx_lm", "mlx-lm")):
        if find_spec(package) is None:
            return f"{name} is not installed; pip install {name}"
    try:
        import mlx.core
    except ImportError as error:  # its wheel for Linux holds no library that computes
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        cure = "pip install 'mlx[cpu]'" if platform.system() == "Linux" else "install mlx again"
        return f"mlx is installed and cannot be loaded ({said}); {cure}"
    return None if mlx.core.default_device() is not None else "mlx has no device"


def unchosen() -> str | None:
    """Why no subject of this machine is opened by MLX unless somebody names the backend; `None` where some are."""
    return _elsewhere(platform.system(), platform.machine()) or unavailable()


def _elsewhere(system: str, machine: str) -> str | None:
    if (system, machine) == ("Darwin", "arm64"):
        return None
    return "chosen by itself only on Macs with Apple silicon; here --backend mlx.lm asks for it"


def chosen(
    scheme: str, path: Path | None, *, system: str | None = None, machine: str | None = None, ready: bool | None = None
) -> bool:
    """Whether a subject is opened by MLX where nobody names a backend.

    Args:
        scheme: of the reference.
        path: of the reference; only directories on this machine are looked at.
        system: as `platform.system()` names it; absent means this one.
        machine: as `platform.machine()` names it; absent means this one.
        ready: whether MLX can run here; absent means to find out.
    """
    if scheme != "path" or path is None or not path.is_dir():
        return False
    here = (platform.system() if system is None else system, platform.machine() if machine is None else machine)
    if _elsewhere(*here) is not None:
        return False
    try:
        own = is_adapter(path) or runs(path)
    except SubjectError:  # whoever opens it says what is wrong
        return False
    return own and (unavailable() is None if ready is None else ready)


def is_adapter(path: Path) -> bool:
    """Whether a directory holds an adapter, mlx-lm's or PEFT's."""
    named = (path / name for name in (ADAPTER_FILE, _PEFT_FILE))
    return (path / "adapter_config.json").is_file() and any(file.is_file() for file in named)
