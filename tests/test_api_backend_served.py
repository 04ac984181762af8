"""The API backend against a real server: `transformers serve` with the shipped demo model, where it is installed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from afterburn_core.backends.api import ApiSubject, open_subject
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Decoding, Request, Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.model import Message
from afterburn_core.run.references import parse_reference

MISSING = [name for name in ("torch", "transformers", "fastapi", "uvicorn", "openai") if find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"needs transformers[serving]; missing: {', '.join(MISSING)}"),
]
ASKED = tuple(
    Request(probe=f"p{n}", index=0, messages=(Message(role="user", content=text),), seed=n, choices=("A", "B"))
    for n, text in enumerate(("How do I bake bread?", "What is the capital of the land?", "Tell me a story.", "Hello!"))
)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, Path]]:
    """URL of a running server, and the checkpoint it serves."""
    organisms = pytest.importorskip("afterburn_organisms")
    model = organisms.demo_pair()[1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "import sys; sys.argv[0] = 'transformers'; from transformers.cli.transformers import main; main()"
    arguments = ["serve", str(model), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 50
        while True:
            if process.poll() is not None:
                pytest.fail(f"transformers serve ended with {process.returncode}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                if time.monotonic() > until:
                    pytest.fail("transformers serve did not come up")
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1", model
    finally:
        process.terminate()
        process.wait(10)


def opened(served: tuple[str, Path], query: str = "") -> ApiSubject:
    url, model = served
    return open_subject(parse_reference(f"api:{url}{query}#{model}"), role="base", base=None, registry=Registry([]))


def test_greedy_texts_are_those_of_the_model(served: tuple[str, Path]) -> None:
    """Against `generate` of the same checkpoint on the same prompts, one at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    subject = opened(served)
    made = subject.generator(Decoding(max_new_tokens=24), Serving(batch=3))
    completed = {c.request.probe: c.sample for c in made.generate(ASKED)}
    tokenizer = AutoTokenizer.from_pretrained(served[1])
    model = AutoModelForCausalLM.from_pretrained(served[1])
    for request in ASKED:
        turns = [{"role": turn.role, "content": turn.content} for turn in request.messages]
        inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            ids = model.generate(**inputs, max_new_tokens=24, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        sample = completed[request.probe]
        assert sample.text == tokenizer.decode(ids, skip_special_tokens=True)
        assert sample.tokens == len(ids) and sample.finish == ("length" if len(ids) == 24 else "stop")
        assert sample.choice_logprobs is None and sample.logprob is None  # this server gives none
    facts = made.facts
    assert facts.properties["choices_without_logprobs"] == len(ASKED)
    assert facts.properties["server"] == ["uvicorn"]
    assert subject.facts.label == served[1].name
    assert str(served[1].parent) not in f"{subject.facts} {facts}"


def test_plain_completions_and_refusals(served: tuple[str, Path]) -> None:
    made = opened(served, "?completions").generator(Decoding(max_new_tokens=5), Serving())
    for sample in (completed.sample for completed in made.generate(ASKED)):
        assert sample.tokens is not None and 1 <= sample.tokens <= 5
        assert (sample.tokens == 5) == (sample.finish == "length")
    assert made.facts.template == "plain"
    refused = opened(served).generator(Decoding(max_new_tokens=5, top_k=7, temperature=1.0), Serving())
    with pytest.raises(SubjectError, match=r"422.*top_k"):
        list(refused.generate(ASKED))
    url, _ = served
    other = open_subject(parse_reference(f"api:{url}#other"), role="base", base=None, registry=Registry([]))
    with pytest.raises(SubjectError, match=r"refused prompt 'p0' \(400: .*pinned"):
        list(other.generator(Decoding(), Serving()).generate(ASKED))
