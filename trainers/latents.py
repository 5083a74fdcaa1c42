"""Codes that exist already, in a file of any form that other projects write, and their labels.

    an array [N, num_ws, w_dim], flat [N, num_ws * w_dim], or of W [N, w_dim], as e4e's latents.pt
    a dict of one code for each picture's name, as pSp's latents.npy
    a dict that holds such an array under one of KEYS and may hold "labels" [N, K] and "names" [K]

Without "labels" a list (`trainers.datasets.lists`) has them: by the names of the codes, or row by row.
"""

from pathlib import Path

import torch
from torch import Tensor

from trainers.convert import arrays
from trainers.convert.layouts.common import describe, described, require
from trainers.datasets.lists import GROUP, VALUES, labels_of, plain, read_list, tidy
from trainers.datasets.pictures import Listed
from trainers.shards import UNKNOWN

KEYS = ("w", "codes", "latents", "latent", "latent_codes", "w_plus", "wplus", "ws")


def read_latents(path: Path, labels: Path | None, num_ws: int, w_dim: int) -> tuple[Tensor, Listed]:
    """The codes of a file, float32 [N, num_ws, w_dim], and what is known of them.

    labels: their list; by default the labels in the file, or the list that has the file's name. Errors name
    the file, and the code where only one is wrong: FileNotFoundError, ValueError."""
    content = arrays.read(path)
    named = content if isinstance(content, dict) else {}
    key = next((key for key in KEYS if isinstance(named.get(key), Tensor)), None)
    whole = named[key] if key else content
    if isinstance(whole, Tensor):
        names, parts = None, list(whole) if whole.ndim else []
    elif isinstance(whole, list | tuple):
        names, parts = None, [part for part in whole if isinstance(part, Tensor)]
    else:
        kept = {str(name): part for name, part in named.items() if isinstance(part, Tensor)}
        names, parts = list(kept), list(kept.values())
    require(path, parts, f"it holds {described(content)}: expected codes")
    w = torch.stack([_code(part, str(i) if names is None else names[i], num_ws, w_dim, path)
                     for i, part in enumerate(parts)])  # fmt: skip
    own = named.get("labels") if key else None
    if isinstance(own, Tensor) and labels is None:
        return w, _own(own, named.get("names"), len(w), path)
    return w, _listed(names, len(w), labels or _beside(path), path)


def _code(part: Tensor, name: str, num_ws: int, w_dim: int, path: Path) -> Tensor:
    """One code, [num_ws, w_dim]."""
    flat, sizes = part.flatten(), (w_dim, num_ws * w_dim)
    message = f"the code {name!r} is {describe(part)}, expected [{num_ws}, {w_dim}] or [{w_dim}]"
    require(path, flat.numel() in sizes and not part.is_complex(), message)
    fits = torch.isfinite(flat.half()).all()  # as codes are stored
    require(path, fits, f"the code {name!r} holds NaN, infinity or numbers beyond half precision")
    return flat.detach().float().reshape(-1, w_dim).expand(num_ws, w_dim)


def _own(labels: Tensor, names: object, count: int, path: Path) -> Listed:
    """Labels that lie in the file of the codes: 1 and 0, 1 and -1 or bool; NaN and UNKNOWN: not known."""
    labels = labels[:, None] if labels.ndim == 1 else labels
    message = f"its labels are {describe(labels)} for {count} codes, expected [{count}, K]"
    require(path, labels.ndim == 2 and len(labels) == count, message)
    if not isinstance(names, list | tuple):
        names = [f"label-{k}" for k in range(labels.shape[1])]
    message = f"it has {len(names)} names for {labels.shape[1]} labels"
    require(path, len(names) == labels.shape[1], message)
    values = labels.double()
    unknown = values.isnan() | (values == UNKNOWN)
    found = set(values[~unknown].unique().tolist())
    message = f"its labels are {sorted(found)[:4]}, expected 0 and 1, or -1 and 1"
    require(path, found <= {0, 1} or found <= {-1, 1}, message)
    known = torch.where(unknown, UNKNOWN, (values == 1).long()).to(torch.uint8)
    return Listed([str(i) for i in range(count)], known.numpy(), tuple(map(str, names)))


def _beside(path: Path) -> Path:
    """The list that has the file's name. FileNotFoundError if there is none."""
    for suffix in (".csv", ".tsv", ".txt"):
        if (found := path.with_suffix(suffix)).is_file():
            return found
    said = f"{path} holds no labels, and {path.stem}.csv is not beside it"
    raise FileNotFoundError(f"{said}: give the list of labels with --labels")


def _listed(names: list[str] | None, count: int, path: Path, source: Path) -> Listed:
    """The labels of a list: the row of each code's name or, where codes have no names, row by row."""
    table = read_list(path)
    first = table.columns[0]
    has_names = not {*map(plain, table[first])} <= {*VALUES}
    if names is None:
        message = f"{path} has {len(table)} rows for its {count} codes"
        require(source, len(table) == count, message)
        names = table[first].tolist() if has_names else [str(i) for i in range(count)]
    else:
        rows = {stem(name): i for i, name in enumerate(table[first])}
        missing = [name for name in names if stem(name) not in rows]
        require(
            source, not missing, f"{path} has no row of {len(missing)} of its codes, such as {missing[:1]}"
        )
        table = table.iloc[[rows[stem(name)] for name in names]].reset_index(drop=True)
    columns = tuple(name for name in table if name != GROUP and not (name == first and has_names))
    groups = table[GROUP].tolist() if GROUP in table else None
    table.insert(0, "", names)  # in errors a row is named by its code
    return Listed(names, labels_of(table, columns, path), columns, groups)


def stem(name: str) -> str:
    return Path(tidy(name)).stem
