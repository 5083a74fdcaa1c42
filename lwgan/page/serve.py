"""Serving the page: its models, its queue and its looks."""

import ctypes
from contextlib import suppress
from pathlib import Path

import gradio as gr

from lwgan.devices import device_of, share_cores
from lwgan.hub.catalog import Catalog
from lwgan.page.blocks import PARTS, ZERO_GPU, build

THREADS = 8  # of Gradio's pool (by default 40): they wait for the model, and each holds memory
M_ARENA_MAX = -8  # of glibc's malloc.h
# Seconds between two looks of Gradio's queue. Its own 0.001 costs CPU time also without any visitor.
PAUSE = 0.01
SESSIONS = 1000  # kept at once, 0.1 MB each: a caller without a session makes one by each call


def launch(registry: str | Path | None = None) -> None:
    """Serves the page of a registry (see `lwgan.hub.catalog.Catalog`) until it is interrupted.

    ValueError or OSError if a model that the page needs at once is missing.
    """
    share_heap()
    catalog = Catalog(registry, device="cpu" if ZERO_GPU else "auto")
    if not catalog.pending:  # models that come later may be large
        share_cores(catalog.pipes.values())
    demo = build(catalog)
    # ZeroGPU has a scheduler of its own; a GPU overlaps a few calls; on a CPU more than two slow each other.
    limit = None if ZERO_GPU else 4 if device_of("auto").type == "cuda" else 2
    demo.queue(max_size=64, default_concurrency_limit=limit)
    demo._queue.sleep_when_free = max(PAUSE, demo._queue.sleep_when_free)
    demo.launch(
        theme=theme(), css_paths=PARTS / "page.css", footer_links=["api"], run_history=False, mcp_server=True,
        max_file_size="20mb", max_threads=THREADS, state_session_capacity=SESSIONS,
    )  # fmt: skip


def theme() -> gr.themes.Base:
    """Gradio's default theme in indigo, with more contrast and with fonts that every system has."""
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    return gr.themes.Default(primary_hue="indigo", neutral_hue="slate", **fonts).set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        link_text_color="*primary_600",
        link_text_color_dark="*primary_400",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
    )


def share_heap() -> None:
    """One heap for all threads. With one each, glibc's default, 64 callers made memory grow by half."""
    with suppress(AttributeError, OSError):  # another system's C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
