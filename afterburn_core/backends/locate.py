"""Where a subject's files lie: directories, hub ids in the client's cache, weight files and their index."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePosixPath

from afterburn_core.backends.documents import FILES, read_json
from afterburn_core.backends.encoder_folder import HUB_PATTERNS
from afterburn_core.errors import SubjectError
from afterburn_core.run.references import SubjectReference

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLES = ("model.safetensors", "pytorch_model.bin")
# files that trainers leave beside weights and that are no weights
_NOT_WEIGHTS = ("optimizer", "scheduler", "rng_state", "training_args", "scaler", "random_states", "adapter_")


def locate(reference: SubjectReference) -> tuple[Path, str | None]:
    """The local path of a subject, and the commit where it came from the hub.

    Raises:
        SubjectError: the hub cannot give it, or the checkpoint backend does not open such subjects.
    """
    if reference.scheme == "path" and reference.path is not None:
        return reference.path, None
    if reference.scheme != "hub" or reference.hub_id is None:
        raise SubjectError(f"{reference.text}: the checkpoint backend opens directories, files and hub ids only")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise SubjectError(
            f"{reference.text}: hub ids need huggingface_hub; pip install 'afterburn-core[run]' or give a directory"
        ) from error
    patterns = ["*.safetensors", "*.safetensors.index.json", *FILES, *HUB_PATTERNS]
    pickles = ["pytorch_model*.bin", "pytorch_model.bin.index.json", "adapter_model.bin"]
    try:
        fetch = partial(
            snapshot_download, reference.hub_id, revision=reference.revision, local_files_only=reference.cached_only
        )
        local = Path(fetch(allow_patterns=patterns))
        if not any(local.glob("*.safetensors")):  # an older repository that has pickles only
            local = Path(fetch(allow_patterns=patterns + pickles))
    except Exception as error:  # the client raises its own, its transport's and the system's errors
        if reference.cached_only:
            raise SubjectError(
                f"{reference.text}: the base that the adapter names is not on this machine; give it with --base "
                "to have it fetched, or give a local directory"
            ) from error
        detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SubjectError(
            f"{reference.text}: cannot be fetched from the hub ({detail}); check the id and the network, "
            "or give a local directory"
        ) from error
    return local, local.name


def weight_files(directory: Path) -> tuple[Path, ...]:
    """The weight files of a model directory, safetensors before pickles.

    Raises:
        SubjectError: there are none, or the index does not describe them.
    """
    for name in INDEXES:
        index = read_json(directory / name)
        if index is None:
            continue
        mapping = index.get("weight_map")
        if not isinstance(mapping, dict) or not mapping:
            raise SubjectError(f"{directory / name}: has no weight_map; save the checkpoint again")
        strange = [shard for shard in mapping.values() if not isinstance(shard, str) or not _is_below(shard)]
        if strange:
            raise SubjectError(f"{directory / name}: weight_map names {strange[0]!r}, which is no file beside it")
        shards = sorted(set(mapping.values()))
        missing = [shard for shard in shards if not (directory / shard).is_file()]
        if missing:
            named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            raise SubjectError(f"{directory}: {len(missing)} of {len(shards)} shards are missing: {named}; fetch them")
        return tuple(directory / shard for shard in shards)
    for name in _SINGLES:
        if (directory / name).is_file():
            return (directory / name,)
    for suffix in (".safetensors", ".bin", ".pt", ".pth", ".gguf"):
        found = sorted(p for p in directory.glob(f"*{suffix}") if p.is_file() and not p.name.startswith(_NOT_WEIGHTS))
        if found:
            return tuple(found)
    present = sorted(p.name for p in directory.iterdir())
    state = "is empty" if not present else f"holds no weights (found {', '.join(present[:4])})"
    raise SubjectError(f"{directory}: {state}; give a directory with model.safetensors or its shards")


def _is_below(shard: str) -> bool:
    """Whether a shard's name stays within the model's directory."""
    path = PurePosixPath(shard)
    return not path.is_absolute() and ".." not in path.parts


def adapter_base(reference: SubjectReference) -> str | None:
    """The base that an adapter names, resolved beside it where it is a relative path; `None` for no adapter.

    Raises:
        SubjectError: the configuration is malformed, or the adapter cannot be fetched.
    """
    if reference.scheme not in {"path", "hub"}:
        return None
    path, _ = locate(reference)
    config = (read_json(path / "adapter_config.json") if path.is_dir() else None) or {}
    named = config.get("base_model_name_or_path") or config.get("model")  # PEFT's and mlx-lm's names for it
    revision = config.get("revision")
    if not isinstance(named, str):
        return None
    for candidate in (path / named, path.parent / named):
        if candidate.exists():
            return str(candidate)
    return f"{named}@{revision}" if isinstance(revision, str) and not Path(named).exists() else named
