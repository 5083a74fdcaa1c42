"""Edits pictures through the codes of a generator. This package runs models, `trainers` trains them."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lwgan.edit import AffineEdit
    from lwgan.encoder import Encoder
    from lwgan.generator import Generator
    from lwgan.pipeline import EditingPipeline

__version__ = "1.0"
__all__ = ["AffineEdit", "EditingPipeline", "Encoder", "Generator"]

_HOMES = {"AffineEdit": "edit", "EditingPipeline": "pipeline", "Encoder": "encoder", "Generator": "generator"}


def __getattr__(name: str):
    """Imports the classes above on first use, so that `import lwgan` stays fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lwgan' has no attribute {name!r}")
    return getattr(import_module(f"lwgan.{_HOMES[name]}"), name)
