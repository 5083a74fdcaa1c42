"""POT, the library `ot`. Its import takes seconds, and each process of a shared run imports all tests."""


def ot():
    """The module, imported at the first call."""
    import ot

    return ot
