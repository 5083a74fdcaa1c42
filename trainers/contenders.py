"""Which edits of digits stand in the tables and figures of docs/results.md: seeds of one setting, of each method the setting that validation
chose."""

from lwgan.methods import METHODS
from trainers.edits import ADAPTED
from trainers.tables import mean

COUNTS = (2, 3, 4)
CODES = 40_000  # of the training split, unless a label says otherwise
APART = {
    "lt": ("LT as published", "LT*"),
    "centroids": ("mean shift, masses balanced",),
}  # settings with a line of their own in the main tables


def grouped(rows) -> dict[str, dict[int, list[dict]]]:
    """label -> count asked for -> the metrics of all its seeds; labels in METHODS's order, then by name. What else of a label's options
    differs between edits to the same count joins the label: only seeds are averaged."""
    alike: dict[tuple[str, int], list[dict]] = {}
    for row in rows:
        alike.setdefault((label(row["method"], row["options"]), row["to_count"]), []).append(row)
    groups: dict[str, dict[int, list[dict]]] = {}
    order = {method: i for i, method in enumerate(METHODS)}
    for name, count in sorted(alike, key=lambda key: (order.get(alike[key][0]["method"], len(order)), key)):
        rows = alike[name, count]
        known = set().union(*(row["options"] for row in rows)) - {"seed"}
        differing = [key for key in sorted(known) if len({str(told(row, key)) for row in rows}) > 1]
        for row in rows:
            more = "".join(f", {key.replace('_', ' ')} {told(row, key)}" for key in differing)
            groups.setdefault(name + more, {}).setdefault(count, []).append(row)
    return groups


def told(row: dict, key: str):
    """An option of an edit; None where it says nothing."""
    return row["options"].get(key, CODES if key == "training_codes" else None)


def best_seed(rows: list[dict]) -> dict:
    """Of a setting's seeds that with the most true edits on validation pictures."""
    return max(rows, key=lambda row: row["validation_true_change"] or 0.0)


def label(method: str, options: dict) -> str:
    """A method with what of its settings was varied."""
    layers, codes = options.get("layers"), options.get("training_codes", CODES)
    return (
        setting(method, options)
        + (f", first {layers} layers" if layers else "")
        + (f", {codes:,} codes" if codes != CODES else "")
    )


def setting(method: str, options: dict) -> str:
    """A method with its own options."""
    name = METHODS.get(method, method)
    if not options.keys() - {"layers", "training_codes"}:
        return name
    if method == "lt":
        weights = options["reconstruction"], options["regularisation"]
        return {(0, 0): "LT*", (10, 1): "LT as published"}.get(weights, f"LT, reconstruction {weights[0]:g}")
    if method == "lw":
        rank = "" if options["rank"] is None else f", rank {options['rank']}"
        kept = f", lambda {options['preservation_weight']:g}" if options["preservation_weight"] else ""
        slow = ", the paper's step" if options["learning_rate"] == 1e-3 else ""
        name = f"LW, blur {options['blur']:g}{rank}{kept}{slow}"
    if options.get("masses", "uniform") != "uniform":
        name += f", masses {options['masses']}"
    return name


def best(groups: dict, method: str) -> dict[int, list[dict]]:
    """For each count the seeds of the setting with the highest share of true edits on validation pictures, among the settings that
    were learned with the most seeds (the best of many single runs is lucky), of all layers and of as many codes as the other methods."""
    candidates = [
        rows for name, group in groups.items() if name not in APART["centroids"] for rows in group.values()
    ]
    candidates = [rows for rows in candidates if rows[0]["method"] == method and comparable(rows[0])]
    score = lambda rows: (len(rows), mean([row["validation_true_change"] or 0.0 for row in rows]))
    return {
        count: max(those, key=score)
        for count in COUNTS
        if (those := [rows for rows in candidates if rows[0]["to_count"] == count])
    }


def settings_of(groups: dict, method: str) -> set[str]:
    """The method's settings among which `best` chooses."""
    rows = [
        rows[0] for name, group in groups.items() if name not in APART["centroids"] for rows in group.values()
    ]
    return {setting(method, row["options"]) for row in rows if row["method"] == method and comparable(row)}


def comparable(row: dict) -> bool:
    """Whether an edit had the codes and the layers that all methods get."""
    return not row["options"].get("layers") and row["options"].get("training_codes", CODES) == CODES


def listed(groups: dict) -> list[tuple[str, dict[int, list[dict]]]]:
    """The lines of the main tables: (name, count -> seeds). Every method at its best, LT as published and as LT* too; the mean shift of
    balanced samples is a method of its own."""
    found = []
    for method in dict.fromkeys(
        [*METHODS, *(rows[0]["method"] for group in groups.values() for rows in group.values())]
    ):
        if by_count := best(groups, method):
            told = " (adapted)" * (method in ADAPTED) + ", best setting" * (
                len(settings_of(groups, method)) > 1
            )
            found.append((METHODS.get(method, method) + told, by_count))
        found += [(name, groups[name]) for name in APART.get(method, ()) if name in groups]
    return found
