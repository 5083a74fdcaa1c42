"""Rows, names of settings, and the CSV."""

import json

import pytest

from lwgan.domain import change_as_json, change_of
from trainers.evaluate import records

REVISIONS = {"generator": "a" * 64, "judge": "b" * 64}


def config(method: str = "lw", change: str = "Hat", true_change: float = 0.5, **options) -> dict:
    training = {"method": options, "layers": options.pop("layers", None)}
    change = change_as_json(change_of(change))
    return {
        "method": method,
        "change": change,
        "training": training,
        "validation": {"true_change": true_change},
    }


def metrics(value: float = 0.9) -> dict:
    rate = {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 10}
    chosen = {"alpha": 1.0, "norm": 3.0, "target_change": rate, "true_change": rate, "all_kept": None}
    matched = {**chosen, "alpha": 0.8, "leakage": {"Beard": -0.2, "Smile": 0.4}, "oracle": {"features": rate}}
    curve = [{"alpha": alpha, "norm": 3 * alpha, "target_change": alpha * value} for alpha in (0.0, 1.0)]
    return {
        "of": {},
        "read_by": "judge",
        "chosen": chosen,
        "calibrated": None,
        "matched": matched,
        "curve": curve,
    }


@pytest.mark.parametrize(
    ("method", "options", "label", "setting"),
    [
        ("lw", {"rank": 24, "blur": 0.03, "seed": 1, "masses": "uniform"}, "LW", "rank 24, blur 0.03"),
        ("lw", {"rank": None, "blur": 0.05, "masses": "uniform"}, "LW*", "blur 0.05"),
        ("lw", {"solver": "partial", "kappa": 2.0, "rank": 0, "blur": 0.05}, "LW*, partial transport",
         "solver partial, kappa 2, rank 0"),
        ("lw", {"solver": "partial", "masses": "overlap"}, "LW, partial transport",
         "solver partial, masses overlap"),
        ("lw", {"solver": "partial", "paper": True, "kappa": 1.0, "rank": 24}, "LW, exact W2",
         "the paper's, solver partial, kappa 1, rank 24"),
        ("lw", {"solver": "partial", "kappa": 1.0, "skip": 0.5}, "LW*, partial transport",
         "solver partial, kappa 1, skip 0.5"),
        ("lw", {"solver": "sinkhorn", "paper": True}, "LW*", "the paper's, solver sinkhorn"),
        ("lt", {"reconstruction": 10.0, "regularisation": 1.0}, "LT", "regularisation 1, reconstruction 10"),
        ("lt", {"reconstruction": 0.0, "regularisation": 0.0}, "LT*", ""),
        ("centroids", {"masses": "match"}, "mean shift, masses match", "masses match"),
        ("sefa", {"layers": 6}, "SeFa", "study: first 6 layers"),
        ("new", {}, "new", ""),
    ],
)  # fmt: skip
def test_methods_and_settings_have_names(method, options, label, setting):
    found = config(method, **options)
    assert records.label(found) == label and records.setting(found) == setting


def test_a_figure_is_a_row_that_comes_back_from_the_csv(tmp_path):
    path = tmp_path / "toys.csv"
    results = records.Results(path, REVISIONS, ["Beard", "Hat"])
    results.put_net("toys-judge", "judge", REVISIONS["judge"], {"auc": {"Hat": 0.75, "Beard": None}})
    results.put_edit("hat", config(rank=4, seed=3), metrics())
    results.put_edit("beard", config(change="Beard"), metrics(0.5))
    results.put_control("Hat", "no edit", {"target_change": metrics()["chosen"]["target_change"]})
    assert results.mean_norm("Hat") == 3
    results.save()
    found = records.read(path)
    auc = found[found["metric"] == "auc"].iloc[0]
    assert (auc["edit"], auc["setting"], auc["change"], auc["value"]) == ("toys-judge", "b" * 12, "Hat", 0.75)
    hat = found[found["edit"] == "hat"].set_index(["at", "metric"])
    assert hat.loc[("chosen", "target_change"), ["alpha", "value", "low", "high", "n"]].tolist() == [
        1,
        0.9,
        0.8,
        1,
        10,
    ]
    assert hat.loc[("matched", "leakage"), "value"] == pytest.approx(0.3)
    assert hat.loc[("matched", "oracle:features"), "alpha"] == 0.8
    assert hat.loc[("validation", "true_change"), ["value", "seed", "setting"]].tolist() == [
        0.5,
        "3",
        "rank 4",
    ]
    assert len(hat.loc["curve"]) == 4 and ("chosen", "all_kept") not in hat.index
    assert found[found["at"] != ""]["change"].unique().tolist() == ["Beard", "Hat"], "in the domain's order"
    again = records.Results(path, REVISIONS, ["Beard", "Hat"])
    again.put_edit("hat", config(rank=4, seed=3), metrics(0.8))
    again.save()
    assert len(records.read(path)) == len(found), "replaced, and nothing else lost"
    assert records.Results(path, REVISIONS, []).mean_norm("Beard") == 3


def test_figures_of_other_nets_are_left_out(tmp_path, capsys):
    results = records.Results(tmp_path / "toys.csv", REVISIONS, [])
    results.put_net("toys-judge", "judge", REVISIONS["judge"], {"auc": {"Hat": 0.75}})
    results.put_edit("hat", config(), metrics())
    results.save()
    assert not records.Results(tmp_path / "toys.csv", REVISIONS | {"judge": "c" * 64}, []).rows
    assert "other nets" in capsys.readouterr().out


def test_an_edits_folder_gets_figures_and_strength(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config()))
    records.write(tmp_path, metrics() | {"of": {"edit": "a"}}, change_of("Hat"))
    found = json.loads((tmp_path / "config.json").read_text())
    assert found["metrics"] == metrics()["chosen"] | {"read_by": "judge"}
    # Measured: 0 at alpha 0 and .9 at alpha .8. In between lies .8.
    assert found["strength"]["reach"] == 0.8 and found["strength"]["unit"] == pytest.approx(
        0.8 * 0.8 / 0.9, abs=1e-4
    )
    assert records.kept(tmp_path, {"edit": "a"}, 1.0)["curve"] == metrics()["curve"]
    assert (
        records.kept(tmp_path, {"edit": "b"}, 1.0) is None
        and records.kept(tmp_path, {"edit": "a"}, 2.0) is None
    )
    seen = {"edit": "a", "labels": "l"}
    assert records.kept(tmp_path, seen, 1.0), "an older one does not say which pictures it is of"
    records.write(tmp_path, metrics() | {"of": seen}, change_of("Hat"))
    assert records.kept(tmp_path, seen, 1.0) and not records.kept(tmp_path, seen | {"labels": "m"}, 1.0)
    (tmp_path / "metrics.json").write_text("{torn")
    assert records.kept(tmp_path, {"edit": "a"}, 1.0) is None


def test_what_is_no_csv_of_results_is_refused(tmp_path):
    (tmp_path / "toys.csv").write_text("edit,method\nhat,lw\n")
    with pytest.raises(ValueError, match=r"toys.csv is damaged"):
        records.read(tmp_path / "toys.csv")
