"""What the views Edit and About, the status line and the readings show, as JSON."""

import itertools
import json
from collections.abc import Iterable, Mapping

from PIL import Image

from lwgan import readings as read
from lwgan import recipe
from lwgan.page.panel import change_of, group_of, method_name, title, unit_note
from lwgan.page.pictures import data_url, url
from lwgan.pipeline import EditingPipeline

COUNTER = itertools.count()


def edit(pipe: EditingPipeline, session: Mapping, result: Image.Image, alphas: Mapping[str, float]) -> dict:
    """The original, its reconstruction and the edited picture with its recipe."""
    made = recipe.make(pipe, session["source"], alphas)
    return {
        "original": data_url(session["framed"]), "reconstruction": data_url(session["before"].picture),
        "edited": url(recipe.png(result, made), "image/png"), "link": recipe.to_link(made), "recipe": recipe.to_json(made),
        "quality": quality(session),
    }  # fmt: skip


def quality(session: Mapping) -> str:
    """How well the reconstruction shows the original."""
    ratio = read.psnr(session["framed"], session["before"].picture)
    said = [f"{ratio:.1f} dB PSNR"]
    if session["original"] is not None:
        same, of = read.agreement(session["original"], session["before"].opinions[0])
        agreed = "judge reads the same" if same == of else f"judge reads {same} of {of} the same"
        if session["original"].attributes is None and same != of:
            agreed = f"judge reads {read.spell(session['original'])} in the original"
        said.append(agreed)
    return " · ".join(said)


def status(pipe: EditingPipeline, session: Mapping, after: read.Sight, alphas: Mapping[str, float]) -> dict:
    """One line on what has happened, which screen readers announce. `at` makes each one another, so that the page sees it come."""
    if "problem" in session:
        return {"line": session["problem"], "problem": True, "at": next(COUNTER)}
    line = ""
    if after.opinions:
        asked = asked_of(pipe, alphas)
        line = f"The judge reads {read.spell(session['before'].opinions[0], asked)} → {read.spell(after.opinions[0], asked)}."
    return {"line": " ".join(filter(None, (session["note"], line))), "problem": False, "at": next(COUNTER)}


def asked_of(pipe: EditingPipeline, alphas: Mapping[str, float]) -> list[str]:
    """The attributes to read: those that the edits in use are to change; where none is, those of all."""
    return targets(pipe, [name for name, alpha in alphas.items() if alpha] or alphas)


def targets(pipe: EditingPipeline, names: Iterable[str]) -> list[str]:
    """The attributes that these edits are to change."""
    return [str(pipe.edits[name].config.get("attribute") or "") for name in names]


def readings(pipe: EditingPipeline, session: Mapping, after: read.Sight, alphas: Mapping[str, float]) -> dict:
    """The table beside the picture: rows (what, before, after), and warnings."""
    before, on = session["before"], {name: alpha for name, alpha in alphas.items() if alpha}
    asked = asked_of(pipe, alphas)
    rows = [
        (was.judge.capitalize(), read.spell(was, asked), read.spell(now, asked))
        for was, now in zip(before.opinions, after.opinions, strict=True)
    ]
    rows += _change_rows(read.compare(pipe, before, after, asked))
    within = f"Distance from training codes (99% are within {pipe.cloud.limit:.2f})"
    rows.append((within, f"{before.distance:.2f}", f"{after.distance:.2f}"))
    return {"quality": quality(session), "rows": rows, "warnings": warnings(pipe, session, after, on)}


def _change_rows(change: read.Change) -> list[tuple[str, str, str]]:
    rows = []
    if change.of is not None:
        what = "Old digits still there" if change.drift is None else "Other attributes read the same"
        rows.append((what, "", f"{change.kept} of {change.of}"))
    if change.drift is not None:
        moved = ", ".join(f"{name.replace('_', ' ')} {100 * by:+.0f}" for name, by in change.moved)
        rows.append(
            ("Off-target drift, points", "", f"{100 * change.drift:.1f}" + (f" ({moved})" if moved else ""))
        )
    if change.identity is not None:
        rows.append(("Identity kept, cosine", "", f"{change.identity:.3f}"))
    return rows


def warnings(
    pipe: EditingPipeline, session: Mapping, after: read.Sight, on: Mapping[str, float]
) -> list[str]:
    """Where an alpha goes beyond what the edit or the generator was made for."""
    said, before = [], session["before"].distance
    for name, alpha in on.items():
        scale, label = pipe.scales[name], change_of(pipe.edits[name].config, name)
        if not scale.curve:
            continue
        last, best = scale.curve[-1]["alpha"], max(scale.curve, key=lambda point: point["target_change"])
        if alpha > last:
            said.append(f"{label}: alpha {alpha:.2f} extrapolates: it was measured up to {last:.2f}.")
        elif (
            alpha > best["alpha"]
            and best["target_change"] - (scale.expected("target_change", alpha) or 0) > 0.1
        ):
            said.append(
                f"{label}: alpha {alpha:.2f} is beyond {best['alpha']:.2f}, where most pictures change: from there on it overshoots."
            )
        elif alpha < 0:
            said.append(f"{label}: alpha {alpha:.2f} extrapolates: only alphas above 0 were measured.")
    limit = pipe.cloud.limit
    if before > limit:
        said.append(
            "This picture's own code lies farther out than 99% of codes of known pictures: edits may not hold for it."
        )
    elif after.distance > limit:
        said.append(
            f"These edits extrapolate: the code is {after.distance:.2f} out, 99% of codes of known pictures are within {limit:.2f}."
        )
    return said


STALE = ", from the cache: the Hub did not answer"


def about(pipe: EditingPipeline, name: str) -> dict:
    """The checked config of an edit in rows, its curve, and where its card is. Nothing that others wrote is rendered as HTML."""
    config, scale, entry = pipe.edits[name].config, pipe.scales[name], pipe.sources.get(name)
    weights, base = config.get("weights") or {}, config.get("base_revision") or {}
    hub = entry is not None and "/" in entry.source and entry.revision is not None
    rows = [
        ("Name", name), ("Changes", change_of(config, name)), ("Attribute", group_of(config)), ("Method", method_name(config)),
        ("Map", "w' = w + alpha (A w + b)" if config.get("kind") == "affine" else "w' = w + alpha b"),
        ("Codes", f"{config.get('num_ws')} layers of {config.get('w_dim')}"), ("Strength 1", f"alpha {scale.unit:g}, {unit_note(pipe, name)}"),
        ("Recommended alpha", _plain(config.get("alpha"))),
        ("Weights", f"{_plain(config.get('dtype'))}, {_size(weights.get('size', 0))}, sha256 {_short(weights.get('sha256'))}"),
        *[(role.capitalize(), f"{pipe.config[role]['name']}, sha256 {_short(base.get(role))}") for role in ("generator", "encoder") if role in pipe.config],
        ("Source", f"{entry.source} at {entry.revision[:12]}{STALE * entry.stale}" if hub else "bundled with the app, or a folder beside it"),
    ]  # fmt: skip
    return {
        "title": title(pipe, name), "rows": [(key, str(value)[:300]) for key, value in rows], "measured": measured(scale),
        "card": f"https://huggingface.co/{entry.source}" if hub else None, "unit": scale.unit,
        "curve": [[p["alpha"], p["target_change"], p.get("true_change")] for p in scale.curve],
    }  # fmt: skip


def measured(scale) -> list[tuple[str, str]]:
    """What the curve says at strength 1."""
    named = {
        "target_change": "Pictures that change", "true_change": "… and keep the rest", "digits_kept": "Of these, old digits kept",
        "attribute_preservation": "Other attributes kept", "identity": "Identity, cosine", "overshoot": "Changed too far",
    }  # fmt: skip
    found = [(words, key, scale.expected(key, scale.unit)) for key, words in named.items()]
    return [
        (words, f"{value:.3f}" if key == "identity" else read.percent(value))
        for words, key, value in found
        if value is not None
    ]


def _plain(value) -> str:
    return "–" if value is None else json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def _size(size: int) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _short(sha256) -> str:
    return str(sha256)[:12]
