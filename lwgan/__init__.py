"""Edits of pictures, learned with optimal transport between the codes of a generator. What runs on a picture; nothing here fits parameters."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lwgan.edit import AffineEdit
    from lwgan.encoder import Encoder
    from lwgan.generator import Generator
    from lwgan.pipeline import EditingPipeline

__all__ = ["AffineEdit", "EditingPipeline", "Encoder", "Generator"]

_HOMES = {"AffineEdit": "edit", "EditingPipeline": "pipeline", "Encoder": "encoder", "Generator": "generator"}


def __getattr__(name: str):
    """The classes above, imported when first asked for: `import lwgan.images` loads no network."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lwgan' has no attribute {name!r}")
    return getattr(import_module(f"lwgan.{_HOMES[name]}"), name)
