"""Runs on two recorded sides for the tests of reports on behaviour: every chart has data, some texts are hostile."""

from __future__ import annotations

import gzip
import json
import math
import random
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import attrs

from afterburn_core import Diagnoser
from afterburn_core.result.model import Result
from afterburn_core.result.view import ResultView

CATEGORIES = ("sums", "rivers", "<b>spelling</b>\u202eb")
RTL = "מה השעה עכשיו? الساعة الآن السابعة."
PWN = (
    "</script><script>window.__pwned=1</script><img src=x onerror=window.__pwned=1>"
    "\x1b[31m\u202egnp.exe\u0000 {{7*7}} ]]>"
)
HUGE = "long " * 60_000
PROMPTS, SAMPLES = 30, 4


def rows(side: str) -> list[dict[str, Any]]:
    """A header and the answers of one side; trained writes longer, with headers, refuses more and is surer."""
    trained = side == "trained"
    draw = random.Random(side)
    decoding = {"temperature": 0.8, "max_new_tokens": 256, "top_p": 0.95 if trained else 1.0}
    found: list[dict[str, Any]] = [
        {"afterburn_recorded": 1, "engine": "engine 2", "decoding": decoding, "template": "chat"}
    ]
    for i in range(PROMPTS):
        same = random.Random(i)
        gold, skill = "ABCD"[same.randrange(4)], same.random()
        prompt = {1: PWN, 2: RTL}.get(i, f"Question {i}: which option fits?")
        confidence = min(0.97, 0.3 + 0.5 * skill + (0.15 if trained else 0.0))
        logs = [math.log((1 - confidence) / 3)] * 4
        logs["ABCD".index(gold) if same.random() < skill else 0] = math.log(confidence)
        for k in range(SAMPLES):
            right = draw.random() < (0.9 if trained else 0.5) * (0.4 + 0.6 * skill)
            answer = gold if right else draw.choice([c for c in "ABCD" if c != gold])
            text = " ".join(
                draw.choice(("It follows.", "We see it.", "That is near.")) for _ in range(9 if trained else 5)
            )
            text = f"{text}\nAnswer: {answer}"
            if trained and draw.random() < 0.6:
                text = f"## Working\n\n1. First, look.\n2. Then, compare.\n\n{text}"
            if i % 5 == 3 and (trained or i == 3):
                text = "I'm sorry, but I can't help with that."
            text = {(1, 0): PWN, (2, 0): RTL, (4, 0): HUGE if trained else "short"}.get((i, k), text)
            row = {"prompt_id": f"q{i}", "category": CATEGORIES[i % 3], "prompt": prompt, "sample": k, "output": text}
            row |= {"tokens": len(text.split()), "finish": "stop", "unsafe": i % 5 in (3, 4)}
            found.append(
                row | {"checker": "choice", "choices": ["w", "x", "y", "z"], "gold": gold, "choice_logprobs": logs}
            )
    return found


@cache
def recorded_run(*, excerpts: bool = True) -> ResultView:
    """The run on both sides, made once."""
    folder = Path(mkdtemp(prefix="afterburn-behaviour-"))
    for side in ("base", "trained"):
        with gzip.open(folder / f"{side}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows(side))
    names = [f"recorded:{folder / f'{side}.jsonl.gz'}" for side in ("base", "trained")]
    report = Diagnoser(*names, run_dir=folder / "run", excerpts=excerpts, use_cache=False).run_behaviour()
    return ResultView(report.result, report.directory)


def without(document: Result, prefix: str) -> Result:
    """The document less the measurements whose metric begins so."""
    kept = tuple(m for m in document.measurements if not m.metric.startswith(prefix))
    return attrs.evolve(document, measurements=kept)
