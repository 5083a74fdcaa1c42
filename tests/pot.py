"""POT, the library `ot`, imported at its first use: it takes seconds, and every worker imports all tests."""

import importlib
from types import ModuleType


def ot() -> ModuleType:
    return importlib.import_module("ot")
