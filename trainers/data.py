"""Writes the pictures and labels of a data set once, for all stages that train on them.

python -m trainers data folder:shoes --data ../runs/data --resolution 128 --options title=Shoes
python -m trainers data hf:org/name --data ../runs/data --options columns=Laces,Heel

A stopped run resumes when its command is repeated. Pictures that cannot be read are listed in skipped.csv.
"""

import csv
import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm
from tyro.conf import Positional

from lwgan.files import atomic, save_folder
from lwgan.judges import Judge
from trainers import run, shards
from trainers.datasets import Dataset, open_dataset
from trainers.nets.parallel import starter
from trainers.shards import SPLITS, load_split

CHECKED, FITTING = 200, 0.75  # pictures of a split that --check-labels reads; the mean AUC that it expects
SAMPLE_BYTES, FEWEST_SAMPLES = 820_000, 12  # of the pictures for the page: 200 grey ones of 64 px


@dataclass(frozen=True)
class Options:
    """Write the pictures and labels of a data set, in three splits."""

    dataset: Positional[str]
    """folder:PATH, hf:org/name, or another one of trainers.datasets; an unknown one lists them."""
    data: Path
    """The folder to write: shards of each split, dataset.json, skipped.csv and samples/."""
    resolution: int = 64
    """Side of a picture in px: a power of two from 32 to 1024."""
    train: int | None = None
    """The largest number of training pictures; by default what the data set says."""
    heldout: int | None = None
    """The largest number of validation pictures, and of test pictures."""
    options: tuple[str, ...] = ()
    """key=value: options of the data set; an unknown key lists them."""
    check_labels: Path | None = None
    """Folder of a judge. Labels that hardly fit what it reads in the pictures are refused: they may be those
    of other pictures."""
    max_skipped: float = 0.01
    """The largest share of pictures that may be skipped because they cannot be read."""
    processes: int = 2


class Shard(NamedTuple):
    """The rows of a split that one file holds."""

    split: str
    number: int
    rows: range


def main(options: Options) -> None:
    if options.processes < 1:
        raise ValueError(f"--processes {options.processes}: at least 1 is needed")
    dataset = open_dataset(options.dataset, **_said(options))
    if not dataset.domain.changes:
        labels = ", ".join(dataset.domain.attributes)
        raise ValueError(f"all pictures have the same labels ({labels}): there is nothing to learn")
    plan = plan_of(dataset)
    run.start(options.data, options)
    (options.data / shards.DATASET).unlink(missing_ok=True)
    allowed = options.max_skipped * sum(len(shard.rows) for shard in plan)
    _write_all(options.processes if dataset.parallel else 1, options.data, dataset, plan, allowed)
    sizes = _finish(options.data, plan, allowed, [("", *each) for each in dataset.unusable])
    made_by = {"spec": options.dataset, **_said(options)}
    shards.write_dataset(options.data, dataset.domain, sizes, made_by, **dataset.facts)
    if options.check_labels:
        check_labels(options.data, options.check_labels)
    save_samples(options.data, dataset.hidden)
    for split, size in sizes.items():
        print(f"{split}: {size} pictures")
    counts = (load_split(options.data, "train").labels == 1).sum(0).tolist()
    labels = zip(dataset.domain.attributes, counts, strict=True)
    print("training pictures with each label:", ", ".join(f"{name} {count}" for name, count in labels))


def _said(options: Options) -> dict[str, object]:
    """What the command line says of the data set, for `open_dataset`."""
    if wrong := [word for word in options.options if "=" not in word]:
        raise ValueError(f"--options {wrong[0]!r}: expected key=value")
    said = dict(word.split("=", 1) for word in options.options)
    for key in ("resolution", "train", "heldout"):
        if (value := getattr(options, key)) is not None:
            said[key] = value
    return said


def plan_of(dataset: Dataset) -> list[Shard]:
    """How the pictures are divided into files. ValueError for an empty split."""
    size_of_one = dataset.channels * dataset.resolution**2
    length = max(1, min(shards.SHARD_PICTURES, shards.SHARD_BYTES // size_of_one))
    plan = []
    for split in SPLITS:
        if (size := dataset.size(split)) < 1:
            raise ValueError(f"the {split} split has {size} pictures: at least one is needed")
        starts = range(0, size, length)
        plan += [Shard(split, i, range(start, min(start + length, size))) for i, start in enumerate(starts)]
    return plan


def _write_all(processes: int, *work) -> None:
    """`_write` in so many processes; in this one if it is one."""
    if processes == 1:
        _write(0, 1, *work)
        return
    with ProcessPoolExecutor(processes, starter(__name__), torch.set_num_threads, (1,)) as pool:
        parts = [pool.submit(_write, rank, processes, *work) for rank in range(processes)]
        for part in parts:
            part.result()


def _write(
    rank: int, processes: int, folder: Path, dataset: Dataset, plan: list[Shard], allowed: float
) -> None:
    """Writes every `processes`-th shard, unless it is there; stops if too many pictures had to be skipped."""
    skipped = 0
    for shard in tqdm(plan[rank::processes], "shards", disable=rank > 0):
        made_of = hashlib.sha256(dataset.made_of(shard.split, shard.rows).encode()).hexdigest()
        facts = shards.read_shard(folder, shard.split, shard.number)
        if facts.get("made_of") != made_of:
            part = dataset.read(shard.split, shard.rows)
            facts = {"made_of": made_of, "skipped": json.dumps(part.skipped)}
            tensors = (part.images, part.labels, part.groups)
            shards.write_shard(folder, shard.split, shard.number, *tensors, facts)
        skipped += len(json.loads(facts["skipped"]))
        if skipped > allowed:
            return


def _finish(folder: Path, plan: list[Shard], allowed: float, unusable: list[tuple]) -> dict[str, int]:
    """Writes skipped.csv, removes shards of an earlier, larger data set, and counts each split's pictures.
    ValueError if too many pictures were skipped."""
    sizes, skipped = dict.fromkeys(SPLITS, 0), []
    for shard in plan:
        bad = json.loads(shards.read_shard(folder, shard.split, shard.number).get("skipped", "[]"))
        sizes[shard.split] += len(shard.rows) - len(bad)
        skipped += [(shard.split, *each) for each in bad]
    with atomic(folder / "skipped.csv") as partial, partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("split", "picture", "reason"), *unusable, *skipped])
    if len(skipped) > allowed:
        raise ValueError(
            f"{len(skipped)} pictures cannot be used, at most {int(allowed)} may be skipped (--max-skipped); "
            f"the first is {skipped[0][1]}: {skipped[0][2]}; skipped.csv lists those found so far"
        )
    kept = {shards.shard_path(folder, shard.split, shard.number) for shard in plan}
    for path in folder.glob("*-[0-9]*.safetensors"):
        if path not in kept:
            path.unlink()
    return sizes


def check_labels(folder: Path, judge_folder: Path) -> None:
    """Prints how well a judge's readings fit the labels of each split. ValueError if they hardly do in one;
    dataset.json is removed then, so that no stage trains on them."""
    judge, checked = Judge.from_pretrained(judge_folder), False
    for name in SPLITS:
        rows, found = _aucs(judge, load_split(folder, name))
        if not found:
            continue
        mean, of = sum(found) / len(found), f"{len(found)} labels of {rows} {name} pictures"
        said, checked = f"{judge_folder.name} tells {of} with an AUC of {mean:.2f}", True
        if mean < FITTING:
            (folder / shards.DATASET).unlink()
            raise ValueError(
                f"{said}, at least {FITTING} is expected: do the labels belong to these pictures?"
            )
        print(said)
    if not checked:
        raise ValueError(f"{judge_folder} reads none of the labels of {folder} in both ways")


@torch.no_grad()
def _aucs(judge: Judge, split: shards.Split) -> tuple[int, list[float]]:
    """How many pictures were read, from all parts of a split, and the AUC of each label that varies there."""
    from trainers.judge import auc_of  # imports much

    count = len(split.labels)
    rows = torch.linspace(0, count - 1, min(CHECKED, count)).round().long()
    logits = torch.cat([judge(split.images[part].float() / 127.5 - 1) for part in rows.split(50)])
    found = auc_of(logits, shards.labels_of(split, judge.names)[rows], judge.names)
    return len(rows), [auc for auc in found.values() if auc is not None]


def save_samples(folder: Path, hidden: tuple[str, ...] = ()) -> None:
    """The last test pictures as a model folder, for the page. hidden: labels whose pictures are left out."""
    split = load_split(folder, "test")
    columns = [split.domain.attributes.index(name) for name in hidden]
    rows = torch.nonzero((split.labels[:, columns] != 1).all(1))[:, 0]
    rows = rows[-max(FEWEST_SAMPLES, SAMPLE_BYTES // split.images[0].numel()) :]
    images = split.images[rows]
    config = {"kind": "pictures", "domain": split.domain.name, "training": {"split": "test", **split.facts}}
    images = images[:, 0] if images.shape[1] == 1 else images
    save_folder(folder / "samples", config, {"images": images, "labels": split.labels[rows]})


def reopen(folder: Path) -> Dataset:
    """The data set of a data folder, for its oracle. ValueError if dataset.json does not name it."""
    made_by = json.loads((folder / shards.DATASET).read_text("utf-8")).get("made_by")
    if not isinstance(made_by, dict) or "spec" not in made_by:
        raise ValueError(f"{folder / shards.DATASET} does not say which data set the pictures come from")
    return open_dataset(**made_by)
