"""What the forward pass reads: texts, the prompts of the run, answers to them, given continuations.

Which passages there are depends on settings, probes and answers alone, never on a model that reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from afterburn_core.errors import ConfigError
from afterburn_core.forward.continuations import continuation_passages, continued
from afterburn_core.forward.model import Author, Passage, Source
from afterburn_core.forward.sampling import evenly
from afterburn_core.generation.asking import Asking
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.probes.model import Probe
from afterburn_core.probes.suites import AskedSet, draw, full_name, select
from afterburn_core.run.needs import Preset

if TYPE_CHECKING:
    from afterburn_core.plugin.registry import Registry
    from afterburn_core.run.configuration import Settings

TEXTS: Mapping[Preset, int] = {"quick": 100, "standard": 300, "full": 1000}
"""Passages of each set of texts."""
ANSWERED: Mapping[Preset, int | None] = {"quick": 20, "standard": 60, "full": None}
"""Prompts whose answers are read, of all sets together."""
SAMPLES: Mapping[Preset, int | None] = {"quick": 1, "standard": 2, "full": None}
"""Answers of each side to one prompt that are read."""


def texts_of(settings: Settings, registry: Registry) -> tuple[AskedSet, ...]:
    """The texts of a run: the user's corpora, else the sets of passages that are read by default, sorted by name.

    Raises:
        ConfigError: a corpus is missing or faulty, or two have one name.
        ProbeError: a plugin's set is faulty.
    """
    return _texts_named(settings.corpus, settings.seed, TEXTS[settings.preset], registry)


MOST_DRAWN = 10_000
"""Passages of a set that is written fresh, where nobody says how many; files have as many as are asked for."""


def read_texts(
    corpus: Sequence[str], *, seed: int, n: int, registry: Registry
) -> tuple[tuple[AskedSet, tuple[Passage, ...]], ...]:
    """The corpora, or the default sets, each with its passages; at most `n` of each.

    Raises:
        ConfigError, ProbeError: as `texts_of`.
    """
    return tuple((one, tuple(_texts(one, "text"))) for one in _texts_named(corpus, seed, n, registry))


def _texts_named(corpus: Sequence[str], seed: int, n: int, registry: Registry) -> tuple[AskedSet, ...]:
    """Corpora, else default sets.

    The default sets belong to a plugin; where the run leaves that plugin out, its texts are read all the same.
    """
    if corpus:
        found = sorted((_corpus(one, seed, n, registry) for one in corpus), key=lambda s: s.name)
        for left, right in pairwise(found):
            if left.name == right.name:
                raise ConfigError(f"two corpora are called {left.name!r}; rename one of them")
        return tuple(found)
    names = _default_texts(registry)
    if not names:
        from afterburn_core.plugin.registry import Registry

        registry = Registry.discover()
        names = _default_texts(registry)
    return tuple(draw(name, seed=seed, n=min(n, MOST_DRAWN), registry=registry) for name in names)


def _corpus(named: str, seed: int, n: int, registry: Registry) -> AskedSet:
    """A corpus by its path, or a set of passages by its name: `organisms.plain:120`."""
    from afterburn_core.forward.corpus import read_corpus
    from afterburn_core.plugin.registry import Registry

    short = named.partition(":")[0].partition("@")[0]
    if not Path(named).exists():
        for known in (registry, Registry.discover()):  # its plugin need not take part
            sets = {r.spec.name for r in known.specs("probe_set") if r.spec.use == "passages"}
            if short in sets | {name.partition(".")[2] for name in sets}:
                return select([named], (), seed=seed, n=min(n, MOST_DRAWN), registry=known)[0]
            asked = {r.spec.name for r in known.specs("probe_set")} - sets
            if short in asked | {name.partition(".")[2] for name in asked}:
                raise ConfigError(f"--corpus {named}: is a set of questions; ask it with --suite, or name texts")
    return read_corpus(named, seed=seed, n=n)


def given_of(names: Iterable[str], settings: Settings, registry: Registry) -> tuple[AskedSet, ...]:
    """The sets of given passages that analyzers name (`ForwardNeed.passage_sets`), whole.

    Raises:
        ConfigError: a set is unknown, or holds questions.
    """
    found = []
    for name in sorted({full_name(name, registry) for name in names}):
        if registry.get("probe_set", name).spec.use != "passages":
            raise ConfigError(f"{name!r} holds questions to be asked, not passages; its plugin must say use='passages'")
        found.append(draw(name, seed=settings.seed, n=None, registry=registry))
    return tuple(found)


def gather(
    *,
    sources: Iterable[Source],
    texts: Sequence[AskedSet] = (),
    asking: Asking,
    responses: Sequence[Responses] = (),
    settings: Settings,
    given: Sequence[AskedSet] = (),
) -> tuple[Passage, ...]:
    """Every passage of the sources, each with an id of its own.

    Args:
        sources: which are wanted.
        texts: what `texts_of` found.
        asking: the probes of the run: its prompts and their continuations.
        responses: answers of the generation pass, unless `settings.answers` names an earlier run.
        settings: of the run.
        given: what `given_of` found.

    Raises:
        ConfigError, SubjectError: the earlier run holds no answers.
    """
    wanted = set(sources)
    probes = [probe for asked in asking.sets for probe in asked.probes]
    found: list[Iterable[Passage]] = []
    if "text" in wanted:
        found += [_texts(one, "text") for one in texts]
    if "prompt" in wanted:
        found.append(map(_prompt, probes))
    if "answer" in wanted:
        if settings.answers is not None:
            from afterburn_core.forward.earlier import answers_of_run

            responses = answers_of_run(settings.answers)
        found += [_answers(one, settings.preset) for one in chosen(responses, settings)]
    if "continuation" in wanted:
        found += map(continuation_passages, continued(probes, settings))
    if "given" in wanted:
        found += [_texts(one, "given") for one in given]
    return tuple(chain.from_iterable(found))


def chosen(responses: Sequence[Responses], settings: Settings) -> list[Responses]:
    """The prompts whose answers are read: as many of every set, and those that one side alone answered only where the
    others are not enough."""
    most = ANSWERED[settings.preset]
    both = evenly([one.probe for one in responses if one.paired], most, settings.seed)
    one_side = [one.probe for one in responses if not one.paired and (one.base or one.trained)]
    alone = evenly(one_side, None if most is None else most - len(both), settings.seed)
    kept = {probe.id for probe in (*both, *alone)}
    return [one for one in responses if one.probe.id in kept]


def _default_texts(registry: Registry) -> list[str]:
    specs = [registered.spec for registered in registry.specs("probe_set")]
    return sorted(spec.name for spec in specs if spec.use == "passages" and spec.default)


def _texts(asked: AskedSet, source: Source) -> Iterator[Passage]:
    for probe in asked.probes:
        *before, last = probe.messages
        plain = isinstance(probe.prompt, str)
        name = probe.id if probe.id.startswith(f"{asked.name}/") else f"{asked.name}/{probe.id}"
        yield Passage(
            id=name,
            source=source,
            domain=asked.name,
            unit=probe.unit if source == "given" else probe.group or name,
            messages=() if plain else tuple(before),
            text=last.content,
            ended=not plain and source == "text",
            probe=probe,
        )


def _prompt(probe: Probe) -> Passage:
    return Passage(
        id=probe.id, source="prompt", domain=probe.suite, unit=probe.unit, messages=probe.messages, probe=probe
    )


def _answers(responses: Responses, preset: Preset) -> Iterator[Passage]:
    authors: tuple[tuple[Author, tuple[Sample, ...]], ...] = (("base", responses.base), ("trained", responses.trained))
    probe = responses.probe
    for author, samples in authors:
        for sample in samples[: SAMPLES[preset]]:
            if sample.finish == "error" or not (sample.text or sample.token_ids or sample.finish == "stop"):
                continue
            yield Passage(
                id=f"{probe.id}/{author}/{sample.index}",
                source="answer",
                domain=probe.suite,
                unit=probe.unit,
                messages=probe.messages,
                text=sample.text,
                token_ids=sample.token_ids,
                ended=sample.finish == "stop",
                author=author,
                sample=sample.index,
                probe=probe,
            )
