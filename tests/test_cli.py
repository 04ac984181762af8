"""The command line: what people type, what they get on each stream, and the exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from afterburn_core import __version__
from afterburn_core.cli.main import COMMANDS, cli, run
from afterburn_core.resources import golden_documents, schema_path, schema_versions
from afterburn_core.result import codec
from afterburn_core.testing.checkpoints import load_weights, save_weights
from afterburn_core.testing.pairs import (
    Pair,
    adapter_pair,
    dropped_pair,
    edited_pair,
    identity_pair,
    nonfinite_pair,
    planted_pair,
)

SUFFIXES = (".html", ".json", ".md", ".junit.xml", ".sarif")
HEAVY = ("torch", "numpy", "transformers", "safetensors", "peft", "pandas")


class Said:
    """What a command left: exit code, standard output, standard error."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Afterburn = Callable[..., Said]

pytestmark = pytest.mark.usefixtures("weights_alone")


@pytest.fixture
def afterburn(capsys: pytest.CaptureFixture[str]) -> Afterburn:
    """Runs a command line in this process."""

    def call(*arguments: object) -> Said:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands run where nothing lies about: no configuration, no runs."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return planted_pair(tmp_path / "pair", noise=0.3)


@pytest.fixture
def finished(pair: Pair, tmp_path: Path, afterburn: Afterburn) -> Path:
    """A run directory."""
    folder = tmp_path / "run"
    said = afterburn("diagnose", *subjects(pair), "--run-dir", folder, "--quiet")
    assert (said.code, said.out, said.err) == (0, "", "")
    return folder


def subjects(pair: Pair) -> tuple[object, ...]:
    return ("--base", pair.base, "--trained", pair.trained, "--device", "cpu")


def shell(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The installed program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "afterburn_core", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
        check=False,
    )


def test_diagnose_prints_a_summary_and_leaves_a_valid_document(
    afterburn: Afterburn, pair: Pair, empty_folder: Path
) -> None:
    said = afterburn("diagnose", *subjects(pair))
    assert said.code == 0
    assert "PASS" in said.out
    (document,) = empty_folder.glob("afterburn-runs/*/result.json")
    assert re.fullmatch(r"\d{8}T\d{6}Z-trained", document.parent.name)
    assert str(document.relative_to(empty_folder)) in said.out.replace("\n", "")
    result = codec.read(document)
    assert result.run.command == "diagnose"
    assert str(empty_folder.parent) not in document.read_text(), "no path of this machine"


def test_every_suffix_picks_its_reporter(afterburn: Afterburn, pair: Pair, tmp_path: Path) -> None:
    files = [tmp_path / f"report{suffix}" for suffix in SUFFIXES]
    outputs = [argument for file in files for argument in ("-o", file)]
    said = afterburn("diagnose", *subjects(pair), "--run-dir", tmp_path / "run", *outputs)
    assert said.code == 0
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    assert all(f"written: {file}" in said.out.replace("\n", "") for file in files)
    assert texts["report.html"].lower().startswith("<!doctype html>")
    assert codec.loads(texts["report.json"]) == codec.read(tmp_path / "run" / "result.json")
    assert texts["report.md"].startswith("## Afterburn: Pass")
    assert "<testsuite" in texts["report.junit.xml"]
    assert json.loads(texts["report.sarif"])["version"] == "2.1.0"


def test_an_unknown_suffix_is_refused_before_the_run(afterburn: Afterburn, pair: Pair, tmp_path: Path) -> None:
    said = afterburn("diagnose", *subjects(pair), "--run-dir", tmp_path / "run", "-o", "report.docx")
    assert said.code == 2
    assert "no reporter writes '.docx'; use " in said.err
    assert all(suffix in said.err for suffix in SUFFIXES)
    assert not (tmp_path / "run").exists()


def test_json_alone_is_on_standard_output(afterburn: Afterburn, pair: Pair, tmp_path: Path) -> None:
    said = afterburn("weight-diff", *subjects(pair), "--json", "--run-dir", tmp_path / "run")
    assert said.code == 0
    assert said.out == (tmp_path / "run" / "result.json").read_text()
    assert codec.loads(said.out).run.command == "weight-diff"
    assert said.err == ""


def test_quiet_says_nothing_and_still_writes(finished: Path) -> None:
    assert codec.read(finished / "result.json").verdict.status == "pass"


def test_progress_goes_to_standard_error_as_plain_lines(afterburn: Afterburn, pair: Pair) -> None:
    said = afterburn("diagnose", *subjects(pair))
    assert "hashing files: " in said.err and "comparing weights: " in said.err
    assert "\x1b" not in said.err + said.out


def test_broken_weights_fail_with_one_and_never_lets_them_pass(afterburn: Afterburn, tmp_path: Path) -> None:
    pair = nonfinite_pair(tmp_path / "pair")
    said = afterburn("diagnose", *subjects(pair))
    assert said.code == 1
    assert pair.planted is not None and pair.planted in said.out.replace("\n", "")
    lenient = afterburn("diagnose", *subjects(pair), "--fail-on", "never")
    assert lenient.code == 3, "the tensor could not be judged, so it is not a pass either"


def test_a_policy_file_decides_what_fails(afterburn: Afterburn, tmp_path: Path) -> None:
    pair = edited_pair(tmp_path / "pair")
    assert afterburn("diagnose", *subjects(pair)).code == 0
    policy = tmp_path / "strict.yaml"
    policy.write_text("review: fail\n")
    said = afterburn("diagnose", *subjects(pair), "--policy", policy, "--json")
    assert said.code == 1
    result = codec.loads(said.out)
    assert result.verdict.policy.name == "strict"
    documents = ("chat_template", "config", "generation_config", "tokenizer")
    assert {reason.rule for reason in result.verdict.reasons} == {f"weight.{name}_change" for name in documents}


def test_options_of_a_component_come_from_the_policy_and_the_configuration(
    afterburn: Afterburn, pair: Pair, tmp_path: Path
) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("options: {weight.judge: {rounding_ratio: 100000.0}}\n")
    found = codec.loads(afterburn("diagnose", *subjects(pair), "--policy", policy, "--json").out).findings
    assert {f.kind for f in found if f.rule == "weight.below_rounding"} == {"review"}
    (tmp_path / "c.yaml").write_text("options: {weight.judge: {rounding_ration: 2.0}}\n")
    said = afterburn("diagnose", *subjects(pair), "--config", tmp_path / "c.yaml")
    assert said.code == 2 and "did you mean 'rounding_ratio'?" in said.err


def test_judging_again_leaves_the_stored_document_as_it_is(afterburn: Afterburn, tmp_path: Path) -> None:
    pair, folder = dropped_pair(tmp_path / "pair"), tmp_path / "run"
    afterburn("diagnose", *subjects(pair), "--run-dir", folder, "--quiet")
    before = (folder / "result.json").read_bytes()
    policy = tmp_path / "strict.yaml"
    policy.write_text("review: fail\n")

    said = afterburn("judge", folder, "--policy", policy, "-o", tmp_path / "judged.json", "--json")

    assert said.code == 1
    verdict = json.loads(said.out)
    assert (verdict["status"], verdict["policy"]["name"]) == ("fail", "strict")
    assert (folder / "result.json").read_bytes() == before
    judged = codec.read(tmp_path / "judged.json")
    assert judged.verdict.status == "fail"
    assert judged.measurements == codec.read(folder / "result.json").measurements


def test_judging_under_the_same_policy_gives_the_same_judgement(
    afterburn: Afterburn, finished: Path, tmp_path: Path
) -> None:
    said = afterburn("judge", finished, "-o", tmp_path / "again.json")
    assert said.code == 0
    stored, again = codec.read(finished / "result.json"), codec.read(tmp_path / "again.json")
    assert (again.findings, again.verdict) == (stored.findings, stored.verdict)


def test_report_renders_a_run_by_its_folder_or_its_document(
    afterburn: Afterburn, finished: Path, tmp_path: Path
) -> None:
    for run_name, target in ((finished, tmp_path / "a.html"), (finished / "result.json", tmp_path / "b.html")):
        said = afterburn("report", run_name, "-o", target)
        assert (said.code, said.out.replace("\n", "")) == (0, f"written: {target}")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert "PASS" in afterburn("report", finished).out


def test_a_folder_without_a_run_is_named(afterburn: Afterburn, tmp_path: Path) -> None:
    for command in ("report", "judge", "validate"):
        said = afterburn(command, tmp_path / "work")
        assert said.code == 2 and "holds no result.json" in said.err


@pytest.mark.parametrize("document", golden_documents(), ids=lambda path: path.stem)
def test_golden_documents_are_valid(afterburn: Afterburn, document: Path) -> None:
    said = afterburn("validate", document)
    assert said.code == 0 and "valid, schema 1.0" in said.out


def test_a_faulty_document_is_refused_with_the_path_of_every_fault(
    afterburn: Afterburn, finished: Path, tmp_path: Path
) -> None:
    document = json.loads((finished / "result.json").read_text())
    document["measurements"][3]["value"] = "7"
    document["findings"][2]["kind"] = "great"
    document["surprise"] = 1
    faulty = tmp_path / "faulty.json"
    faulty.write_text(json.dumps(document))
    said = afterburn("validate", faulty)
    assert said.code == 2
    lines = said.err.splitlines()
    assert len(lines) >= 3 and all(line.startswith(f"{faulty}: ") for line in lines)
    for place in ("$.measurements[3].value", "$.findings[2].kind", "surprise"):
        assert any(place in line for line in lines), place


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema_version": "1.0", "schema_version": "1.0"}', "\x00"])
def test_what_is_no_result_is_refused_in_one_line(afterburn: Afterburn, tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    said = afterburn("validate", path)
    assert said.code == 2 and said.err and "Traceback" not in said.err


def test_schema_prints_the_frozen_schema(afterburn: Afterburn) -> None:
    newest = schema_versions()[-1]
    assert afterburn("schema").out == schema_path(newest).read_text()
    assert afterburn("schema", "--version", newest).out == schema_path(newest).read_text()
    said = afterburn("schema", "--version", "9.9")
    assert said.code == 2 and "9.9" in said.err


def test_plugins_are_listed_with_what_they_bring(afterburn: Afterburn) -> None:
    listing = json.loads(afterburn("plugins", "--json").out)
    assert listing["problems"] == []
    by_name = {plugin["name"]: plugin for plugin in listing["plugins"]}
    assert {"core", "weight"} <= set(by_name)
    assert {spec["name"] for spec in by_name["weight"]["brings"]["analyzer"]} >= {"weight.delta", "weight.coverage"}
    said = afterburn("plugins")
    assert said.code == 0 and "weight.delta" in said.out


def test_doctor_finds_nothing_wrong_here_and_says_so_in_json(afterburn: Afterburn) -> None:
    checks = json.loads(afterburn("doctor", "--json").out)
    assert {"python", "torch", "plugins", "resources", "cache"} <= {check["name"] for check in checks}
    assert all(check["ok"] for check in checks if check["name"] in {"python", "torch", "plugins", "resources"})
    assert all(set(check) == {"name", "ok", "detail", "remedy"} for check in checks)


def test_plan_says_what_a_diagnose_would_do(afterburn: Afterburn, pair: Pair, empty_folder: Path) -> None:
    planned = json.loads(afterburn("plan", "--base", pair.base, "--trained", pair.trained, "--json").out)
    assert [p["pass"] for p in planned["passes"]] == ["core.documents_pass", "core.weights_pass"]
    size = sum((side / "model.safetensors").stat().st_size for side in (pair.base, pair.trained))
    assert planned["digest"]["bytes"] == planned["passes"][1]["bytes"] == size
    text = afterburn("plan", "--base", pair.base, "--trained", pair.trained).out
    assert "weight.judge" in text and "LlamaForCausalLM" in text
    assert not list(empty_folder.iterdir()), "nothing was written"


def test_a_configuration_file_upwards_serves_where_there_are_no_flags_and_flags_win(
    afterburn: Afterburn, pair: Pair, tmp_path: Path
) -> None:
    (tmp_path / ".afterburn.yaml").write_text(
        f"base: {pair.base}\ntrained: {pair.trained}\ndevice: cpu\nseed: 5\nmethod: dpo\nrun_dir: configured\n"
    )
    result = codec.loads(afterburn("diagnose", "--json", "--seed", "6").out)
    assert (result.run.seed, result.run.method) == (6, "dpo")
    assert (tmp_path / "configured" / "result.json").is_file()
    other = afterburn("diagnose", "--json", "--trained", pair.base, "--run-dir", tmp_path / "flags")
    assert codec.loads(other.out).subjects[1].label == "base"
    assert (tmp_path / "flags" / "result.json").is_file()


def test_only_the_plugins_that_were_named_take_part(afterburn: Afterburn, pair: Pair) -> None:
    result = codec.loads(afterburn("diagnose", *subjects(pair), "--plugins", "weight", "--json").out)
    assert {plugin.name for plugin in result.descriptors.plugins} == {"core", "weight"}
    said = afterburn("diagnose", *subjects(pair), "--plugins", "weigth")
    assert said.code == 2 and "'weigth'" in said.err and "did you mean 'weight'?" in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["diagnos"], "no command is named 'diagnos', did you mean 'diagnose'?"),
        (["diagnose", "--bass", "x"], "No such option"),
        (["diagnose"], "no trained model; give it with --trained"),
        (["diagnose", "--trained", "."], "no base model; give it with --base"),
        (["diagnose", "--base", "none/x/y", "--trained", "."], "none/x/y: no such file or directory"),
        (["diagnose", "--base", ".", "--trained", "."], "is empty; give a directory with model.safetensors"),
        (["diagnose", "--fail-on", "loud"], "'loud' is not one of"),
        (["diagnose", "--config", "none.yaml"], "none.yaml: cannot be read"),
        (["judge", "none"], "none: does not exist; give a run directory or a result document"),
        (["weight-diff", "--plugins", "weight"], "No such option '--plugins'"),
        (["diagnose", "--base", ".", "--trained", ".", "--seed", "-1"], "seed: -1 is not between"),
        (["diagnose", "--base", ".", "--trained", ".", "--threads", "0"], "flags: threads: 0 is not at least 1\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line_on_standard_error_and_exit_with_two(
    afterburn: Afterburn, arguments: list[str], message: str
) -> None:
    said = afterburn(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("afterburn: ") and said.err.count("\n") == 1
    assert message in said.err


def test_debug_adds_the_traceback(afterburn: Afterburn) -> None:
    said = afterburn("diagnose", "--debug", "--base", "none/x/y", "--trained", ".")
    assert said.code == 2
    assert "Traceback" in said.err and "SubjectError" in said.err
    assert "Traceback" not in afterburn("diagnose", "--base", "none/x/y", "--trained", ".").err


def test_an_unwritable_run_directory_is_refused_before_anything_is_read(afterburn: Afterburn, pair: Pair) -> None:
    Path("file").write_text("")
    said = afterburn("diagnose", *subjects(pair), "--run-dir", "file/run")
    assert said.code == 2
    assert "run directory file/run: cannot be created" in said.err and "give another --run-dir" in said.err


def test_models_with_nothing_in_common_are_an_error_and_not_a_success(afterburn: Afterburn, pair: Pair) -> None:
    save_weights(pair.trained, {f"other.{i}": w for i, w in enumerate(load_weights(pair.trained).values())})
    said = afterburn("diagnose", *subjects(pair))
    assert said.code == 2 and "nothing to compare" in said.err


def test_an_adapter_names_its_own_base(afterburn: Afterburn, tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path / "pair")
    result = codec.loads(afterburn("diagnose", "--trained", pair.trained, "--json").out)
    assert [subject.kind for subject in result.subjects] == ["checkpoint", "adapter"]
    assert result.subjects[1].base == "base"


def test_without_excerpts_no_text_of_the_files_is_in_the_document(afterburn: Afterburn, pair: Pair) -> None:
    path = pair.trained / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": "SECRET template"}))
    shown = afterburn("diagnose", *subjects(pair), "--json")
    assert "SECRET" in shown.out
    hidden = afterburn("diagnose", *subjects(pair), "--json", "--no-excerpts")
    assert "SECRET" not in hidden.out and "sha256:" in hidden.out


def commands(group: click.Group, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*prefix, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*prefix, name))


def test_every_command_explains_itself() -> None:
    found = list(commands(cli))
    assert {name[0] for name in found} >= set(COMMANDS)
    assert ("plugin", "new") in found and ("plugin", "check") in found
    for name in [(), *found]:
        said = CliRunner().invoke(cli, [*name, "--help"])
        assert said.exit_code == 0, name
        assert said.output.startswith("Usage: ") and "--help" in said.output
        described = said.output.split("Options:")[0].splitlines()[1:]
        assert any(line.strip() for line in described), f"{name} does not say what it does"


def test_help_lists_every_command_with_the_line_that_its_own_help_has(afterburn: Afterburn) -> None:
    said = afterburn("--help")
    assert said.code == 0
    for name, (_, summary) in COMMANDS.items():
        assert re.search(rf"^  {re.escape(name)} +{re.escape(summary.split('.')[0][:40])}", said.out, re.MULTILINE)


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("plugins",), ("diagnose", "--help"), ("schema",)])
def test_light_commands_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys; from afterburn_core.cli.main import run; code = run(sys.argv[1:]); "
        f"print(sorted(set({HEAVY!r}) & sys.modules.keys()), code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300)
    assert done.stderr.strip().splitlines()[-1] == "[] 0"


def test_finished_runs_are_judged_and_reported_without_torch(finished: Path, tmp_path: Path) -> None:
    blocked = (
        f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r})); "
        "from afterburn_core.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    for arguments in (["judge", finished], ["report", finished, "-o", tmp_path / "r.html"], ["validate", finished]):
        done = subprocess.run([sys.executable, "-c", blocked, *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_module_is_the_program(pair: Pair, tmp_path: Path) -> None:
    assert shell("--version").stdout == f"afterburn, version {__version__}\n"
    done = shell("diagnose", *subjects(pair), "--run-dir", tmp_path / "run", "--json")
    assert done.returncode == 0 and done.stderr == ""
    assert codec.loads(done.stdout).verdict.status == "pass"
    assert shell("diagnose").returncode == 2


@pytest.mark.parametrize("columns", [40, 60])
def test_a_narrow_terminal_is_not_overflown(pair: Pair, finished: Path, columns: int) -> None:
    for arguments in (
        ("report", finished),
        ("plan", "--base", pair.base, "--trained", pair.trained),
        ("judge", finished),
    ):
        done = shell(*arguments, COLUMNS=str(columns))
        assert done.returncode == 0, done.stderr
        widest = max(done.stdout.splitlines(), key=len)
        assert len(widest) <= columns, f"{arguments[0]}: {widest!r}"
        assert "weight" in done.stdout or "Pass" in done.stdout


def test_a_reader_that_closes_the_pipe_is_no_error(finished: Path) -> None:
    command = f"{sys.executable} -m afterburn_core schema | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=300)
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


def test_a_command_of_a_missing_plugin_says_which_one_brings_it(
    afterburn: Afterburn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERBURN_DISABLE_PLUGINS", "reward_hack")
    said = afterburn("hack-check")
    assert said.code == 2
    assert "it comes with the plugin 'reward_hack': pip install ./plugins/reward_hack" in said.err


def test_results_do_not_depend_on_the_folder_or_the_time_they_were_made(
    afterburn: Afterburn, pair: Pair, tmp_path: Path
) -> None:
    first = codec.loads(afterburn("diagnose", *subjects(pair), "--json", "--run-dir", tmp_path / "one").out)
    second = codec.loads(
        afterburn("diagnose", *subjects(pair), "--json", "--run-dir", tmp_path / "two", "--no-cache").out
    )
    assert first.run.id == second.run.id
    same: list[Callable[[Any], Any]] = [lambda r: r.measurements, lambda r: r.findings, lambda r: r.verdict]
    for part in same:
        assert part(first) == part(second)


def test_a_copy_is_shown_as_unchanged(afterburn: Afterburn, tmp_path: Path) -> None:
    pair = identity_pair(tmp_path / "pair")
    said = afterburn("diagnose", *subjects(pair))
    assert said.code == 0
    shown = " ".join(said.out.split())
    assert "every tensor measured is unchanged" in shown and "0 of 21" in shown
    assert "What changed most" not in shown


@pytest.mark.parametrize("arguments", [[], ["plugin"]], ids=["afterburn", "afterburn plugin"])
def test_no_command_shows_the_help_and_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Usage: afterburn") and "Commands:" in lines


def every_command(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), name)
            assert found is not None
            yield from every_command(found, (*words, name))


def test_help_fits_a_terminal_of_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    too_long = [
        (words, line)
        for words in every_command(cli)
        for line in CliRunner().invoke(cli, [*words, "--help"], terminal_width=80).output.splitlines()
        if len(line) > 80
    ]
    assert too_long == []
