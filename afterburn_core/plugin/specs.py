"""What hooks return: frozen, declarative specs with a lazy `"module:attr"` factory.

A spec says everything the core must know before any of the plugin's mathematics is imported: names, needs, metrics,
rules, options. Importing a module that builds specs must not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:  # every start of the command line imports this module; these would cost it a quarter of its time
    from afterburn_core.result.model import Direction, Level
    from afterburn_core.run.needs import Capability, Need, Preset


@attrs.frozen(kw_only=True)
class MetricSpec:
    """One metric id: its meaning is declared once and written into every document that uses it."""

    id: str
    """`<plugin>.<noun_phrase>`, lower snake, never reused or removed."""
    summary: str
    """One line; the formula where it is short."""
    unit: str = "1"
    direction: Direction = "none"
    low: float | None = None
    high: float | None = None
    neutral: float | None = 0.0
    """The value that says "no change" of a contrast of trained with base: 0 of a difference or a distance, 1 of a
    similarity. Beside controls, a value is extreme by its distance from it, or by its size where the direction is
    `higher_is_more_change`. `None` where no value says so, or where controls are part of the number; then it is not
    set among the run's controls."""
    version: int = 1


@attrs.frozen(kw_only=True)
class RuleSpec:
    """One rule id: what a finding under it means and what to do next."""

    id: str
    summary: str
    help: str
    level: Level
    """Highest level its findings take."""
    metrics: tuple[str, ...]
    """Metrics it cannot do without. If none of them was measured the rule is `open`, or `not_applicable` where the
    subjects by their kind cannot offer them."""
    version: int = 1


@attrs.frozen(kw_only=True)
class AnalyzerSpec:
    """Measures. `factory(options)` returns an `afterburn_core.plugin.roles.Analyzer`."""

    name: str
    summary: str
    needs: tuple[Need, ...]
    metrics: tuple[MetricSpec, ...]
    factory: str
    options: type | None = None
    """Frozen attrs class with defaults for every field; unknown keys are refused."""
    preset: Preset = "quick"
    """Least preset in which it takes part; under a lesser one it is skipped and says so."""
    asks: str | None = None
    """`"module:attr"` of a function from its options to what it needs in a run with these: needs, each of a kind that
    `needs` lists, or a text that says why it has nothing to do, such as that no file was named; then it is skipped.
    Called when a run is planned, so it imports nothing heavy. Without it, `needs` is what it needs."""
    example: str | None = None
    """`"module:attr"` of a function `write(directory, base) -> options` that gives the options with which the
    conformance kit puts it to work on the model in the directory `base`, and writes the files that they name."""
    version: int = 1


@attrs.frozen(kw_only=True)
class DetectorSpec:
    """Judges. `factory(options)` returns a pure function from `Evidence` to findings and derived measurements."""

    name: str
    summary: str
    rules: tuple[RuleSpec, ...]
    factory: str
    options: type | None = None
    metrics: tuple[MetricSpec, ...] = ()
    """Those that it derives from other measurements, such as a score. They join the document; its findings may cite
    them, and none may speak of a single tensor or head."""
    last: bool = False
    """Whether it judges after all detectors that are not last, and sees what they derived and found."""
    reads: tuple[str, ...] = ()
    """Ids of JSON artifacts whose numbers its findings rest on, not those that it takes examples from. Certificates
    carry them, so they must hold no text of the models; without one that the document lists it does not judge again."""
    version: int = 1


@attrs.frozen(kw_only=True)
class ReporterSpec:
    """Shows. `factory` names the pure function `render(view: ResultView) -> bytes` itself."""

    name: str
    summary: str
    suffixes: tuple[str, ...]
    """File name endings that pick it, longest match first: `.html`, `.junit.xml`."""
    media_type: str
    factory: str
    available: str | None = None
    """`"module:attr"` of a function that returns why the reporter cannot run here, or `None` if it can; asked before a
    run whose report it is to write."""


@attrs.frozen(kw_only=True)
class BackendSpec:
    """Opens subjects. `factory` names `open_subject(reference, *, role, base, registry) -> OpenSubject`."""

    name: str
    summary: str
    capabilities: tuple[Capability, ...]
    factory: str
    available: str | None = None
    """`"module:attr"` of a function that returns why the backend cannot run here, or `None` if it can."""
    unchosen: str | None = None
    """`"module:attr"` of a function that returns why `afterburn_select_backend` never names the backend on this
    machine, or `None` if it does; for backends that are the first choice on some machines only."""
    example: str | None = None
    """`"module:attr"` of a function `write(directory, tensors) -> Path` that saves tensors in the backend's own format
    and returns what a user would name on the command line. The conformance kit compares what the backend reads with
    what was written; without it, the kit offers a Hugging Face directory."""


@attrs.frozen(kw_only=True)
class ReaderSpec:
    """Reads a file format: of weights, where `factory` names `read_index(path) -> WeightFile`, or of something that a
    plugin has readers for (`of`), which then says what `factory` names."""

    name: str
    summary: str
    suffixes: tuple[str, ...]
    """File name endings; weights are read by the first reader that has the file's."""
    factory: str
    of: str = "weights"
    """`dictionary`: sparse dictionaries, for the plugin `sae`."""


@attrs.frozen(kw_only=True)
class ProbeSetSpec:
    """A set of prompts. `factory` names `items(seed: int, n: int | None) -> Iterable[Probe]`.

    A set that is generated gives fresh items for every seed, and as many as are asked for; a written one gives its
    first `n`.
    """

    name: str
    summary: str
    licence: str
    factory: str
    default: bool = False
    """Whether it is asked, or read, when the user names no set."""
    use: Literal["questions", "passages"] = "questions"
    """`passages`: texts to be read by the forward pass and never asked: the probe's prompt is the text. Where it is a
    conversation that ends with the assistant, that last turn is the text and the turns before it its question; such
    given passages are read only for analyzers that name the set (`ForwardNeed.passage_sets`)."""


@attrs.frozen(kw_only=True)
class SignerSpec:
    """Signs certificates. `factory(options)` returns an `afterburn_core.plugin.roles.Signer`."""

    name: str
    summary: str
    factory: str
    options: type | None = None


@attrs.frozen(kw_only=True)
class ExecutorSpec:
    """Runs the tasks of a pass. `factory(workers)` returns an `afterburn_core.plugin.roles.Executor`."""

    name: str
    summary: str
    factory: str


@attrs.frozen(kw_only=True)
class CommandSpec:
    """A subcommand of the CLI. `factory` names a `click.Command`, imported when the command is used."""

    name: str
    summary: str
    factory: str


Spec = (
    AnalyzerSpec
    | DetectorSpec
    | ReporterSpec
    | BackendSpec
    | ReaderSpec
    | ProbeSetSpec
    | SignerSpec
    | ExecutorSpec
    | CommandSpec
)


@attrs.frozen(kw_only=True)
class RunStarted:
    """A run is about to execute its plan."""

    run_id: str
    components: tuple[str, ...]


@attrs.frozen(kw_only=True)
class ComponentFinished:
    """One component ended, whichever way."""

    run_id: str
    component: str
    status: str
    seconds: float


@attrs.frozen(kw_only=True)
class RunFinished:
    """The document is complete; `document` is its JSON form, a copy nobody else sees."""

    run_id: str
    status: str
    document: Mapping[str, Any]
