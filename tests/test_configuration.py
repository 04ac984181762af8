"""Settings and policies: flags win over files, unknown keys are refused by name, relative paths mean the file's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afterburn_core.errors import ConfigError
from afterburn_core.judge.policy import Policy, load_policy, overridden
from afterburn_core.run.configuration import Settings, load_settings


def write(folder: Path, text: str, name: str = ".afterburn.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_without_file_and_flags_there_are_the_defaults(tmp_path: Path) -> None:
    assert load_settings(None, {}, start=tmp_path) == Settings()


def test_the_nearest_file_upwards_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    write(tmp_path, "seed: 1")
    assert load_settings(None, {}, start=inner).seed == 1
    write(tmp_path / "a", "seed: 2")
    assert load_settings(None, {}, start=inner).seed == 2
    write(inner, "seed: 3", name=".afterburn.yml")
    assert load_settings(None, {}, start=inner).seed == 3


def test_flags_win_over_the_file_and_absent_flags_do_not(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: 7\nthreads: 3\ncache: false\nplugins: [weight]\n")
    settings = load_settings(path, {"seed": 9, "threads": None, "cache": True, "plugins": None})
    assert (settings.seed, settings.threads, settings.cache, settings.plugins) == (9, 3, True, ("weight",))


def test_relative_paths_in_a_file_mean_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "policy.yaml").write_text("fail_on: note")
    path = write(tmp_path, "base: base\ntrained: org/model\npolicy: policy.yaml\nrun_dir: runs/x\ncache_dir: c\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load_settings(path, {})
    assert settings.base == str(tmp_path / "base")
    assert settings.trained == "org/model", "a hub id is no path"
    assert settings.policy == str(tmp_path / "policy.yaml")
    assert (settings.run_dir, settings.cache_dir) == (str(tmp_path / "runs/x"), str(tmp_path / "c"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sead: 1", "unknown key 'sead', did you mean 'seed'?"),
        ("seed: '3'", "seed: expected an integer, got '3'"),
        ("seed: true", "expected an integer, got True"),
        ("seed: -1", "seed: -1 is not between 0 and 2**53 - 1"),
        ("seed: 9007199254740992", "is not between 0 and 2**53 - 1"),
        ("threads: 0", "threads: 0 is not at least 1"),
        ("cache: 'no'", "expected true or false, got 'no'"),
        ("cache: 1", "expected true or false, got 1"),
        ("plugins: weight", "expected a list of texts, got 'weight'"),
        ("plugins: [1]", "expected a list of texts, got [1]"),
        ("base: 3", "base: expected text, got 3"),
        ("method: sftt", "sftt"),
        ("fail_on: high", "high"),
        ("- a", "expected keys and values, got list"),
        ("a: [", "not valid YAML at line 1"),
        ("options: {weight.judge: 3}", "options"),
    ],
)
def test_a_faulty_file_is_refused_with_the_place_and_the_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, text), {})
    assert message in str(caught.value)
    assert " @ " not in str(caught.value)
    assert ".afterburn.yaml" in str(caught.value) or "seed" in message or "threads" in message
    assert "\n" not in str(caught.value)


def test_a_missing_file_that_was_asked_for_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "none.yaml", {})


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "# nothing\n"), {}) == Settings()


def test_options_of_components_are_kept_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "options:\n  weight.judge:\n    rounding_ratio: 2.0\n")
    assert load_settings(path, {}).options == {"weight.judge": {"rounding_ratio": 2.0}}


def test_a_yaml_file_cannot_run_code(tmp_path: Path) -> None:
    path = write(tmp_path, "base: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_settings(path, {})


def test_policies_are_read_strictly_and_named_after_their_file(tmp_path: Path) -> None:
    path = write(tmp_path, "fail_on: warning\nreview: fail\noptional: [weight.change]\n", name="release.yaml")
    assert load_policy(path) == Policy(name="release", fail_on="warning", review="fail", optional=("weight.change",))
    assert load_policy(None) == Policy()
    for text, message in (
        ("fail_no: error", "did you mean 'fail_on'?"),
        ("fail_on: loud", "loud"),
        ("", "expected keys and values"),
        ("optional: weight.change", "expected a list of texts"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_policy(write(tmp_path, text, name="bad.yaml"))
        assert message in str(caught.value) and "bad.yaml" in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml")


def test_the_bar_of_a_flag_overrides_the_policy_and_shows_in_its_identity() -> None:
    policy = Policy()
    assert overridden(policy, None) is policy
    assert overridden(policy, "error") is policy
    changed = overridden(policy, "note")
    assert (changed.fail_on, changed.name) == ("note", "default, fail on note")
    assert changed.reference().sha256 != policy.reference().sha256


@pytest.mark.parametrize(
    "field", [{"fail_on": "note"}, {"review": "fail"}, {"optional": ("a",)}, {"options": {"a": {}}}]
)
def test_the_digest_of_a_policy_covers_every_field(field: dict[str, Any]) -> None:
    assert Policy(**field).reference().sha256 != Policy().reference().sha256
