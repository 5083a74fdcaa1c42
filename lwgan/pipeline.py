"""EditingPipeline: encodes a picture, edits the code (Eq. 1), generates a picture from it."""

import copy
import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lwgan import lock
from lwgan.cloud import Cloud
from lwgan.devices import DTYPES, device_of
from lwgan.domain import Change, Domain, change_from_json, domain_from_json, plain_domain, short
from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder, hold_half
from lwgan.frames import FRAMES
from lwgan.generator import Generator
from lwgan.hub import registry as models
from lwgan.images import is_marked, mark_framed, to_pil, to_tensor
from lwgan.judges import IdentityNetwork, Judge, LatentClassifier
from lwgan.strength import MAX_ALPHA, Scale, scale_of

MODULES = {"generator": Generator, "encoder": Encoder}
BASES = {"generator": "base_model", "encoder": "base_encoder"}  # kind -> key of a config that names the base
# Optional models of a domain: the kind, with _ for -, is the pipeline's attribute.
EXTRAS = {"judge": Judge, "identity": IdentityNetwork, "latent-classifier": LatentClassifier}
FOUND = ("note", "quads", "sheet")  # what a frame says of a picture
CLOUD_CODES, CLOUD_PICTURES = 4000, 100  # codes that fit the cloud; sample pictures that scale its distances
SAMPLES = 16  # generated samples of which the labels are read, where the registry has no pictures
UNKNOWN = 255  # in labels


class EditingPipeline:
    """The generator, the encoder and the edits of one domain.

    domain: the Domain in the generator's config, or else a plain one (square pictures, the judge's labels).
    edits: name -> AffineEdit.  changes: name -> the edit's Change, None for an edit without one.
    scales: name -> Scale, what strength 1 means.  sources: name -> the registry entry of an edit.
    refused: name -> why this edit (judge, ...) of the registry cannot be used.
    bases: "base_model" and "base_encoder" -> the Hub ids of the nets, as far as they are known.
    added: the edits that `plus` added; their weights travel in recipes.
    locks: labels that stay while edits are applied (`locking`).
    judge, latent_classifier: read labels in pictures and codes.  identity: embeds pictures.  All may be None.
    images: sample pictures, uint8 [N, H, W] or [N, 3, H, W], or None.  labels: theirs.
    config: the models in use, kind -> {"name", "revision"}.  revisions: kind -> sha256 of the weights in use.
    device, dtype: where and in which precision the networks run. "bfloat16" takes half to two thirds of the
    time on CPUs that support it, with 1% error; "float16" is for CUDA, with 0.1% error. Both keep the
    encoder's weights in half precision. Codes are always float32 on the CPU.

    For many pictures on CUDA, `pipe.generator.synthesis.compile(mode="reduce-overhead")` helps."""

    def __init__(
        self, generator: Generator, encoder: Encoder, edits: Mapping[str, AffineEdit] | None = None, *,
        judge: Judge | None = None, device: str = "cpu", dtype: str = "float32",
    ):  # fmt: skip
        if dtype not in DTYPES:
            raise ValueError(f"dtype {dtype!r} is unknown: choose one of {', '.join(DTYPES)}")
        self.device, self.dtype = device_of(device), dtype
        if dtype == "float16" and self.device.type == "cpu":  # measured: up to thirty times float32's time
            reason = "on the device 'cpu' it is slower than float32, choose bfloat16"
            raise ValueError(f"dtype 'float16' is for CUDA: {reason}")
        self.generator, self.encoder, self.judge = generator.to(self.device), encoder.to(self.device), judge
        self.domain = _domain_of(generator, judge)
        if dtype != "float32":
            hold_half(self.encoder, DTYPES[dtype])
        self._encode, self._synthesize, self._map = self._encode_here, self._synthesize_here, self._map_here
        self.latent_classifier = self.identity = self.images = self._known_labels = None
        self.config: dict[str, dict] = {}
        nets = {"generator": generator, "encoder": encoder}
        self.revisions = {kind: revision for kind, net in nets.items() if (revision := _revision_of(net))}
        self.edits: dict[str, AffineEdit] = {}
        self.changes: dict[str, Change | None] = {}
        self.scales: dict[str, Scale] = {}
        self.sources: dict[str, models.Entry] = {}
        self.refused: dict[str, str] = {}
        self.bases: dict[str, str] = {}
        self.locks: tuple[str, ...] = ()
        self.added: dict[str, AffineEdit] = {}
        for name, edit in (edits or {}).items():
            self.add_edit(name, edit)

    @classmethod
    def from_pretrained(
        cls, registry: str | Path | None = None, domain: str | None = None, *, device: str = "cpu",
        dtype: str = "float32",
    ) -> "EditingPipeline":  # fmt: skip
        """All models of a domain, by default of the registry's first domain.

        registry: as in `lwgan.hub.registry.models`.  device: "cpu", "cuda", "cuda:N", or "auto" for CUDA if
        available. ValueError if the registry has no generator or no encoder for the domain. An edit that is
        broken, or was made for other networks, is only listed in `refused`."""
        entries = models.models(registry, whole=False)
        return cls.from_entries(entries, domain, device=device, dtype=dtype)

    @classmethod
    def from_entries(
        cls, entries: Sequence[models.Entry], domain: str | None = None, *, device: str = "cpu",
        dtype: str = "float32",
    ) -> "EditingPipeline":  # fmt: skip
        """As `from_pretrained`, with models that were listed before (`lwgan.hub.registry.models`)."""
        domain = domain or next(iter(domains_of(entries)), None)
        usable = [entry for entry in entries if entry.domain == domain and not entry.refused]
        refused = [entry for entry in entries if entry.refused]
        first = {entry.kind: entry for entry in reversed(usable)}  # of each kind
        for kind in MODULES:
            if kind not in first:
                where = f" for the domain {domain!r}" if domain else ""
                broken = "".join(f"; {entry.name} is refused: {entry.refused}" for entry in refused)
                raise ValueError(f"the registry has no {kind}{where}{broken}")
        load = lambda kind: MODULES[kind].from_pretrained(first[kind].source, first[kind].revision)
        nets = map(load, MODULES)
        pipe = cls(*nets, device=device, dtype=dtype)
        optional = [first[kind] for kind in (*EXTRAS, "pictures") if kind in first]
        edits = [entry for entry in usable if entry.kind in models.EDIT_KINDS]
        for entry in (*optional, *edits, *refused):
            pipe.take(entry)
        served = [first[kind] for kind in MODULES] + optional
        pipe.config = {entry.kind: models.as_served(entry) for entry in served}
        pipe.name_bases(served)
        return pipe

    def name_bases(self, entries: Sequence[models.Entry]) -> None:
        """Notes the Hub ids of the nets in use, which edits that are taught here will name as their bases."""
        for entry in entries:
            on_hub = entry.kind in BASES and entry.revision and not entry.refused
            if on_hub and entry.config["weights"]["sha256"] == self.revisions.get(entry.kind):
                self.bases[BASES[entry.kind]] = entry.source

    def lend(self, wrap: Callable, device: str = "cuda") -> None:
        """Moves the networks to a device that exists only in functions that `wrap` wraps (`spaces.GPU`). The
        wrapped functions take and return arrays. The cloud, which all visitors share, is computed before."""
        _ = self.cloud
        self.device = torch.device(device)
        self.generator.to(self.device)
        self.encoder.to(self.device)
        self._encode, self._synthesize = wrap(self._encode_here), wrap(self._synthesize_here)
        self._map = wrap(self._map_here)

    def take(self, entry: models.Entry, name: str | None = None) -> None:
        """Loads an edit (as `name`) or an optional model. One that does not load is listed in `refused`."""
        name = name or entry.name
        try:
            if entry.refused:
                raise ValueError(entry.refused)
            if entry.kind == "pictures":
                self._take_pictures(entry)
            elif entry.kind in EXTRAS:
                self._take_extra(entry)
            else:
                self.add_edit(name, AffineEdit.from_pretrained(entry.source, entry.revision))
                self.sources[name] = models.as_loaded(entry)
        except (ValueError, OSError) as error:
            self.refused[name] = models.public_message(error, [entry])

    def _take_pictures(self, entry: models.Entry) -> None:
        side = self.encoder.config["resolution"]
        config, tensors = models.load_pictures(entry.source, entry.revision, side)
        wanted = (len(tensors["images"]), len(self.domain.attributes))
        labels = tensors.get("labels")
        if labels is not None and tuple(labels.shape) != wanted:
            raise ValueError(f"{entry.name!r}: labels has shape {tuple(labels.shape)}, expected {wanted}")
        self.images, self._known_labels = tensors["images"], labels
        self.revisions["pictures"] = config["weights"]["sha256"]

    def _take_extra(self, entry: models.Entry) -> None:
        module = EXTRAS[entry.kind].from_pretrained(entry.source, entry.revision)
        if isinstance(module, LatentClassifier):
            self._check_base(f"{entry.name!r}", module.card_config)
            names = module.card_config.get("names")
            if not isinstance(names, list) or len(names) != module.config["outputs"]:
                raise ValueError(f"{entry.name!r} has {module.config['outputs']} outputs and names {names!r}")
        setattr(self, entry.kind.replace("-", "_"), module)
        if isinstance(module, Judge):
            self.domain = _domain_of(self.generator, module)
        self.revisions[entry.kind] = _revision_of(module)

    def add_edit(self, name: str, edit: AffineEdit) -> None:
        """Adds an edit. ValueError if it was made for other networks, or its config is invalid."""
        shape, wanted = tuple(edit.bias.shape), (self.generator.num_ws, self.generator.w_dim)
        if shape != wanted:
            raise ValueError(f"edit {name!r} is for codes of {shape}, the generator takes {wanted}")
        self._check_base(f"edit {name!r}", edit.config)
        change = edit.config.get("change")
        self.changes[name] = None if change is None else change_from_json(change, f"edit {name!r}")
        self.scales[name] = scale_of(edit.config)
        self.edits = dict(sorted({**self.edits, name: edit}.items()))

    def plus(self, edits: Mapping[str, AffineEdit]) -> "EditingPipeline":
        """The same networks with further edits, which the original does not get. Errors as `add_edit`."""
        _ = self.cloud  # computed once, for all that are made of this pipeline
        other = copy.copy(self)
        other.changes, other.scales = dict(self.changes), dict(self.scales)
        other.added = {**self.added, **edits}
        for name, edit in edits.items():
            other.add_edit(name, edit)
        return other

    @property
    def lockable(self) -> list[str]:
        """What can be locked: labels of the classifier of codes, and shifts that were taught, by name."""
        f, taught = self.latent_classifier, lambda edit: edit.config.get("method") == "teach"
        shifts = [name for name, edit in self.added.items() if edit.weight is None and taught(edit)]
        return [*(f.card_config["names"] if f else ()), *shifts]

    def locking(self, names: Sequence[str]) -> "EditingPipeline":
        """The same pipeline, whose edits leave these of `lockable` as they are (`lwgan.lock`). ValueError for
        others."""
        if not (names or self.locks):
            return self
        for name in names:
            if name not in self.lockable:
                some = ", ".join(self.lockable[:5]) or "nothing"
                raise ValueError(f"{short(name)} cannot be locked: choose of {some}")
        _ = self.cloud  # computed once, for all that are made of this pipeline
        other = copy.copy(self)
        other.locks = tuple(name for name in self.lockable if name in names)
        return other

    def reading_of(self, names: Sequence[str]) -> Callable[[Tensor], Tensor]:
        """Codes [N, num_ws, w_dim] -> how far each of `lockable` holds, [N, K] (`lwgan.lock.reading`)."""
        known = self.latent_classifier.card_config["names"] if self.latent_classifier else []
        columns = [known.index(name) for name in names if name in known]
        shifts = [self.added[name].bias for name in names if name not in known]
        return lock.reading(self.latent_classifier, columns, shifts)

    def _check_base(self, what: str, config: Mapping) -> None:
        """ValueError unless a config names the weights in use, which nets built in Python do not have."""
        made_for = config.get("base_revision") or {}
        for role in MODULES:
            loaded = self.revisions.get(role)
            if loaded and made_for.get(role) != loaded:
                wanted = f"the {role} with weights sha256 {made_for.get(role)}"
                raise ValueError(f"{what} was made for {wanted}, the one loaded has {loaded}")

    def describe_edits(self) -> list[dict]:
        """What each edit changes, its method and its alpha, in the order in which edits are applied."""
        return [self._described(name, edit.config) for name, edit in self.edits.items()]

    def _described(self, name: str, config: Mapping) -> dict:
        change = self.changes[name]
        words = (change.name, change.before, change.after) if change else (None, None, None)
        facts = {"method": config.get("method"), "domain": self.domain.name, "alpha": config.get("alpha")}
        return {"name": name, **dict(zip(("change", "from", "to"), words, strict=True)), **facts}

    # From pictures to codes and back

    def frame(self, picture: Image.Image) -> Image.Image:
        """The picture in the training frame, at the size and in the mode that the encoder takes.

        A framed picture passes unchanged when it is framed again. `info` may hold "note", a remark for the
        visitor, "quads", the corners [K, 4, 2] (x, y) of what was found in the picture, and "sheet", those of
        the paper [N, 2]. ValueError for a picture that cannot be framed."""
        side = self.encoder.config["resolution"]
        if not is_marked(picture):
            picture = FRAMES[self.domain.frame](picture, side)
        if picture.size != (side, side):
            picture = picture.resize((side, side), Image.Resampling.LANCZOS)
        kept = {key: picture.info[key] for key in FOUND if picture.info.get(key)}
        return mark_framed(picture.convert(_mode(self.encoder)), **kept)

    @torch.inference_mode()
    def encode(self, pictures: Image.Image | Sequence[Image.Image] | Tensor) -> Tensor:
        """Pictures -> codes w [N, num_ws, w_dim]. PIL pictures are framed first. A tensor [N, C, H, W] in
        [-1, 1] must be in the training frame already."""
        if not isinstance(pictures, Tensor):
            pictures = [pictures] if isinstance(pictures, Image.Image) else pictures
            pictures = to_tensor([self.frame(picture) for picture in pictures])
        return torch.from_numpy(self._encode(pictures.numpy()))

    @torch.inference_mode()
    def edit(self, w: Tensor, alphas: Mapping[str, float]) -> Tensor:
        """Applies edits to codes w [N, num_ws, w_dim], one after another in the order of their names; what is
        locked stays.

        alphas: name -> alpha. ValueError for a name that is unknown or refused, and for an alpha that is no
        number within +-MAX_ALPHA."""
        check_alphas(alphas)
        for name in alphas:
            self.check_name(name)
        edited = w
        for name in sorted(alphas):
            edited = self.edits[name](edited, float(alphas[name]))
        return lock.keep(self.reading_of(self.locks), w, edited) if self.locks and alphas else edited

    def check_name(self, name: str) -> None:
        """ValueError, with the nearest name or the reason, unless there is such an edit."""
        if name in self.edits:
            return
        if name in self.refused:
            raise ValueError(f"edit {name!r} cannot be used: {self.refused[name]}")
        near = difflib.get_close_matches(name, self.edits, 1)
        some = f", such as {', '.join(list(self.edits)[:3])}" if self.edits else ""
        hint = f"did you mean {near[0]!r}?" if near else f"there are {len(self.edits)}{some}"
        raise ValueError(f"edit {name!r} is unknown: {hint}")

    @torch.inference_mode()
    def generate(self, w: Tensor) -> list[Image.Image]:
        """Codes w [N, num_ws, w_dim] -> N pictures."""
        return to_pil(torch.from_numpy(self._synthesize(w.cpu().numpy())))

    def along(self, w: Tensor, alphas: Mapping[str, float], shares: Sequence[float]) -> list[Image.Image]:
        """Pictures of one code [1, num_ws, w_dim], edited by each share of the alphas."""
        edited = [self.edit(w, {name: share * alpha for name, alpha in alphas.items()}) for share in shares]
        return self.generate(torch.cat(edited))

    @torch.inference_mode()
    def _encode_here(self, pictures: np.ndarray) -> np.ndarray:
        with self._precision():
            return self.encoder(torch.from_numpy(pictures).to(self.device)).cpu().numpy()

    @torch.inference_mode()
    def _synthesize_here(self, w: np.ndarray) -> np.ndarray:
        with self._precision():
            return self.generator.synthesis(torch.from_numpy(w).to(self.device)).float().cpu().numpy()

    @torch.inference_mode()
    def _map_here(self, z: np.ndarray) -> np.ndarray:
        return self.generator.mapping(torch.from_numpy(z).to(self.device)).float().cpu().numpy()

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, DTYPES[self.dtype], enabled=self.dtype != "float32")

    # Samples, and what judges read

    def sample(self, seed: int) -> Image.Image:
        """A framed picture: one of the registry's, or else one that the generator draws from the seed."""
        if self.images is not None:
            image = self.images[seed % len(self.images)]
            image = image if image.ndim == 2 else image.permute(1, 2, 0)
            return mark_framed(Image.fromarray(image.contiguous().numpy()))
        return mark_framed(self.generate(self.codes(1, seed % 2**63))[0])

    def codes(self, n: int, seed: int = 0) -> Tensor:
        """Random codes of the generator, [n, num_ws, w_dim]."""
        z = torch.randn(n, self.generator.z_dim, generator=torch.Generator().manual_seed(seed))
        return torch.from_numpy(self._map(z.numpy()))

    @cached_property
    def cloud(self) -> Cloud:
        """The distribution of the generator's codes; those of sample pictures set the unit of distance."""
        known = None
        if self.images is not None:
            known = self.encode([self.sample(i) for i in range(min(CLOUD_PICTURES, len(self.images)))])
        return Cloud(self.codes(CLOUD_CODES), known)

    def as_generated(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Pictures [N, C, H, W] in the generator's size and mode, which judges are trained to read."""
        side, mode = self.generator.config["resolution"], _mode(self.generator)
        pictures = [picture.convert(mode) for picture in pictures]
        return to_tensor([p if p.size == (side, side) else p.resize((side, side)) for p in pictures])

    @torch.inference_mode()
    def read(self, pictures: Sequence[Image.Image]) -> list[dict[str, float]]:
        """For each framed or generated picture, label -> probability by the judge. ValueError without one."""
        if self.judge is None:
            raise ValueError("the registry has no judge to read the pictures")
        logits = torch.cat([self.judge(part) for part in self.as_generated(pictures).split(50)])
        return [dict(zip(self.judge.names, row, strict=True)) for row in logits.sigmoid().tolist()]

    @cached_property
    def labels(self) -> Tensor | None:
        """The labels of the samples, uint8 [N, K] in the order of `domain.attributes`; UNKNOWN where unknown.
        Those that the registry has, else those that the judge reads; None without either."""
        if self._known_labels is not None or self.judge is None:
            return self._known_labels
        count = SAMPLES if self.images is None else len(self.images)
        read = self.read([self.sample(seed) for seed in range(count)])
        names = self.domain.attributes
        rows = [[round(seen[name]) if name in seen else UNKNOWN for name in names] for seen in read]
        return torch.tensor(rows, dtype=torch.uint8)

    def seeds_of(self, change: Change) -> list[int]:
        """The seeds of the samples that are source cases of a change; empty if their labels are unknown."""
        if self.labels is None or not set(change.source) <= set(self.domain.attributes):
            return []
        columns = [self.domain.attributes.index(name) for name in change.source]
        wanted = torch.tensor(list(change.source.values()), dtype=torch.uint8)
        return (self.labels[:, columns] == wanted).all(1).nonzero().flatten().tolist()


def domains_of(entries: Sequence[models.Entry]) -> list[str]:
    """The names of the domains that have a generator, by `Domain.order` and then as in the registry."""
    usable = [e for e in entries if e.kind == "generator" and e.domain and not e.refused]
    usable.sort(key=lambda entry: _order(entry.config.get("domain_spec")))
    return list(dict.fromkeys(entry.domain for entry in usable))


def _order(spec: object) -> int:
    """The order that a Domain of unknown origin states, 0 if it states none."""
    order = spec.get("order") if isinstance(spec, dict) else None
    return order if type(order) is int else 0


def _domain_of(generator: Generator, judge: Judge | None) -> Domain:
    """The Domain in the generator's config, else a plain one. ValueError if it is invalid."""
    config = getattr(generator, "card_config", {})
    if config.get("domain_spec") is not None:
        return domain_from_json(config["domain_spec"], "domain_spec of the generator", tuple(FRAMES))
    return plain_domain(config.get("domain") or "pictures", judge.names if judge else ())


def _revision_of(module: torch.nn.Module) -> str | None:
    """The sha256 of a module's weights; None for a module that was built in Python."""
    return module.card_config["weights"]["sha256"] if hasattr(module, "card_config") else None


def _mode(module: Generator | Encoder) -> str:
    return "L" if module.config["img_channels"] == 1 else "RGB"


def check_alphas(alphas: Mapping[str, float]) -> None:
    """ValueError unless `alphas` maps edit names to numbers within +-MAX_ALPHA."""
    if not isinstance(alphas, Mapping):
        raise ValueError(f"edits must be given as edit name -> alpha, not as {type(alphas).__name__}")
    for name, alpha in alphas.items():
        if not isinstance(name, str):
            raise ValueError(f"edit {name!r}: a name must be a string")
        number = isinstance(alpha, Real) and not isinstance(alpha, bool)
        if not number or abs(alpha) > MAX_ALPHA or not math.isfinite(alpha):
            expected = f"expected a number from -{MAX_ALPHA} to {MAX_ALPHA}"
            raise ValueError(f"edit {name!r}: alpha is {alpha!r}, {expected}")
