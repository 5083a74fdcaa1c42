"""The picture that a card draws of its own figures."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

KEPT = {
    "digits_kept": "old digits kept, of changed",
    "attribute_preservation": "other attributes kept",
    "identity": "identity kept",
}


def save_curve(path: Path, curve: list[dict]) -> None:
    """What is kept against what is changed, the strength growing along the line (the paper's Fig. 4). Nothing if there are no such figures.
    The same figures give the same bytes."""
    lines = {}
    for key, words in KEPT.items():
        points = [
            (point["target_change"], point[key])
            for point in curve
            if None not in (point.get("target_change"), point.get(key))
        ]
        if len(points) > 1:
            lines[words] = points
    if not lines:
        return
    lowest = min(kept for points in lines.values() for _, kept in points)
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axis = figure.subplots()
    for (words, points), style in zip(lines.items(), ("o-", "s--", "^:"), strict=False):
        axis.plot(*zip(*points, strict=True), style, ms=4, lw=1.2, label=words)
    axis.set(
        xlabel="changed as asked", ylabel="kept", xlim=(-0.02, 1.02), ylim=(min(0.5, lowest - 0.02), 1.02)
    )
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})
