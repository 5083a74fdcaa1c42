"""The study of the residual, on small random networks: what must hold whatever they draw."""

import pytest
import torch

from lwgan.hub.registry import save_folder
from tests.nets import FACE_NAMES, make_synthfaces
from trainers.evaluate.residual import Options, main

EDIT = "lwgan-synthfaces-lw-smiling"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = make_synthfaces(tmp_path_factory.mktemp("registry"))
    images = torch.randint(0, 256, (6, 3, 64, 64), generator=torch.Generator().manual_seed(0)).byte()
    labels = torch.zeros(6, len(FACE_NAMES), dtype=torch.uint8)
    config = {"kind": "pictures", "domain": "synthfaces"}
    save_folder(folder / "lwgan-synthfaces-samples", config, {"images": images, "labels": labels})
    return folder


def test_the_whole_residual_keeps_unedited_pictures_as_they_were(registry, tmp_path):
    main(Options("synthfaces", tmp_path / "r.md", (EDIT,), str(registry)))
    rows = [line.strip("| ").split(" | ") for line in (tmp_path / "r.md").read_text().splitlines()[2:]]
    assert [row[:2] for row in rows] == [[EDIT, "0"], [EDIT, "0.5"], [EDIT, "1"]]
    assert rows[2][5] == "the same" and float(rows[0][5]) < float(rows[1][5])
    assert float(rows[0][4]) <= float(rows[2][4])


def test_a_domain_without_readers_is_refused(faces_registry, tmp_path):
    with pytest.raises(ValueError, match="needs samples, a judge and an identity network"):
        main(Options("faces", tmp_path / "r.md", registry=str(faces_registry)))
