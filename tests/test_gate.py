"""`afterburn gate`: exit codes, reasons, reports and waivers on real runs, and the files that put it into CI."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
import click
import pytest
import yaml
from rich.console import Console

from afterburn_core.cli.main import cli, run
from afterburn_core.judge.policy import load_policy, policy_of
from afterburn_core.judge.rejudge import rejudge
from afterburn_core.judge.settle import settle
from afterburn_core.plugin.registry import Registry
from afterburn_core.report import html, markdown
from afterburn_core.report.gate_terminal import gate_report, workflow_commands
from afterburn_core.result import codec
from afterburn_core.result.model import Result
from afterburn_core.result.view import ResultView
from afterburn_core.testing.documents import HOSTILE
from afterburn_core.testing.pairs import adapter_pair, identity_pair

ROOT = Path(__file__).resolve().parent.parent
Gate = Callable[..., tuple[int, str, str]]
POLICY = """
require:
  analyzers: [weight.delta, weight.tail]
thresholds:
  - {id: size, metric: weight.delta.relative, at_most: 0.1}
  - {id: places, metric: weight.delta.relative, scope: each, at_most: 1}
suppressions:
  - {rule: weight.change, owner: release@example.com, reason: Intended., expires: 2027-01-31}
"""


@pytest.fixture
def gate(capsys: pytest.CaptureFixture[str]) -> Gate:
    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["gate", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture(scope="module")
def adapter_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the weights alone on an adapter of rank 4."""
    folder = tmp_path_factory.mktemp("adapter")
    pair = adapter_pair(folder / "pair")
    command = ["weight-diff", "--base", pair.base, "--trained", pair.trained, "--run-dir", folder / "run"]
    assert run([*map(str, command), "--quiet", "--no-cache", "--device", "cpu"]) == 0
    return folder / "run"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "release.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


def broken(adapter_run: Path, folder: Path) -> Path:
    """The same run, of which somebody has taken a finding."""
    document = json.loads((adapter_run / "result.json").read_bytes())
    del document["measurements"][0]
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_the_exit_code_is_that_of_the_worst_run(gate: Gate, adapter_run: Path, policy: Path, tmp_path: Path) -> None:
    lacking = broken(adapter_run, tmp_path / "lacking")
    assert gate(adapter_run, "--policy", policy)[0] == 0
    assert gate(adapter_run, lacking, "--policy", policy)[0] == 3
    policy.write_text(POLICY.replace("at_most: 0.1", "at_most: 0.01"), encoding="utf-8")
    code, out, _ = gate(lacking, adapter_run, "--policy", policy)
    assert code == 1
    failed = f"{adapter_run}: fail: threshold size is not met: weight.delta.relative 0.07"
    assert any(line.startswith(failed) for line in out.splitlines())
    assert f"{lacking}: Fail, 2 reasons (policy release)" in out


def test_nothing_is_judged_on_a_wrong_call_and_one_line_says_why(gate: Gate, adapter_run: Path, policy: Path) -> None:
    for arguments, told in (
        ((), "name at least one run"),
        ((adapter_run,), "--policy is missing; name a file or one of adapter, rl, sft"),
        ((adapter_run, "--policy", "stf"), "or name one that is shipped: adapter, rl, sft"),
        ((adapter_run / "nowhere", "--policy", policy), "does not exist"),
        ((adapter_run, "--policy", policy, "--today", "tomorrow"), "no day of the calendar"),
        ((adapter_run, "--policy", policy, "--junit", "/nowhere/x.xml"), "--junit /nowhere/x.xml"),
        ((adapter_run, "--init", "sft"), "leave the runs out"),
    ):
        code, out, err = gate(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1) and told in err, arguments


def test_a_waiver_is_told_with_its_days_and_closes_the_gate_when_it_ends(
    gate: Gate, adapter_run: Path, policy: Path, tmp_path: Path
) -> None:
    stored = json.loads((adapter_run / "result.json").read_bytes())
    result = codec.read(adapter_run / "result.json")
    bad = tuple(
        attrs.evolve(finding, kind="fail", level="error") if finding.rule == "weight.change" else finding
        for finding in result.findings
    )
    # a detector that is not installed here, so that what it found stands as it was made
    rules = tuple(attrs.evolve(r, detector="elsewhere.judge") for r in result.descriptors.rules)
    moved = attrs.evolve(result, findings=bad, descriptors=attrs.evolve(result.descriptors, rules=rules))
    (tmp_path / "run").mkdir()
    codec.write(tmp_path / "run" / "result.json", moved)
    code, out, _ = gate(tmp_path / "run", "--policy", policy, "--today", "2027-01-01")
    assert code == 0 and "1 failed under a waiver" in out
    assert "waiver in_force: weight.change: until 2027-01-31, 30 days left; covers 1 finding; Intended." in out
    code, out, _ = gate(tmp_path / "run", "--policy", policy, "--today", "2027-02-01")
    assert code == 1
    assert "waiver expired: weight.change: expired 2027-01-31, 1 day ago: does nothing; would cover 1 finding" in out
    assert json.loads((adapter_run / "result.json").read_bytes()) == stored


def test_judging_again_takes_the_day_of_the_run_so_that_any_day_gives_the_same(adapter_run: Path, policy: Path) -> None:
    result, registry = codec.read(adapter_run / "result.json"), Registry.discover()
    first = rejudge(result, adapter_run, registry, load_policy(policy))
    assert first.properties["core.judgement"]["date"] == result.run.finished_at[:10]
    again = rejudge(codec.loads(codec.dumps(first)), adapter_run, registry, load_policy(policy))
    assert codec.to_dict(again)["properties"] == codec.to_dict(first)["properties"]
    assert again.verdict == first.verdict
    assert policy_of(again) == load_policy(policy)


def test_a_run_keeps_the_policy_it_was_made_under(adapter_run: Path) -> None:
    result = codec.read(adapter_run / "result.json")
    kept = policy_of(result)
    assert kept is not None and kept.reference() == result.verdict.policy
    assert [e.sha256 for e in result.inputs if e.kind == "policy"] == [kept.reference().sha256]


def test_findings_that_cannot_be_judged_again_do_not_pass_under_other_options(adapter_run: Path, policy: Path) -> None:
    result = codec.read(adapter_run / "result.json")
    lax = load_policy(policy)
    loosened = settle(result, attrs.evolve(lax, options={"weight.judge": {"rounding_ratio": 0.0}}))
    weightless = Registry([plugin for name, plugin in Registry.discover().plugins.items() if name != "weight"])
    verdict = rejudge(loosened, adapter_run, weightless, lax).verdict
    assert verdict.status == "incomplete"
    assert any("weight.judge is not installed here" in reason.message for reason in verdict.reasons)
    assert rejudge(settle(result, lax), adapter_run, weightless, lax).verdict.status == "pass"


def test_json_junit_and_sarif_hold_every_threshold_requirement_and_waiver_of_every_run(
    gate: Gate, adapter_run: Path, policy: Path, tmp_path: Path
) -> None:
    policy.write_text(POLICY.replace("weight.tail]", "weight.trajectory]"), encoding="utf-8")
    junit, sarif = tmp_path / "gate.xml", tmp_path / "gate.sarif"
    written = ("--json", "--junit", junit, "--sarif", sarif)
    code, out, _ = gate(adapter_run, adapter_run, "--policy", policy, "--today", "2026-12-01", *written)
    report = json.loads(out)
    assert (code, report["status"], len(report["runs"])) == (3, "incomplete", 2)
    assert [outcome["status"] for outcome in report["runs"][0]["thresholds"]] == ["PASS", "PASS"]
    assert [entry["met"] for entry in report["runs"][0]["requirements"]] == [True, False]
    cases = ElementTree.parse(junit).getroot().iter("testcase")
    outcome = {(c.get("classname"), c.get("name")): [part.tag for part in c] for c in cases}
    assert outcome["threshold", "size"] == ["system-out"]
    assert outcome["requirement", "analyzer weight.delta"] == ["system-out"]
    assert outcome["requirement", "analyzer weight.trajectory"] == ["error"]
    assert outcome["waiver", "weight.change"] == ["skipped", "system-out"]  # in force, with nothing to waive
    runs = json.loads(sarif.read_text(encoding="utf-8"))["runs"]
    assert len(runs) == 2
    rules = runs[0]["tool"]["driver"]["rules"]
    found = {r["message"]["text"].split(":")[0]: r for r in runs[0]["results"] if r["ruleId"] == "policy.threshold"}
    assert set(found) == {"size", "places"} and found["size"]["kind"] == "pass"
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in runs[0]["results"])
    assert [r["kind"] for r in runs[0]["results"] if r["ruleId"] == "policy.requirement"] == ["pass", "open"]
    assert runs[0]["properties"]["waivers"][0]["days_left"] == 61


def hostile(adapter_run: Path, policy: Path) -> Result:
    """A judged run whose policy is full of texts that must stay texts."""
    text = " ".join(HOSTILE)
    named = load_policy(policy)
    thresholds = tuple(attrs.evolve(one, id=f"{one.id} {text}", reason=text, at_most=0.01) for one in named.thresholds)
    waivers = tuple(attrs.evolve(one, owner=text, reason=text) for one in named.suppressions)
    evil = attrs.evolve(named, name=text, thresholds=thresholds, suppressions=waivers)
    return settle(codec.read(adapter_run / "result.json"), evil)


def test_texts_of_a_policy_are_inert_in_every_report(adapter_run: Path, policy: Path) -> None:
    view = ResultView(hostile(adapter_run, policy), adapter_run)
    page = html.render(view).decode().split('<script type="application/json"')[0]
    assert "What the policy asks" in page and "<script>alert" not in page and "<img src=x" not in page
    told = markdown.render(view).decode()
    assert "### Thresholds" in told and "<script" not in told and "javascript:" not in told
    for line in workflow_commands("run\n::error::x", view.result):
        assert line.startswith("::error title=Afterburn%3A policy::") and "\n" not in line


@pytest.mark.parametrize("terminal", [True, False])
def test_the_list_reads_at_sixty_columns_and_whole_sentences_elsewhere(
    adapter_run: Path, policy: Path, terminal: bool
) -> None:
    result = settle(codec.read(adapter_run / "result.json"), load_policy(policy))
    console = Console(width=60, force_terminal=terminal, color_system=None, record=True, file=io.StringIO())
    gate_report("runs/candidate", result, console)
    lines = console.export_text().splitlines()
    if terminal:
        assert max(map(len, lines)) <= 60 and "Thresholds" in lines and any("Waivers" in line for line in lines)
    else:
        assert all(line.startswith("runs/candidate: ") for line in lines) and len(lines) == 4


def test_a_shipped_policy_is_written_once_and_judges_alike_by_name_and_by_file(
    gate: Gate, adapter_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert gate("--init", "adapter")[:2] == (0, "written: adapter.yaml\n")
    assert gate("--init", "adapter")[0] == 2
    by_file = gate(adapter_run, "--policy", "adapter.yaml", "--json")
    assert by_file[0] == 0 and by_file == gate(adapter_run, "--policy", "adapter", "--json")
    (tmp_path / ".afterburn.yaml").write_text("policy: adapter\n", encoding="utf-8")
    assert gate(adapter_run)[0] == 0


def test_the_gate_needs_no_torch(adapter_run: Path) -> None:
    code = (
        "import sys; from afterburn_core.cli.main import run; "
        f"code = run(['gate', {str(adapter_run)!r}, '--policy', 'adapter']); "
        "sys.exit(code or 50 * bool({'torch', 'numpy', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_the_policy_for_sft_passes_a_model_that_is_as_good_as_its_base(gate: Gate, tmp_path: Path) -> None:
    pair = identity_pair(tmp_path / "pair")
    prompts = [{"id": f"p{i}", "prompt": f"What is {i} plus {i}?", "gold": str(2 * i)} for i in range(20)]
    (tmp_path / "asked.jsonl").write_text("".join(f"{json.dumps(p)}\n" for p in prompts), encoding="utf-8")
    command = ["diagnose", "--base", pair.base, "--trained", pair.trained, "--prompts", tmp_path / "asked.jsonl"]
    options = ["--plugins", "weight,behaviour", "--max-new-tokens", "4", "--preset", "quick", "--device", "cpu"]
    options += ["--quiet", "--no-cache", "--policy", "sft", "--run-dir", str(tmp_path / "run")]
    assert run([*map(str, command), *options]) == 0
    code, out, _ = gate(tmp_path / "run", "--policy", "sft")
    assert code == 0 and "7 thresholds met" in out
    assert gate(tmp_path / "run", "--policy", "rl")[0] == 3  # nothing green that did not run


@pytest.mark.slow
def test_the_policy_for_rl_fails_answers_that_only_became_longer(gate: Gate, tmp_path: Path) -> None:
    for name, words in (("base", "It is"), ("trained", "It is, as far as I was told and as far as I know,")):
        rows = [
            {"prompt_id": f"p{i}", "prompt": f"{i}?", "sample": 0, "output": f"{words} {i}.", "is_correct": i % 3 > 0}
            for i in range(60)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    sides = ["--base", f"recorded:{tmp_path}/base.jsonl", "--trained", f"recorded:{tmp_path}/trained.jsonl"]
    options = ["--quiet", "--no-cache", "--preset", "quick", "--run-dir", str(tmp_path / "run")]
    run(["hack-check", *sides, *options])
    code, out, _ = gate(tmp_path / "run", "--policy", "rl")
    assert code == 1
    assert "threshold FAIL: answers not longer by more than a quarter" in out


def commands(text: str) -> Iterator[list[str]]:
    """The `afterburn …` commands of a shell script."""
    for line in text.replace("\\\n", " ").splitlines():
        found = re.search(r"\bafterburn (.*?)(?:>|\|\||$)", line)
        if found:
            yield shlex.split(found[1])


def refused(words: list[str]) -> list[str]:
    """The words of a command that the command line does not know."""
    command = cli.get_command(click.Context(cli), words[0])
    if command is None:
        return words[:1]
    flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in words[1:] if word.startswith("-") and word not in flags]


def test_the_workflow_runs_commands_and_flags_that_exist() -> None:
    workflow: Any = yaml.safe_load((ROOT / "docs" / "workflows" / "afterburn-gate.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["gate"]["steps"]
    called = [words for step in steps for words in commands(step.get("run", ""))]
    assert {words[0] for words in called} == {"validate", "gate", "judge"}
    assert [refused(words) for words in called if refused(words)] == []
    assert all(set(step) <= {"name", "uses", "with", "run", "if"} for step in steps)
    written = [step["with"].get("sarif_file") for step in steps if "sarif" in step.get("uses", "")]
    assert written == ["gate.sarif"]


def test_the_hooks_run_commands_that_take_what_pre_commit_passes(
    adapter_run: Path, policy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {hook["id"] for hook in hooks} == {
        f"afterburn-{n}{s}" for n in ("gate", "validate") for s in ("", "-system")
    }
    document = str(adapter_run / "result.json")
    for hook in hooks:
        program, command = hook["entry"].split()
        assert program == "afterburn" and re.search(hook["files"], document)
        arguments = ["--policy", str(policy)] if command == "gate" else []
        assert run([command, *arguments, document, document]) == 0
    assert capfd.readouterr().err == ""
