"""Data sets: each yields (picture, labels), deterministically by seed."""
