"""Prompts and answers for the page: the pairs that analyzers chose, and, where they fit, all that both sides wrote.

Texts are a stranger's. They are cut to a length that keeps the page small, and read only while the run kept texts at
all; a run told to keep texts out of its files has digests in their place, which are shown as they are.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import numbers
from afterburn_core.report.attachments import Unusable, check_digest, locate
from afterburn_core.report.behaviour_curves import read
from afterburn_core.result.model import Artifact

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

SAMPLES = ("core.samples_base", "core.samples_trained")
_PREFIX, _SUFFIX = "behaviour.", "_examples"
_CUTS = (4000, 2000, 1000, 500, 250)
"""Characters of a text, the longest that fits."""
_PROMPT, _NAME = 1500, 300
_LARGEST = 64_000_000
"""Bytes of samples of one side that are unpacked."""
_STATIC = 12
"""Chosen pairs on a page without scripts."""


@attrs.frozen(kw_only=True)
class Shown:
    """One prompt with the answers of both sides."""

    probe: str
    prompt: str
    part: str
    """Category, else suite."""
    pairs: tuple[tuple[str, str], ...]
    """Base and trained, sample by sample; the samples that both sides have."""
    chosen: str = ""
    """Analyzer that chose the pair; empty for a row of the samples."""
    about: str = ""
    note: str = ""

    def packed(self) -> list[Any]:
        """For the page's scripts."""
        return [self.probe, self.prompt, self.part, [list(p) for p in self.pairs], self.chosen, self.about, self.note]

    @property
    def label(self) -> str:
        """For the caption of the pair."""
        return f"{self.chosen.replace('_', ' ')} · {self.probe}: {self.prompt}"


@attrs.frozen(kw_only=True)
class Texts:
    """What there is to browse, and what was left out."""

    chosen: tuple[Shown, ...] = ()
    samples: tuple[Shown, ...] = ()
    limits: tuple[str, ...] = ()
    """Sentences on what the page leaves out."""
    withheld: bool = False

    def __bool__(self) -> bool:
        return bool(self.chosen or self.samples)

    @property
    def static(self) -> tuple[Shown, ...]:
        """A few pairs for a page without scripts, one of each analyzer before the second of any."""
        depth: dict[str, int] = {}
        ranked = []
        for place, one in enumerate(self.chosen):
            depth[one.chosen] = depth.get(one.chosen, 0) + 1
            ranked.append((depth[one.chosen], place, one))
        return tuple(one for _, _, one in sorted(ranked, key=lambda entry: entry[:2])[:_STATIC])

    def packed(self) -> list[Any]:
        """For the page's scripts."""
        return [one.packed() for one in (*self.chosen, *self.samples)]


def texts(view: ResultView, *, max_bytes: int) -> Texts:
    """Chosen pairs, and every prompt's answers within `max_bytes` of the page."""
    withheld = view.result.run.configuration.get("excerpts", True) is False
    limits: list[str] = []
    chosen = tuple(_chosen(view, limits))
    if withheld:
        limits.append("The run keeps texts out of its files: digests and lengths stand in their place.")
        return Texts(chosen=chosen, limits=tuple(limits), withheld=True)
    room = max_bytes - sum(_size(one) for one in chosen)
    try:
        sides = [_side(view, view.artifact(identifier)) for identifier in SAMPLES]
    except Unusable as reason:
        limits.append(f"Of all other prompts the answers are not shown: {reason}.")
        return Texts(chosen=chosen, limits=tuple(limits))
    if not all(sides):
        return Texts(chosen=chosen, limits=tuple(limits))
    samples = _fitting(sides, room, limits)
    # Analyzers name the suite; a category, where the samples have one, says more.
    chosen = tuple(
        attrs.evolve(one, part=sides[0][one.probe][1] if one.probe in sides[0] else one.part) for one in chosen
    )
    return Texts(chosen=chosen, samples=samples, limits=tuple(limits))


def _chosen(view: ResultView, limits: list[str]) -> Iterator[Shown]:
    for artifact in view.result.artifacts:
        if not (artifact.id.startswith(_PREFIX) and artifact.id.endswith(_SUFFIX)):
            continue
        analyzer = artifact.id[len(_PREFIX) : -len(_SUFFIX)]
        content, problem = read(view, artifact.id)
        if problem:
            limits.append(f"The pairs that {analyzer} chose are not shown: {problem}.")
        rows = content.get("examples") if isinstance(content, Mapping) else None
        for row in rows or ():
            if isinstance(row, Mapping):
                base, trained = (_cut(str(row.get(side, "")), _CUTS[0]) for side in ("base", "trained"))
                yield Shown(
                    probe=_cut(str(row.get("probe", "–")), _NAME),
                    prompt=_cut(str(row.get("prompt", "")), _PROMPT),
                    part=_cut(str(row.get("suite") or ""), _NAME),
                    pairs=((base, trained),),
                    chosen=analyzer,
                    about=_cut(str(row.get("about") or ""), _NAME).replace("_", " "),
                    note=_cut(str(row.get("note") or ""), _NAME),
                )


Side = dict[str, tuple[str, str, list[str]]]


def _side(view: ResultView, artifact: Artifact | None) -> Side:
    """Prompt, part and answers by prompt id; empty where the run kept no samples."""
    if artifact is None:
        return {}
    with locate(artifact, view.directory).open("rb") as stream:
        check_digest(stream, artifact)
        stream.seek(0)
        try:
            content = (
                gzip.GzipFile(fileobj=stream).read(_LARGEST + 1) if artifact.path.endswith(".gz") else stream.read()
            )
        except (OSError, EOFError, zlib.error):
            raise Unusable("the file of samples cannot be unpacked") from None
    if len(content) > _LARGEST:
        raise Unusable(f"the samples of one side have more than {numbers.size(_LARGEST)}")
    side: Side = {}
    for line in content.splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise Unusable("the file of samples is not valid JSON, line by line") from None
        if isinstance(row, dict) and "output" in row:
            name = _cut(str(row.get("prompt_id", len(side))), _NAME)
            part = _cut(str(row.get("category") or row.get("suite") or ""), _NAME)
            side.setdefault(name, (_prompt(row.get("prompt")), part, []))[2].append(str(row["output"]))
    return side


def _fitting(sides: list[Side], room: int, limits: list[str]) -> tuple[Shown, ...]:
    """All prompts at the longest texts that fit; samples beyond the first, then prompts, are the first to go."""
    both = [name for name in sides[0] if name in sides[1]]
    most = max((min(len(side[name][2]) for side in sides) for name in both), default=0)
    rows: list[Shown] = []
    for count, cut in [(n, cut) for n in dict.fromkeys((most, 1)) for cut in _CUTS]:
        rows, used = [], 0
        for name in both:
            prompt, part, base = sides[0][name]
            pairs = zip(base[:count], sides[1][name][2][:count], strict=False)
            cut_pairs = tuple((_cut(a, cut), _cut(b, cut)) for a, b in pairs)
            one = Shown(probe=name, prompt=_cut(prompt, _PROMPT), part=part, pairs=cut_pairs)
            used += _size(one)
            if used > room:
                break
            rows.append(one)
        if len(rows) == len(both):
            break
    if len(rows) < len(both):
        limits.append(f"To keep the page small it has the answers to {len(rows):,} of {len(both):,} prompts.")
    if count < most:
        limits.append(f"Of up to {most} samples per prompt it shows the first.")
    longest = max((len(text) for side in sides for name in both for text in side[name][2][:count]), default=0)
    if longest > cut:
        limits.append(f"Texts are cut at {cut:,} characters.")
    names = [f"{artifact}.jsonl.gz" for artifact in SAMPLES]
    if limits:
        limits.append(f"Everything is in {' and '.join(names)} in the run directory.")
    return tuple(rows)


def _prompt(value: Any) -> str:
    """A prompt as one text; of a conversation, each message after its role."""
    if isinstance(value, list):
        messages = (m for m in value if isinstance(m, Mapping))
        return "\n\n".join(f"{m.get('role', '')}: {m.get('content', '')}" for m in messages)
    return str(value or "")


def _cut(text: str, longest: int) -> str:
    # Half a pair of surrogates is a character of JSON and none of UTF-8.
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"


def _size(one: Shown) -> int:
    """Bytes on the page, with the escapes of its data island."""
    texts = (one.probe, one.prompt, one.part, one.note, one.about, *(text for pair in one.pairs for text in pair))
    return sum(len(t.encode()) + t.count("\n") + t.count('"') + 5 * sum(map(t.count, "<>&")) + 4 for t in texts) + 24
