"""The figure of a card: what an edit keeps against what it changes."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

KEPT = {"all_kept": "all other labels kept", "others_kept": "other labels kept", "identity": "identity kept"}


def save_curve(path: Path, curve: list[dict]) -> None:
    """Draws the curve as in the paper's Fig. 4, or nothing for fewer than two points."""
    lines = {}
    for key, words in KEPT.items():
        points = [(point.get("target_change"), point.get(key)) for point in curve]
        lines[words] = [point for point in points if None not in point]
    lines = {words: points for words, points in lines.items() if len(points) > 1}
    if not lines:
        return
    lowest = min(kept for points in lines.values() for _, kept in points)
    figure = Figure(figsize=(5, 3.6))
    # Margins that fit the labels below: matplotlib takes long to find them.
    axis = figure.subplots(gridspec_kw={"left": 0.15, "right": 0.98, "bottom": 0.13, "top": 0.98})
    for (words, points), style in zip(lines.items(), ("o-", "s--", "^:"), strict=False):
        axis.plot(*zip(*points, strict=True), style, ms=4, lw=1.2, label=words)
    axis.set(xlabel="target change", ylabel="kept", xlim=(-0.02, 1.02), ylim=(min(0.5, lowest - 0.02), 1.02))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})
