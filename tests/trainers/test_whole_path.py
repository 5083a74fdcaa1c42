"""A stranger's pictures, a folder and a CSV with three labels, go through all stages, to the Hub, back,
and to a page."""

import csv
import json
import sys

import pytest
import torch
from gradio_client import Client, handle_file
from PIL import Image

from lwgan import EditingPipeline
from lwgan.images import to_pil
from tests.live import serving_here
from tests.trainers.toy import LABELS, draw
from trainers import __main__ as command_line

SMALL, SIZES = "--processes 1 --device cpu", "--channels 8 8 8 8 --z-dim 8 --w-dim 8"
JUDGE = "--widths 8 8 8 --features 16 --batch 32 --shift 0 --device cpu"
NETS = "--data {0}/data --generator {0}/generator --tune --steps 2 --batch 4 --gan-batch 4 " + SMALL
# {0}: the folder of all runs. {1}: the folder of the pictures.
STAGES = f"""
data folder:{{1}} --data {{0}}/data --resolution 32 --options name=squares --processes 1
judge labels --data {{0}}/data --run {{0}}/judge --steps 60 {JUDGE}
judge identity --data {{0}}/data --run {{0}}/identity --steps 2 {JUDGE}
generator --data {{0}}/data --run {{0}}/generator --kimg 0.016 --batch 8 {SIZES} {SMALL}
encoder {NETS} --run {{0}}/tuned
align join --data {{0}}/data --start {{0}}/tuned --run {{0}}/joined
encoder {NETS} --start {{0}}/joined --run {{0}}/final
align match --data {{0}}/data --start {{0}}/final --run {{0}}/encoder --pictures 50 --directions 4
codes --data {{0}}/data --encoder {{0}}/encoder --run {{0}}/codes
judge codes --codes {{0}}/codes --run {{0}}/latent --hidden 8 8 --epochs 2 --device cpu
edit --codes {{0}}/codes --change Bright --run {{0}}/lw-bright lw
edit --codes {{0}}/codes --change not-Left --run {{0}}/centroids-not-left centroids
register {{0}}/encoder/generator {{0}}/registry/lwgan-squares-generator
register {{0}}/encoder {{0}}/registry/lwgan-squares-encoder
register {{0}}/data/samples {{0}}/registry/lwgan-squares-samples
register {{0}}/judge {{0}}/registry/lwgan-squares-judge
register {{0}}/identity {{0}}/registry/lwgan-squares-identity
register {{0}}/latent {{0}}/registry/lwgan-squares-latent-classifier
register {{0}}/lw-bright {{0}}/registry/lwgan-squares-lw-bright
register {{0}}/centroids-not-left {{0}}/registry/lwgan-squares-centroids-not-left
evaluate --data {{0}}/data --registry {{0}}/registry --run {{0}}/results --pictures 20 --samples 60
publish {{0}}/registry --namespace lab --licence cc0-1.0
"""


@pytest.fixture
def shoes(tmp_path):
    """240 pictures and labels.csv; a cell is empty where a label is unknown."""
    images, labels, groups = draw(240, 32, 3)
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["picture", *LABELS, "group"])
        for i, picture in enumerate(to_pil(images.float() / 127.5 - 1)):
            (tmp_path / "shoes").mkdir(exist_ok=True)
            picture.resize((48, 48), Image.Resampling.NEAREST).save(tmp_path / "shoes" / f"{i}.png")
            cells = [{0: "0", 1: "1"}.get(value, "") for value in labels[i].tolist()]
            rows.writerow([f"{i}.png", *cells, f"{groups[i]}-{i // 16}"])
    return tmp_path / "shoes"


def test_a_strangers_pictures_reach_the_page(shoes, tmp_path, hub, monkeypatch):
    runs = tmp_path / "runs"
    for line in STAGES.strip().splitlines():
        monkeypatch.setattr(sys, "argv", ["trainers", *line.format(runs, shoes).split()])
        command_line.main()
    metrics = json.loads((runs / "registry/lwgan-squares-lw-bright/metrics.json").read_text())
    assert "target_change" in json.dumps(metrics) and (runs / "results/squares.csv").exists()
    here = EditingPipeline.from_pretrained(runs / "registry")
    pulled = EditingPipeline.from_pretrained("lab")
    assert pulled.domain == here.domain and pulled.domain.attributes == LABELS and not pulled.refused
    assert set(pulled.edits) == {"lwgan-squares-lw-bright", "lwgan-squares-centroids-not-left"}
    picture = Image.open(shoes / "3.png")
    w = [pipe.encode(pipe.frame(picture)) for pipe in (here, pulled)]
    edited = [
        pipe.edit(code, {"lwgan-squares-lw-bright": 1.0})
        for pipe, code in zip((here, pulled), w, strict=True)
    ]
    assert torch.equal(*edited) and not torch.equal(w[0], edited[0])
    assert pulled.generate(edited[1])[0].size == (32, 32)
    with serving_here(tmp_path, runs / "registry") as address:
        client = Client(address, verbose=False)
        listed = client.predict(api_name="/list_edits")
        assert {edit["name"] for edit in listed} == set(here.edits)
        edits = {"lwgan-squares-lw-bright": 1.0}
        path = client.predict(picture=handle_file(shoes / "3.png"), edits=edits, api_name="/edit_image")
    assert Image.open(path).tobytes() == here.generate(edited[0])[0].tobytes()
