"""Sheets of pictures, of random nets."""

from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from lwgan.generator import Generator
from trainers.evaluate import figures


def test_a_sheet_of_reconstructions_takes_fewer_pictures_than_it_has_room_for(tmp_path):
    torch.manual_seed(0)
    generator = Generator(resolution=32, img_channels=1, channels=(8, 8, 8, 8), z_dim=4, w_dim=4,
                          mapping_layers=1, use_noise=False).requires_grad_(False)  # fmt: skip
    folders = {kind: tmp_path / kind for kind in figures.OF_NETS}
    for folder in folders.values():
        (folder / "images").mkdir(parents=True)
    bench = SimpleNamespace(
        domain=SimpleNamespace(name="toys"), folders=folders, w=torch.randn(4, 8, 4),
        nets=SimpleNamespace(generator=generator, device=torch.device("cpu")),
        test=SimpleNamespace(images=torch.randint(256, (9, 1, 32, 32), dtype=torch.uint8)),
    )  # fmt: skip
    figures.save_sheets(tmp_path / "images", bench, {})
    with Image.open(tmp_path / "images" / "toys-reconstructions.png") as sheet:
        assert sheet.width >= 8 * 32 and sheet.height < 2 * 32  # four pictures and what becomes of them
        shown = np.asarray(sheet.convert("L"))[:32, : 4 * 32]
    assert (folders["encoder"] / "images" / "reconstructions.png").exists()
    assert shown.std() > 50  # the real pictures are noise, what random nets draw is flat
