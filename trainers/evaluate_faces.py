"""Stage 6 of rendered faces: the paper's evaluation of attributes (Sec. 4.2 and 4.3, Table 1, Figs. 3 to 5), on test pictures that no training
and no choice saw; and, as the truth is known here, how near each edit comes to the picture that the renderer makes of the edited person.

    python -m trainers evaluate --domain synthfaces --data ../runs/faces/data --registry ../runs/faces/registry --edits ../runs/faces/edits

An edit is measured at 0, at ten strengths from d to 2d, at its recommended one, and where it changes MATCHED of the pictures, found between
two of these by interpolation: there it is compared with others. d is where the judge (or classifier of codes) that chose the recommended
strength saw WANTED of the validation cases changed: it stands in the edit's config, as its curve.

40 edits x 12 strengths x 1,000 pictures are 480,000 pictures: at some 600 a second on two cores to generate (a core that others used did 290
to 360) and 460 to be read and recognised (230 to 300), 31 minutes; 34 where each second edit needs another look for MATCHED. The oracles,
200 for each of 12 to 16 attributes at some 30 a second, are 2 minutes; 10,000 samples and 3,000 pictures encoded and generated, one. That is
with OMP_NUM_THREADS=2, or unset.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from lwgan.edit import AffineEdit
from lwgan.encoder import Encoder
from lwgan.generator import Generator
from lwgan.hub import registry
from lwgan.judges import AttributeJudge, IdentityNetwork
from lwgan.metrics import alpha_at, identity_preservation, relative_frechet_distance, strengths
from trainers import figures_faces, measure_faces, oracles, records, results_faces, run
from trainers.attribute_judge import auc
from trainers.edits import Label, attribute_named
from trainers.figures import OF_NETS, give_cards, save_strip
from trainers.measure import codes_of
from trainers.measure_faces import Asked, Held, Nets, Oracles, cases_of, held_of
from trainers.nets.generator import sample, to_pictures
from trainers.tables import mean

if TYPE_CHECKING:
    from trainers.datasets.synthfaces.files import Source
    from trainers.evaluate import Options

CLASSES = {
    "generator": Generator,
    "encoder": Encoder,
    "attribute-judge": AttributeJudge,
    "identity": IdentityNetwork,
}
JUDGES = ("attribute-judge", "identity")
READABLE = 0.9  # AUC on reconstructions below which an attribute is dropped from the tables
WANTED = 0.5  # target change at d, on validation codes
MATCHED = 0.8  # target change at which edits are compared
CLOSE, TRIES = 0.01, 3  # how near to it is near enough, and how often a nearer alpha is looked for
HEADLINE = ("alpha", "norm", "target_change", "attribute_preservation", "true_change", "identity")
STRIP = 2  # rows of an edit's strip
SCHEME = 1  # of metrics.json: figures of another are measured again


class Bench(NamedTuple):
    """All that edits are measured with: the nets, the test pictures as they are [N, 3, H, W] and as encoder and generator give them back,
    who is in them, which attributes count, and the unit of feature distances."""

    nets: Nets
    encoder: Encoder
    real: Tensor
    held: Held
    source: "Source"
    counted: Tensor
    unit: float

    @property
    def names(self) -> tuple[str, ...]:
        return self.nets.judge.names


def main(options: "Options") -> None:
    path = options.docs / results_faces.NAME
    if options.tables:
        write(options.docs, records.published(path))
        return
    device = run.device_of(options.device)
    models = {
        kind: CLASSES[kind]
        .from_pretrained(records.folder_of(options.registry, kind, options.domain))
        .to(device)
        for kind in CLASSES
    }
    revisions = {kind: net.card_config["weights"]["sha256"] for kind, net in models.items()}
    for kind in JUDGES:
        records.check_split(kind, models[kind].card_config)
    entries = records.entries_of([options.registry, options.edits], options.domain)
    for entry in entries:
        check(entry, revisions, models["attribute-judge"].names)

    bench = bench_of(options, models, device)
    told = {key: value for key, value in bench.source.metadata().items() if key != "names"}
    base = {
        "scheme": SCHEME,
        **revisions,
        "pictures": options.edit_pictures,
        "oracles": options.oracles,
        "samples": options.samples,
        **told,
    }
    found = records.load(path, base)
    if "nets" not in found:
        found["nets"] = nets_figures(bench, options.samples, models)
        records.save(path, found)
    for kind in ("generator", "encoder"):
        records.record(records.folder_of(options.registry, kind, options.domain), found["nets"][kind])
    truths = Truths(bench, options)
    edits = {entry.name: AffineEdit.from_pretrained(entry.source) for entry in entries}
    for entry in tqdm(entries, "edits"):
        edit, folder, attribute = (
            edits[entry.name],
            Path(entry.source),
            attribute_of(entry.config, bench.names),
        )
        of = base | {"edit": entry.config["weights"]["sha256"]}
        metrics = records.kept(folder, of, edit.config["alpha"], lambda edit=edit, attribute=attribute: (
            about(edit, options) | measured(edit, attribute, truths)
        ))  # fmt: skip
        records.put(found, entry.name, metrics)
        records.record(folder, {"d": metrics["d"], **{key: metrics["chosen"][key] for key in HEADLINE}})
        save_strip(
            folder / "images" / "strip.png", edit, truths.cases(attribute).w[:STRIP], bench.nets.generator
        )
        found.setdefault("bounds", {}).setdefault(attribute.name, None)
        if found["bounds"][attribute.name] is None:
            found["bounds"][attribute.name] = truths.bounds(attribute)
        records.save(path, found)
    write(options.docs, found)
    figures_faces.save_sheets(options.docs / "images", found, edits, truths)
    folders = {kind: records.folder_of(options.registry, kind, options.domain) for kind in OF_NETS}
    give_cards(options.docs / "images", folders, "faces-")


def write(docs: Path, found: dict) -> None:
    """The tables and the curves, of the JSON alone."""
    results_faces.write(docs, found)
    figures_faces.save_curves(docs / "images", found)


def check(entry: registry.Entry, revisions: dict[str, str], names: tuple[str, ...]) -> None:
    """As `records.check_edit`, and ValueError for an edit that does not say which of the judge's attributes it changes, or has no curve."""
    records.check_edit(entry, revisions, JUDGES)
    if not isinstance((entry.config.get("training") or {}).get("attribute"), str):
        raise ValueError(f"{entry.name} does not say which attribute it changes (training, attribute)")
    attribute_of(entry.config, names)
    if not entry.config.get("curve"):
        raise ValueError(
            f"{entry.name}: its config.json has no curve, from which d follows: learn it with `edit --selector`"
        )


def attribute_of(config: dict, names: tuple[str, ...]) -> Label:
    return attribute_named(config["training"]["attribute"], names)


def bench_of(options: "Options", models: dict, device: torch.device) -> Bench:
    """ValueError for pictures labelled with other attributes than the judge reads."""
    from trainers.datasets.synthfaces import files  # here: numba is slow to load, and tables do not need it

    faces, judge = files.load_faces(options.data, "test"), models["attribute-judge"]
    if faces.names != judge.names:
        raise ValueError(
            f"{options.data} is labelled with {list(faces.names)}, the judge reads {list(judge.names)}"
        )
    nets = Nets(models["generator"], judge, models["identity"])
    real, labels = to_pictures(torch.from_numpy(faces.images), device), torch.from_numpy(faces.labels)
    with torch.no_grad():
        held = held_of(codes_of(models["encoder"], real), labels, nets)
        features = measure_faces.features_of(nets, real)
    areas = auc(held.seen.logits.cpu(), labels, judge.names)
    counted = torch.tensor([(areas[name] or 0) >= READABLE for name in judge.names], device=device)
    unit = (features - features.roll(1, 0)).norm(dim=1).mean().item()
    return Bench(nets, models["encoder"], real, held, faces.source, counted, unit)


class Truths:
    """For each attribute the cases of its edits, and the oracles of the first of them, rendered when they are first asked for."""

    def __init__(self, bench: Bench, options: "Options"):
        self.bench, self.options = bench, options
        self._rendered: dict[tuple[str, int], Oracles | None] = {}

    def cases(self, attribute: Label) -> Held:
        return cases_of(self.bench.held, attribute, self.bench.names, self.options.edit_pictures)

    def asked(self, attribute: Label) -> Asked:
        return measure_faces.asked_of(attribute, self.bench.names, self.bench.counted)

    def oracles(self, attribute: Label, limit: int | None = None) -> Oracles | None:
        """None where nobody's picture has an oracle that changes nothing else."""
        key = attribute.name, limit or self.options.oracles
        if key not in self._rendered:
            self._rendered[key] = self._render(attribute, key[1])
        return self._rendered[key]

    def _render(self, attribute: Label, limit: int) -> Oracles | None:
        from trainers.datasets import synthfaces

        everybody, numbers = self.bench.source.people(), self.cases(attribute).numbers.tolist()
        rows, edited = (
            found[:limit] for found in oracles.edited([everybody[i] for i in numbers], attribute.label)
        )
        if not rows:
            return None
        flipped = to_pictures(
            torch.from_numpy(synthfaces.render_all(edited, self.bench.source.resolution)),
            self.bench.nets.device,
        )
        real = self.bench.real[[numbers[row] for row in rows]]
        return measure_faces.oracles_of(
            torch.tensor(rows, device=real.device), real, flipped, self.bench.nets
        )

    def bounds(self, attribute: Label) -> dict | None:
        if (truth := self.oracles(attribute)) is None:
            return None
        return measure_faces.bounds(
            self.bench.encoder,
            self.bench.nets,
            self.cases(attribute),
            truth,
            self.asked(attribute),
            self.bench.unit,
        )


# An edit


def measured(edit: AffineEdit, attribute: Label, truths: Truths) -> dict:
    """At the recommended alpha ("chosen"), at 0 and from d to 2d ("curve", figures alone), and where the curve first reaches MATCHED
    ("matched", None if it does not): there also how other attributes change, and how near the oracle is."""
    cases, asked, bench = truths.cases(attribute), truths.asked(attribute), truths.bench
    d, reached = start_of(edit.config["curve"])
    at = lambda alpha, intervals=True: measure_faces.figures(edit, alpha, cases, asked, bench.nets, intervals)
    curve = [at(alpha, intervals=False)[0] for alpha in (0.0, *strengths(d).tolist())]
    return {
        "d": d, "d_reached": reached,
        "chosen": at(edit.config["alpha"])[0],
        "matched": matched(curve, at, attribute, truths),
        "curve": curve,
    }  # fmt: skip


def start_of(curve: list[dict]) -> tuple[float, bool]:
    """d, where target change first reaches WANTED on an edit's curve of validation cases; where it never does, half of the curve's
    largest alpha (so that 2d is the largest that was looked at), and False."""
    points = [
        (0.0, 0.0),
        *((point["alpha"], point["target_change"] or 0.0) for point in curve if point["alpha"] > 0),
    ]
    alphas, change = (torch.tensor(column, dtype=torch.float64) for column in zip(*points, strict=True))
    d = alpha_at(alphas, change, WANTED)
    return (alphas[-1].item() / 2, False) if d is None else (d, True)


def matched(curve: list[dict], at, attribute: Label, truths: Truths) -> dict | None:
    """at: alpha -> figures and what is seen there. The figures where the curve first reaches MATCHED, or None."""
    points = [(point["alpha"], point["target_change"] or 0.0) for point in curve]
    for _ in range(TRIES):
        alpha = alpha_at(
            *(torch.tensor(column, dtype=torch.float64) for column in zip(*sorted(points), strict=True)),
            MATCHED,
        )
        if alpha is None:
            return None
        found, seen = at(alpha)
        change = found["target_change"]["value"]
        if abs(change - MATCHED) <= CLOSE:
            break
        points.append((alpha, change))  # the curve bends here: once more, between nearer points
    bench, truth = truths.bench, truths.oracles(attribute)
    found["leakage"] = measure_faces.leakage(truths.cases(attribute).seen, seen, bench.counted, bench.names)
    near = (
        None
        if truth is None
        else measure_faces.distances(bench.nets, measure_faces.at(seen, truth.rows), truth, bench.unit)
    )
    return found | {"oracle": near}


def about(edit: AffineEdit, options: "Options") -> dict:
    """What a reader must know beside the figures: which edit, how it was learned and chosen, with what."""
    config = edit.config
    training = config["training"]
    chosen = [point["true_change"] for point in config["curve"] if point["alpha"] == config["alpha"]]
    return {
        "method": config["method"], "attribute": training["attribute"], "options": records.settings(config), "bias": config.get("bias"),
        "masses": config.get("masses"),
        "validation_true_change": (chosen[0] or 0.0) if chosen else None, "selector": config.get("selector_revision"),
        "command": records.command("evaluate", options),
        "versions": records.versions(),
    }  # fmt: skip


# The nets


@torch.no_grad()
def nets_figures(bench: Bench, samples: int, models: dict) -> dict:
    """AUC of each attribute on real test pictures and on their reconstructions, what reconstructions lose, how like real ones samples are."""
    nets, held, names = bench.nets, bench.held, bench.names
    real = measure_faces.see(nets, bench.real)
    labels = held.labels.cpu()
    features = measure_faces.features_of(nets, bench.real)
    fake = measure_faces.features_of(nets, sample(nets.generator, samples, seed=1).to(bench.real.device))
    half = len(features) // 2
    same = identity_preservation(real.embeddings, held.seen.embeddings).mean().item()
    others = identity_preservation(real.embeddings, real.embeddings.roll(1, 0)).mean().item()
    return {
        "auc_real": auc(real.logits.cpu(), labels, names), "auc_reconstructed": auc(held.seen.logits.cpu(), labels, names),
        "counted": [name for name, counts in zip(names, bench.counted.tolist(), strict=True) if counts], "pictures": len(labels),
        "judge": {"mean_test_auc": mean_auc(models["attribute-judge"].card_config)}, "identity": models["identity"].card_config.get("metrics"),
        "generator": {
            "samples": samples, "relative_frechet_distance": relative_frechet_distance(fake, features),
            "relative_frechet_distance_real": relative_frechet_distance(features[:half], features[half:]),
        },
        "encoder": {
            "mean_squared_error": ((held.seen.pictures - bench.real) / 2).square().mean().item(),
            "attributes_read_as_in_the_picture": (held.seen.read == real.read)[:, bench.counted].float().mean().item() if bench.counted.any() else None,
            "identity": same, "identity_of_others": others,
            "feature_distance": (measure_faces.features_of(nets, held.seen.pictures) - features).norm(dim=1).mean().item() / bench.unit,
        },
    }  # fmt: skip


def mean_auc(config: dict) -> float | None:
    """Of a judge on the test pictures of its own kind."""
    values = [
        value for value in ((config.get("metrics") or {}).get("test_auc") or {}).values() if value is not None
    ]
    return mean(values) if values else None
