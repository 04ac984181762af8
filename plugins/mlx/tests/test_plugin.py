"""The plugin as the registry, the conformance kit and a machine without MLX see it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from afterburn_core.testing import parametrize_with_checks


@parametrize_with_checks("mlx")
def test_conformance(check: Callable[[], None]) -> None:
    check()


def test_naming_the_plugin_imports_no_model_library() -> None:
    code = (
        "import sys, afterburn_mlx.plugin, afterburn_mlx.availability; "
        "print(sorted({'torch', 'numpy', 'mlx', 'mlx_lm', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
