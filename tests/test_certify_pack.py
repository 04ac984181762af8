"""From a finished run to a pack on disk, by the command: signed or a draft, whole or not at all, and never a guess."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

sys.path.append(str(Path(__file__).parent / "certificates"))

import tsa

from afterburn_core import Diagnoser
from afterburn_core.certify.encoding import b64_decode
from afterburn_core.certify.envelope import open_bundle, open_payload
from afterburn_core.certify.keygen import write_key
from afterburn_core.certify.keys import load_public_key
from afterburn_core.certify.pack import uuid7
from afterburn_core.certify.predicate_format import faults
from afterburn_core.certify.recompute import problems
from afterburn_core.cli.main import run
from afterburn_core.result import codec
from afterburn_core.result.table import spill
from afterburn_core.testing.pairs import adapter_pair, planted_pair

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("key")
    write_key(folder, "Example GmbH", lambda: PASSPHRASE)
    return folder


@pytest.fixture(scope="module")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `base/`, `trained/` and `run/`: two small models and what a comparison of their weights found."""
    folder = tmp_path_factory.mktemp("weighed")
    pair = planted_pair(folder, scale=0.5)
    Diagnoser(
        base_model=str(pair.base), trained_model=str(pair.trained), method="sft", run_dir=str(folder / "run"),
    ).run_weight_diff()  # fmt: skip
    return folder


@pytest.fixture
def copy(weighed: Path, tmp_path: Path) -> Path:
    """The same in a place where it may be changed."""
    shutil.copytree(weighed, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def certify(
    key: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command on a folder; gives its exit code and what it told on either stream."""
    monkeypatch.setenv("AFTERBURN_KEY_PASSPHRASE", PASSPHRASE)

    def command(folder: Path, out: Path, *flags: str, signed: bool = True) -> tuple[int, str, str]:
        models = ("--trained", str(folder / "trained"), "--base", str(folder / "base"))
        given = ("--key", str(key / "seal.key")) if signed else ()
        capsys.readouterr()
        code = run(["certify", str(folder / "run"), "--out", str(out), "--no-pdf", *given, *models, *flags])
        told = capsys.readouterr()
        return code, told.out, told.err

    return command


@pytest.fixture(scope="module")
def pack(weighed: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed pack without pages."""
    out = tmp_path_factory.mktemp("packs") / "pack"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFTERBURN_KEY_PASSPHRASE", PASSPHRASE)
        flags = ["--key", str(key / "seal.key"), "--out", str(out), "--no-pdf", "--test-result"]
        assert run(["certify", str(weighed / "run"), *flags]) == 0  # the run knows where its models lie
    return out


def predicate_of(pack: Path) -> dict[str, Any]:
    bundle = json.loads((pack / "certificate.sigstore.json").read_bytes())
    found: dict[str, Any] = open_payload(b64_decode(bundle["dsseEnvelope"]["payload"]))["predicate"]
    return found


def statuses(told: str) -> dict[str, str]:
    """Outcome of each check by its id, out of what `verify --json` printed."""
    return {check["id"]: check["status"] for check in json.loads(told)["packs"][0]["checks"]}


def test_a_pack_is_complete_and_its_parts_are_those_that_the_certificate_names(
    pack: Path, weighed: Path, key: Path
) -> None:
    assert {path.name for path in pack.iterdir()} == {
        "certificate.sigstore.json", "test-result.sigstore.json", "trained.SHA256SUMS", "base.SHA256SUMS",
        "result.json", "seal.pub", "seal.crt", "chain.pem", "VERIFY.txt",
    }  # fmt: skip
    opened = open_bundle((pack / "certificate.sigstore.json").read_bytes(), load_public_key(key / "seal.pub"))
    statement = open_payload(opened.payload)
    predicate = statement["predicate"]
    assert faults(predicate) == [] == problems(predicate)
    sums = (pack / "trained.SHA256SUMS").read_bytes()
    assert statement["subject"] == [
        {"name": "trained.SHA256SUMS", "digest": {"sha256": hashlib.sha256(sums).hexdigest()}}
    ]
    for model, name in (("trained", "trained.SHA256SUMS"), ("base", "base.SHA256SUMS")):
        data = (pack / name).read_bytes()
        assert predicate["models"][model]["measured"]["manifest"]["sha256"] == hashlib.sha256(data).hexdigest()
        subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "-"], input=data, cwd=weighed / model, check=True)
    document = (pack / "result.json").read_bytes()
    assert predicate["evidence"]["result"]["sha256"] == hashlib.sha256(document).hexdigest()
    assert document == (weighed / "run" / "result.json").read_bytes()
    assert predicate["seal"]["state"] == "signed" and predicate["seal"]["trust"] == "local"
    assert predicate["protocol"]["deviations"] == []
    assert predicate["summary"]["overall"] == codec.loads(document).verdict.status.upper()


def test_tensors_are_told_changed_and_unchanged_as_planted(pack: Path) -> None:
    relation = predicate_of(pack)["relation"]["measured"]
    assert relation["kind"] == "full"
    assert [tensor["name"] for tensor in relation["changedTensors"]] == ["model.layers.1.self_attn.q_proj.weight"]
    assert relation["tensors"]["added"] == relation["tensors"]["removed"] == 0
    assert relation["tokenizer"] == "equal" and relation["configurationDifferences"] == []


def test_afterburn_verify_accepts_it_with_the_models_and_judged_again(
    pack: Path, weighed: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["--model", str(weighed / "trained"), "--base", str(weighed / "base")]
    assert run(["verify", str(pack), "--key", str(key / "seal.pub"), *models, "--rejudge", "--json"]) == 0
    checks = statuses(capsys.readouterr().out)
    assert {checks[name] for name in ("signature", "verdicts", "rejudged", "model", "base")} == {"ok"}


def test_without_a_key_it_is_an_unsigned_draft_that_no_verifier_accepts(
    certify: Callable[..., Any], weighed: Path, key: Path, tmp_path: Path
) -> None:
    code, out, _ = certify(weighed, tmp_path / "draft", signed=False)
    assert code == 0 and "UNSIGNED DRAFT" in out and "without --declaration: no issuer" in out
    predicate = json.loads((tmp_path / "draft" / "certificate.draft.json").read_bytes())["predicate"]
    assert predicate["seal"] == {"origin": "measured", "state": "draft", "keyFingerprint": None, "trust": "none"}
    assert "unsigned" in {entry["id"] for entry in predicate["limitations"]}
    assert not (tmp_path / "draft" / "seal.pub").exists()
    assert run(["verify", str(tmp_path / "draft"), "--key", str(key / "seal.pub")]) == 4


@pytest.mark.parametrize(
    ("package", "flags", "message"),
    [
        ("rfc8785", (), "certifying needs rfc8785, which is not installed: pip install 'afterburn-core[sign]'"),
        ("rfc3161_client", ("--timestamp-url", "https://tsa.example"), "pip install 'afterburn-core[timestamp]'"),
        ("sigstore", ("--keyless",), "pip install 'afterburn-core[keyless]'"),
    ],
)
def test_a_missing_library_is_named_before_anything_is_hashed(
    certify: Callable[..., Any], weighed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    package: str, flags: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, package, None)
    code, out, err = certify(weighed, tmp_path / "out", *flags)
    assert code == 2 and message in err and "hashing" not in out + err
    assert list(tmp_path.iterdir()) == []


def test_verifying_without_a_library_is_wrong_use_and_no_verdict(
    pack: Path, key: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rfc8785", None)
    assert run(["verify", str(pack), "--key", str(key / "seal.pub")]) == 2
    assert "pip install 'afterburn-core[sign]'" in capsys.readouterr().err


def test_a_file_that_is_not_the_one_the_run_read_is_never_signed(
    certify: Callable[..., Any], copy: Path, tmp_path: Path
) -> None:
    weights = copy / "trained" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    code, _, err = certify(copy, tmp_path / "out")
    assert code == 4 and "model.safetensors is not the file that the run read" in err
    weights.unlink()
    code, _, err = certify(copy, tmp_path / "out")
    assert code == 4 and "was read by the run and is not there" in err
    assert not (tmp_path / "out").exists() and list(tmp_path.glob(".out*")) == []


def test_files_that_the_run_did_not_read_are_listed_and_told(
    certify: Callable[..., Any], copy: Path, tmp_path: Path
) -> None:
    (copy / "trained" / "modeling_custom.py").write_text("import os")
    (copy / "trained" / "optimizer.pt").write_bytes(b"pickle")
    assert certify(copy, tmp_path / "out")[0] == 0
    predicate = predicate_of(tmp_path / "out")
    measured = predicate["models"]["trained"]["measured"]
    assert measured["codeFiles"] == ["modeling_custom.py"] and measured["pickleFiles"] == ["optimizer.pt"]
    assert measured["notReadByRun"] == ["modeling_custom.py", "optimizer.pt"]
    said = {entry["id"] for entry in predicate["limitations"]}
    assert {"files_not_read", "code_files", "pickle_files"} <= said
    assert "modeling_custom.py" in (tmp_path / "out" / "trained.SHA256SUMS").read_text()


def test_findings_that_were_edited_are_not_signed(certify: Callable[..., Any], copy: Path, tmp_path: Path) -> None:
    path = copy / "run" / "result.json"
    result = codec.read(path)
    first, *rest = result.findings
    codec.write(path, attrs.evolve(result, findings=(attrs.evolve(first, kind="pass", level="warning"), *rest)))
    code, _, err = certify(copy, tmp_path / "out")
    assert code == 4 and f"finding {first.rule} of the run's document is not what its detector makes" in err


def test_another_policy_than_the_runs_is_a_stated_deviation(
    certify: Callable[..., Any], weighed: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "release.yaml"
    policy.write_text(
        "fail_on: warning\nthresholds:\n- {metric: weight.delta.relative, at_most: 1.0e-9, reason: nothing may move}\n"
    )
    assert certify(weighed, tmp_path / "out", "--policy", str(policy))[0] == 0
    predicate = predicate_of(tmp_path / "out")
    assert [deviation["id"] for deviation in predicate["protocol"]["deviations"]] == ["policy_after_run"]
    assert predicate["protocol"]["plan"]["policySha256"] == predicate["protocol"]["runPolicy"]["sha256"]
    test = next(test for test in predicate["tests"] if test["kind"] == "threshold")
    assert (test["verdict"], test["threshold"]["value"]) == ("FAIL", 1e-9)
    assert predicate["summary"]["overall"] == "FAIL"


def test_a_run_judged_again_under_a_later_policy_still_says_which_one_it_was_started_under(
    certify: Callable[..., Any], copy: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "later.yaml"
    policy.write_text("fail_on: never\n")
    path = copy / "run" / "result.json"
    before = codec.read(path)
    for _ in range(2):
        assert run(["judge", str(copy / "run"), "--policy", str(policy), "-o", str(path)]) == 0
    assert certify(copy, tmp_path / "out")[0] == 0
    protocol = predicate_of(tmp_path / "out")["protocol"]
    assert protocol["runPolicy"]["sha256"] == before.verdict.policy.sha256 != protocol["policy"]["sha256"]
    assert [deviation["id"] for deviation in protocol["deviations"]] == ["policy_after_run"]


def test_an_interrupted_run_is_certified_as_incomplete(certify: Callable[..., Any], copy: Path, tmp_path: Path) -> None:
    path = copy / "run" / "result.json"
    result = codec.read(path)
    run_part = attrs.evolve(result.run, status="interrupted")
    codec.write(path, attrs.evolve(result, run=run_part))
    code, out, _ = certify(copy, tmp_path / "out")
    assert code == 0 and out.startswith("INCOMPLETE")
    assert predicate_of(tmp_path / "out")["summary"]["gaps"] == ["run"]


def test_an_adapter_is_certified_by_its_own_files_with_the_base_bound_in(
    certify: Callable[..., Any], tmp_path: Path
) -> None:
    pair = adapter_pair(tmp_path / "pair")
    Diagnoser(
        base_model=str(pair.base), trained_model=str(pair.trained), run_dir=str(tmp_path / "pair" / "run")
    ).run_weight_diff()
    assert certify(tmp_path / "pair", tmp_path / "out")[0] == 0
    predicate = predicate_of(tmp_path / "out")
    relation = predicate["relation"]["measured"]
    assert relation["kind"] == "adapter" and "adapter_on_base" in {entry["id"] for entry in predicate["limitations"]}
    assert (
        relation["baseManifestSha256"]
        == hashlib.sha256((tmp_path / "out" / "base.SHA256SUMS").read_bytes()).hexdigest()
    )
    listed = [line.split("  ")[1] for line in (tmp_path / "out" / "trained.SHA256SUMS").read_text().splitlines()]
    assert listed == ["adapter_config.json", "adapter_model.safetensors"]


def test_recorded_outputs_are_certified_by_their_file_and_say_that_no_weights_were_seen(
    certify: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "recorded"
    folder.mkdir()
    for role, answer in (("base", "four"), ("trained", "4")):
        rows = [
            {"prompt_id": f"q{n}", "prompt": f"What is {n} + 4?", "sample": 0, "output": f"{answer} {n}"}
            for n in range(3)
        ]
        (folder / role).write_text("".join(json.dumps(row) + "\n" for row in rows))
    Diagnoser(
        base_model=f"recorded:{folder / 'base'}", trained_model=f"recorded:{folder / 'trained'}",
        run_dir=str(folder / "run"),
    ).run_behaviour()  # fmt: skip
    code, _, err = certify(folder, tmp_path / "out")
    assert (code, err) == (0, err)
    predicate = predicate_of(tmp_path / "out")
    assert predicate["relation"]["measured"]["kind"] == "recorded"
    assert predicate["relation"]["measured"]["tensors"] is None
    assert "weights_not_seen" in {entry["id"] for entry in predicate["notTested"]}
    assert (tmp_path / "out" / "trained.SHA256SUMS").read_text().endswith("  trained\n")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--timestamp-url", "http://127.0.0.1:9"), "a timestamp is over a signature"),
        (("--declaration", "absent.yaml"), "certify --init` writes a template"),
        (("--policy", "absent.yaml"), "give an existing YAML file"),
        (("--trained", "absent"), "no such file or directory"),
        (("--oms",), "--oms signs with a key file alone"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    certify: Callable[..., Any], weighed: Path, tmp_path: Path, flags: tuple[str, ...], told: str
) -> None:
    code, _, err = certify(weighed, tmp_path / "out", *flags, signed=False)
    assert code == 2 and told in err
    assert not (tmp_path / "out").exists()


def test_a_pack_is_never_written_over_anything(certify: Callable[..., Any], weighed: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("precious")
    code, _, err = certify(weighed, tmp_path / "out")
    assert code == 2 and "a pack is never overwritten" in err
    assert (tmp_path / "out" / "mine").read_text() == "precious"


def test_a_run_of_a_model_behind_an_api_is_refused(certify: Callable[..., Any], copy: Path, tmp_path: Path) -> None:
    path = copy / "run" / "result.json"
    result = codec.read(path)
    subjects = tuple(
        attrs.evolve(subject, kind="api", files=()) if subject.role == "trained" else subject
        for subject in result.subjects
    )
    codec.write(path, attrs.evolve(result, subjects=subjects))
    code, _, err = certify(copy, tmp_path / "out")
    assert code == 2 and "a model behind an API has no files that a certificate could be about" in err


def test_measurements_kept_in_tables_are_in_the_pack_and_count(
    certify: Callable[..., Any], copy: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy / "run" / "result.json"
    codec.write(path, spill(codec.read(path), copy / "run", limit=10))
    policy = tmp_path / "each.yaml"
    policy.write_text("thresholds:\n- {metric: weight.delta.relative, scope: each, at_most: 0.1, id: each tensor}\n")
    assert certify(copy, tmp_path / "out", "--policy", str(policy))[0] == 0
    test = next(test for test in predicate_of(tmp_path / "out")["tests"] if test["kind"] == "threshold")
    assert test["verdict"] == "FAIL" and test["scope"] == "tensor=model.layers.1.self_attn.q_proj.weight"
    assert sum(test["places"].values()) > 10
    capsys.readouterr()
    assert run(["verify", str(tmp_path / "out"), "--key", str(key / "seal.pub"), "--rejudge", "--json"]) == 0
    assert statuses(capsys.readouterr().out)["rejudged"] == "ok"
    (copy / "run" / "artifacts" / "measurements.jsonl.gz").write_bytes(b"another")
    capsys.readouterr()
    code, _, err = certify(copy, tmp_path / "again", "--policy", str(policy))
    assert code == 2 and "measurements.jsonl.gz" in err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # WeasyPrint leaves a file open
def test_pages_and_certificate_are_sealed_by_one_key_and_stamped_by_one_authority(
    weighed: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("weasyprint")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    monkeypatch.setenv("AFTERBURN_KEY_PASSPHRASE", PASSPHRASE)
    authority, out = tsa.OpensslAuthority(tmp_path / "tsa"), tmp_path / "out"
    with tsa.served(authority.answer) as url:
        signed = ["--key", str(key / "seal.key"), "--timestamp-url", url]
        assert run(["certify", str(weighed / "run"), *signed, "--out", str(out)]) == 0
    capsys.readouterr()
    asked = ["--rerender", "--require-timestamp", "--tsa-root", str(authority.root)]
    assert run(["verify", str(out), "--key", str(key / "seal.pub"), *asked, "--json"]) == 0
    checks = statuses(capsys.readouterr().out)
    assert {checks[name] for name in ("pdf", "rerender", "timestamp")} == {"ok"}


def test_certificates_are_named_by_uuids_that_sort_by_time() -> None:
    moments = [datetime.datetime(2026, 11, 22, 2, 0, 0, n * 1000, tzinfo=datetime.UTC) for n in range(5)]
    names = [uuid7(moment) for moment in moments]
    assert sorted(names) == names
    for name, moment in zip(names, moments):
        found = uuid.UUID(name)
        assert (found.version, found.variant) == (7, uuid.RFC_4122)
        assert found.int >> 80 == round(moment.timestamp() * 1000)


def test_init_writes_a_declaration_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["certify", "--init"]) == 0
    assert "# issuer:" in (tmp_path / "declaration.yaml").read_text()
    assert run(["certify", "--init"]) == 2
