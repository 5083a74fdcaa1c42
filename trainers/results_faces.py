"""docs/results-faces.md, made of docs/results-faces.json alone."""

from pathlib import Path

from lwgan.methods import METHODS
from trainers import records, results_faces_data, run
from trainers.contenders_faces import (
    Group,
    at_match,
    attributes,
    grouped,
    label,
    leaked,
    never,
    pairs,
    rank,
    searched,
    titled,
    to_oracle,
)
from trainers.edits import NOT
from trainers.tables import mean, number, show, table

NAME = "results-faces.json"
PAPER = {  # Table 1: attribute preservation and identity preservation of Glasses, Age, Pale Skin
    "LT*": (".92 / .94", ".95 / .96", ".86 / .96"), "LW*": (".95 / .94", ".96 / .97", ".96 / .98"),
    "LT": (".98 / .95", ".98 / .96", ".98 / .98"), "LW": (".97 / .96", ".98 / .97", ".97 / .98"),
}  # fmt: skip


def write(docs: Path, found: dict) -> None:
    """results-faces.json and results-faces.md."""
    records.save(docs / NAME, found)
    run.write_text(docs / "results-faces.md", text(found))


def text(found: dict) -> str:
    groups, bounds, plain = grouped(found), found.get("bounds", {}), grouped(found, bias=0.0)
    parts = [
        HEAD.format(n=found["of"]["pictures"]), readable(found["nets"], found), table_1(groups), search(found), targets(groups, bounds, plain),
        averaged(groups), spill(groups), oracle(groups, bounds, found["of"]["oracles"]), results_faces_data.masses(found),
        results_faces_data.scarcity(found), images(groups), nets(found["nets"]), every(found), NOTES,
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


HEAD = """# Results on rendered faces

Made by `python -m trainers evaluate --domain synthfaces` of [results-faces.json](results-faces.json), which holds every number with its interval
and the options of each edit. All pictures are the renderer's own test pictures, up to {n} for each edit: of people, seeds and splits that no
training and no choice of an edit saw. Attributes are read by a judge of pictures, people by an identity network; both were trained on other people and
had no part in any edit, stopping rule or choice of an edit (of the nets: one, see [training-faces.md](training-faces.md)).

*Target change*: of the reconstructions in which the judge does not see what the edit is to bring, the share in which it sees it after the edit.
*Attribute preservation*: of the other attributes, the share that is read as before. *Identity*: the cosine of the identity network's
embeddings before and after. Before is always the reconstruction, not the picture: what the encoder lost is not the edit's fault. *True*:
changed, times the share of the other attributes that stay. An edit's settings and strength were chosen on validation pictures by a third judge;
of a method's settings the best so chosen stands in the tables, all of them at the end. *Never*: no strength up to 2d reaches the target change
(*never (2 of 3 seeds)*: two do not, one does)."""

NOTES = """## What is ours

The paper's faces are photographs, its nets StyleGAN2 at 1,024 px and pSp, its judges unknown; here everything is rendered at 64 px, and every
net is small. Its numbers are quoted for orientation. The paper averages over ten strengths from d to 2d without saying what d is: ours is
where half of the validation cases have changed. Methods differ in how far they change at the same multiple of d, so the first tables
compare them where they change equally much."""


# Tables


def readable(nets: dict, found: dict) -> str:
    lines = []
    for name in sorted(nets["auc_real"], key=lambda name: -(nets["auc_reconstructed"][name] or 0)):
        areas = [nets[key][name] for key in ("auc_real", "auc_reconstructed")]
        lines.append(
            [
                name,
                *("none" if area is None else f"{area:.3f}" for area in areas),
                "" if name in nets["counted"] else "dropped",
            ]
        )
    dropped = sorted(
        {
            row["attribute"]
            for row in found["edits"].values()
            if row["attribute"].removeprefix(NOT) not in nets["counted"]
        }
    )
    without = (
        f" So the edits of {', '.join(dropped)} are in none of the tables but the last." if dropped else ""
    )
    return f"""## Which attributes count

A rule set before any result was seen: an attribute that the judge cannot tell on reconstructions (area under the ROC curve below .9) is dropped,
as an edited attribute and from attribute preservation. {len(nets["counted"])} of {len(lines)} remain.{without} AUC on {nets["pictures"]} test
pictures, whose attributes correlate as the training set's do:

{table(["attribute", "AUC, pictures", "AUC, reconstructions", ""], lines)}"""


def table_1(groups: dict[str, Group]) -> str:
    names = attributes(groups)
    parts = [PAPERS_TABLE]
    for key, title in (
        ("attribute_preservation", "Attribute preservation"),
        ("identity", "Identity preservation"),
    ):
        parts.append(f"{title}:\n\n{by_attribute(groups, names, lambda rows, key=key: at_match(rows, key))}")
    return "\n\n".join([*parts, *seeds(groups)])


def seeds(groups: dict[str, Group]) -> list[str]:
    """How far the seeds of one edit lie apart, where there are several."""
    found: dict[str, list[list[dict]]] = {}
    for name, group in groups.items():
        several = [rows for rows in group.values() if len(rows) > 1 and all(row["matched"] for row in rows)]
        if several:
            found[name] = several
    apart = lambda rows, key: max(values := [row["matched"][key]["value"] for row in rows]) - min(values)
    most = lambda several, key: max(apart(rows, key) for rows in several)
    told = [
        f"{name} {most(several, 'attribute_preservation'):.3f} / {most(several, 'identity'):.3f}"
        for name, several in found.items()
    ]
    if not told:
        return []
    return [
        f"Means over seeds, where there are several; the largest difference between seeds of one edit (attributes / identity): {', '.join(told)}."
    ]


def search(found: dict) -> str:
    """How much each method was searched."""
    count = lambda low, high: f"{low}" if low == high else f"{low} to {high}"
    told = ", ".join(f"{titled(name)} {count(*many)}" for name, many in sorted(searched(found).items()))
    return f"Settings learned for an attribute, of which validation chose one (beside alpha, of which all were searched alike): {told}."


PAPERS_TABLE = f"""## Table 1: what is preserved at the same target change

Where an edit first changes 80% of its cases (found by interpolation and measured there).
LT* and LW* are without regularisation (LW*: lambda 0, equal masses, full rank). *Mean*: over the attributes at which all of LT*, LW*, LT and LW that are
at hand arrive. The paper's Table 1, attribute / identity preservation, of photographs:

{table(["method", "Glasses", "Age", "Pale Skin"], [[name, *cells] for name, cells in PAPER.items()])}"""


def by_attribute(groups: dict[str, Group], names: list[str], value, digits: int = 3, more: tuple = ()) -> str:
    """A line a method, a column an attribute; value: the seeds' rows -> a number or None. more: further lines (title, attribute -> value)."""
    lines = []
    ours = [group for name, group in groups.items() if name in PAPER]
    common = [
        name
        for name in names
        if ours and all(name in group and value(group[name]) is not None for group in ours)
    ]
    for title, values in more:
        lines.append(
            [
                title,
                *(shown(values.get(name), digits) for name in names),
                average([values.get(name) for name in common], digits),
            ]
        )
    for method, group in groups.items():
        values = {name: value(group[name]) for name in group}
        cells = [
            ""
            if name not in group
            else never(group[name])
            if values[name] is None
            else f"{values[name]:.{digits}f}"
            for name in names
        ]
        lines.append([titled(method), *cells, average([values.get(name) for name in common], digits)])
    return table(["method", *names, "mean"], lines)


def shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def average(values: list[float | None], digits: int) -> str:
    return f"{mean(values):.{digits}f}" if values and None not in values else ""


def targets(groups: dict[str, Group], bounds: dict, plain: dict[str, Group]) -> str:
    """What was hoped for, and what came. plain: edits learned on data without correlations."""
    lines = []
    far, nearer = METHODS["interfacegan"], "LW's distance to the oracle 30% below InterFaceGAN's"
    stars, kept = "LW* above LT*", ("attribute_preservation", "identity")
    for of, ours, theirs, aim, keys, reached in (
        (groups, "LW*", "LT*", stars, kept, lambda a, b: a > b),
        (
            plain,
            "LW*",
            "LT*",
            f"{stars}, both learned on data without correlations",
            kept,
            lambda a, b: a > b,
        ),
        (groups, "LW", "LT", "LW above LT - .01", kept, lambda a, b: a >= b - 0.01),
        (groups, "LW", far, nearer, ("features",), lambda a, b: a <= 0.7 * b),
    ):
        both = of.get(ours, {}).keys() & of.get(theirs, {}).keys()
        for key in keys:
            if found := pairs(
                of,
                ours,
                theirs,
                lambda rows, key=key: (to_oracle if key == "features" else at_match)(rows, key),
            ):
                came = f"{sum(reached(a, b) for a, b in found)} of {len(found)}"
                came += f" ({len(both) - len(found)} more: never)" * (len(both) > len(found))
                gain = mean([a for a, _ in found]) - mean([b for _, b in found])
                gain = f"{gain / mean([b for _, b in found]):+.1%}" if key == "features" else f"{gain:+.3f}"
                lines.append([aim, WORDS[key], came, gain])
    if not lines:
        return ""
    return f"""### What was aimed at

At the same target change, of the attributes at which both arrive, by the mean of all pictures, however small the difference (intervals: in the
JSON); on the right the mean difference (of distances: of their means).

{table(["aim", "in", "reached", "difference"], lines)}{reachable(groups, far, bounds)}"""


def reachable(groups: dict[str, Group], method: str, bounds: dict) -> str:
    """How much nearer to the oracle than a method any edit of codes can be expected to come with these nets."""
    through = lambda rows: (
        ((bounds.get(rows[0]["attribute"]) or {}).get("through_encoder") or {})
        .get("features", {})
        .get("value")
    )
    found = [(through(rows), to_oracle(rows, "features")) for rows in groups.get(method, {}).values()]
    found = [pair for pair in found if None not in pair]
    if not found:
        return ""
    gain = mean([best for best, _ in found]) / mean([far for _, far in found]) - 1
    return f"""

The most that can be expected of the last: the oracle's own picture, encoded and drawn again, comes {-gain:.1%} nearer to the oracle than {method}
in these {len(found)} attributes. What is missing to that is the encoder's and the generator's."""


WORDS = {
    "attribute_preservation": "attribute preservation",
    "identity": "identity preservation",
    "features": "judge features",
}


def averaged(groups: dict[str, Group]) -> str:
    """The paper's way: the mean over the ten strengths from d to 2d. What had been changed before counts as nothing to change."""
    over = lambda rows, key: mean([mean([point[key] or 0.0 for point in row["curve"][1:]]) for row in rows])
    names, parts = attributes(groups), []
    for key, title in (
        ("target_change", "Target change"),
        ("attribute_preservation", "Attribute preservation"),
        ("identity", "Identity"),
    ):
        parts.append(f"{title}:\n\n{by_attribute(groups, names, lambda rows, key=key: over(rows, key))}")
    return (
        "## As the paper averages: ten strengths from d to 2d\n\nTo be read together: who changes less keeps more.\n\n"
        + "\n\n".join(parts)
    )


def spill(groups: dict[str, Group]) -> str:
    """How much else changes, as one number; the matrix is a picture."""
    return f"""## Leakage

How much more, or less, often another attribute is read after the edit: mean of the absolute differences over the other attributes that count,
at the same target change. Which ones, of the first seed: [faces-leakage.png](images/faces-leakage.png).

{by_attribute(groups, attributes(groups), leaked)}"""


def oracle(groups: dict[str, Group], bounds: dict, limit: int) -> str:
    parts, names = [], attributes(groups)
    for key, title, digits in (
        ("features", "Distance of the judge's features (1: two other people's pictures)", 3), ("identity", "Identity: cosine of the embeddings", 3),
        ("outside", "Pixels outside of what the oracle changes: mean squared error, values from 0 to 1", 4),
    ):  # fmt: skip
        more = [
            (
                words,
                {
                    name: bounds[name][kind][key]["value"]
                    for name in names
                    if bounds.get(name) and bounds[name][kind][key]
                },
            )
            for kind, words in (("no_edit", "*no edit*"), ("through_encoder", "*oracle through encoder*"))
        ]
        parts.append(
            f"{title}:\n\n{by_attribute(groups, names, lambda rows, key=key: to_oracle(rows, key), digits, tuple(more))}"
        )
    shares = lambda bound: [
        show([bound["through_encoder"][key]]) for key in ("target_change", "attribute_preservation")
    ]
    there = [(name, bounds[name]) for name in names if bounds.get(name)]
    reach = [
        [name, str(bound["n"]), f"{bound['outside_share']:.2f}", *shares(bound)] for name, bound in there
    ]
    return f"""## How near the picture that it should be

The renderer draws the same person with the attribute flipped, up to {limit} for each; those whom it would change otherwise too are left out (a bald
head loses its fringe). *No edit* is the reconstruction as it is; *oracle through encoder* is what encoder and generator make of the oracle's own
picture, the nearest that an edit of codes can be expected to come. At the same target change as above.

{(chr(10) * 2).join(parts)}

What the judge says of oracles through the encoder, as of an edit; and which share of the picture the oracle leaves as it was:

{table(["edit", "pictures", "unchanged by the oracle", "target change", "attribute preservation"], reach)}"""


def images(groups: dict[str, Group]) -> str:
    """Which pictures there are, and what their lines are."""
    names = attributes(groups)
    lines = lambda methods: ", ".join(
        name for name in names if all(name in groups.get(method, {}) for method in methods)
    )
    sheets = [f"- [{name}](images/faces-methods-{name.lower().replace('_', '-')}.png)" for name in names]
    ways = lines(["LW" if "LW" in groups else "LW*"])
    parts = [
        "What is kept against what is changed (Fig. 4): [attributes](images/faces-attributes.png), [identity](images/faces-identity.png).",
        "Samples: [faces-samples.png](images/faces-samples.png). Real pictures, each above its reconstruction: "
        "[faces-reconstructions.png](images/faces-reconstructions.png).",
        f"LW with alpha = -2, -1, 0, 1, 2 (Fig. 3), two people in a line: [faces-both-ways.png](images/faces-both-ways.png); lines: {ways}." if ways else "",
        "Without regularisation (Fig. 2a), from d to 2d: [faces-unregularised.png](images/faces-unregularised.png); "
        f"lines: {both}." if (both := lines(["LT*", "LW*"])) else "",
        "All methods at the same target change, beside the oracle (Fig. 5; in parentheses who does not change so much, at 2d):",
        "\n".join(sheets),
    ]  # fmt: skip
    return "## Pictures\n\n" + "\n\n".join(part for part in parts if part) if names else ""


def nets(found: dict) -> str:
    generator, encoder, identity = found["generator"], found["encoder"], found["identity"] or {}
    known, test, oracles = (identity.get(key) or {} for key in ("known", "test", "oracle"))
    lines = [
        ["judge", "mean AUC on test pictures of its own kind (rare attributes not rare)", shown(found["judge"]["mean_test_auc"], 4)],
        ["judge", "attributes that count, read in reconstructions as in pictures", shown(encoder["attributes_read_as_in_the_picture"], 4)],
        ["identity", f"top-1 on other pictures of its {known.get('identities', '')} people", shown(known.get("top_1"), 3)],
        ["identity", f"top-1 among {test.get('identities', '')} other people", shown(test.get("top_1"), 3)],
        *(["identity", f"cosine of {words}", shown((value or {}).get("mean"), 3)] for words, value in (
            ("two pictures of one person", test.get("same")), ("two people", test.get("other")), ("a picture and its oracles", oracles))),
        ["generator", f"Frechet distance / variance of judge features, {generator['samples']} samples (real against real)",
         f"{generator['relative_frechet_distance']:.4f} ({generator['relative_frechet_distance_real']:.4f})"],
        ["encoder", "mean squared error of reconstructions, values from 0 to 1", f"{encoder['mean_squared_error']:.5f}"],
        ["encoder", "judge features, distance of picture and reconstruction (1: two people's)", f"{encoder['feature_distance']:.3f}"],
        ["encoder", "identity of picture and reconstruction (of two people)", f"{encoder['identity']:.3f} ({encoder['identity_of_others']:.3f})"],
    ]  # fmt: skip
    return f"## Nets and judges\n\n{table(['net', 'figure', 'value'], lines)}"


def every(found: dict) -> str:
    """All edits: their settings, and what they do at the strength that validation chose."""
    lines = []
    for name, row in sorted(
        found["edits"].items(), key=lambda item: (rank(item[1]["attribute"]), label(item[1]), item[0])
    ):
        chosen, options = row["chosen"], row["options"]
        varied = (
            "preservation_weight", "masses", "rank", "blur", "decay", "patience", "regularisation", "reconstruction", "training_codes",
        )  # fmt: skip
        told = [f"{key.replace('_', ' ')} {value}" for key in varied if (value := options.get(key))]
        told += [f"bias {row['bias']:g}"] if row["bias"] is not None else []
        rates = [
            show([chosen[key]])
            for key in ("target_change", "attribute_preservation", "identity", "true_change")
        ]
        start = f"{row['d']:.2f}" + " (not reached)" * (not row["d_reached"])
        lines.append(
            [
                name,
                label(row),
                row["attribute"],
                ", ".join(told),
                number([chosen["alpha"]]),
                start,
                number([row["validation_true_change"]], 3),
                *rates,
            ]
        )
    head = [
        "edit",
        "method",
        "attribute",
        "settings",
        "alpha",
        "d",
        "true (validation)",
        "changed",
        "attributes",
        "identity",
        "true",
    ]
    return f"## Every edit, at the strength that validation chose\n\n{table(head, lines)}"
