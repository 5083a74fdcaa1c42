"""EditingPipeline: a picture becomes a code (encode), the code is edited (Eq. 1), the code becomes a picture (generate)."""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from lwgan import registry as models
from lwgan.classifiers import DigitJudge
from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder, hold_half
from lwgan.faces import frame_face, mark_framed
from lwgan.generator import Generator
from lwgan.images import frame_digits, to_pil, to_tensor

# How a domain's pictures are brought into the training frame: (picture, side in px that its encoder takes) -> picture.
FRAMES = {"multimnist": lambda picture, side: frame_digits(picture), "faces": frame_face}
MAX_ALPHA = 5  # beyond it an edit only extrapolates
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
MODULES = {"generator": Generator, "encoder": Encoder, "judge": DigitJudge}


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
    judge: reads the digits of a picture, or None.  images, numbers: real pictures to try, uint8 [N, H, W], and how many
    of each digit they hold, [N, 10]; or None.
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
            raise ValueError("dtype 'float16' is for CUDA: on the device 'cpu' it is slower than float32, choose bfloat16")
        self.generator, self.encoder, self.judge = generator.to(self.device), encoder.to(self.device), judge
        if dtype != "float32":
            hold_half(self.encoder, DTYPES[dtype])
        self.images = self.numbers = None
        self.config: dict = {"domain": domain}
        self.edits: dict[str, AffineEdit] = {}
        self.refused: dict[str, str] = {}
        for name, edit in (edits or {}).items():
            self.add_edit(name, edit)

    @classmethod
    def from_pretrained(
        cls, registry: str | Path | None = None, domain: str | None = None, *, device: str = "cpu", dtype: str = "float32"
    ) -> "EditingPipeline":
        """All models of a domain (by default MultiMNIST, or else the registry's first). `registry` as in `lwgan.registry.models`;
        device: "cpu", "cuda", "cuda:N", or "auto" for CUDA where there is one.

        ValueError if the registry has no generator or no encoder for the domain. An edit that is broken, or made for
        another generator or encoder, is left out and stands in `refused` with the reason.
        """
        entries = models.models(registry)
        domain = domain or _default_domain(entries)
        found = {kind: _only(entries, kind, domain) for kind in (*MODULES, "pictures")}
        for kind in ("generator", "encoder"):
            if found[kind] is None:
                broken = "".join(f"; {entry.name} is refused: {entry.refused}" for entry in entries if entry.refused)
                raise ValueError(f"the registry has no {kind} for the domain {domain!r}{broken}")
        nets = [MODULES[kind].from_pretrained(found[kind].source, found[kind].revision) for kind in ("generator", "encoder")]
        pipe = cls(*nets, domain=domain, device=device, dtype=dtype)
        pipe.config.update({kind: {"name": entry.name, "revision": entry.revision} for kind, entry in found.items() if entry})
        edits = [entry for entry in entries if entry.kind in models.EDIT_KINDS and entry.domain == domain]
        for entry in [found["judge"], found["pictures"], *edits, *(entry for entry in entries if entry.refused)]:
            if entry:
                pipe._take(entry)
        return pipe

    def _take(self, entry: models.Entry) -> None:
        """Loads what the pipeline can do without: the judge, the pictures to try, an edit. What does not load goes among `refused`."""
        try:
            if entry.refused:
                raise ValueError(entry.refused)
            if entry.kind == "judge":
                self.judge = DigitJudge.from_pretrained(entry.source, entry.revision)
            elif entry.kind == "pictures":
                tensors = models.load_model(entry.source, "pictures", entry.revision)[1]
                self.images, self.numbers = tensors["images"], tensors["numbers"]
            else:
                self.add_edit(entry.name, AffineEdit.from_pretrained(entry.source, entry.revision))
        except (ValueError, OSError) as error:
            self.refused[entry.name] = str(error)

    def add_edit(self, name: str, edit: AffineEdit) -> None:
        """Adds an edit. ValueError if it was made for another generator or encoder than those loaded."""
        shape, wanted = tuple(edit.bias.shape), (self.generator.num_ws, self.generator.w_dim)
        if shape != wanted:
            raise ValueError(f"edit {name!r} is for codes of {shape}, the generator takes {wanted}")
        for role, module in (("generator", self.generator), ("encoder", self.encoder)):
            made_for, loaded = (edit.config.get("base_revision") or {}).get(role), module.card_config["weights"]["sha256"]
            if made_for != loaded:
                raise ValueError(f"edit {name!r} was made for the {role} with weights sha256 {made_for}, the one loaded has {loaded}")
        self.edits = dict(sorted({**self.edits, name: edit}.items()))

    def describe_edits(self) -> list[dict]:
        """What a caller needs to know of each edit, in the order in which they are applied."""
        keys = ("attribute", "from", "to", "method", "domain", "alpha")
        return [{"name": name, **{key: edit.config.get(key) for key in keys}} for name, edit in self.edits.items()]

    def frame(self, picture: Image.Image) -> Image.Image:
        """A picture as the encoder takes it: digits in their cells, a face in FFHQ's frame. Framed once, it passes unchanged."""
        return FRAMES[self.config["domain"]](picture, self.encoder.config["resolution"])

    @torch.inference_mode()
    def encode(self, pictures: Image.Image | Sequence[Image.Image] | Tensor) -> Tensor:
        """Pictures -> codes w [N, num_ws, w_dim]. PIL pictures are framed first; a tensor [N, C, H, W] in [-1, 1] is taken as it is."""
        if not isinstance(pictures, Tensor):
            pictures = [pictures] if isinstance(pictures, Image.Image) else pictures
            pictures = to_tensor([self.frame(picture) for picture in pictures])
        with self._precision():
            return self.encoder(pictures.to(self.device)).cpu()

    @torch.inference_mode()
    def edit(self, w: Tensor, alphas: Mapping[str, float]) -> Tensor:
        """Codes w [N, num_ws, w_dim], each named edit applied at its strength alpha (Eq. 1), one after another by name.

        ValueError for a name that is unknown or refused, and for an alpha that is no number within +-MAX_ALPHA.
        """
        check_alphas(alphas)
        for name in alphas:
            self._check_name(name)
        for name in sorted(alphas):
            w = self.edits[name](w, float(alphas[name]))
        return w

    def _check_name(self, name: str) -> None:
        if name in self.edits:
            return
        if name in self.refused:
            raise ValueError(f"edit {name!r} cannot be used: {self.refused[name]}")
        nearest = difflib.get_close_matches(name, self.edits, 1, 0)
        raise ValueError(f"edit {name!r} is unknown" + (f": did you mean {nearest[0]!r}?" if nearest else ": there are no edits"))

    @torch.inference_mode()
    def generate(self, w: Tensor) -> list[Image.Image]:
        """Codes w [N, num_ws, w_dim] -> N pictures."""
        with self._precision():
            return to_pil(self.generator.synthesis(w.to(self.device)).cpu())

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, DTYPES[self.dtype], enabled=self.dtype != "float32")

    def read(self, pictures: Sequence[Image.Image]) -> list[Seen]:
        """What the judge sees in each picture (already framed). ValueError if there is no judge."""
        if self.judge is None:
            raise ValueError("the registry has no judge: nobody can read the pictures")
        reading = self.judge.read(to_tensor(pictures))
        digits = [tuple(torch.arange(10).repeat_interleave(row).tolist()) for row in reading.numbers]
        return [Seen(*seen) for seen in zip(reading.count.tolist(), digits, strict=True)]

    def sample(self, seed: int) -> Image.Image:
        """A picture to try: a real one that no training saw, or, where the registry has none, one of the generator's."""
        if self.images is not None:
            return Image.fromarray(self.images[seed % len(self.images)].numpy())
        z = torch.randn(1, self.generator.z_dim, generator=torch.Generator().manual_seed(seed % 2**63))
        return mark_framed(self.generate(self.generator.mapping(z))[0])  # what it draws is as its training pictures were

    def seed_of(self, label: str | None) -> int:
        """The first seed whose sample has a label, such as "1 digit"; 0 if none is known to."""
        counts = [] if self.numbers is None else self.numbers.sum(1).tolist()
        return next((seed for seed, count in enumerate(counts) if count_label(count) == label), 0)


def device_of(name: str) -> torch.device:
    """The device "cpu", "cuda" or "cuda:N" (N from 0); "auto" is CUDA where there is one, else the CPU.
    ValueError for another name, and for a CUDA device that this machine lacks."""
    if not re.fullmatch(r"auto|cpu|cuda(:(0|[1-9][0-9]*))?", name):
        raise ValueError(f"device {name!r} is unknown: choose auto, cpu, cuda or cuda:N")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if there else "cpu"
    if name.startswith("cuda") and int(name[5:] or 0) >= there:
        raise ValueError(f"device {name!r}: this machine has {there or 'no'} CUDA device{'s' * (there > 1)}")
    return torch.device(name)


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
        if isinstance(alpha, bool) or not isinstance(alpha, Real) or not math.isfinite(alpha) or abs(alpha) > MAX_ALPHA:
            raise ValueError(f"edit {name!r}: alpha is {alpha!r}, expected a number from -{MAX_ALPHA} to {MAX_ALPHA}")


def _default_domain(entries: list[models.Entry]) -> str:
    domains = [entry.domain for entry in entries if entry.kind == "generator" and entry.domain in FRAMES]
    return domains[0] if domains and "multimnist" not in domains else "multimnist"


def _only(entries: list[models.Entry], kind: str, domain: str) -> models.Entry | None:
    """The domain's entry of a kind; the first by name if there are several."""
    return next((entry for entry in entries if entry.kind == kind and entry.domain == domain and not entry.refused), None)
