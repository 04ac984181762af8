"""Scores of answers by the user's own measures: `reward` is what training optimised, `gold` what it was meant to raise.

A scorer is named in one of three ways: `module:function` or `file.py:function`, `label:FIELD` for a number that
recorded rows already hold, or the directory of a reward model. It is opened before anything is written, so that a slip
costs nothing, and every answer of every subject is scored once, for all analyzers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.generation.answering import Answers
from afterburn_core.generation.model import Sample, Serving
from afterburn_core.probes.model import Probe
from afterburn_core.result.model import Input
from afterburn_core.run.progress import Progress

Role = Literal["reward", "gold"]
ROLES: tuple[Role, ...] = ("reward", "gold")
Answer = tuple[Probe, Sample]


class Scorer(Protocol):
    """Gives every answer a number."""

    @property
    def label(self) -> str:
        """What a person calls it; never an absolute path."""
        ...

    @property
    def sha256(self) -> str:
        """Digest of what the scores depend on."""
        ...

    def __call__(self, answers: Sequence[Answer]) -> Sequence[float | None]:
        """One score per answer, in their order; `None` where the scorer has nothing to say.

        Raises:
            ConfigError: the scorer failed, or gave something else than numbers.
        """
        ...

    def close(self) -> None: ...


@attrs.frozen(kw_only=True)
class Scoring:
    """The scorers of a run, by what they stand for."""

    scorers: Mapping[Role, Scorer] = attrs.field(factory=dict)
    progress: Progress

    def scored(self, answers: Mapping[str, Answers], probes: Sequence[Probe]) -> dict[str, Answers]:
        """The answers of every subject with their scores; equal answers to equal prompts are scored once.

        Raises:
            ConfigError: a scorer failed.
        """
        by_id = {probe.id: probe for probe in probes}
        found: dict[str, Answers] = dict(answers)
        for role, scorer in self.scorers.items():
            different: dict[tuple[str, str], Answer] = {}
            for own in answers.values():
                for (name, _), sample in own.items():
                    if name in by_id:
                        different.setdefault(_content(scorer, name, sample), (by_id[name], sample))
            self.progress.begin(f"{role} {scorer.label} scores", len(different), "answers")
            try:
                values = dict(zip(different, scorer(tuple(different.values())), strict=True))
            finally:
                self.progress.end()
            found = {
                subject: {
                    key: _with(sample, role, values.get(_content(scorer, key[0], sample)))
                    for key, sample in own.items()
                }
                for subject, own in found.items()
            }
        return found

    def inputs(self) -> tuple[Input, ...]:
        """Their entries in the document."""
        return tuple(
            Input(id=role, kind=role, label=scorer.label, sha256=scorer.sha256) for role, scorer in self.scorers.items()
        )

    def close(self) -> None:
        for scorer in self.scorers.values():
            scorer.close()


def open_scorers(
    named: Mapping[Role, str | None], *, serving: Serving, cache: Path | None, progress: Progress
) -> Scoring:
    """Opens the scorers that `--reward` and `--gold` name.

    Raises:
        ConfigError: one cannot be opened, or both are the same.
    """
    if named.get("reward") is not None and named.get("reward") == named.get("gold"):
        raise ConfigError(f"--gold {named['gold']}: is the reward itself, and cannot say what it misses; name another")
    opened = {
        role: _open(role, text, serving=serving, cache=cache) for role in ROLES if (text := named.get(role)) is not None
    }
    return Scoring(scorers=opened, progress=progress)


def _open(role: Role, text: str, *, serving: Serving, cache: Path | None) -> Scorer:
    if Path(text).is_dir():
        from afterburn_core.backends.reward_model import open_reward_model

        return open_reward_model(Path(text), serving=serving, cache=cache)
    from afterburn_core.generation.scoring_functions import Recorded, open_function

    if text.startswith(Recorded.PREFIX):
        return Recorded(field=text.removeprefix(Recorded.PREFIX))
    if ":" in text:
        return open_function(role, text)
    raise ConfigError(
        f"--{role} {text}: is neither module:function, label:FIELD of recorded rows, nor a reward model's directory"
    )


def _content(scorer: Scorer, probe: str, sample: Sample) -> tuple[str, str]:
    """What decides a score: the text, and for recorded numbers the row itself."""
    label = getattr(scorer, "field", None)
    return (probe, sample.text if label is None else repr((sample.index, sample.text, sample.labels.get(label))))


def _with(sample: Sample, role: Role, value: float | None) -> Sample:
    return sample if value is None else attrs.evolve(sample, scores={**sample.scores, role: value})
