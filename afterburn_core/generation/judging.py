"""A third model as judge: opened by name, asked in one call, its replies kept like any other samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import attrs

from afterburn_core.errors import AfterburnError, ConfigError, PluginError
from afterburn_core.generation.answering import answer, keeping_of
from afterburn_core.generation.model import Decoding, Request, Serving
from afterburn_core.probes.model import Message
from afterburn_core.result.model import Input, Subject
from afterburn_core.run.digests import digest_files
from afterburn_core.run.progress import Progress
from afterburn_core.run.references import parse_reference
from afterburn_core.run.seeds import child_seed
from afterburn_core.run.subjects import OpenSubject, Writes, describe, open_subject

if TYPE_CHECKING:
    from afterburn_core.plugin.registry import Registry

DECODING = Decoding(max_new_tokens=512)
"""Greedy: a judge that is asked twice says the same."""


@attrs.frozen(kw_only=True)
class Judge:
    """Answers conversations in their order. Its weights are loaded when it is first asked and freed after each call."""

    subject: Subject
    opened: OpenSubject
    serving: Serving
    cache: Path | None
    seed: int
    progress: Progress

    def __call__(self, conversations: Sequence[Sequence[Message]]) -> list[str]:
        """The reply to each conversation.

        Raises:
            PluginError: the judge cannot be loaded or cannot answer; what it said before is kept.
        """
        requests = [
            Request(probe=f"judged-{n}", index=0, messages=tuple(turns), seed=child_seed(self.seed, f"judge/{n}"))
            for n, turns in enumerate(conversations)
        ]
        self.progress.begin("the judge reads", len(requests), "pairs in both orders")
        try:
            generator = cast("Writes", self.opened).generator(DECODING, self.serving)
            try:
                keeping = keeping_of(self.cache, self.subject, generator, self.serving)
                answered = answer(requests, generator, keeping, self.progress.advance)
            finally:
                generator.close()
        except PluginError:
            raise
        except AfterburnError as error:
            raise PluginError(f"judge {self.subject.label}: {error}") from error
        finally:
            self.progress.end()
        if answered.interrupted:
            raise KeyboardInterrupt
        missing = [request for request in requests if (request.probe, 0) not in answered.answers]
        if missing:
            raise PluginError(f"judge {self.subject.label}: gave no reply to {len(missing)} of {len(requests)} pairs")
        return [answered.answers[request.probe, 0].text for request in requests]

    def to_input(self) -> Input:
        """Its entry in the document."""
        return Input(id="judge", kind="judge", label=self.subject.label, sha256=self.subject.digest)

    def close(self) -> None:
        self.opened.close()


def open_judge(
    text: str,
    registry: Registry,
    judged: Sequence[Subject],
    *,
    serving: Serving,
    cache: Path | None,
    seed: int,
    threads: int,
    progress: Progress,
) -> Judge:
    """Opens the model that `--judge` names.

    Raises:
        ConfigError: it is one of the judged models, or it cannot write.
        SubjectError: it cannot be opened.
    """
    opened = open_subject(parse_reference(text), "control", registry)
    try:
        (digests,) = digest_files(opened.files, threads=threads)
        subject = describe(opened.facts, digests)
        if "generate" not in opened.facts.capabilities or opened.facts.kind == "recorded":
            raise ConfigError(f"judge {subject.label}: cannot write; name a model with a tokenizer, or an endpoint")
        if any(subject.digest == one.digest for one in judged):
            raise ConfigError(f"judge {subject.label}: is one of the models to be judged; name a third one")
    except BaseException:
        opened.close()
        raise
    return Judge(subject=subject, opened=opened, serving=serving, cache=cache, seed=seed, progress=progress)
