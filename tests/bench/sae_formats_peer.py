"""The half of `sae_formats.py` that runs under the Python of SAELens, dictionary_learning and sparsify.

    PYTHON sae_formats_peer.py DIRECTORY

`DIRECTORY/cases.json` lists dictionaries that somebody else wrote, each with its activations in `x.npy`. Every one is
opened and run by the library the format comes from, or by SAELens's converter for it; then each library writes
dictionaries of its own, with random weights. What they give lies in `given.npz` beside each: `x`, `codes`, `decoded`;
`opened.json` says by what, or why not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dictionary_learning import dictionary as learned
from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
from dictionary_learning.trainers.top_k import AutoEncoderTopK
from sae_lens import SAE
from sae_lens.loading import pretrained_sae_loaders as loaders
from sae_lens.registry import get_sae_class, get_sae_training_class
from sparsify import SparseCoder
from sparsify.config import SparseCoderConfig

D, N, T, K = 24, 96, 33, 7
WHITENED = "covariance_whitening"
Given = tuple[np.ndarray, np.ndarray]


def run(model: Any, x: torch.Tensor) -> Given:
    """Codes and reconstruction as the library computes them, in its own precision."""
    with torch.no_grad():
        codes = model.encode(x)
        decoded = model.decode(codes)
    return codes.to_dense().numpy(), decoded.numpy()


def run_transcoder(model: Any, x: torch.Tensor) -> Given:
    with torch.no_grad():
        return model.encode(x).numpy(), model(x).numpy()


def run_sparse(coder: SparseCoder, x: torch.Tensor) -> Given:
    with torch.no_grad():
        acts, indices, _ = coder.encode(x)
        codes = torch.zeros(len(x), coder.num_latents).scatter_(1, indices.long(), acts)
        decoded = coder.decode(acts, indices)
        if coder.W_skip is not None:
            decoded = decoded + x @ coder.W_skip.mT
    return codes.numpy(), decoded.numpy()


# Files that others wrote


def native(path: Path, x: torch.Tensor) -> Given:
    """A directory of SAELens."""
    config = json.loads((path / "cfg.json").read_text())
    architecture = config.get("architecture", "standard")
    if "topk_threshold" in loaders.load_safetensors_weights(path / "sae_weights.safetensors"):
        raise ValueError("SAELens decides a checkpoint's codes by the batch, not by its threshold")
    model = SAE.load_from_disk(path, dtype="float32")
    scale = config.get("norm_scaling_factor")
    if scale is not None:
        model.fold_activation_norm_scaling_factor(scale)
    if config.get("model_name") == "gpt2-small":
        # SAELens expects activations of a model whose writing weights were centred: the caller's duty there.
        codes, decoded = run(model, x - x.mean(1, keepdim=True))
        return codes, decoded + x.mean(1, keepdim=True).numpy()
    return (run_transcoder if "transcoder" in architecture else run)(model, x)


def converted(loader: Callable[..., Any], repository: str, folder: str, **config: Any) -> Callable[..., Given]:
    """By SAELens's converter of a published repository, its download answered from the directory of the case."""

    def opened(path: Path, x: torch.Tensor) -> Given:
        root = path if path.is_dir() else path.parent

        def local(repo_id: str, filename: str, subfolder: str | None = None, **_: Any) -> str:
            return str(next(root.parent.rglob(Path(filename).name)))

        def shapes(repo_id: str, filename: str) -> dict[str, list[int]]:
            weights = loaders.load_safetensors_weights(local(repo_id, filename))
            return {name: list(tensor.shape) for name, tensor in weights.items()}

        loaders.hf_hub_download = local
        loaders.get_safetensors_tensor_shapes = shapes

        def convert(*_: Any, **__: Any) -> Any:
            overrides = {"dtype": "float32", "d_in": x.shape[1], **config}
            read, state, _ = loader(repository, folder, "cpu", False, overrides)
            read["d_sae"] = state["W_enc"].shape[1]
            return read, {name: tensor.contiguous() for name, tensor in state.items()}

        model = SAE.load_from_disk(root, converter=convert)
        if model.cfg.normalize_activations == "expected_average_only_in":
            model.fold_activation_norm_scaling_factor(scale_of(root, x.shape[1]))
        return (run_transcoder if "transcoder" in model.cfg.architecture() else run)(model, x)

    return opened


def scale_of(root: Path, width: int) -> float:
    """√d over the mean norm that Llama Scope stores; SAELens keeps a table of the published ones instead."""
    hyperparameters = root / "hyperparams.json"
    if hyperparameters.is_file():
        mean = json.loads(hyperparameters.read_text())["dataset_average_activation_norm"]["in"]
    else:
        weights = loaders.load_safetensors_weights(root / "sae_weights.safetensors")
        mean = next(float(value) for name, value in weights.items() if "average_activation_norm" in name)
    return float(width**0.5 / mean)


def learned_by(path: Path, x: torch.Tensor) -> Given:
    """A directory of dictionary_learning, opened by the class that its configuration names."""
    trainer = json.loads((path / "config.json").read_text())["trainer"]
    state = torch.load(path / "ae.pt", weights_only=True)
    name = trainer["dict_class"]
    weights = state["encoder.weight"].T if "encoder.weight" in state else state["W_enc"]
    d, n = weights.shape
    sizes = state["group_sizes"].tolist() if "group_sizes" in state else []
    made: dict[str, Callable[[], Any]] = {
        "AutoEncoder": lambda: learned.AutoEncoder(d, n),
        "AutoEncoderNew": lambda: learned.AutoEncoderNew(d, n),
        "GatedAutoEncoder": lambda: learned.GatedAutoEncoder(d, n),
        "JumpReluAutoEncoder": lambda: learned.JumpReluAutoEncoder(d, n),
        "AutoEncoderTopK": lambda: AutoEncoderTopK(d, n, trainer["k"]),
        "BatchTopKSAE": lambda: BatchTopKSAE(d, n, trainer["k"]),
        "MatryoshkaBatchTopKSAE": lambda: MatryoshkaBatchTopKSAE(d, n, int(state["k"]), sizes),
    }
    model = made[name]()
    model.load_state_dict(state)
    return run(model, x)


OPENED: dict[str, tuple[str, Callable[[Path, torch.Tensor], Given]]] = {
    "saelens": ("SAELens", native),
    "gemma-scope": (
        "SAELens's converter",
        converted(loaders.gemma_2_sae_huggingface_loader, "google/gemma-scope-2b-pt-res", "layer_12/width_16k"),
    ),
    "gemma-scope-embedding": (
        "SAELens's converter",
        converted(loaders.gemma_2_sae_huggingface_loader, "google/gemma-scope-9b-it-res", "embedding/width_4k"),
    ),
    "gemma-scope-2": (
        "SAELens's converter",
        converted(loaders.gemma_3_sae_huggingface_loader, "google/gemma-scope-2-4b-it", "transcoder_all/layer_5"),
    ),
    "llama-scope": (
        "SAELens's converter",
        converted(loaders.llama_scope_sae_huggingface_loader, "fnlp/Llama3_1-8B-Base-LXR-8x", "L15R-8x"),
    ),
    "llama-scope-r1": (
        "SAELens's converter",
        converted(loaders.llama_scope_r1_distill_sae_huggingface_loader, "fnlp/Llama-Scope-R1-Distill", "L7R"),
    ),
    "qwen-scope": (
        "SAELens's converter",
        converted(
            loaders.qwen_scope_sae_huggingface_loader,
            "Qwen/SAE-Res-Qwen3-8B-Base-W64K-L0_5",
            "layer17.sae.pt",
            activation_fn_kwargs={"k": 5},
        ),
    ),
    "dictionary-learning": ("dictionary_learning", learned_by),
    "sparsify": ("sparsify", lambda path, x: run_sparse(SparseCoder.load_from_disk(path), x)),
    "goodfire": (
        "SAELens's converter",
        converted(
            loaders.get_goodfire_huggingface_loader,
            "Goodfire/Llama-3.1-8B-Instruct-SAE-l19",
            "Llama-3.1-8B-Instruct-SAE-l19.pth",
        ),
    ),
}
"""By the longest of these names that a case's name begins with."""


# Files of the libraries' own


def randomise(model: torch.nn.Module) -> None:
    """Every parameter drawn anew: libraries begin with zero biases and tied weights, which would hide mistakes."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.randn_like(value) * (0.3 if value.ndim > 1 or "b_dec" in name else 0.2))
            if name == "threshold":
                value.abs_()


def own_saelens(root: Path, x: torch.Tensor) -> Iterator[tuple[str, Path, Given]]:
    metadata = {"hook_name": "blocks.5.hook_resid_post", "model_name": "gemma-2-2b"}
    plans: list[tuple[str, dict[str, Any]]] = [
        ("standard", {"apply_b_dec_to_input": subtract, "normalize_activations": norm})
        for subtract in (True, False)
        for norm in ("none", "layer_norm", "constant_norm_rescale")
    ]
    plans += [("gated", {"normalize_activations": norm}) for norm in ("none", "layer_norm")]
    plans += [("jumprelu", {"normalize_activations": norm}) for norm in ("none", "constant_norm_rescale")]
    plans += [("topk", {"k": K, "rescale_acts_by_decoder_norm": rescaled}) for rescaled in (True, False)]
    plans += [(kind, {"d_out": 16, "apply_b_dec_to_input": False, "normalize_activations": norm}) for kind in
              ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")
              for norm in ("none", "layer_norm", "constant_norm_rescale")]  # fmt: skip
    plans += [("abstopk", {"k": K}), ("matching_pursuit", {}), ("standard", {"normalize_activations": WHITENED})]
    for at, (architecture, settings) in enumerate(plans):
        model_class, config_class = get_sae_class(architecture)
        described = {"architecture": architecture, "d_in": D, "d_sae": N, "metadata": metadata, **settings}
        model = model_class(config_class.from_dict(described))
        randomise(model)
        path = root / f"saelens-{at:02}-{architecture}"
        model.save_model(path)
        # In a fresh object: saving may fold weights, and what others load is what was saved.
        model = SAE.load_from_disk(path)
        given = (run_transcoder if "transcoder" in architecture else run)(model, x)
        yield " ".join([architecture, *(f"{name}={value}" for name, value in settings.items())]), path, given
    for architecture in ("standard", "gated", "jumprelu", "topk", "batchtopk", "matryoshka_batchtopk"):
        training_class, training_config = get_sae_training_class(architecture)
        more: dict[str, Any] = {"k": K} if "topk" in architecture else {}
        if "matryoshka" in architecture:
            more["matryoshka_widths"] = [N // 4, N]
        trained = training_class(
            training_config.from_dict({"architecture": architecture, "d_in": D, "d_sae": N, **more})
        )
        randomise(trained)
        if hasattr(trained, "topk_threshold"):
            trained.topk_threshold.fill_(0.6)
        path = root / f"saelens-trained-{architecture}"
        trained.save_inference_model(path)
        yield f"{architecture}, as training saves it for use", path, run(SAE.load_from_disk(path), x)


def own_dictionary_learning(root: Path, x: torch.Tensor) -> Iterator[tuple[str, Path, Given]]:
    models: list[torch.nn.Module] = [
        learned.AutoEncoder(D, N), learned.AutoEncoderNew(D, N), learned.GatedAutoEncoder(D, N),
        learned.JumpReluAutoEncoder(D, N), AutoEncoderTopK(D, N, K), BatchTopKSAE(D, N, K),
        MatryoshkaBatchTopKSAE(D, N, K, [N // 4, N - N // 4]),
    ]  # fmt: skip
    for model in models:
        name = type(model).__name__
        randomise(model)
        if isinstance(getattr(model, "threshold", None), torch.Tensor) and name != "JumpReluAutoEncoder":
            model.threshold.fill_(0.4)
        path = root / f"learned-{name}"
        path.mkdir()
        torch.save(model.state_dict(), path / "ae.pt")
        trainer = {"dict_class": name, "layer": 15, "lm_name": "Qwen/Qwen2.5-7B-Instruct", "activation_dim": D,
                   "dict_size": N, "submodule_name": "resid_post_layer_15", "k": K}  # fmt: skip
        (path / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {"io": "out", "ctx_len": 1024}}))
        yield name, path, run(model, x)


def own_sparsify(root: Path, x: torch.Tensor) -> Iterator[tuple[str, Path, Given]]:
    for transcode, skip in ((False, False), (True, False), (True, True)):
        for activation in ("topk", "groupmax"):
            config = SparseCoderConfig(
                num_latents=N if activation == "topk" else K * 13, k=K, transcode=transcode, skip_connection=skip,
                activation=activation, normalize_decoder=not transcode,
            )  # fmt: skip
            coder = SparseCoder(D, config)
            randomise(coder)
            path = root / f"sparsify-{activation}-{transcode}-{skip}" / "layers.9.mlp"
            coder.save_to_disk(path)
            yield f"{activation} transcode={transcode} skip={skip}", path, run_sparse(coder, x)


def main() -> None:
    directory = Path(sys.argv[1])
    listed: list[dict[str, Any]] = []
    for case in json.loads((directory / "cases.json").read_text()):
        begins = max((name for name in OPENED if case["name"].startswith(name)), key=len)
        by, open_it = OPENED[begins]
        path = Path(case["path"])
        x = torch.from_numpy(np.load(case["x"])).float()
        entry = {"name": case["name"], "path": case["path"], "by": by, "own": False}
        try:
            codes, decoded = open_it(path if path.is_dir() or begins != "saelens" else path.parent, x)
        except Exception as error:  # noqa: BLE001 - a library that cannot read a file says so in many ways
            listed.append({**entry, "error": f"{type(error).__name__}: {error}".splitlines()[0]})
            continue
        given = Path(case["x"]).with_name("given.npz")
        np.savez(given, x=x.numpy(), codes=codes, decoded=decoded)
        listed.append({**entry, "given": str(given)})
    torch.manual_seed(5)  # noqa: TID251 - the libraries draw their weights from it
    for by, write in (
        ("SAELens", own_saelens), ("dictionary_learning", own_dictionary_learning), ("sparsify", own_sparsify),
    ):  # fmt: skip
        root = directory / "own" / by
        root.mkdir(parents=True)
        x = torch.randn(T, D)
        for at, (name, path, (codes, decoded)) in enumerate(write(root, x)):
            given = root / f"given-{at}.npz"
            np.savez(given, x=x.numpy(), codes=codes, decoded=decoded)
            listed.append({"name": name, "path": str(path), "by": by, "own": True, "given": str(given)})
    (directory / "opened.json").write_text(json.dumps(listed))


if __name__ == "__main__":
    main()
