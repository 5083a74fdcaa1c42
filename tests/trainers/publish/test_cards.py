"""Cards of a third domain: one golden card a kind, and what must hold of every card.

After a wanted change of the templates, `RENEW_CARDS=1 python -m pytest
tests/trainers/publish/test_cards.py` writes the golden cards (cards/*.md) anew: look at the difference
before committing it.
"""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from lwgan.domain import change_as_json, plain_domain
from lwgan.edit import AffineEdit
from lwgan.hub import registry
from lwgan.judges import IdentityNetwork, Judge
from tests.trainers.publish import shoes
from trainers import publish
from trainers.publish import cards

GOLDEN = Path(__file__).parent / "cards"
KINDS = {kind: f"lwgan-shoes-{kind}" for kind in shoes.FIGURES}
KINDS |= {"edit": shoes.EDIT, "translation": shoes.SHIFT}
CODE = "https://example.org/lwgan"


@pytest.fixture
def shelf(tmp_path):
    return shoes.make(tmp_path / "shelf")


def card(folder: Path, **options) -> str:
    """The card of a model, as a dry run writes it."""
    target = folder.parents[1] / "hub" / "lab" / folder.name
    publish.stage(folder, target, "lab", **options)
    return (target / "README.md").read_text()


def head(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def body(text: str) -> str:
    return text.split("---\n", 2)[2]


def snippets(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def metrics_in(text: str) -> dict:
    [result] = head(text)["model-index"][0]["results"]
    return {metric["type"]: metric["value"] for metric in result["metrics"]}


@pytest.mark.parametrize("kind", KINDS)
def test_golden(shelf, kind):
    text = card(shelf / KINDS[kind], code=CODE)
    if os.environ.get("RENEW_CARDS"):
        (GOLDEN / f"{kind}.md").write_text(text)
    assert text == (GOLDEN / f"{kind}.md").read_text()


def test_the_cards_of_the_bundled_models():
    """They name folders of this repository, as the models are not on the Hub."""
    for entry in registry.models("bundled", whole=False):
        if entry.kind in cards.TASKS:
            folder, place = Path(entry.source), "lwgan/bundled"
            config = entry.config | publish.bases(entry.config, place)
            figures, domain = publish.figures(folder, config), publish.domain_of(folder, config)
            text = cards.card(config, figures, domain, f"{place}/{entry.name}", folder / "images")
            if os.environ.get("RENEW_CARDS"):
                (folder / "README.md").write_text(text)
            assert text == (folder / "README.md").read_text(), entry.name


@pytest.mark.parametrize("kind", KINDS)
def test_every_card_is_complete(shelf, kind):
    text = card(shelf / KINDS[kind])
    assert not re.search(r"{{|{%|\n\n\n|Undefined|digit|faces|MNIST", body(text))
    for part in (
        "## How to use",
        "## Training",
        "## Evaluation",
        "## Limits",
        "A. Cobbler",
        "single shoes on white",
    ):
        assert part in body(text)
    meta = head(text)
    assert meta["license"] == "cc-by-4.0" and meta["datasets"] == ["cobbler/shoes"]
    assert {"lwgan", "domain:shoes"} <= set(meta["tags"])
    assert (meta.get("base_model_relation") == "adapter") == (kind in ("edit", "translation"))


def test_metadata_hold_the_figures_of_the_test_split_alone(shelf):
    assert metrics_in(card(shelf / KINDS["judge"])) == {
        "test/auc/Laces": 0.9871,
        "test/auc/High_Heel": 0.9992,
    }
    assert metrics_in(card(shelf / shoes.EDIT)) == {
        "norm": 3.75,
        "target_change": 0.8125,
        "others_kept": 0.8125,
    }
    assert head(card(shelf / shoes.EDIT))["base_model"] == "lab/lwgan-shoes-generator"


def test_numbers_of_the_evaluation_are_those_that_were_measured(shelf):
    shoes.change(shelf / shoes.EDIT, strength=None)
    figures = card(shelf / shoes.EDIT).split("## Evaluation")[1].split("## Limits")[0]
    known = {
        "1.5",
        "3.75",
        "0.8125",
        "0.7625",
        "0.8625",
        "321",
        "1.125",
        "0.75",
        "0.4375",
        "0.9375",
        "0.8438",
    }
    known |= {"0", "1", "0.2187", "0.0312", "95"}
    assert set(re.findall(r"\d+(?:\.\d+)?", re.sub(r"`.*?`", "", figures))) == known


def test_an_edit_without_figures_claims_nothing(shelf):
    text = card(shelf / shoes.SHIFT)
    assert "was not evaluated" in text and "does not say how" in text and "model-index" not in head(text)


def test_markup_in_a_config_does_not_reach_the_card(shelf):
    note = "a | b\n\n<img src=x> [link](x) `code`"
    shoes.change(shelf / KINDS["generator"], training={"note": note}, metrics={"a|<b>": 0.5})
    laces = change_as_json(replace(shoes.DOMAIN.change("Laces"), before="<img src=y>"))
    shoes.change(shelf / shoes.EDIT, change=laces)
    text = body(card(shelf / KINDS["generator"])) + body(card(shelf / shoes.EDIT))
    assert "<img" not in text and "[link]" not in text and "<b>" not in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": "strong"}, "alpha is 'strong'"),
        ({"method": None}, "has no method"),
        ({"change": None}, "has no change"),
        ({"domain": None}, "has no domain"),
        ({"domain": "boots"}, "the domain 'boots' states no licence: give --licence"),
    ],
)
def test_a_config_without_what_the_card_states_is_refused(shelf, changes, message):
    shoes.change(shelf / shoes.EDIT, **changes)
    with pytest.raises(ValueError, match=message):
        card(shelf / shoes.EDIT)
    assert not list((shelf.parent / "hub").rglob("*.json"))


def test_a_template_that_asks_for_a_value_that_nobody_gives_fails(shelf, tmp_path, monkeypatch):
    shutil.copy(cards.tables.TEMPLATES / "figures.yaml", tmp_path)
    for path in cards.tables.TEMPLATES.glob("*.md"):
        (tmp_path / path.name).write_text(path.read_text().replace("config.num_ws", "config.nun_ws"))
    monkeypatch.setattr(cards.tables, "TEMPLATES", tmp_path)
    with pytest.raises(ValueError, match="nun_ws"):
        card(shelf / shoes.EDIT)


# The licence


@pytest.mark.parametrize("stated", ["other", "other\n", "By permission of the owners", "CC BY 4.0"])
def test_a_domain_without_a_licence_is_refused_unless_one_is_given(shelf, stated):
    domain = replace(shoes.DOMAIN, licence=stated)
    shoes.change(shelf / KINDS["generator"], domain_spec=domain.as_json())
    with pytest.raises(ValueError, match="the domain 'shoes' states no licence: give --licence"):
        card(shelf / shoes.EDIT)
    text = card(shelf / shoes.EDIT, licence="cc-by-nc-4.0")
    assert head(text)["license"] == "cc-by-nc-4.0" and "Licence: cc-by-nc-4.0." in text


def test_other_terms_are_stated_in_words(shelf):
    domain = replace(shoes.DOMAIN, licence="other\nFor wearers only.")
    shoes.change(shelf / KINDS["generator"], domain_spec=domain.as_json())
    text = card(shelf / shoes.EDIT)
    assert head(text)["license"] == "other" and "For wearers only." in text


def test_a_licence_is_not_overridden(shelf):
    with pytest.raises(ValueError, match="states its licence already: cc-by-4.0"):
        card(shelf / shoes.EDIT, licence="mit")


def test_a_generator_of_an_older_lwgan_needs_a_licence(shelf):
    shoes.change(shelf / KINDS["generator"], domain_spec=None)
    with pytest.raises(ValueError, match="states no licence"):
        card(shelf / KINDS["encoder"])
    text = card(shelf / KINDS["encoder"], licence="mit")
    assert head(text)["license"] == "mit" and plain_domain("shoes").about in text


# The snippets


def test_the_snippets_with_lwgan_run_on_published_models(shelf, hub, tmp_path, monkeypatch, capsys):
    publish.main(publish.Options(shelf, "lab"))
    texts = [hub.repos[f"lab/{name}"].head.files["README.md"].decode() for name in KINDS.values()]
    monkeypatch.chdir(tmp_path)
    for name, colour in (("picture", "grey"), ("one", "white"), ("other", "teal")):
        Image.new("RGB", (100, 100), colour).save(f"{name}.png")
    for text in texts:
        exec(snippets(text)[0], {})
    said = capsys.readouterr().out
    judge = Judge.from_pretrained(shelf / KINDS["judge"])
    network = IdentityNetwork.from_pretrained(shelf / KINDS["identity"])
    plain = lambda *rgb: torch.tensor(rgb).view(1, 3, 1, 1).expand(1, 3, 64, 64) / 127.5 - 1
    seen = [
        name for name, has in zip(judge.names, judge.read(plain(128.0, 128.0, 128.0))[0], strict=True) if has
    ]
    alike = (network(plain(255.0, 255.0, 255.0)) * network(plain(0.0, 128.0, 128.0))).sum().item()
    assert str(seen) in said and abs(float(re.search(r"cosine (\S+)", said)[1]) - alike) < 1e-4
    for name in ("sample", "reconstruction", "edited"):
        assert np.asarray(Image.open(f"{name}.png")).shape == (64, 64, 3)


@pytest.mark.parametrize("name", [shoes.EDIT, shoes.SHIFT])
def test_the_snippet_without_lwgan_computes_the_same_edit(shelf, monkeypatch, name):
    code = snippets(card(shelf / name))[1]
    assert "lwgan" not in code
    monkeypatch.chdir(shelf / name)
    names = {}
    exec(code, names)
    expected = AffineEdit.from_pretrained(shelf / name)(names["w"], 1.5)
    assert torch.allclose(names["edited"], expected, atol=1e-5)
