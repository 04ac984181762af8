"""The plugin as the registry sees it."""

from __future__ import annotations

import subprocess
import sys

from afterburn_core.plugin.registry import Registry


def test_the_registry_takes_the_plugin_without_complaint() -> None:
    registry = Registry.discover(only=("activation",))
    assert not registry.problems
    assert "activation" in registry.plugins


def test_specs_load_without_torch_and_numpy() -> None:
    code = "import sys, afterburn_activation.plugin; print({'torch', 'numpy', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
