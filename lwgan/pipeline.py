"""EditingPipeline: a picture becomes a code (encode), the code is edited (Eq. 1), the code becomes a picture (generate)."""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lwgan.cloud import Cloud
from lwgan.devices import DTYPES, device_of
from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder, hold_half
from lwgan.frames.face import frame_face, mark_framed
from lwgan.generator import Generator
from lwgan.hub import registry as models
from lwgan.images import frame_digits, open_picture, to_pil, to_tensor
from lwgan.judges import AttributeJudge, DigitJudge, IdentityNetwork, LatentClassifier
from lwgan.strength import MAX_ALPHA, Scale, curve_of, scale_of


def frame_square(picture: Image.Image, side: int) -> Image.Image:
    """The middle square of a picture, "RGB", side x side px. One of that size passes unchanged."""
    return ImageOps.fit(open_picture(picture).convert("RGB"), (side, side), Image.Resampling.LANCZOS)


# How a domain's pictures are brought into the training frame: (picture, side in px that its encoder takes) -> picture.
FRAMES = {
    "multimnist": lambda picture, side: frame_digits(picture),
    "faces": frame_face,
    "synthfaces": frame_square,
}
MODULES = {"generator": Generator, "encoder": Encoder}
# What else a registry may hold for a domain: kind -> (attribute of the pipeline, its class). All of it can be done without.
EXTRAS = {
    "judge": ("judge", DigitJudge), "attribute-judge": ("judge", AttributeJudge), "identity": ("identity", IdentityNetwork),
    "latent-classifier": ("latent_classifier", LatentClassifier), "pictures": (None, None),
}  # fmt: skip
CLOUD_CODES, CLOUD_PICTURES, TRIED = (
    4000,
    100,
    16,
)  # TRIED: of the generator's samples, to find one with a label


class Seen(NamedTuple):
    """How many digits the judge sees in a picture, and which, ascending. It is asked for both: they may disagree."""

    count: int
    digits: tuple[int, ...]


class EditingPipeline:
    """The generator, the encoder and the edits of one domain.

    edits: name -> AffineEdit.  refused: name -> why that edit (judge, pictures) cannot be used.  config: which models serve, from where.
    device, dtype: where and in which precision the networks run: "float32", "bfloat16" (half to two thirds of the time on CPUs that have it, 1% off)
    or, on CUDA, "float16" (0.1% off); either halves the encoder's weights for good. Codes stay on the CPU, in float32.
    For many pictures on CUDA, `pipe.generator.synthesis.compile(mode="reduce-overhead")` compiles what draws them, in place, at the first
    calls. Nothing was measured on a GPU.
    judge: reads a picture's digits (DigitJudge) or named attributes (`names`, logits [N, K]), or None.  latent_classifier: the same
    of codes, or None.  identity: embeds a face, or None.  images, numbers: real pictures to try, uint8 [N, H, W] or [N, 3, H, W], and
    how many of each digit they hold, [N, 10]; or None.  revisions: sha256 of the weights in use, by kind.  sources: where each edit is from.
    scales: what its strength 1 means.
    """

    def __init__(
        self, generator: Generator, encoder: Encoder, edits: Mapping[str, AffineEdit] | None = None, *,
        domain: str = "multimnist", judge: DigitJudge | None = None, device: str = "cpu", dtype: str = "float32",
    ):  # fmt: skip
        for name, value, known in (("domain", domain, tuple(FRAMES)), ("dtype", dtype, DTYPES)):
            if value not in known:
                raise ValueError(f"{name} {value!r} is unknown: choose one of {', '.join(known)}")
        self.device, self.dtype = device_of(device), dtype
        if dtype == "float16" and self.device.type == "cpu":  # measured: up to thirty times float32's time
            raise ValueError(
                "dtype 'float16' is for CUDA: on the device 'cpu' it is slower than float32, choose bfloat16"
            )
        self.generator, self.encoder, self.judge = generator.to(self.device), encoder.to(self.device), judge
        if dtype != "float32":
            hold_half(self.encoder, DTYPES[dtype])
        self._encode, self._synthesize, self._map = self._encode_here, self._synthesize_here, self._map_here
        self.latent_classifier = self.identity = self.images = self.numbers = None
        self.config: dict = {"domain": domain}
        self.revisions = {
            kind: module.card_config["weights"]["sha256"]
            for kind, module in self._nets()
            if hasattr(module, "card_config")
        }
        self.edits: dict[str, AffineEdit] = {}
        self.scales: dict[str, Scale] = {}
        self.sources: dict[str, models.Entry] = {}
        self.refused: dict[str, str] = {}
        for name, edit in (edits or {}).items():
            self.add_edit(name, edit)

    @classmethod
    def from_pretrained(
        cls,
        registry: str | Path | None = None,
        domain: str | None = None,
        *,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> "EditingPipeline":
        """All models of a domain (by default MultiMNIST, or else the registry's first). `registry` as in `lwgan.hub.registry.models`;
        device: "cpu", "cuda", "cuda:N", or "auto" for CUDA where there is one.

        ValueError if the registry has no generator or no encoder for the domain. An edit that is broken, or made for
        another generator or encoder, is left out and stands in `refused` with the reason.
        """
        entries = models.models(registry, whole=False)
        return cls.from_entries(entries, domain or _default_domain(entries), device=device, dtype=dtype)

    @classmethod
    def from_entries(
        cls, entries: Sequence[models.Entry], domain: str, *, device: str = "cpu", dtype: str = "float32"
    ) -> "EditingPipeline":
        """As `from_pretrained`, of models that were listed before."""
        found = {kind: _only(entries, kind, domain) for kind in (*MODULES, *EXTRAS)}
        for kind in MODULES:
            if found[kind] is None:
                broken = "".join(
                    f"; {entry.name} is refused: {entry.refused}" for entry in entries if entry.refused
                )
                raise ValueError(f"the registry has no {kind} for the domain {domain!r}{broken}")
        nets = [
            module.from_pretrained(found[kind].source, found[kind].revision)
            for kind, module in MODULES.items()
        ]
        pipe = cls(*nets, domain=domain, device=device, dtype=dtype)
        edits = [entry for entry in entries if entry.kind in models.EDIT_KINDS and entry.domain == domain]
        for entry in [
            *(found[kind] for kind in EXTRAS),
            *edits,
            *(entry for entry in entries if entry.refused),
        ]:
            if entry:
                pipe.take(entry)
        pipe.config.update({kind: models.as_served(entry) for kind, entry in found.items() if entry})
        return pipe

    def lend(self, wrap: Callable, device: str = "cuda") -> None:
        """Moves the networks to a device that is there only inside of functions that `wrap` has wrapped (`spaces.GPU` on ZeroGPU).
        They take arrays and give arrays. What can be known before, where codes lie, is computed here first."""
        _ = self.cloud
        self.device = torch.device(device)
        self.generator.to(self.device)
        self.encoder.to(self.device)
        self._encode, self._synthesize, self._map = (
            wrap(self._encode_here),
            wrap(self._synthesize_here),
            wrap(self._map_here),
        )

    def take(self, entry: models.Entry, name: str | None = None) -> None:
        """Loads what the pipeline can do without: a judge, the pictures to try, an edit (as `name`). What does not load goes
        among `refused`."""
        try:
            if entry.refused:
                raise ValueError(entry.refused)
            if entry.kind == "pictures":
                self._take_pictures(
                    *models.load_pictures(entry.source, entry.revision, self.encoder.config["resolution"])
                )
            elif entry.kind in EXTRAS:
                self._take_extra(entry)
            else:
                edit = AffineEdit.from_pretrained(entry.source, entry.revision)
                self.add_edit(
                    name or entry.name, edit, scale_of(edit.config, curve_of(entry.source, edit.config))
                )
                self.sources[name or entry.name] = models.as_loaded(entry)
        except (ValueError, OSError) as error:
            self.refused[name or entry.name] = models.told(error, [entry])

    def _take_pictures(self, config: dict, tensors: dict[str, Tensor]) -> None:
        self.images, self.numbers = tensors["images"], tensors.get("numbers")
        self.revisions["pictures"] = config["weights"]["sha256"]

    def _take_extra(self, entry: models.Entry) -> None:
        attribute, known = EXTRAS[entry.kind]
        module = known.from_pretrained(entry.source, entry.revision)
        if isinstance(module, LatentClassifier):
            self._check_base(f"{entry.name!r}", module.card_config)
            names = module.card_config.get("names")
            if not isinstance(names, list) or len(names) != module.config["outputs"]:
                raise ValueError(f"{entry.name!r} has {module.config['outputs']} outputs and names {names!r}")
        setattr(self, attribute, module)
        self.revisions[entry.kind] = module.card_config["weights"]["sha256"]

    def _nets(self) -> tuple:
        return ("generator", self.generator), ("encoder", self.encoder)

    def add_edit(self, name: str, edit: AffineEdit, scale: Scale | None = None) -> None:
        """Adds an edit. ValueError if it was made for another generator or encoder than those loaded."""
        shape, wanted = tuple(edit.bias.shape), (self.generator.num_ws, self.generator.w_dim)
        if shape != wanted:
            raise ValueError(f"edit {name!r} is for codes of {shape}, the generator takes {wanted}")
        self._check_base(f"edit {name!r}", edit.config)
        self.scales[name] = scale or scale_of(edit.config, curve_of(None, edit.config))
        self.edits = dict(sorted({**self.edits, name: edit}.items()))

    def _check_base(self, what: str, config: dict) -> None:
        for role, module in self._nets():
            made_for, loaded = (
                (config.get("base_revision") or {}).get(role),
                module.card_config["weights"]["sha256"],
            )
            if made_for != loaded:
                raise ValueError(
                    f"{what} was made for the {role} with weights sha256 {made_for}, the one loaded has {loaded}"
                )

    def describe_edits(self) -> list[dict]:
        """What a caller needs to know of each edit, in the order in which they are applied."""
        keys = ("attribute", "from", "to", "method", "domain", "alpha")
        return [
            {"name": name, **{key: edit.config.get(key) for key in keys}} for name, edit in self.edits.items()
        ]

    def frame(self, picture: Image.Image) -> Image.Image:
        """A picture as the encoder takes it: digits in their cells, a face in FFHQ's frame. Framed once, it passes unchanged."""
        return FRAMES[self.config["domain"]](picture, self.encoder.config["resolution"])

    @torch.inference_mode()
    def encode(self, pictures: Image.Image | Sequence[Image.Image] | Tensor) -> Tensor:
        """Pictures -> codes w [N, num_ws, w_dim]. PIL pictures are framed first; a tensor [N, C, H, W] in [-1, 1] is taken as it is."""
        if not isinstance(pictures, Tensor):
            pictures = [pictures] if isinstance(pictures, Image.Image) else pictures
            pictures = to_tensor([self.frame(picture) for picture in pictures])
        return torch.from_numpy(self._encode(pictures.numpy()))

    @torch.inference_mode()
    def _encode_here(self, pictures: np.ndarray) -> np.ndarray:
        with self._precision():
            return self.encoder(torch.from_numpy(pictures).to(self.device)).cpu().numpy()

    @torch.inference_mode()
    def edit(self, w: Tensor, alphas: Mapping[str, float]) -> Tensor:
        """Codes w [N, num_ws, w_dim], each named edit applied at its strength alpha (Eq. 1), one after another by name.

        ValueError for a name that is unknown or refused, and for an alpha that is no number within +-MAX_ALPHA.
        """
        check_alphas(alphas)
        for name in alphas:
            self.check_name(name)
        for name in sorted(alphas):
            w = self.edits[name](w, float(alphas[name]))
        return w

    def check_name(self, name: str) -> None:
        """ValueError, with the nearest name or the reason, unless there is such an edit."""
        if name in self.edits:
            return
        if name in self.refused:
            raise ValueError(f"edit {name!r} cannot be used: {self.refused[name]}")
        near, some = difflib.get_close_matches(name, self.edits, 1), ", ".join(list(self.edits)[:3])
        hint = (
            f"did you mean {near[0]!r}"
            if near
            else f"there are {len(self.edits)}" + (f", such as {some}" if some else "")
        )
        raise ValueError(f"edit {name!r} is unknown: {hint}")

    @torch.inference_mode()
    def generate(self, w: Tensor) -> list[Image.Image]:
        """Codes w [N, num_ws, w_dim] -> N pictures."""
        return to_pil(torch.from_numpy(self._synthesize(w.cpu().numpy())))

    @torch.inference_mode()
    def _synthesize_here(self, w: np.ndarray) -> np.ndarray:
        with self._precision():
            return self.generator.synthesis(torch.from_numpy(w).to(self.device)).float().cpu().numpy()

    @torch.inference_mode()
    def _map_here(self, z: np.ndarray) -> np.ndarray:
        return self.generator.mapping(torch.from_numpy(z).to(self.device)).float().cpu().numpy()

    @cached_property
    def cloud(self) -> Cloud:
        """Where codes lie, the generator's own and those of the pictures to try, to tell how far outside a code is."""
        z = torch.randn(CLOUD_CODES, self.generator.z_dim, generator=torch.Generator().manual_seed(0))
        known = (
            None
            if self.images is None
            else self.encode([self.sample(i) for i in range(min(CLOUD_PICTURES, len(self.images)))])
        )
        return Cloud(torch.from_numpy(self._map(z.numpy())), known)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, DTYPES[self.dtype], enabled=self.dtype != "float32")

    def read(self, pictures: Sequence[Image.Image]) -> list[Seen]:
        """What the judge sees in each picture (already framed). ValueError if there is no judge."""
        if self.judge is None:
            raise ValueError("the registry has no judge: nobody can read the pictures")
        if not isinstance(self.judge, DigitJudge):
            raise ValueError("the registry's judge reads attributes, not digits")
        reading = self.judge.read(to_tensor(pictures))
        digits = [tuple(torch.arange(10).repeat_interleave(row).tolist()) for row in reading.numbers]
        return [Seen(*seen) for seen in zip(reading.count.tolist(), digits, strict=True)]

    def sample(self, seed: int) -> Image.Image:
        """A picture to try: a real one that no training saw, or, where the registry has none, one of the generator's."""
        if self.images is not None:
            image = self.images[seed % len(self.images)]
            return mark_framed(
                Image.fromarray((image if image.ndim == 2 else image.permute(1, 2, 0)).contiguous().numpy())
            )
        z = torch.randn(1, self.generator.z_dim, generator=torch.Generator().manual_seed(seed % 2**63))
        drawn = self.generate(torch.from_numpy(self._map(z.numpy())))[0]
        return mark_framed(drawn)  # what it draws is as its training pictures were

    def seed_of(self, label: str | None) -> int:
        """The first seed whose sample has a label, such as "1 digit": as is known, or of what the generator draws, as the judge reads it;
        0 if there is none."""
        counts = [] if self.numbers is None else self.numbers.sum(1).tolist()
        if self.images is None and isinstance(self.judge, DigitJudge):
            counts = [seen.count for seen in self.read([self.sample(seed) for seed in range(TRIED)])]
        return next((seed for seed, count in enumerate(counts) if count_label(count) == label), 0)


def count_label(count: int) -> str:
    """1 -> "1 digit", 2 -> "2 digits": the labels that the edits of MultiMNIST lead from and to."""
    return f"{count} digit" if count == 1 else f"{count} digits"


def check_alphas(alphas: Mapping[str, float]) -> None:
    """ValueError unless `alphas` is edit name -> finite number within +-MAX_ALPHA; it names the culprit."""
    if not isinstance(alphas, Mapping):
        raise ValueError(f"edits must be given as edit name -> alpha, not as {type(alphas).__name__}")
    for name, alpha in alphas.items():
        if not isinstance(name, str):
            raise ValueError(f"edit {name!r}: a name must be a string")
        if (
            isinstance(alpha, bool)
            or not isinstance(alpha, Real)
            or abs(alpha) > MAX_ALPHA
            or not math.isfinite(alpha)
        ):
            raise ValueError(
                f"edit {name!r}: alpha is {alpha!r}, expected a number from -{MAX_ALPHA} to {MAX_ALPHA}"
            )


def _default_domain(entries: list[models.Entry]) -> str:
    domains = [entry.domain for entry in entries if entry.kind == "generator" and entry.domain in FRAMES]
    return domains[0] if domains and "multimnist" not in domains else "multimnist"


def _only(entries: list[models.Entry], kind: str, domain: str) -> models.Entry | None:
    """The domain's entry of a kind; the first by name if there are several."""
    return next(
        (entry for entry in entries if entry.kind == kind and entry.domain == domain and not entry.refused),
        None,
    )
