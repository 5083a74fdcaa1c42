"""Tables from hand-made metrics: what is chosen, matched and shown follows from few numbers."""

import json
from pathlib import Path

import pytest

from lwgan.methods import METHODS
from trainers import cards, contenders, edit, evaluate, figures, records, results
from trainers.edits import ADAPTED


def rate(value: float, spread: float = 0.02) -> dict:
    return {"value": value, "low": value - spread, "high": value + spread, "n": 1000}


def row(
    method: str,
    count: int = 2,
    *,
    validation: float = 0.5,
    alpha: float = 1.0,
    changes=(0.0, 0.3, 0.6),
    calibrated=None,
    **options,
) -> dict:
    """An edit measured at 0, 1 and 2 times its alpha; the old digits kept fall by .1 from point to point, its norm is 10 alpha."""
    points = [
        {"alpha": alpha * i, "norm": 10.0 * alpha * i, "target_change": change, "digits_kept": 1 - 0.1 * i if i else None, "identity": 1 - 0.05 * i}
        for i, change in enumerate(changes)
    ]  # fmt: skip
    point = {
        key: rate(0.5)
        for key in ("target_change", "at_least", "true_change", "digits_kept", "identity", "latent_change")
    }
    chosen = point | {
        "alpha": alpha,
        "norm": 10.0 * alpha,
        "added_ink": 0.9,
        "target_change": rate(changes[1]),
        "no_edit": rate(0.03),
    }
    return {
        "name": f"{method}-{count}", "method": method, "to_count": count, "options": options, "validation_true_change": validation,
        "chosen": chosen, "calibrated": calibrated and chosen | {"alpha": calibrated}, "curve": points,
    }  # fmt: skip


def lt(reconstruction: float, regularisation: float = 1.0, **kind) -> dict:
    return row("lt", reconstruction=reconstruction, regularisation=regularisation, **kind)


def test_settings_have_names():
    groups = contenders.grouped(
        [
            lt(10.0),
            lt(0.0),
            lt(0.0, 0.0),
            lt(0.1),
            row("centroids", masses="uniform"),
            row("centroids", masses="balanced"),
        ]
    )
    assert list(groups) == [
        "LT as published",
        "LT*",
        "LT, reconstruction 0",
        "LT, reconstruction 0.1",
        "mean shift",
        "mean shift, masses balanced",
    ]
    wasserstein = {"blur": 0.03, "rank": 24, "preservation_weight": 1.0, "learning_rate": 0.2}
    assert contenders.label("lw", wasserstein) == "LW, blur 0.03, rank 24, lambda 1"
    assert (
        contenders.label(
            "lw", wasserstein | {"rank": None, "preservation_weight": 0.0, "learning_rate": 1e-3}
        )
        == "LW, blur 0.03, the paper's step"
    )
    assert (
        contenders.label("lw", wasserstein | {"masses": "match"})
        == "LW, blur 0.03, rank 24, lambda 1, masses match"
    )
    assert contenders.label("mine", {}) == "mine"
    assert (
        contenders.label("centroids", {"layers": 6, "training_codes": 40_000}) == "mean shift, first 6 layers"
    )
    assert (
        contenders.label("lw", wasserstein | {"training_codes": 100_000})
        == "LW, blur 0.03, rank 24, lambda 1, 100,000 codes"
    )


def test_a_setting_is_chosen_by_validation_and_not_by_the_test():
    weak = lt(10.0, validation=0.6, changes=(0, 0.1, 0.2))
    strong = lt(0.1, validation=0.5, changes=(0, 0.9, 1.0))
    chosen = contenders.best(contenders.grouped([weak, strong]), "lt")
    assert chosen == {2: [weak]}
    seeds = [lt(0.1, validation=0.8), lt(0.1, validation=0.2)]
    other = [lt(10.0, validation=0.6), lt(10.0, validation=0.5)]
    assert contenders.best(contenders.grouped([*other, *seeds]), "lt") == {2: other}, (
        "seeds count by their mean"
    )
    assert contenders.best(contenders.grouped([lt(1.0, validation=0.9), *seeds]), "lt") == {2: seeds}, (
        "a lucky single run is not the best setting"
    )
    cut = row("lt", reconstruction=1.0, regularisation=1.0, layers=6, validation=1.0)
    assert contenders.best(contenders.grouped([cut, weak]), "lt") == {2: [weak]}, (
        "all methods get the same layers"
    )
    names = [name for name, _ in contenders.listed(contenders.grouped([weak, strong, row("sefa")]))]
    assert names == ["LT, best setting", "LT as published", "SeFa (adapted)"]


def test_what_was_adapted_is_said_by_the_methods_file_its_card_and_the_results():
    for method, module in edit.METHODS.items():
        text = results.chosen(contenders.grouped([row(method)]))
        if "adapted" in module.__doc__.lower():
            assert f"adapted from its paper ({ADAPTED[method]})" in cards.learned({"method": method})
            assert f"| {METHODS[method]} (adapted) |" in text
            assert text.endswith(f"Adapted from their papers: {METHODS[method]} ({ADAPTED[method]}).")
        else:
            assert (
                "adapted" not in cards.learned({"method": method}) + text.lower()
                and f"| {METHODS[method]}" in text
            )
    assert ADAPTED.keys() < edit.METHODS.keys() and list(edit.METHODS) == list(METHODS)


def test_only_seeds_are_averaged():
    rows = [
        lt(0.1) | {"options": {"reconstruction": 0.1, "regularisation": 1.0, "batch": batch, "seed": seed}}
        for batch, seed in ((4, 0), (4, 1), (8, 0))
    ]
    groups = contenders.grouped(rows)
    assert {name: len(by_count[2]) for name, by_count in groups.items()} == {
        "LT, reconstruction 0.1, batch 4": 2, "LT, reconstruction 0.1, batch 8": 1,
    }  # fmt: skip
    for row in (
        rows[0],
        rows[2],
    ):  # older ones do not say how many codes there were, nor what was no option yet
        row["options"] |= {"batch": 4, "training_codes": contenders.CODES}
    assert [
        len(group[2]) for order in (rows, rows[::-1]) for group in contenders.grouped(order).values()
    ] == [3, 3]
    rows[0]["options"]["new"] = 1
    assert all(
        sorted(len(group[2]) for group in contenders.grouped(order).values()) == [1, 2]
        for order in (rows, rows[::-1])
    )


def test_the_mean_shift_of_balanced_samples_is_a_method_of_its_own():
    rows = [
        row("centroids", masses="uniform", validation=0.1),
        row("centroids", masses="balanced", validation=0.9),
    ]
    groups = contenders.grouped(rows)
    assert [(name, by_count[2]) for name, by_count in contenders.listed(groups)] == [
        ("mean shift", rows[:1]), ("mean shift, masses balanced", rows[1:]),
    ]  # fmt: skip


def test_the_seed_that_is_drawn_is_validations():
    rows = [lt(0.1, validation=0.2), lt(0.1, validation=0.7), lt(0.1, validation=0.5)]
    assert contenders.best_seed(rows) is rows[1]


def test_the_command_is_told_without_the_folders_of_this_machine():
    options = evaluate.Options(data=Path("/home/me/runs/data"), edit_pictures=50)
    assert (
        records.command("evaluate", options)
        == "python -m trainers evaluate --domain multimnist --data data --edit-pictures 50"
    )
    assert (
        records.command("evaluate", evaluate.Options(domain="synthfaces"))
        == "python -m trainers evaluate --domain synthfaces"
    )


def test_the_judges_accuracy_stands_below_every_table():
    found = json.loads((Path(__file__).parents[1] / "docs" / results.NAME).read_text())
    text = results.text(found)
    of_edits = text.split("## Nets and judges")[0]
    assert of_edits.count("| --- |") >= 7 and of_edits.count(results.judges(found["nets"])) == of_edits.count(
        "\n## "
    )
    encoder = found["nets"]["encoder"]
    for name in ("count_kept", "digits_kept", "calibrator_accuracy"):
        assert f"{encoder[name]['value']:.3f}" in results.judges(found["nets"])


def test_seeds_are_shown_as_mean_and_outermost_bounds():
    assert results.show([rate(0.4), rate(0.6)]) == "0.500 (2) [0.380, 0.620]"
    assert results.show([rate(0.4)]) == "0.400 [0.380, 0.420]"
    assert results.show([None]) == "none"
    assert results.show([None, rate(0.4)]) == "0.400 (1 of 2) [0.380, 0.420]", (
        "a seed that changed nothing has no rate of what was kept"
    )


def test_a_method_that_changes_nothing_keeps_its_place_in_the_curves():
    still = row("random", changes=(0.0, 0.0, 0.0))
    for point in still["curve"]:
        point["digits_kept"] = None
    lines, words = (
        contenders.listed(contenders.grouped([row("sefa"), still])),
        {"target_change": "changed", "digits_kept": "kept"},
    )
    axis = figures._panels(lines, (("target_change", "digits_kept"),), words).axes[0]
    assert not axis.yaxis.have_units(), "an axis of numbers, not of categories"
    assert [(len(line.get_xdata()), line.get_marker() + line.get_linestyle()) for line in axis.lines] == list(
        zip((2, 0), figures.STYLES, strict=False)
    )


def test_no_edit_is_a_row_too():
    lines = results.chosen(contenders.grouped([row("sefa"), row("sefa", 3)])).splitlines()
    assert [line for line in lines if "no edit" in line] == [
        f"| {edit} | no edit | 0 | 0.030 [0.010, 0.050] | 0.030 [0.010, 0.050] |  | 1 | 0 | 0 | 0 |"
        for edit in ("1 to 2", "2 to 3")
    ]


def test_figures_are_compared_at_the_same_target_change():
    assert results._matched([row("sefa")], "identity", 0.45) == "0.925", (
        "half-way between .95 at .3 and .90 at .6"
    )
    assert results._matched([row("sefa")], "norm", 0.3) == "10.0"
    assert results._matched([row("sefa")], "identity", 0.7) == "never"
    assert results._matched([row("sefa"), row("sefa", changes=(0, 0.5, 0.9))], "norm", 0.7) == "15.0 (1 of 2)"
    assert results._matched([row("sefa", changes=(0, 0.0, 0.6))], "digits_kept", 0.3) == "0.850", (
        "the start, where nothing changed, has no kept digits"
    )


def test_figures_are_compared_at_the_same_strength():
    at = lambda row, count: results._alpha_of_norm(row, 15.0)
    assert (
        results._changed_at([row("sefa")], at, 2) == "0.450"
        and results._changed_at([row("sefa", alpha=2.0)], at, 2) == "0.225"
    )
    assert results._changed_at([row("sefa", alpha=0.5)], at, 2) == "beyond"
    assert results._changed_at([row("sefa", alpha=0.5), row("sefa")], at, 2) == "0.450 (1 of 2)"


@pytest.mark.parametrize(
    ("rows", "words"),
    [([row("sefa", calibrated=1.25)], "0.300 [0.280, 0.320] (0.500; 1.25)"), ([row("sefa")], "never says so"), ([], "not measured"),
     ([row("sefa", calibrated=1.25), row("sefa")], "0.300 [0.280, 0.320] (0.500; 1.25; 1 of 2 seeds never)")],
)  # fmt: skip
def test_table_2_says_where_the_classifier_of_codes_is_never_sure(rows, words):
    assert results._calibrated(rows) == words


def test_the_papers_numbers_stand_beside_its_methods_alone():
    table = results.table_2(
        contenders.grouped([lt(10.0, calibrated=1.0), lt(0.1, validation=0.9), row("random")])
    )
    lines = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("|")}
    assert (
        "paper: .32" in lines["LT as published"]
        and "paper" not in lines["LT, best setting"] + lines["random direction"]
    )
