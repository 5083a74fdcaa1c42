"""The models of the page: a pipeline for each domain, at once from local folders, later from the Hub.

A registry in a folder is served alone. A registry on the Hub (a namespace or a collection) joins the bundled
models once a thread of its own has read it, so that a slow or broken Hub never delays the page.
"""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from lwgan.hub import registry as models
from lwgan.pipeline import EditingPipeline, domains_of


class Catalog:
    """pipes: name of a domain -> its pipeline, the first of the registry first.
    refused: name of a model or registry -> why it cannot be used.  pending: whether more may arrive."""

    def __init__(self, registry: str | Path | None = None, *, device: str = "auto"):
        """registry: as in `lwgan.hub.registry.models`. ValueError or OSError if it has no generator."""
        registry = registry or os.environ.get("LWGAN_REGISTRY") or "bundled"
        self.pipes: dict[str, EditingPipeline] = {}
        self.refused: dict[str, str] = {}
        self.pending = False
        self._device, self._lent = device, False
        local = registry == "bundled" or Path(registry).expanduser().is_dir()
        # A Space made by `publish` has no bundled models: it has to wait for the Hub.
        first = registry if local or not models.bundled().is_dir() else "bundled"
        self._load_first(first)
        if first != registry:
            self.pending = True
            self._thread = threading.Thread(target=self._load_later, args=(str(registry),), daemon=True)
            self._thread.start()

    def lend(self, wrap: Callable, device: str = "cuda") -> None:
        """`EditingPipeline.lend` of all. ZeroGPU takes no networks that arrive later: they are refused."""
        for pipe in self.pipes.values():
            pipe.lend(wrap, device)
        self._lent = True

    def _load_first(self, registry: str | Path) -> None:
        entries = models.models(registry, whole=False)
        for domain in domains_of(entries) or [None]:
            try:
                self.pipes[domain] = EditingPipeline.from_entries(entries, domain, device=self._device)
            except (ValueError, OSError) as error:
                self.refused[domain] = models.public_message(error, entries)
        if not self.pipes:
            raise ValueError("; ".join(self.refused.values()))
        for pipe in self.pipes.values():
            self.refused |= pipe.refused

    def _load_later(self, registry: str) -> None:
        try:
            self._join(registry, models.models(registry))
        except Exception as error:  # whatever happens on the Hub, the page goes on and shows the reason
            self.refused[registry] = _line(error)
        finally:
            self.pending = False

    def _join(self, registry: str, entries: list[models.Entry]) -> None:
        """Adds the models of a registry on the Hub: networks with other weights become a domain of their own,
        edits join every pipeline that they fit."""
        known = {pipe.revisions["generator"] for pipe in self.pipes.values()}
        for domain in domains_of(entries):
            nets = [e for e in entries if e.kind == "generator" and e.domain == domain and not e.refused]
            if not any(net.config["weights"]["sha256"] in known for net in nets):
                self._join_domain(registry, domain, entries)
        for pipe in self.pipes.values():
            pipe.name_bases(entries)
        for entry in entries:
            if entry.refused:
                self.refused[entry.name] = entry.refused
            elif entry.kind in models.EDIT_KINDS:
                self._join_edit(entry)

    def _join_domain(self, registry: str, domain: str, entries: Sequence[models.Entry]) -> None:
        name = domain if domain not in self.pipes else f"{domain} of {registry}"
        try:
            if self._lent:
                raise ValueError("networks must be there when the app starts on ZeroGPU: bundle them")
            nets = [entry for entry in entries if entry.kind not in models.EDIT_KINDS and not entry.refused]
            pipe = EditingPipeline.from_entries(nets, domain, device=self._device)
        except (ValueError, OSError) as error:
            self.refused[name] = _line(error)
        else:
            self.pipes = {**self.pipes, name: pipe}  # a new dict: threads may be iterating over the old one
            self.refused |= pipe.refused

    def _join_edit(self, entry: models.Entry) -> None:
        wanted = (entry.config.get("base_revision") or {}).get("generator")
        fitting = [pipe for pipe in self.pipes.values() if pipe.revisions["generator"] == wanted]
        if not fitting:
            reason = f"it was made for the generator with weights sha256 {wanted}, which is not here"
            self.refused[entry.name] = reason
        for pipe in fitting:
            name, known = entry.name, pipe.edits.get(entry.name)
            weights = (known.config.get("weights") or {}).get("sha256") if known else None
            if weights == entry.config["weights"]["sha256"]:
                continue  # the same edit
            if known:
                name = f"{entry.source.partition('/')[0].lower()}-{name}"[:64]
            pipe.take(entry, name)
            if name in pipe.refused:
                self.refused[name] = pipe.refused[name]


def _line(error: Exception) -> str:
    return models.public_message(error, ()).splitlines()[0]
