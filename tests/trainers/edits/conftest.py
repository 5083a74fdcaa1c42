"""A tiny generator for the tests of methods that need one."""

import pytest
import torch

from lwgan.generator import Generator
from lwgan.hub.registry import save_folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A generator of 8 px: 4 layers of 8 numbers."""
    torch.manual_seed(3)
    sizes = {
        "resolution": 8,
        "img_channels": 1,
        "channels": (12, 6),
        "z_dim": 8,
        "w_dim": 8,
        "mapping_layers": 1,
    }
    generator = Generator(**sizes, use_noise=False)
    folder = tmp_path_factory.mktemp("tiny") / "generator"
    config = {"kind": "generator", "domain": "toys", "architecture": generator.config}
    save_folder(folder, config, generator.state_dict())
    return folder
