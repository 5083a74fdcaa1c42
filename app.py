"""The entry of the Space. It serves the page, as the command `lwgan app` does."""

from contextlib import suppress

with suppress(ImportError):
    import spaces  # noqa: F401  before torch, parts of which it replaces on ZeroGPU

from lwgan.cli import main

if __name__ == "__main__":
    main(["app"])
