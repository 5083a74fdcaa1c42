"""What an edit does to rendered faces (Sec. 4.2): as a judge of pictures reads their attributes, and as a network sees the person. And how
near it comes to the oracle, the picture that the renderer makes of the same person with that attribute flipped.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lwgan.edit import AffineEdit
from lwgan.generator import Generator
from lwgan.judges import AttributeJudge, IdentityNetwork
from lwgan.metrics import attribute_preservation, bootstrap, identity_preservation, rate
from trainers.edits import Label
from trainers.measure import PART, codes_of, render

CHANGED = 8  # of 255: where an oracle's picture differs by more, it changed
NEAR = 2  # px around what an oracle changed that still count as its region


class Nets(NamedTuple):
    """What renders, what reads attributes, and (or None) what knows people."""

    generator: Generator
    judge: AttributeJudge
    identity: IdentityNetwork | None = None

    @property
    def device(self) -> torch.device:
        return self.generator.mapping.w_avg.device


class Seen(NamedTuple):
    """Pictures [N, 3, H, W], the judge's logits [N, K] and (or None) the embeddings [N, D] of who is in them."""

    pictures: Tensor
    logits: Tensor
    embeddings: Tensor | None

    @property
    def read(self) -> Tensor:
        """bool [N, K]: which attributes the judge sees (p > .5)."""
        return self.logits > 0


class Held(NamedTuple):
    """Real pictures by their codes w [N, num_ws, w_dim]: labels [N, K] 0 or 1, what the reconstructions show, and which they are [N]."""

    w: Tensor
    labels: Tensor
    seen: Seen
    numbers: Tensor

    def rows(self, rows: Tensor) -> "Held":
        return Held(self.w[rows], self.labels[rows], at(self.seen, rows), self.numbers[rows])


class Asked(NamedTuple):
    """What an edit is to do: attribute number `k` is to be read as `to`. `counted` bool [K]: attributes that are to stay, its own aside."""

    k: int
    to: bool
    counted: Tensor


@torch.no_grad()
def see(nets: Nets, pictures: Tensor) -> Seen:
    parts = pictures.split(PART)
    who = None if nets.identity is None else torch.cat([nets.identity(part) for part in parts])
    return Seen(pictures, torch.cat([nets.judge(part) for part in parts]).float(), who)


def at(seen: Seen, rows: Tensor) -> Seen:
    return Seen(*(None if part is None else part[rows] for part in seen))


@torch.no_grad()
def held_of(w: Tensor, labels: Tensor, nets: Nets) -> Held:
    """Of codes [N, num_ws, w_dim] and their pictures' labels [N, K]."""
    return Held(
        w, labels.to(w.device), see(nets, render(nets.generator, w)), torch.arange(len(w), device=w.device)
    )


def cases_of(held: Held, attribute: Label, names: Sequence[str], limit: int) -> Held:
    """The first `limit` that an edit of this attribute is for: that lack it, or have it where it is to go. ValueError if there is none."""
    rows = torch.nonzero(held.labels[:, names.index(attribute.label)] == int(attribute.absent)).squeeze(1)[
        :limit
    ]
    if not len(rows):
        raise ValueError(
            f"{attribute.name}: none of the {len(held.w)} pictures {'has' if attribute.absent else 'lacks'} {attribute.label}"
        )
    return held.rows(rows)


def asked_of(attribute: Label, names: Sequence[str], counted: Tensor) -> Asked:
    """counted: bool [K], which of `names` a judge reads well enough to count. ValueError if none does but the edited one."""
    others = [
        name
        for name, counts in zip(names, counted.tolist(), strict=True)
        if counts and name != attribute.label
    ]
    if not others:
        raise ValueError(
            f"the judge reads none of {len(names)} attributes but {attribute.label} well enough to count: train it for longer"
        )
    return Asked(names.index(attribute.label), not attribute.absent, counted)


# An edit at one strength


@torch.no_grad()
def figures(
    edit: AffineEdit, alpha: float, cases: Held, asked: Asked, nets: Nets, intervals: bool = True
) -> tuple[dict, Seen]:
    """What becomes of the cases: rates {value, low, high, n} (without `intervals` the values alone), or None where there was nothing to
    count; and the edited pictures."""
    edited = edit(cases.w, alpha)
    seen = see(nets, render(nets.generator, edited)) if alpha else cases.seen
    norm = (edited - cases.w).flatten(1).norm(dim=1).mean().item()
    return {"alpha": alpha, "norm": norm, **rates(cases.seen, seen, asked, intervals)}, seen


def rates(before: Seen, after: Seen, asked: Asked, intervals: bool = True) -> dict:
    """target_change: of the reconstructions read as not changed yet, the share read as changed.  attribute_preservation: of the other
    attributes that count, the share read the same.  true_change: of those not changed yet, the mean of changed (0 or 1) times the share
    of attributes that stay.  identity: the cosine of the embeddings.  All after against before, which both are pictures of codes."""
    was, now = before.read, after.read
    open_ = was[:, asked.k] != asked.to
    changed, kept = (now[:, asked.k] == asked.to)[open_], preserved(was, now, asked)
    of_mean = lambda cases: bootstrap(cases.cpu())._asdict() if intervals else cases.double().mean().item()
    share = lambda hits: rate(hits)._asdict() if intervals else hits.double().mean().item()
    return {
        "target_change": share(changed) if len(changed) else None,
        "attribute_preservation": of_mean(kept),
        "true_change": of_mean(changed * kept[open_]) if len(changed) else None,
        "identity": None
        if before.embeddings is None
        else of_mean(identity_preservation(before.embeddings, after.embeddings)),
    }


def preserved(was: Tensor, now: Tensor, asked: Asked) -> Tensor:
    """[N]: the share of the attributes that count, the edited one aside, that are read the same."""
    columns = asked.counted.to(was.device).clone()
    columns[asked.k] = True
    return attribute_preservation(was[:, columns], now[:, columns], int(columns[: asked.k].sum()))


def leakage(before: Seen, after: Seen, counted: Tensor, names: Sequence[str]) -> dict[str, float]:
    """How much more often than before each attribute that counts is read: -1 to 1."""
    more = after.read.double().mean(0) - before.read.double().mean(0)
    return {
        name: round(value, 4)
        for name, value, counts in zip(names, more.tolist(), counted.tolist(), strict=True)
        if counts
    }


# The oracle


class Oracles(NamedTuple):
    """What the first cases should look like: `rows` [M] of the cases, the oracles' pictures as seen, the judge's features [M, F] of them,
    and where they are as they were, bool [M, 1, H, W]."""

    rows: Tensor
    seen: Seen
    features: Tensor
    outside: Tensor


def oracles_of(rows: Tensor, real: Tensor, flipped: Tensor, nets: Nets) -> Oracles:
    """real, flipped: the cases' pictures [M, 3, H, W] in [-1, 1] before and after the oracle's edit."""
    region = ((flipped - real).abs().amax(1, keepdim=True) > 2 * CHANGED / 255).float()
    outside = F.max_pool2d(region, 2 * NEAR + 1, stride=1, padding=NEAR) == 0
    return Oracles(rows, see(nets, flipped), features_of(nets, flipped), outside)


@torch.no_grad()
def features_of(nets: Nets, pictures: Tensor) -> Tensor:
    return torch.cat([nets.judge.features(part) for part in pictures.split(PART)])


def distances(nets: Nets, seen: Seen, oracles: Oracles, unit: float) -> dict:
    """From pictures, one for each oracle, to the oracles': features: Euclidean, of the judge's, in `unit`s; identity: cosine; outside: mean
    squared error of values in [0, 1], where the oracle changed nothing (None if it changed everything)."""
    far = (features_of(nets, seen.pictures) - oracles.features).norm(dim=1) / unit
    error = ((seen.pictures - oracles.seen.pictures) / 2).square().mean(1, keepdim=True)
    sizes = oracles.outside.flatten(1).sum(1)
    outside = (error * oracles.outside).flatten(1).sum(1)[sizes > 0] / sizes[sizes > 0]
    return {
        "features": bootstrap(far.cpu())._asdict(),
        "identity": bootstrap(
            identity_preservation(seen.embeddings, oracles.seen.embeddings).cpu()
        )._asdict(),
        "outside": bootstrap(outside.cpu())._asdict() if len(outside) else None,
    }


def bounds(encoder, nets: Nets, cases: Held, oracles: Oracles, asked: Asked, unit: float) -> dict:
    """What no edit at all would get, and what encoder and generator make of the oracles' pictures themselves, which no edit of codes can
    be expected to surpass: distances, and the rates of `figures`, of the cases that have an oracle."""
    before = at(cases.seen, oracles.rows)
    through = see(nets, render(nets.generator, codes_of(encoder, oracles.seen.pictures)))
    return {
        "n": len(oracles.rows),
        "outside_share": oracles.outside.float().mean().item(),
        "no_edit": distances(nets, before, oracles, unit),
        "through_encoder": distances(nets, through, oracles, unit) | rates(before, through, asked),
    }
