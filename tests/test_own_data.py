"""A stranger's pictures on the whole way: a folder and a CSV go through every stage, to the Hub, back from it, into
the page and through its API. Toy sizes; what is tested is that each stage takes what the one before it wrote."""

import csv
import json
import sys

import numpy as np
import pytest
from gradio_client import Client
from PIL import Image

from lwgan import EditingPipeline
from lwgan.hub import registry
from tests.live import serving
from trainers import __main__ as command

LABELS = ("Red", "Round", "Large")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """200 pictures of 40 px: one shape each, red or blue, round or square, large or small. 40 models in groups of 5;
    the label Large is unknown for every tenth picture."""
    folder, rng = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    rows = [("picture", *LABELS, "group")]
    y, x = np.mgrid[:40, :40] - 19.5
    for i in range(200):
        red, round_, large = (int(bit) for bit in f"{i % 8:03b}")
        size = (12 if large else 6) + rng.uniform(0, 2)
        inside = np.hypot(x, y) < size if round_ else np.maximum(abs(x), abs(y)) < size
        pixels = np.full((40, 40, 3), 230 + rng.integers(0, 20), np.uint8)
        pixels[inside] = (200, 30, 30) if red else (30, 30, 200)
        name = f"part{i % 3}/shape {i:03}.png"
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
        rows.append((name, red, round_, "" if i % 10 == 0 else large, f"model {i // 5}"))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    return folder


@pytest.fixture(scope="module")
def runs(pictures, tmp_path_factory):
    """The folder in which all stages ran, as trainers/runs/own.sh runs them."""
    runs = tmp_path_factory.mktemp("runs")
    for line in COMMANDS.format(pictures=pictures, runs=runs).strip().splitlines():
        stage(line.split())
    return runs


def stage(words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["trainers", *(word.replace("~", " ") for word in words)])
        command.main()


COMMANDS = """
data folder:{pictures} --data {runs}/data --resolution 32 --options name=shapes title=Shapes subject=a~shape
judge labels --data {runs}/data --run {runs}/selector --steps 3 --widths 8 16 --features 16 --seed 2
judge labels --data {runs}/data --run {runs}/judge --steps 3 --widths 8 16 --features 16
judge identity --data {runs}/data --run {runs}/identity --steps 2 --widths 8 16 --features 16 --embedding 8
generator --data {runs}/data --run {runs}/generator --kimg 0.064 --batch 16 --z-dim 16 --w-dim 16 --processes 1
encoder --data {runs}/data --generator {runs}/generator --run {runs}/tuned --tune --steps 2 --batch 8 --gan-batch 8 --processes 1
align join --data {runs}/data --start {runs}/tuned --run {runs}/joined
encoder --data {runs}/data --generator {runs}/generator --start {runs}/joined --run {runs}/final --tune --steps 2 --batch 8 --gan-batch 8 --norm 0 --processes 1
align match --data {runs}/data --start {runs}/final --run {runs}/encoder --directions 8
codes --data {runs}/data --encoder {runs}/encoder --run {runs}/codes
judge codes --codes {runs}/codes --run {runs}/latent --epochs 2 --hidden 16 8
edit --codes {runs}/codes --change Red --run {runs}/red --generator {runs}/encoder/generator lw --steps 3 --starts 1
edit --codes {runs}/codes --change not-Large --run {runs}/small --generator {runs}/encoder/generator centroids
register {runs}/encoder/generator {runs}/registry/lwgan-shapes-generator
register {runs}/encoder {runs}/registry/lwgan-shapes-encoder
register {runs}/judge {runs}/registry/lwgan-shapes-judge
register {runs}/identity {runs}/registry/lwgan-shapes-identity
register {runs}/latent {runs}/registry/lwgan-shapes-latent-classifier
register {runs}/data/samples {runs}/registry/lwgan-shapes-samples
register {runs}/red {runs}/registry/lwgan-shapes-lw-red
register {runs}/small {runs}/registry/lwgan-shapes-centroids-not-large
evaluate --data {runs}/data --registry {runs}/registry --run {runs}/results --pictures 8 --samples 8
"""


def test_every_stage_runs_and_evaluate_writes_one_tidy_csv(runs):
    (table,) = (runs / "results").rglob("*.csv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"Red", "not-Large"} <= {row["change"] for row in rows}
    assert {"target_change", "norm"} <= {row["metric"] for row in rows}
    config = json.loads((runs / "registry/lwgan-shapes-lw-red/config.json").read_text())
    assert config["change"]["source"] == {"Red": False} and config["strength"]["unit"] > 0
    assert config["training"]["command"].startswith("python -m trainers edit --codes codes --change Red")
    assert str(runs) not in json.dumps(config)


def test_cards_are_published_and_the_models_come_back_from_the_hub(runs, hub):
    stage(f"publish {runs}/registry --namespace lab --licence cc-by-4.0".split())
    card = hub.repos["lab/lwgan-shapes-lw-red"].head.files["README.md"].decode()
    assert "license: cc-by-4.0" in card and "not red" in card
    found = {entry.name for entry in registry.list_edits("lab")}
    assert found == {"lwgan-shapes-lw-red", "lwgan-shapes-centroids-not-large"}
    local, pulled = EditingPipeline.from_pretrained(runs / "registry"), EditingPipeline.from_pretrained("lab")
    assert pulled.domain == local.domain and pulled.domain.title == "Shapes"
    assert pulled.scales["lwgan-shapes-lw-red"] == local.scales["lwgan-shapes-lw-red"]
    w = local.encode(local.sample(0))
    edited = [pipe.generate(pipe.edit(w, {"lwgan-shapes-lw-red": 1.0}))[0] for pipe in (local, pulled)]
    assert edited[0].tobytes() == edited[1].tobytes()


def test_the_page_and_its_endpoints_serve_the_new_domain(runs, pictures, tmp_path):
    from gradio_client import handle_file

    with serving(tmp_path, LWGAN_REGISTRY=str(runs / "registry")) as address:
        client = Client(address, verbose=False)
        listed = client.predict(api_name="/list_edits")
        assert {edit["name"] for edit in listed} == {
            "lwgan-shapes-lw-red",
            "lwgan-shapes-centroids-not-large",
        }
        picture = handle_file(pictures / "part0/shape 000.png")
        path = client.predict(picture=picture, edits={"lwgan-shapes-lw-red": 1.0}, api_name="/edit_image")
    assert Image.open(path).size == (32, 32)
