"""On which device something runs, by the name that the user gave."""

from __future__ import annotations

from pathlib import Path

from afterburn_core.errors import ConfigError

# without any of these device files no driver offers a GPU: NVIDIA, AMD, and Windows' own under Linux
_GPU_NODES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def named_device(name: str) -> str:
    """`auto`, `cpu`, `cuda` or `cuda:N` as one of the last three.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto" and not any(Path(node).exists() for node in _GPU_NODES):
        return "cpu"  # importing torch only to hear that there is no GPU takes longer than a small run
    if name == "cpu":
        return name
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.split(":")[0]
    if kind == "mps":
        raise ConfigError("device mps: it has no float64, which the sums need; use --device cpu")
    if kind not in {"cpu", "cuda"}:
        raise ConfigError(f"device {name!r}: unknown; use auto, cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda: this torch sees no GPU; use --device cpu")
    return name
