"""Eq. 1 of the paper (with z for w): w' = w + alpha * H(w), H(w)_l = A_l w_l + b_l for each layer l."""

import math
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from lwgan.hub import registry


class AffineEdit:
    """An edit: an affine direction for each layer of a code, whatever method fitted it.

    weight: A, float [num_ws, w_dim, w_dim], output dimension before input; None for a translation (A = 0).
    bias: b, float [num_ws, w_dim].
    config: the contents of config.json; kind, num_ws and w_dim are filled in from the tensors.
    ValueError for tensors that do not fit each other or the config."""

    def __init__(self, weight: Tensor | None, bias: Tensor, config: dict | None = None):
        if bias.ndim != 2 or not bias.is_floating_point():
            raise ValueError(f"bias has shape {tuple(bias.shape)}, {bias.dtype}: needs float [num_ws, w_dim]")
        num_ws, w_dim = bias.shape
        if weight is not None and (weight.shape != (num_ws, w_dim, w_dim) or weight.dtype != bias.dtype):
            wanted = f"{(num_ws, w_dim, w_dim)} and {bias.dtype}"
            raise ValueError(f"weight has shape {tuple(weight.shape)}, {weight.dtype}: expected {wanted}")
        facts = {"kind": "translation" if weight is None else "affine", "num_ws": num_ws, "w_dim": w_dim}
        for key, value in facts.items():
            if (config or {}).get(key, value) != value:
                raise ValueError(f"config says {key} {config[key]!r}, the tensors say {value!r}")
        self.weight, self.bias, self.config = weight, bias, {**facts, **(config or {})}
        self.factors: dict[str, Tensor] = {}

    @classmethod
    def low_rank(cls, out: Tensor, into: Tensor, bias: Tensor, config: dict | None = None) -> "AffineEdit":
        """The edit with A = out @ into, which is stored as these factors.

        out: float [num_ws, w_dim, r].  into: float [num_ws, r, w_dim]. [1, ...]: one map for all layers."""
        if out.ndim != 3 or into.shape != out.mT.shape:
            shapes = f"out has shape {tuple(out.shape)}, into {tuple(into.shape)}"
            raise ValueError(f"{shapes}: expected [L, w_dim, r] and [L, r, w_dim]")
        if len(out) not in (1, len(bias)):
            raise ValueError(f"out has {len(out)} maps, the bias {len(bias)} layers: expected as many, or 1")
        edit = cls((out @ into).expand(len(bias), -1, -1), bias, config)
        edit.factors = {"out": out, "into": into}
        return edit

    def __call__(self, w: Tensor, alpha: float | Tensor = 1.0) -> Tensor:
        """Codes w [N, num_ws, w_dim] -> edited codes of the same shape, type and device.

        alpha: one strength, or one for each code [N]. ValueError for other shapes and for NaN."""
        self._check_codes(w)
        if isinstance(alpha, Tensor):
            if alpha.shape not in ((), (len(w),)):
                wanted = f"one number or [{len(w)}], one for each code"
                raise ValueError(f"alpha has shape {tuple(alpha.shape)}, expected {wanted}")
            return w + alpha.to(w).reshape(-1, 1, 1) * self.direction(w)
        if not math.isfinite(alpha):
            raise ValueError(f"alpha is {alpha}, expected a finite number")
        return w + alpha * self.direction(w)

    def direction(self, w: Tensor) -> Tensor:
        """H(w), what alpha multiplies: [N, num_ws, w_dim] -> the same shape."""
        self._check_codes(w)
        if self.weight is None:
            return self.bias.to(w).expand_as(w)
        return torch.einsum("nli,loi->nlo", w, self.weight.to(w)) + self.bias.to(w)

    def _check_codes(self, w: Tensor) -> None:
        num_ws, w_dim = self.bias.shape
        if w.ndim == 3 and w.shape[1:] == (num_ws, w_dim) and w.is_floating_point():
            return
        hint = ""
        if w.ndim == 2 and w.shape[1] == w_dim:
            hint = f"; a code of W goes to all layers by w[:, None].expand(-1, {num_ws}, -1)"
            if w.shape[0] == num_ws:
                hint = "; if this is one code of W+, give w[None]"
        expected = f"expected float [N, {num_ws}, {w_dim}] (N codes, num_ws, w_dim)"
        raise ValueError(f"codes have shape {tuple(w.shape)} and type {w.dtype}, {expected}{hint}")

    @classmethod
    def from_pretrained(
        cls, source: str | Path, revision: str | None = None, token: str | None = None
    ) -> "AffineEdit":
        """The edit of a folder or a Hub repo, checked. Errors as `lwgan.hub.registry.load_model`."""
        config, tensors = registry.load_model(source, registry.EDIT_KINDS, revision, token)
        bias = tensors.pop("bias")
        if "out" in tensors:
            return cls.low_rank(tensors["out"], tensors["into"], bias, config)
        weight = tensors.get("weight")
        return cls(None if weight is None else weight.expand(len(bias), -1, -1), bias, config)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes config.json and model.safetensors, in the type that the config names (default: float32).
        A matrix A of low rank is stored as its factors; one that all layers share is stored once."""
        tensors = {} if self.weight is None else {"weight": self.weight}
        if self.factors and torch.equal(
            (self.factors["out"] @ self.factors["into"]).expand_as(self.weight), self.weight
        ):
            tensors = self.factors  # unless `weight` was replaced since
        if all(torch.equal(value, value[:1].expand_as(value)) for value in tensors.values()):
            tensors = {name: value[:1] for name, value in tensors.items()}
        registry.save_folder(folder, self.config, {**tensors, "bias": self.bias}, self.config.get("dtype"))

    def push_to_hub(self, repo_id: str, private: bool = False, token: str | None = None) -> "registry.Pushed":
        """Pushes config and weights in one commit; a card that the repo has stays. Errors as
        `lwgan.hub.registry.push`. `python -m trainers publish` pushes a card and pictures too."""
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return registry.push(folder, repo_id, private=private, token=token)
