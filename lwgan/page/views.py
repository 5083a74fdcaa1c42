"""What the views Edit and About, the status line and the readings show, as JSON values."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence

from PIL import Image
from torch import Tensor

from lwgan import lock, recipe
from lwgan import readings as read
from lwgan.domain import Change
from lwgan.page.panel import change_of, method_of, title, unit_note
from lwgan.page.pictures import data_url, url
from lwgan.pipeline import EditingPipeline
from lwgan.strength import Scale

COUNTER = itertools.count()
OTHERS = 6  # labels listed besides those that an edit changes
STALE = ", from the cache: the Hub did not answer"
FIGURES = {  # of a curve, in words
    "target_change": "Pictures that change",
    "all_kept": "Of these, all other labels kept",
    "others_kept": "Other labels kept",
}


def edit(pipe: EditingPipeline, session: Mapping, result: Image.Image, alphas: Mapping[str, float]) -> dict:
    """The original, its reconstruction and the edited picture with its recipe."""
    made = recipe.make(pipe, session["source"], alphas)
    return {
        "original": data_url(session["framed"]), "reconstruction": data_url(session["before"].picture),
        "edited": url(recipe.png(result, made), "image/png"), "link": recipe.to_link(made),
        "recipe": recipe.to_json(made), "quality": quality(session),
        "lacks": [edit["taught"] for edit in made["edits"] if "taught" in edit],
    }  # fmt: skip


def quality(session: Mapping) -> str:
    """How similar the reconstruction is to the original."""
    words = [f"{read.psnr(session['framed'], session['before'].picture):.1f} dB PSNR"]
    if session["original"] is not None:
        same, of = read.agreement(session["original"], session["before"].opinions[0])
        words.append(f"judge reads {'the same' if same == of else f'{same} of {of} labels the same'}")
    return " · ".join(words)


def status(pipe: EditingPipeline, session: Mapping, after: read.Sight, alphas: Mapping[str, float]) -> dict:
    """One line on what has happened, also for screen readers. `at` makes the page notice an equal line."""
    if "problem" in session:
        return {"line": session["problem"], "problem": True, "at": next(COUNTER)}
    line = ""
    if after.opinions:
        asked = asked_of(pipe, alphas)
        was, now = (spell(sight.opinions[0], asked) for sight in (session["before"], after))
        if (was, now) != ("–", "–"):  # it does not know the labels of these edits
            line = f"The judge reads {was} → {now}."
    return {"line": " ".join(filter(None, (session["note"], line))), "problem": False, "at": next(COUNTER)}


def asked_of(pipe: EditingPipeline, alphas: Mapping[str, float]) -> list[Change]:
    """The changes of the edits in use; if none is in use, those of all rows."""
    return changes_of(pipe, [name for name, alpha in alphas.items() if alpha] or alphas)


def changes_of(pipe: EditingPipeline, names: Iterable[str]) -> list[Change]:
    """The changes of edits, each once."""
    return list(
        {pipe.changes[name].name: pipe.changes[name] for name in names if pipe.changes[name]}.values()
    )


def spell(opinion: read.Opinion, changes: Sequence[Change]) -> str:
    """The sides of changes that a judge reads, with their probabilities: "2 digits 98%". Else the label's."""
    words = {}
    for change in changes:
        for side, text in ((change.source, change.before), (change.target, change.after)):
            known = {name: opinion.labels[name] for name in side if name in opinion.labels}
            likely = min((p if side[name] else 1 - p for name, p in known.items()), default=0)
            if likely > 0.5:  # not the product: labels such as counts depend on each other
                words[text] = likely
    if words:
        return ", ".join(f"{text} {read.percent(p)}" for text, p in words.items())
    return read.spell(opinion, [change.label for change in changes])


def _others(opinion: read.Opinion, changes: Sequence[Change]) -> str:
    """The labels that a judge reads besides those of the changes."""
    own = {label for change in changes for label in change.labels}
    names = [name.replace("_", " ") for name, p in opinion.labels.items() if p > 0.5 and name not in own]
    return ", ".join(names[:OTHERS]) + ", …" * (len(names) > OTHERS) or "–"


def readings(pipe: EditingPipeline, session: Mapping, after: read.Sight, alphas: Mapping[str, float]) -> dict:
    """The table beside the picture: rows (what, before, after), and warnings."""
    before, asked = session["before"], asked_of(pipe, alphas)
    rows = [
        (was.judge.capitalize(), spell(was, asked), spell(now, asked))
        for was, now in zip(before.opinions, after.opinions, strict=True)
    ]
    if before.opinions:
        others = [_others(sight.opinions[0], asked) for sight in (before, after)]
        rows.append(("It also reads", *others))
    rows += _difference_rows(read.compare(pipe, before, after, asked))
    within = f"Distance from the mean code (99% of known codes: within {pipe.cloud.limit:.2f})"
    rows.append((within, f"{before.distance:.2f}", f"{after.distance:.2f}"))
    locks = [
        {"name": name, "label": lock_label(pipe, name), "on": name in pipe.locks,
         **_read_of(name, before, after)} for name in pipe.lockable
    ]  # fmt: skip
    return {
        "quality": quality(session), "rows": rows, "warnings": warnings(pipe, session, after, alphas),
        "locks": locks, "cost": lock_cost(pipe, before.w, alphas),
    }  # fmt: skip


def lock_label(pipe: EditingPipeline, name: str) -> str:
    """What can be locked, in words."""
    return (pipe.changes[name].after if name in pipe.added else name).replace("_", " ")


def _read_of(label: str, before: read.Sight, after: read.Sight) -> dict:
    """What is read of a label before and after, by the first judge that knows it."""
    for was, now in zip(before.opinions, after.opinions, strict=True):
        if label in was.labels:
            return {"before": read.percent(was.labels[label]), "after": read.percent(now.labels[label])}
    return {"before": "–", "after": "–"}


def lock_cost(pipe: EditingPipeline, w: Tensor, alphas: Mapping[str, float]) -> str:
    """What the locks cost, in words: the share of each change that they take away. Empty without locks."""
    used = {name: alpha for name, alpha in alphas.items() if alpha}
    if not pipe.locks or not used:
        return ""
    free, kept = pipe.locking(()).edit(w, used), pipe.edit(w, used)
    said = []
    for name in used:
        label = pipe.changes[name].label if pipe.changes[name] else None
        seen = [known for known in (label, name) if known in pipe.lockable][:1]
        if seen:
            lost = lock.cost(pipe.reading_of(seen), w, free, kept)[0, 0].nan_to_num(0).item()
            said.append(f"{read.percent(lost)} of {change_of(pipe, name)}")
    return f"The locks cost {', '.join(said) or 'what the classifier of codes does not know'}."


def _difference_rows(difference: read.Effect) -> list[tuple[str, str, str]]:
    rows = []
    if difference.of is not None:
        rows.append(("Other labels read the same", "", f"{difference.kept} of {difference.of}"))
    if difference.drift is not None:
        moved = ", ".join(f"{name.replace('_', ' ')} {100 * by:+.0f}" for name, by in difference.moved)
        drift = f"{100 * difference.drift:.1f}" + (f" ({moved})" if moved else "")
        rows.append(("Off-target drift, points", "", drift))
    if difference.identity is not None:
        rows.append(("Identity kept, cosine", "", f"{difference.identity:.3f}"))
    return rows


def warnings(
    pipe: EditingPipeline, session: Mapping, after: read.Sight, alphas: Mapping[str, float]
) -> list[str]:
    """Where an alpha is outside the measured range, or a code outside the range of known pictures."""
    said = [
        f"{change_of(pipe, name)}: alpha {alpha:.2f} {words}"
        for name, alpha in alphas.items()
        if alpha and (words := _alpha_warning(pipe.scales[name], alpha))
    ]
    limit = pipe.cloud.limit
    if session["before"].distance > limit:
        said.append(
            "This picture's own code is farther out than 99% of known codes: edits may not hold for it."
        )
    elif after.distance > limit:
        distances = f"the code is {after.distance:.2f} out, 99% of known codes are within {limit:.2f}"
        said.append(f"These edits extrapolate: {distances}.")
    return said


def _alpha_warning(scale: Scale, alpha: float) -> str | None:
    if not scale.curve:
        return None
    last, best = scale.curve[-1]["alpha"], max(scale.curve, key=lambda point: point["target_change"])
    if alpha > last:
        return f"extrapolates: it was measured up to {last:.2f}."
    if alpha < 0:
        return "extrapolates: only alphas above 0 were measured."
    if alpha > best["alpha"] and best["target_change"] - (scale.expected("target_change", alpha) or 0) > 0.1:
        return f"is beyond {best['alpha']:.2f}, where most pictures change: from there on it overshoots."
    return None


def about(pipe: EditingPipeline, name: str) -> dict:
    """An edit's config in rows, its curve, its card's address. The page shows them as text, never as HTML."""
    config, scale, entry = pipe.edits[name].config, pipe.scales[name], pipe.sources.get(name)
    weights, base = config.get("weights") or {}, config.get("base_revision") or {}
    hub = entry is not None and "/" in entry.source and entry.revision is not None
    size = f"{_plain(config.get('dtype'))}, {weights.get('size', 0) / 1e6:.2f} MB"
    where = (
        f"{entry.source} at {entry.revision[:12]}{STALE * entry.stale}"
        if hub
        else "bundled with lwgan, or a folder"
    )
    nets = {role: pipe.config[role]["name"] for role in ("generator", "encoder") if role in pipe.config}
    rows = [
        ("Name", name), ("Changes", change_of(pipe, name)), ("Method", method_of(pipe, name)),
        ("Map", "w' = w + alpha (A w + b)" if config.get("kind") == "affine" else "w' = w + alpha b"),
        ("Codes", f"{config.get('num_ws')} layers of {config.get('w_dim')}"),
        ("Strength 1", f"alpha {scale.unit:g}, {unit_note(pipe, name)}"),
        ("Recommended alpha", _plain(config.get("alpha"))),
        ("Weights", f"{size}, sha256 {_short(weights.get('sha256'))}"),
        *[(role.capitalize(), f"{net}, sha256 {_short(base.get(role))}") for role, net in nets.items()],
        ("Source", where),
    ]  # fmt: skip
    return {
        "title": title(pipe, name), "rows": [(key, str(value)[:300]) for key, value in rows],
        "measured": measured(scale), "card": f"https://huggingface.co/{entry.source}" if hub else None,
        "unit": scale.unit,
        "curve": [[p["alpha"], p["target_change"], scale.kept(p["alpha"])] for p in scale.curve],
    }  # fmt: skip


def measured(scale: Scale) -> list[tuple[str, str]]:
    """The figures of a curve at strength 1."""
    values = {words: scale.expected(key, scale.unit) for key, words in FIGURES.items()}
    return [(words, read.percent(value)) for words, value in values.items() if value is not None]


def _plain(value) -> str:
    return "–" if value is None else json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def _short(sha256) -> str:
    return str(sha256)[:12]
