"""What a domain's edits are measured with: nets and readers of a registry, test pictures, ideal edits."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lwgan.domain import Change, change_from_json
from lwgan.encoder import Encoder
from lwgan.files import EDIT_KINDS
from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.judges import IdentityNetwork, Judge, LatentClassifier
from lwgan.metrics import identity_preservation, relative_frechet_distance
from trainers import measure
from trainers.data import reopen
from trainers.evaluate.tables import READABLE
from trainers.judge import auc_of
from trainers.measure import Cases, Ideal, Nets
from trainers.nets.generator import to_pictures
from trainers.shards import Split, labels_of, load_split

CLASSES = {"generator": Generator, "encoder": Encoder, "judge": Judge, "identity": IdentityNetwork,
           "latent-classifier": LatentClassifier}  # fmt: skip
NEEDED = ("generator", "encoder")
PARTS = {  # keys of an edit's config: the part that a reader had in the edit, and may not measure it then
    "judge_revision": "was guided by",
    "selector_revision": "has its alpha from",
    "classifier_revision": "was trained with",
}


class Bench:
    """Nets and readers of `folder` for the pictures of `data`.

    folders: kind -> the model's folder.  revisions: kind -> sha256 of its weights.  nets: generator and
    readers. seen, real: what is seen in the first `heldout` test pictures' reconstructions, and in the
    pictures themselves (None without a judge).  auc, auc_real: label -> area under the ROC curve there, None
    if there are no two classes. counted: bool [K], the labels read well enough to count."""

    def __init__(
        self, folder: Path, data: Path, pictures: int, heldout: int, oracles: int, device: torch.device
    ):
        self.test, self.validation = load_split(data, "test"), load_split(data, "validation")
        self.domain, self.data = self.test.domain, data
        self.pictures, self.oracles = pictures, oracles
        self.folders = folders_of(folder, self.domain.name)
        models = {kind: CLASSES[kind].from_pretrained(path).to(device) for kind, path in self.folders.items()}
        self.configs = {kind: net.card_config for kind, net in models.items()}
        self.revisions = {kind: config["weights"]["sha256"] for kind, config in self.configs.items()}
        self.encoder, readers = models["encoder"], [kind for kind in models if kind not in NEEDED]
        for kind in readers:
            check_split(kind, self.configs[kind])
        self.nets = Nets(models["generator"], *map(models.get, ("judge", "identity", "latent-classifier")))
        if not self.nets.names:
            name = self.domain.name
            raise ValueError(f"{folder} holds neither a judge nor a latent classifier of the domain {name}")
        self._look(torch.arange(min(heldout, len(self.test.labels))))

    def _look(self, rows: Tensor) -> None:
        images, labels = self.test.images, labels_of(self.test, self.nets.names)[rows]
        self.w = measure.encode(self.encoder, images, rows)
        self.seen, self.real = measure.see(self.nets, self.w), None
        if self.nets.judge:
            parts = (to_pictures(images[part], self.nets.device) for part in rows.split(measure.BATCH))
            self.real = measure.joined([measure.look(self.nets, part, True, False) for part in parts])
        self.auc = auc_of(self.seen.logits, labels, self.nets.names)
        self.auc_real = auc_of(self.real.logits, labels, self.nets.names) if self.real else {}
        counted = [(self.auc[name] or 0) >= READABLE for name in self.nets.names]
        self.counted = torch.tensor(counted, device=self.nets.device)

    @functools.cached_property
    def labels_hash(self) -> str:
        """Tells the test pictures from others, wherever they lie."""
        return hashlib.sha256(self.test.labels.numpy().tobytes()).hexdigest()

    @functools.cached_property
    def unit(self) -> float:
        """The mean distance of the judge's features between two test pictures; 1 without a judge."""
        if self.real is None:
            return 1.0
        features = self.real.features
        return (features - features.roll(1, 0)).norm(dim=1).mean().item()

    @functools.cache  # noqa: B019, there is one bench
    def cases(self, name: str) -> Cases:
        """The first `pictures` test pictures that a change is for. ValueError if there is none, or a
        label of the change that is not read."""
        change = self.domain.change(name)
        if unread := [label for label in change.labels if label not in self.nets.names]:
            raise ValueError(f"{name}: {unread[0]!r} is not read, but only {', '.join(self.nets.names)}")
        rows = rows_of(self.test, change, self.pictures)
        if not len(rows):
            raise ValueError(f"{name}: none of {len(self.test.labels)} test pictures shows {change.before}")
        w = measure.encode(self.encoder, self.test.images, rows)
        labels = labels_of(self.test, self.nets.names)[rows].to(w.device)
        return Cases(change, w, labels, rows, measure.see(self.nets, w), self.counted)

    @functools.cache  # noqa: B019, there is one bench
    def tuning(self, name: str) -> Tensor | None:
        """Codes of validation pictures that a change is for; None without any or a reader of its label."""
        change = self.domain.change(name)
        rows = rows_of(self.validation, change, self.pictures // 2)
        if change.label not in self.nets.code_names or not len(rows):
            return None
        return measure.encode(self.encoder, self.validation.images, rows)

    @functools.cache  # noqa: B019, there is one bench
    def ideal(self, name: str) -> Ideal | None:
        """The ideal edits of the first cases; None if the data set knows none, or is gone."""
        cases = self.cases(name)
        found = self.dataset and self.dataset.oracle(cases.change, cases.rows[: self.oracles], self.test)
        if found is None:
            return None
        kept, images = found
        rows = torch.searchsorted(cases.rows, kept).to(self.nets.device)  # both increase
        pictures = self.test.images[kept]
        plain = self.dataset.by_hand(cases.change, pictures)
        return measure.ideal_of(self.nets, rows, pictures, images, self.unit, plain)

    @functools.cached_property
    def dataset(self):
        """The data set that the pictures come from, None if it cannot be opened any more."""
        try:
            return reopen(self.data)
        except (OSError, ValueError) as error:
            print(f"no ideal edits: {error}")
            return None

    @torch.no_grad()
    def figures(self, samples: int) -> dict[str, dict]:
        """kind -> figures of the nets and readers, for config.json and tables."""
        if self.real is None:
            return {"generator": {}, "encoder": {}, "latent-classifier": {"auc": self.auc}}
        fake, real, same = self._sampled(samples), self.real.features, self.seen.read == self.real.read
        kept, half = same[:, self.counted].double(), len(real) // 2
        encoder = {"labels_read_as_in_the_picture": kept.mean().item()} if kept.numel() else {}
        if self.nets.identity:
            who, seen = self.real.embeddings, self.seen.embeddings
            encoder["identity"] = identity_preservation(who, seen).mean().item()
            encoder["identity_of_others"] = identity_preservation(who, who.roll(1, 0)).mean().item()
        generator = {
            "samples": samples,
            "relative_frechet_distance": relative_frechet_distance(fake, real),
            "relative_frechet_distance_real": relative_frechet_distance(real[:half], real[half:]),
        }
        judge = {"auc": self.auc_real, "auc_reconstructed": self.auc}
        return {"generator": generator, "encoder": encoder, "judge": judge}

    def _sampled(self, samples: int) -> Tensor:
        """The judge's features of sampled pictures, without truncation."""
        generator = self.nets.generator
        z = torch.randn(samples, generator.z_dim, generator=torch.Generator().manual_seed(1))
        parts = z.to(self.nets.device).split(measure.batch_of(generator))
        return torch.cat([self.nets.judge.features(generator(part)) for part in parts])


def folders_of(folder: Path, domain: str) -> dict[str, Path]:
    """Kind -> folder of a domain's nets and readers. ValueError without generator or encoder."""
    found = {}
    for entry in registry.models(folder):
        if entry.kind in CLASSES and entry.domain == domain and entry.refused is None:
            found.setdefault(entry.kind, Path(entry.source))
    if missing := [kind for kind in NEEDED if kind not in found]:
        raise ValueError(f"{folder} holds no {missing[0]} of the domain {domain}")
    return {kind: found[kind] for kind in CLASSES if kind in found}


def edits_of(folder: Path, domain: str, names: Sequence[str] = ()) -> list[registry.Entry]:
    """A registry's edits of a domain, or those of these names. ValueError if one is missing or refused."""
    edits = [entry for entry in registry.models(folder) if entry.refused or entry.kind in EDIT_KINDS]
    known = {entry.name: entry for entry in edits if entry.refused or entry.domain == domain}
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"{folder} holds no edit {unknown[0]!r} of the domain {domain}")
    found = [known[name] for name in names or known]
    if not found:
        raise ValueError(f"{folder} holds no edit of the domain {domain}")
    if refused := [entry for entry in found if entry.refused]:
        raise ValueError(f"{refused[0].name} cannot be measured: {refused[0].refused}")
    return found


def check_split(kind: str, config: dict) -> None:
    """ValueError for a reader that does not say that it was trained on the training split, nor that it was
    converted: such a one was trained elsewhere."""
    split = (config.get("training") or {}).get("split")
    if split != "train" and "origin" not in config:
        raise ValueError(f"the {kind} was trained on the split {split!r}, expected 'train'")


def check_edit(name: str, config: dict, revisions: dict[str, str]) -> None:
    """ValueError for an edit of other nets than `revisions` (kind -> sha256), one without method, alpha or
    change, and one in which a reader that is to measure it had a part."""
    wanted = {kind: revisions[kind] for kind in NEEDED}
    if (base := config.get("base_revision")) != wanted:
        raise ValueError(f"{name} was made for nets {base}, the registry's are {wanted}")
    for key in ("method", "alpha", "change"):
        if config.get(key) is None:
            raise ValueError(f"{name}: its config.json has no {key}")
    for key, part in PARTS.items():
        for kind in revisions.keys() - set(NEEDED):
            if config.get(key) == revisions[kind]:
                reader = f"the {kind} that is to measure it, {revisions[kind]}"
                raise ValueError(f"{name} {part} {reader}: train another")


def change_of(entry: registry.Entry) -> Change:
    return change_from_json(entry.config["change"], entry.name)


def rows_of(split: Split, change: Change, limit: int) -> Tensor:
    """int64: the first pictures of a split that are known to be source cases of a change."""
    columns = [labels_of(split, (label,))[:, 0] == value for label, value in change.source.items()]
    return torch.nonzero(torch.stack(columns).all(0)).squeeze(1)[:limit]
