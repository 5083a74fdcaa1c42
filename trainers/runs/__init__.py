"""Whole paths: the scripts, and the stage that fetches the published networks of faces."""
