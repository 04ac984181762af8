"""Files of a model: listed under strict rules, hashed side by side, compared one by one."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from numpy import arange, float32

from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.manifest import differences, parse_sums, scan, to_sums
from afterburn_core.certify.paths import check_path, check_paths, listed
from afterburn_core.certify.tensors import changes, read_tensors


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory as models have them, with a name that has blanks and files that are not seen."""
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / ".hidden").write_bytes(b"hidden")
    (folder / "name with blanks é.txt").write_bytes(b"blanks")
    (folder / "sub" / "Z.bin").write_bytes(bytes(3 << 20))
    (folder / "a.json").write_bytes(b"{}")
    return folder


def test_the_manifest_is_what_the_shell_recipe_writes_and_sha256sum_checks_it(model: Path) -> None:
    recipe = "find . ! -type d | cut -c3- | LC_ALL=C sort | xargs -d '\\n' sha256sum"
    theirs = subprocess.run(["bash", "-c", recipe], cwd=model, check=True, capture_output=True).stdout
    ours = to_sums(scan(model, threads=3))
    assert ours == theirs
    checked = subprocess.run(["sha256sum", "--strict", "-c", "-"], cwd=model, input=ours, capture_output=True)
    assert checked.returncode == 0
    assert [path for path, _ in parse_sums(ours)] == [".hidden", "a.json", "name with blanks é.txt", "sub/Z.bin"]


def test_a_single_file_is_a_model_too(model: Path) -> None:
    manifest = scan(model / "a.json")
    assert to_sums(manifest) == f"{hashlib.sha256(b'{}').hexdigest()}  a.json\n".encode()


def test_missing_changed_added_renamed_and_swapped_files_are_each_named(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("gone", "edited", "old name", "one", "two", "same"):
        (folder / name).write_text(name)
    expected = parse_sums(to_sums(scan(folder)))
    (folder / "gone").unlink()
    (folder / "edited").write_text("edited since")
    (folder / "old name").rename(folder / "new name")
    (folder / "one").write_text("two")
    (folder / "two").write_text("one")
    (folder / "added.py").write_text("import os")
    found = differences(expected, scan(folder))
    assert found.missing == ("gone",)
    assert found.changed == ("edited",)
    assert found.renamed == (("old name", "new name"),)
    assert found.swapped == (("one", "two"), ("two", "one"))
    assert found.added == ("added.py",)
    assert {fault.code for fault in found.faults()} == {
        "model.missing", "model.changed", "model.renamed", "model.swapped", "model.added",
    }  # fmt: skip
    assert not differences(expected, scan_of(expected, tmp_path))


def scan_of(entries: tuple[tuple[str, str], ...], tmp_path: Path):  # type: ignore[no-untyped-def]
    folder = tmp_path / "again"
    folder.mkdir()
    for path, _ in entries:
        (folder / path).write_text(path)
    return scan(folder)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("", "path.empty"),
        ("/etc/passwd", "path.absolute"),
        ("a/../b", "path.parent"),
        ("a//b", "path.component"),
        ("./a", "path.component"),
        ("a\\b", "path.backslash"),
        ("C:a", "path.drive"),
        ("a\nb", "path.control"),
        ("a\x7fb", "path.control"),
        ("a\u2028b", "path.control"),
        ("a\u202eb", "path.hidden"),
        ("a\u200bb", "path.hidden"),
        ("a\ufeff", "path.hidden"),
        ("\udcff", "path.not_utf8"),
        (unicodedata.normalize("NFD", "é"), "path.not_nfc"),
        ("é" * 128, "path.too_long"),
    ],
)
def test_a_name_that_could_mean_something_else_is_refused_for_its_own_reason(path: str, code: str) -> None:
    with pytest.raises(Invalid) as error:
        check_path(path)
    assert error.value.code == code
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        (["a", "a"], "path.duplicate"),
        (["README.md", "readme.md"], "path.case_collision"),
        (["Sub/a", "sub/b"], "path.case_collision"),
        (["straße", "STRASSE"], "path.case_collision"),
        (["a", "a/b"], "path.conflict"),
    ],
)
def test_names_that_cannot_stand_side_by_side_everywhere_are_refused(paths: list[str], code: str) -> None:
    with pytest.raises(Invalid) as error:
        check_paths(paths)
    assert error.value.code == code


def test_links_stay_within_the_model_or_the_hub_clients_store(tmp_path: Path) -> None:
    cache = tmp_path / "models--org--name"
    snapshot, blobs = cache / "snapshots" / "0a1b", cache / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "1f2e").write_bytes(b"weights")
    (snapshot / "model.safetensors").symlink_to(blobs / "1f2e")
    assert [file.relative for file in listed(snapshot)] == ["model.safetensors"]
    for target, code in (
        ("/etc/passwd", "file.link_outside"),
        ("nowhere", "file.link_broken"),
        (".", "file.link_to_directory"),
    ):
        link = snapshot / "link"
        link.symlink_to(target)
        with pytest.raises(Invalid) as error:
            listed(snapshot)
        assert error.value.code == code
        link.unlink()
    os.mkfifo(snapshot / "pipe")
    with pytest.raises(Invalid) as error:
        listed(snapshot)
    assert error.value.code == "file.not_regular"


LINE = "0" * 64 + "  a\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "sums.empty"),
        (LINE.encode()[:-1], "sums.syntax"),
        (LINE.replace("0", "A").encode(), "sums.syntax"),
        (LINE.replace("  a", " *a").encode(), "sums.syntax"),
        (("\ufeff" + LINE).encode(), "sums.syntax"),
        (LINE.encode() + b"\xff\n", "sums.encoding"),
        (LINE.replace("a", "b").encode() + LINE.encode(), "sums.order"),
        (LINE.encode() * 2, "path.duplicate"),
        (LINE.replace("  a", "  ../a").encode(), "path.parent"),
    ],
)
def test_a_manifest_of_another_form_is_refused_for_its_own_reason(text: bytes, code: str) -> None:
    with pytest.raises(Invalid) as error:
        parse_sums(text)
    assert error.value.code == code


@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda text: f"{'0' * 64}  {text}\n".encode()))
def test_reading_a_manifest_gives_entries_or_a_refusal_and_nothing_else(data: bytes) -> None:
    try:
        entries = parse_sums(data)
    except Invalid:
        return
    assert "".join(f"{digest}  {path}\n" for path, digest in entries).encode() == data


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    path.write_bytes(bytes(4 << 20))

    class Writing:
        """Progress that writes to the file under way, once."""

        done = False

        def begin(self, stage: str, total: int, unit: str) -> None:
            pass

        def advance(self, count: int) -> None:
            if not self.done:
                self.done = True
                with path.open("ab") as stream:
                    stream.write(b"more")

        def end(self) -> None:
            pass

    with pytest.raises(Invalid) as error:
        scan(tmp_path, progress=Writing())
    assert error.value.code == "model.changed_while_read"


def test_tensors_are_told_apart_by_their_bytes_wherever_they_lie(tmp_path: Path) -> None:
    base = {"same": arange(8, dtype=float32), "other": arange(4, dtype=float32), "gone": arange(2, dtype=float32)}
    after = {"same": base["same"], "other": -base["other"], "new": base["gone"]}
    for name, tensors in (("base", base), ("trained", after)):
        (tmp_path / name).mkdir()
        safetensors.numpy.save_file(tensors, tmp_path / name / "model.safetensors")
    (tmp_path / "sharded").mkdir()
    safetensors.numpy.save_file({"same": after["same"]}, tmp_path / "sharded" / "a.safetensors", {"format": "pt"})
    safetensors.numpy.save_file({k: after[k] for k in ("other", "new")}, tmp_path / "sharded" / "b.safetensors")
    read = {name: read_tensors(listed(tmp_path / name)) for name in ("base", "trained", "sharded")}
    before, trained, sharded = read["base"], read["trained"], read["sharded"]
    assert before is not None and trained is not None and sharded is not None
    found = changes(before, trained)
    assert [pair[1].name for pair in found.changed] == ["other"]
    assert [one.name for one in (*found.added, *found.removed, *found.unchanged)] == ["new", "gone", "same"]
    assert trained.by_name["same"].sha256 == hashlib.sha256(base["same"].tobytes()).hexdigest()
    assert trained.sha256 == sharded.sha256 != before.sha256
    shutil.copy(tmp_path / "sharded" / "a.safetensors", tmp_path / "sharded" / "c.safetensors")
    with pytest.raises(Invalid) as error:
        read_tensors(listed(tmp_path / "sharded"))
    assert error.value.code == "safetensors.duplicate"


def test_bytes_that_belong_to_no_tensor_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({"a": arange(8, dtype=float32)}, path)
    path.write_bytes(path.read_bytes() + b"hidden")
    with pytest.raises(Invalid) as error:
        read_tensors(listed(tmp_path))
    assert error.value.code == "safetensors.malformed"
    assert str(tmp_path) not in str(error.value)
