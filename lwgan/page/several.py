"""The tab Many: pictures of a visitor that are edited alike, by the same sliders."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lwgan import many
from lwgan.page.pictures import data_url, url
from lwgan.pipeline import EditingPipeline
from lwgan.sources import SIZE, opened

LIMITS = f"At most {many.MOST} pictures and {SIZE // 1_000_000} MB at a time."


class Several:
    """batch: the pictures' codes, None before there are any.  said: what was refused.
    wanted: whether the next answer brings the archive."""

    def __init__(self, domain: str):
        self.domain, self.said, self.wanted = domain, "", False
        self.batch: many.Batch | None = None

    def gather(self, pipe: EditingPipeline, files: Sequence[Path]) -> None:
        """Takes the pictures of files in place of those before. ValueError or OSError for what is refused."""
        self.said = ""
        self.batch = many.encode(pipe, list(opened(files, many.MOST)))
        if left := self.batch.refused:
            self.said = f"{len(left)} left out, the first is {left[0][0]}: {left[0][1]}."

    def hear(self, message: object) -> None:
        """message: {"act": "zip"} of parts/many.js."""
        self.wanted = isinstance(message, Mapping) and message.get("act") == "zip"

    def value(self, pipe: EditingPipeline, alphas: Mapping[str, float]) -> dict:
        """The value of the component."""
        shown = {"limits": LIMITS, "said": self.said, "count": 0}
        if self.batch is None:
            return shown
        alphas = {name: alpha for name, alpha in alphas.items() if alpha}
        pictures = many.edit(pipe, self.batch, alphas)
        if self.wanted:
            shown["zip"] = url(many.archive(pipe, self.batch, pictures, alphas), "application/zip")
        self.wanted = False
        return {**shown, "count": len(pictures), "sheet": data_url(many.side_by_side(pipe, pictures))}
