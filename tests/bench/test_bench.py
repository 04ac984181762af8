"""`nox -s bench` runs this; the figures are printed and lie in bench.json where pytest was started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.bench
def test_the_weights_pass_stays_within_its_memory_and_commands_start_at_once(tmp_path: Path) -> None:
    """`AFTERBURN_BENCH_PAIR` keeps the pair for the next time; `AFTERBURN_BENCH_PEER` is the python of a peer."""
    pair, peer = os.environ.get("AFTERBURN_BENCH_PAIR", str(tmp_path)), os.environ.get("AFTERBURN_BENCH_PEER")
    command = [sys.executable, str(HERE / "run.py"), "--pair", pair, *(["--peer-python", peer] if peer else [])]
    done = subprocess.run(command, check=False)
    assert done.returncode == 0


@pytest.mark.bench
def test_texts_are_written_several_times_as_fast_as_by_generate() -> None:
    done = subprocess.run([sys.executable, str(HERE / "generation.py")], check=False)
    assert done.returncode == 0


@pytest.mark.bench
def test_all_forward_analyzers_cost_less_than_a_third_of_the_plain_forwards() -> None:
    pair = os.environ.get("AFTERBURN_BENCH_PAIR")
    command = [sys.executable, str(HERE / "forward.py"), *(["--pair", pair] if pair else [])]
    done = subprocess.run(command, check=False)
    assert done.returncode == 0


@pytest.mark.bench
def test_verifying_takes_half_a_second_and_hashing_little_more_than_sha256() -> None:
    done = subprocess.run([sys.executable, str(HERE / "verify.py")], check=False)
    assert done.returncode == 0


@pytest.mark.bench
def test_a_printed_report_of_fifty_thousand_tensors_is_short_and_takes_seconds() -> None:
    done = subprocess.run([sys.executable, str(HERE / "report_pdf.py")], check=False)
    assert done.returncode == 0


@pytest.mark.bench
def test_encoding_with_a_dictionary_keeps_most_of_the_speed_of_its_product() -> None:
    done = subprocess.run([sys.executable, str(HERE / "sae_encoding.py")], check=False)
    assert done.returncode == 0
