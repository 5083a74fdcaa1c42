"""What the page has to offer: a pipeline for each domain, at once from what lies on this machine, later from the Hub.

A registry in a folder is served alone. One on the Hub (a namespace, a collection) joins the bundled models when it has arrived,
in a thread of its own: however slow or broken it is, the page is there.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from lwgan.hub import registry as models
from lwgan.pipeline import FRAMES, EditingPipeline

FIRST = "multimnist"  # the domain that the page starts with, where there is a choice


class Catalog:
    """pipes: name of a domain -> its pipeline.  refused: name of a model, or of a registry -> why it cannot be used.
    pending: whether more may come."""

    def __init__(self, registry: str | Path | None = None, *, device: str = "auto"):
        """registry: as in `lwgan.hub.registry.models`. ValueError or OSError if what is needed at once is not there or has no nets."""
        registry = registry or os.environ.get("LWGAN_REGISTRY") or "bundled"
        self.pipes: dict[str, EditingPipeline] = {}
        self.refused: dict[str, str] = {}
        self.pending = False
        self._device, self._lent = device, False
        local = registry == "bundled" or Path(registry).expanduser().is_dir()
        # A Space that `publish` made holds no bundled models: there is nothing to show before the Hub has answered.
        at_once = registry if local or not models.bundled().is_dir() else "bundled"
        self._load_first(at_once)
        if at_once != registry:
            self.pending = True
            self._thread = threading.Thread(target=self._load_later, args=(str(registry),), daemon=True)
            self._thread.start()

    def lend(self, wrap: Callable, device: str = "cuda") -> None:
        """`EditingPipeline.lend` for all. Nets that arrive later are refused: ZeroGPU wants them when the app starts."""
        for pipe in self.pipes.values():
            pipe.lend(wrap, device)
        self._lent = True

    def _load_first(self, registry: str | Path) -> None:
        entries = models.models(registry, whole=False)
        for domain in domains_of(entries) or [FIRST]:
            try:
                self.pipes[domain] = EditingPipeline.from_entries(entries, domain, device=self._device)
            except (ValueError, OSError) as error:
                self.refused[domain] = models.told(error, entries)
        if not self.pipes:
            raise ValueError("; ".join(self.refused.values()))
        self.refused.update(
            {name: reason for pipe in self.pipes.values() for name, reason in pipe.refused.items()}
        )

    def _load_later(self, registry: str) -> None:
        try:
            entries = models.models(registry)
            self._join(registry, entries)
        except Exception as error:  # whatever the Hub did, the page goes on and says so
            self.refused[registry] = _line(error)
        finally:
            self.pending = False

    def _join(self, registry: str, entries: list[models.Entry]) -> None:
        """Takes in what a registry of the Hub holds: nets unlike those that are there as a domain of its own, each edit where it fits."""
        known = {pipe.revisions["generator"] for pipe in self.pipes.values()}
        for domain in domains_of(entries):
            nets = [entry for entry in entries if entry.kind == "generator" and entry.domain == domain]
            if any(entry.config["weights"]["sha256"] in known for entry in nets):
                continue
            name = domain if domain not in self.pipes else f"{domain} of {registry}"
            try:
                if self._lent:
                    raise ValueError("nets must be there when the app starts on ZeroGPU: bundle them")
                bare = [
                    entry for entry in entries if entry.kind not in models.EDIT_KINDS and not entry.refused
                ]
                self.pipes = {
                    **self.pipes,
                    name: EditingPipeline.from_entries(bare, domain, device=self._device),
                }
                self.refused.update(self.pipes[name].refused)
            except (ValueError, OSError) as error:
                self.refused[name] = _line(error)
        for entry in entries:
            if entry.refused or entry.kind in models.EDIT_KINDS:
                self._join_edit(entry)

    def _join_edit(self, entry: models.Entry) -> None:
        if entry.refused:
            self.refused[entry.name] = entry.refused
            return
        pipes = [pipe for pipe in self.pipes.values() if pipe.config["domain"] == entry.domain]
        wanted = (entry.config.get("base_revision") or {}).get("generator")
        fitting = [pipe for pipe in pipes if pipe.revisions["generator"] == wanted]
        if not fitting:
            self.refused[entry.name] = (
                f"it was made for the generator with weights sha256 {wanted}, which is not here"
            )
            return
        for pipe in fitting:
            there = pipe.edits.get(entry.name)
            if (
                there
                and (there.config.get("weights") or {}).get("sha256") == entry.config["weights"]["sha256"]
            ):
                continue
            name = (
                entry.name if there is None else f"{entry.source.partition('/')[0].lower()}-{entry.name}"[:64]
            )
            pipe.take(entry, name)
            if name in pipe.refused:
                self.refused[name] = pipe.refused[name]


def domains_of(entries: list[models.Entry]) -> list[str]:
    """The domains that have a generator here and that this lwgan knows, FIRST first."""
    found = {
        entry.domain
        for entry in entries
        if entry.kind == "generator" and entry.domain in FRAMES and not entry.refused
    }
    return sorted(found, key=lambda domain: (domain != FIRST, domain))


def _line(error: Exception) -> str:
    return models.told(error, ()).splitlines()[0]
