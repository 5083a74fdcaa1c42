"""Tables of results-faces.md on what edits were learned from: how training codes weigh and correlate, lambda, and how many codes there are."""

from lwgan.methods import METHODS
from trainers.contenders_faces import (
    Group,
    at_match,
    best_setting,
    bias_of,
    codes_of,
    comparable,
    counted,
    label,
    leaked,
    never,
    rank,
)
from trainers.tables import table


def masses(found: dict) -> str:
    """Edits by how their training codes weigh, how these correlate, and lambda."""
    lines: dict[tuple, Group] = {}
    beside = {
        label(row) for row in comparable(found) if row["bias"] == 0
    }  # methods without masses that were learned both ways
    for row in comparable(found):
        if "masses" in (options := row["options"]) or label(row) in beside:
            method = METHODS.get(row["method"], row["method"]) if "masses" in options else label(row)
            bias = "not said" if row["bias"] is None else f"{row['bias']:g}"
            weight = options.get("preservation_weight")
            key = method, bias, options.get("masses", ""), "" if weight is None else f"{weight:g}"
            lines.setdefault(key, {}).setdefault(row["attribute"], []).append(row)
    if len(lines) < 2:
        return ""
    names = sorted({name for group in lines.values() for name in group}, key=rank)
    best = {
        key: {name: best_setting(rows) for name, rows in group.items()}
        for key, group in sorted(lines.items())
    }
    kept = [
        [*key, *(kept_and_leaked(group[name]) if name in group else "" for name in names)]
        for key, group in best.items()
    ]
    weighed = [
        [*key, *(weighs(group[name][0]) if name in group else "" for name in names)]
        for key, group in best.items()
        if key[2] not in ("", "uniform")
    ]
    head = ["method", "bias", "masses", "lambda", *names]
    return f"""## Masses and lambda, on correlated and on uncorrelated training sets

Bias 1: attributes of the training codes correlate as people's do; 0: they do not. If masses can mend correlations, with bias 1 they come near
`uniform` with bias 0. (`match` weighs the source, `balanced` and `overlap` both sides.) Lambda: the weight of L_pres. At the same target change:
attribute preservation / identity, and in parentheses the mean leakage into other attributes. Where several settings share a line, the one that
validation chose.

{table(head, kept)}

As how many equal ones the codes of source and target count under these masses, and in brackets how many attributes are evened out: those that would
leave a side counting as less than a tenth of its codes are not.

{table(head, weighed)}"""


def weighs(row: dict) -> str:
    if not (told := row.get("masses")):
        return "not said"
    return f"{told['source']['count_as']:,} + {told['target']['count_as']:,} [{len(told['evened'])}]"


SCARCE = ("blur", "rank", "decay", "patience", "masses")  # what is said of a setting


def scarcity(found: dict) -> str:
    """Edits by LW on fewer codes, against those on all."""
    lines: dict[tuple, dict[int, list[dict]]] = {}
    for row in counted(found):
        if row["method"] == "lw" and bias_of(row) == 1 and not row["options"].get("preservation_weight"):
            told = ", ".join(f"{key} {value}" for key in SCARCE if (value := row["options"].get(key)))
            lines.setdefault((row["attribute"], told), {}).setdefault(codes_of(row), []).append(row)
    sizes = sorted({size for group in lines.values() for size in group})
    lines = {key: group for key, group in lines.items() if min(group) < sizes[-1]}
    if not lines:
        return ""
    cells = [
        [*key, *(kept_and_leaked(best_setting(group[size])) if size in group else "" for size in sizes)]
        for key, group in sorted(lines.items())
    ]
    return f"""## How many codes it takes

LW on the first so many training codes (both sides and those of neither): at the same target change, attribute preservation / identity, and in
parentheses the mean leakage. An affine map of w_dim numbers can learn the pairing of w_dim + 1 codes by heart; against it may help a larger blur, early stopping
(patience: steps without a better validation loss before it stops), a low rank, shrinkage (decay).

{table(["attribute", "setting", *(f"{size:,} codes" for size in sizes)], cells)}"""


def kept_and_leaked(rows: list[dict]) -> str:
    if (kept := at_match(rows, "attribute_preservation")) is None:
        return never(rows)
    return f"{kept:.3f} / {at_match(rows, 'identity'):.3f}" + (
        "" if (more := leaked(rows)) is None else f" ({more:.3f})"
    )
