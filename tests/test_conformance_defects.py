"""Each check of the conformance kit fails on a plugin that breaks its rule: a new plugin with one defect put in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import attrs
import pytest

from afterburn_core.plugin.registry import Registry
from afterburn_core.plugin.scaffold import render_plugin
from afterburn_core.testing import checks_for
from afterburn_core.testing.checks import COMPONENT_CHECKS, PLUGIN_CHECKS, spec
from afterburn_core.testing.distributions import install_distribution
from afterburn_core.testing.kit import run_check
from afterburn_core.testing.workbench import Workbench

Edit = tuple[str, str, str]
"""File of the scaffold's package, what it says, what it says instead; `NAME` stands for the plugin's name."""


@attrs.frozen
class Defect:
    """Edits of a scaffold, the check that must notice them, and words of its message."""

    check: str
    kind: str
    edits: tuple[Edit, ...]
    message: str
    requires: tuple[str, ...] = ("afterburn-core[run]>=0.1,<0.2", "attrs", "numpy")
    needs_weight: bool = False

    def __str__(self) -> str:
        return f"{self.check}: {self.message}"


def in_plugin(check: str, kind: str, old: str, new: str, message: str) -> Defect:
    return Defect(check, kind, (("plugin.py", old, new),), message)


def in_zeros(check: str, old: str, new: str, message: str) -> Defect:
    return Defect(f"analyzer.{check}", "analyzer", (("zeros.py", old, new),), message)


def in_limit(check: str, old: str, new: str, message: str) -> Defect:
    return Defect(f"detector.{check}", "detector", (("limit.py", old, new),), message)


def in_table(check: str, old: str, new: str, message: str) -> Defect:
    return Defect(f"reporter.{check}", "reporter", (("table.py", old, new),), message)


def in_npz(check: str, old: str, new: str, message: str) -> Defect:
    return Defect(f"backend.{check}", "backend", (("npz.py", old, new),), message)


def in_format(media_type: str, returned: str, message: str) -> Defect:
    """A reporter of another format that writes texts as they are."""
    head = "def render(view: ResultView) -> bytes:\n"
    texts = "    texts = [finding.message for finding in view.result.findings]\n"
    edits = (
        ("plugin.py", 'media_type="text/csv"', f"media_type={media_type!r}"),
        ("table.py", head, f"{head}{texts}    {returned}\n"),
    )
    return Defect("reporter.hostile_strings_are_escaped", "reporter", edits, message)


OBSERVE = "        if item.compared == 0:\n            return\n"
MEDDLE = "            item.trained['seen'] = 1\n            return\n"
SUMMED = "            self._entries[scope] += base.numel()"
NEWLY = "int((trained & ~base).sum())"
FOUND = "scope=scope, n=self._entries[scope])"
RETURNED = "return AnalyzerOutput(measurements=tuple(sorted(measurements, key=lambda found: found.id)))"
MERGED = "        self._entries.update(other._entries)\n        self._zeros.update(other._zeros)\n"
WITH_ALL = "        found = sorted(measurements, key=lambda found: found.id)\n        "
RETURN_FOUND = "return AnalyzerOutput(measurements=tuple(found))"


def with_first(change: str) -> str:
    """Replacement of `RETURNED` that changes the first measurement."""
    return f"import attrs\n{WITH_ALL}found[0] = {change}\n        {RETURN_FOUND}"


PLUGIN = (
    in_plugin(
        "plugin.registers_without_problems",
        "analyzer",
        'id="NAME.zero_fraction"',
        'id="weight.zero_fraction"',
        "spec: 'weight.zero_fraction' must have the form 'NAME.<name>'",
    ),
    in_plugin(
        "plugin.names_lie_inside_the_namespace",
        "analyzer",
        'id="NAME.zero_fraction"',
        'id="NAME.ZeroFraction"',
        "'NAME.ZeroFraction' must be 'NAME.<name>'",
    ),
    in_plugin("plugin.imports_are_light", "analyzer", "import attrs", "import attrs, numpy", "imports numpy"),
    in_plugin(
        "plugin.imports_are_light",
        "reporter",
        "    yield",
        "    import torch\n    yield",
        "imports numpy, torch",
    ),
    Defect("plugin.core_range_is_declared", "reporter", (), "does not require afterburn-core", requires=("attrs",)),
    Defect("plugin.core_range_is_declared", "reporter", (), "give both bounds", requires=("afterburn-core>=0.1",)),
    Defect(
        "plugin.dependencies_are_declared",
        "reporter",
        (("table.py", "import io", "import io\nimport pytest"),),
        "table.py imports 'pytest'",
    ),
)

SPEC = (
    in_plugin(
        "spec.summaries_are_present",
        "analyzer",
        'summary="Counts zero weights before and after training"',
        'summary=" "',
        "the summary is empty",
    ),
    in_plugin("spec.summaries_are_present", "detector", 'help="Look at', 'help="Look\\nat', "more than one line"),
    in_plugin("spec.factory_resolves", "analyzer", "zeros:Zeros", "zeros:Missing", "cannot load"),
    in_plugin("spec.factory_resolves", "analyzer", "zeros:Zeros", "zeros.Zeros", "not of the form"),
    in_plugin("spec.factory_resolves", "analyzer", "zeros:Zeros", "zeros:ZERO", "is not callable"),
    in_plugin(
        "spec.options_have_defaults_and_refuse_unknown_keys",
        "analyzer",
        "threshold: float = 0.0",
        "threshold: float",
        "threshold",
    ),
    in_plugin(
        "spec.options_have_defaults_and_refuse_unknown_keys",
        "analyzer",
        "@attrs.frozen(",
        "@attrs.define(",
        "can be changed",
    ),
    in_plugin(
        "spec.options_have_defaults_and_refuse_unknown_keys",
        "analyzer",
        "@attrs.frozen(kw_only=True)\n",
        "",
        "not an attrs class",
    ),
    in_plugin(
        "spec.metrics_are_described",
        "analyzer",
        "high=1,\n            ),\n            Metric",
        "high=-1,\n            ),\n            Metric",
        "low 0 is not below high -1",
    ),
    in_plugin(
        "spec.metrics_are_described",
        "analyzer",
        'direction="higher',
        'unit=" ", direction="higher',
        "the unit is empty",
    ),
    in_plugin("spec.metrics_are_described", "analyzer", "higher_is_more_change", "more", "unknown direction 'more'"),
    in_plugin(
        "spec.metrics_are_described", "analyzer", '(WeightsNeed(quantities=("tensors",)),)', "()", "declares no needs"
    ),
    in_plugin(
        "spec.rules_are_described",
        "detector",
        '"weight.delta.relative"',
        '"NAME.delta"',
        "nothing installed declares 'NAME.delta'",
    ),
    in_plugin("spec.rules_are_described", "detector", 'level="warning"', 'level="fatal"', "level 'fatal'"),
    in_plugin("spec.rules_are_described", "detector", "rules=(rule,)", "rules=()", "declares no rules"),
    in_plugin("spec.what_it_serves_is_declared", "reporter", '".csv")', '"csv")', "must start with a dot"),
    in_plugin(
        "spec.what_it_serves_is_declared", "backend", '("weights",)', '("weigths",)', "unknown capabilities ['weigths']"
    ),
)

ANALYZER = (
    in_zeros(
        "only_declared_metrics_are_measured",
        'ZERO = "NAME.zero_fraction"',
        'ZERO = "NAME.zeros"',
        "'NAME.zeros' is measured",
    ),
    in_zeros("only_declared_metrics_are_measured", "zeros / self", "1.5 + zeros / self", "outside [0, 1]"),
    in_zeros("measurements_are_well_formed", FOUND, "scope=scope)", "n is None"),
    in_zeros("measurements_are_well_formed", "zeros / self._entries[scope]", "float('nan')", "nan is not finite"),
    in_zeros(
        "measurements_are_well_formed",
        "return (tensor, *layer",
        "return (Scope(tensor=tensor.tensor), *layer",
        "its scope must name layer",
    ),
    in_zeros(
        "measurements_are_well_formed", "tuple(sorted(measurements,", "2 * tuple(sorted(measurements,", "measured twice"
    ),
    in_zeros("measurements_are_well_formed", RETURNED, with_first("attrs.evolve(found[0], id='x')"), "make the id"),
    in_zeros(
        "measurements_are_well_formed",
        RETURNED,
        with_first("attrs.evolve(found[0], status='undefined', value=None)"),
        "undefined without a reason",
    ),
    in_zeros("measurements_are_well_formed", '"trained"), scope] +=', '"student"), scope] +=', "there are no subjects"),
    in_zeros(
        "statistics_are_coherent",
        RETURNED,
        "from afterburn_core.result.model import Interval\n        "
        + with_first("attrs.evolve(found[0], interval=Interval(low=2, high=3, level=0.95, method='wilson'))"),
        "lies outside its interval",
    ),
    in_zeros(
        "statistics_are_coherent",
        RETURNED,
        "from afterburn_core.result.model import Test\n        "
        + with_first("attrs.evolve(found[0], test=Test(name='t', p_value=0.5, p_adjusted=0.1))"),
        "the correction lowered the p value",
    ),
    in_zeros(
        "artifacts_are_well_formed",
        "return AnalyzerOutput(measurements=tuple(sorted",
        "from afterburn_core.plugin.roles import ArtifactPayload\n"
        "        file = ArtifactPayload(\n"
        "            id='zeros', suffix='.json', media_type='application/json', summary='x', content=b''\n"
        "        )\n"
        "        return AnalyzerOutput(artifacts=(file,), measurements=tuple(sorted",
        "the id must have the form 'NAME.<name>'",
    ),
    in_zeros("identity_pair_has_no_effect", NEWLY, f"1 + {NEWLY}", "on the identity pair, not 0"),
    in_zeros("planted_change_is_found_where_it_was_planted", NEWLY, "0", "NAME.newly_zero_fraction rose for none of"),
    in_zeros(
        "planted_change_is_found_where_it_was_planted",
        "Scope(layer=tensor.layer)",
        "Scope(layer=1 - tensor.layer)",
        "but the change is in",
    ),
    in_zeros(
        "every_dtype_is_measured",
        OBSERVE,
        OBSERVE + '        if item.base.dtype == "F16":\n            return\n',
        "float16 only",
    ),
    in_zeros("missing_and_extra_tensors_survive", OBSERVE, "", "values were not asked for"),
    in_zeros(
        "missing_and_extra_tensors_survive",
        OBSERVE,
        OBSERVE.replace("return", "self._entries.clear()\n            self._zeros.clear()\n            return"),
        "nothing is said of",
    ),
    in_zeros(
        "nonfinite_weights_survive",
        OBSERVE,
        OBSERVE + "        if not item.values()[1].isfinite().all():\n            raise ValueError('NaN')\n",
        "raised ValueError: NaN",
    ),
    in_zeros(
        "nonfinite_weights_survive",
        OBSERVE,
        OBSERVE + "        if not item.values()[1].isfinite().all():\n            self._threshold = 9.0\n",
        "holds NaN",
    ),
    in_zeros(
        "adapters_are_measured",
        OBSERVE,
        OBSERVE + "        if item.values()[1].bfloat16().double().ne(item.values()[1]).any():\n            return\n",
        "nothing is said of",
    ),
    in_zeros(
        "nothing_observed_is_undefined",
        'undefined(NEWLY_ZERO, "no tensor was compared", n=0)',
        "measure(NEWLY_ZERO, 0.0, n=0)",
        "although nothing was observed",
    ),
    in_zeros("order_does_not_matter", SUMMED, SUMMED.replace("+=", "="), "in order and in reverse"),
    in_zeros("merge_equals_single_pass", MERGED, "", "whole and in two halves"),
    in_zeros(
        "merge_equals_single_pass",
        "        self._entries.update(other._entries)\n",
        "        self._entries |= other._entries\n",
        "whole and in two halves",
    ),
    in_zeros(
        "same_seed_gives_same_output",
        FOUND,
        "scope=scope, n=int.from_bytes(__import__('os').urandom(4)))",
        "with one seed",
    ),
    in_zeros(
        "same_seed_gives_same_output", FOUND, "scope=scope, n=__import__('random').getrandbits(30))", "with one seed"
    ),
    in_plugin(
        "analyzer.only_declared_needs_are_used",
        "analyzer",
        'WeightsNeed(quantities=("tensors",))',
        "WeightsNeed()",
        "read values of",
    ),
    in_zeros(
        "only_declared_needs_are_used",
        OBSERVE,
        OBSERVE + "        if item.sums is None:\n            return\n",
        "read sums of",
    ),
    in_zeros(
        "no_network",
        OBSERVE,
        OBSERVE + "        import socket\n        try:\n            socket.create_connection(('192.0.2.1', 9), 0.01)\n"
        "        except OSError:\n            pass\n",
        "tried socket.create_connection",
    ),
    in_zeros(
        "no_network",
        OBSERVE,
        OBSERVE + "        import _socket, contextlib\n"
        "        with contextlib.suppress(OSError), contextlib.closing(_socket.socket()) as raw:\n"
        "            raw.connect(('192.0.2.1', 9))\n",
        "tried socket.connect",
    ),
    in_zeros(
        "inputs_stay_untouched", OBSERVE, OBSERVE + "        item.values()[1].clamp_(min=0)\n", "were changed in place"
    ),
    Defect(
        "analyzer.inputs_stay_untouched",
        "analyzer",
        (
            ("plugin.py", "needs=(", "needs=(DocumentsNeed(), "),
            ("plugin.py", "import AnalyzerSpec", "import DocumentsNeed, AnalyzerSpec"),
            ("zeros.py", OBSERVE, f"        if not hasattr(item, 'compared'):\n{MEDDLE}{OBSERVE}"),
        ),
        "a parsed document",
    ),
    in_zeros(
        "global_state_stays_untouched",
        OBSERVE,
        OBSERVE + "        import torch\n        torch.manual_seed(0)\n",
        "torch random state",
    ),
    in_zeros(
        "global_state_stays_untouched",
        OBSERVE,
        OBSERVE + "        import numpy\n        numpy.random.rand()\n",
        "numpy.random",
    ),
    in_zeros(
        "global_state_stays_untouched",
        OBSERVE,
        OBSERVE + "        import random\n        random.seed(0)\n",
        "changed: random",
    ),
    in_zeros(
        "global_state_stays_untouched",
        OBSERVE,
        OBSERVE + "        import os\n        os.environ['NAME'] = '1'\n",
        "os.environ",
    ),
)

DETECTOR = (
    in_limit("findings_are_well_formed", "fingerprint(RULE, SUBJECTS, Scope())", "'0' * 32", "use fingerprint("),
    in_limit("findings_are_well_formed", '"fail", "warning"', '"fail", "error"', "above the rule's warning"),
    in_limit("findings_are_well_formed", '"fail", "warning"', '"fail", "none"', "fails at level 'none'"),
    in_limit(
        "findings_are_well_formed", "        rule=RULE,", "        rule=RULE + '_too',", "which it does not declare"
    ),
    in_limit("findings_are_well_formed", "within {options", "within\\n{options", "must be one line"),
    in_limit(
        "findings_cite_their_evidence",
        '_finding("pass", "none", message, measured.id)',
        '_finding("pass", "none", message)',
        "cites no measurement",
    ),
    in_limit(
        "findings_cite_their_evidence",
        '_finding("fail", "warning", message, measured.id)',
        '_finding("fail", "warning", message, "m/1")',
        "cites 'm/1'",
    ),
    Defect(
        "detector.identical_models_raise_no_alarm",
        "detector",
        (("limit.py", "measured.value > options.limit", "measured.value > -1"),),
        "identical models: fail",
        needs_weight=True,
    ),
    in_limit("empty_evidence_gives_no_pass", '"open", "warning"', '"pass", "none"', "nothing measured"),
    in_limit(
        "empty_evidence_gives_no_pass",
        "        if measured is None or measured.value is None:\n",
        "        if measured is not None and measured.value is None:\n"
        '            yield _finding("pass", "none", "fine", measured.id)\n'
        "        elif measured is None:\n",
        "everything undefined",
    ),
    in_limit(
        "less_evidence_never_looks_better",
        "measured = evidence.get(METRIC)",
        "measured = max(evidence.all(METRIC), key=lambda m: m.value or 0, default=None)",
        "is fail, but pass without",
    ),
    in_limit(
        "less_evidence_never_looks_better",
        "measured = evidence.get(METRIC)",
        "measured = evidence.measurements[4]",
        "tuple index out of range",
    ),
    Defect(
        "detector.detector_is_pure",
        "detector",
        (
            ("limit.py", "\nSUBJECTS", "\nSEEN: list[int] = []\nSUBJECTS"),
            ("limit.py", "        measured =", "        SEEN.append(1)\n        measured ="),
            ("limit.py", "{options.limit:g}", "{len(SEEN)}"),
        ),
        "twice gave different findings",
    ),
    in_limit(
        "detector_is_pure",
        "        measured = evidence.get(METRIC)",
        "        import random\n        random.random()\n        measured = evidence.get(METRIC)",
        "judging changed random",
    ),
    in_limit(
        "judges_without_torch",
        "from collections.abc import Iterable",
        "from collections.abc import Iterable\n\nimport torch",
        "without torch",
    ),
)

REPORTER = (
    in_table("renders_every_golden_document", "return text.getvalue().encode()", "return b''", "into nothing"),
    in_table(
        "renders_every_golden_document", "return text.getvalue().encode()", "return text.getvalue()", "instead of bytes"
    ),
    in_table("renders_every_golden_document", 'found.reason or ""', "found.reason.strip()", "has no attribute 'strip'"),
    in_table(
        "same_document_gives_same_bytes",
        "return text.getvalue()",
        "import time\n    text.write(str(time.time_ns()))\n    return text.getvalue()",
        "twice gives different bytes",
    ),
    in_table(
        "same_document_gives_same_bytes",
        "return text.getvalue()",
        "import os\n    os.environ['NAME'] = '1'\n    return text.getvalue()",
        "changed: os.environ",
    ),
    in_table(
        "hostile_strings_are_escaped",
        'if plain.startswith(("=", "+", "-", "@"))',
        "if not plain",
        "a spreadsheet would run",
    ),
    in_table(
        "hostile_strings_are_escaped", 'character if character.isprintable() else " "', "character", "control character"
    ),
    in_table(
        "hostile_strings_are_escaped",
        "csv.writer(text, lineterminator",
        "csv.writer(text, quoting=csv.QUOTE_NONE, escapechar='\\\\', lineterminator",
        "cells",
    ),
    in_table("renders_without_torch", "import csv\n", "import csv\n\nimport torch\n", "without torch"),
    in_format("text/html", "return '<p>'.join(texts).encode()", "became an element"),
    in_format("text/html", "return b'<script>hostile()</script>'", "became a script"),
    in_format("text/html", "return b'<a href=javascript:hostile()>x</a>'", "is active"),
    in_format("text/html", "return b'<p>\\x1b[31m</p>'", "shows the control character"),
    in_format("text/markdown", "return texts[7].encode()", "a link to javascript:"),
    in_format("text/markdown", "return texts[8].encode()", "a stranger's address"),
    in_format("text/markdown", "return texts[0].encode()", "stands in the Markdown"),
    in_format("text/markdown", "return texts[16].encode()", "became a heading"),
    in_format("application/json", "return b'{\"value\": NaN}'", "not strict JSON"),
    in_format("application/json", "return b'[NaN]'", "NaN is not JSON"),
    in_format("application/sarif+json", "return ('{\"text\": \"' + texts[2] + '\"}').encode()", "not strict JSON"),
    in_format("application/xml", "return ('<report>' + texts[0] + '</report>').encode()", "not well-formed XML"),
    in_format("application/xml", "return b'<report><hostile-element/></report>'", "became an element"),
    in_format("text/plain", "return ' '.join(texts).encode()", "control character"),
    in_format("text/plain", "return ' '.join(texts).encode('utf-16')", "not UTF-8"),
    in_format("application/octet-stream", "return texts[0].encode()", "stands in the output"),
)

BACKEND = (
    in_plugin(
        "backend.is_chosen_for_its_own_format",
        "backend",
        'reference.path.suffix == ".npz"',
        'reference.path.suffix == ".npy"',
        "is opened by 'core.checkpoint' instead",
    ),
    in_npz("lists_every_tensor_as_stored", "for name in file.files}", "for name in file.files[1:]}", "leaves out"),
    in_npz("lists_every_tensor_as_stored", "shape=tuple(value.shape)", "shape=tuple(value.shape[::-1])", "has shape"),
    in_npz("lists_every_tensor_as_stored", '"float32": "F32"', '"float32": "F64"', "has dtype F64"),
    in_npz(
        "values_equal_bit_for_bit",
        "[start:stop].copy()",
        "[start:stop].astype('float16').astype('float32')",
        "are not what was stored",
    ),
    in_npz(
        "values_equal_bit_for_bit", "[start:stop].copy()", "[start:stop].astype('float64')", "come as torch.float64"
    ),
    in_npz("values_equal_bit_for_bit", "[start:stop].copy()", "[: stop - start].copy()", "are not what was stored"),
    in_npz("values_equal_bit_for_bit", ".reshape(-1)[start:stop].copy()", ".copy()", "come in shape"),
    in_npz("reads_from_several_threads", "[start:stop].copy()", "[start:stop]", "differs when several threads read"),
    in_npz("facts_describe_the_subject", "parameters=sum(", "parameters=1 + sum(", "parameters instead of"),
    in_npz("facts_describe_the_subject", "label=reference.label", "label=str(path.absolute())", "is an absolute path"),
    in_npz(
        "facts_describe_the_subject",
        "files = (SubjectFile(path=path, relative=path.name),)",
        "files = ()",
        "names no files",
    ),
    in_npz(
        "opening_has_no_side_effects",
        "    facts = SubjectFacts(",
        "    path.with_suffix('.lock').touch()\n    facts = SubjectFacts(",
        "files were written",
    ),
    in_npz(
        "refuses_what_it_cannot_open",
        "except (OSError, ValueError, AttributeError, zipfile.BadZipFile)",
        "except KeyError",
        "raised",
    ),
    in_npz(
        "refuses_what_it_cannot_open",
        'raise SubjectError(f"{path}: cannot be read as an .npz file ({error}); save it with numpy.savez") from error',
        "values = {}",
        "was opened as if",
    ),
)

DEFECTS = (*PLUGIN, *SPEC, *ANALYZER, *DETECTOR, *REPORTER, *BACKEND)


@pytest.fixture(scope="module")
def bench() -> Workbench:
    """Model pairs for all defects, made once."""
    return Workbench()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Defect, str], None]]:
    """Renders a plugin with a defect and installs it for this test alone."""
    before = set(sys.modules)

    def make(defect: Defect, name: str) -> None:
        source = render_plugin(name, defect.kind, tmp_path / name) / "src"
        for file, old, new in defect.edits:
            path = source / f"afterburn_{name}" / file
            text = path.read_text(encoding="utf-8")
            old, new = old.replace("NAME", name), new.replace("NAME", name)
            assert old in text, f"the scaffold no longer says {old!r}"
            path.write_text(text.replace(old, new), encoding="utf-8")
        entry_points = {name: f"afterburn_{name}.plugin"}
        install_distribution(source, f"afterburn-{name}", entry_points=entry_points, requires=defect.requires)
        monkeypatch.syspath_prepend(str(source))

    yield make
    for added in set(sys.modules) - before:
        if added.startswith("afterburn_defect"):
            del sys.modules[added]


@pytest.mark.parametrize("defect", DEFECTS, ids=str)
def test_the_check_fails(defect: Defect, install: Callable[[Defect, str], None], bench: Workbench) -> None:
    if defect.needs_weight and find_spec("afterburn_weight") is None:
        pytest.skip("the weight plugin is not installed")
    # every defect is a plugin of its own: the workbench keeps outputs by name
    name = f"defect{DEFECTS.index(defect)}"
    install(defect, name)
    registry = Registry.discover(only=[name, *(["weight"] if defect.needs_weight else [])])
    chosen = [check for check in checks_for(name, registry, bench) if check.id == defect.check]
    assert chosen, f"no check {defect.check!r} applies"
    messages = [result.message or "" for result in map(run_check, chosen) if result.status == "failed"]
    assert messages, f"{defect.check} did not notice"
    assert any(defect.message.replace("NAME", name) in message for message in messages), messages


def test_every_check_has_a_defect_that_it_notices() -> None:
    rules = {"plugin": PLUGIN_CHECKS, "spec": spec.CHECKS, **COMPONENT_CHECKS}
    known = {f"{group}.{rule.__name__.removeprefix('check_')}" for group in rules for rule in rules[group]}
    assert known == {defect.check for defect in DEFECTS}
