"""Numbers and tables as results pages show them."""


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def show(rates: list[dict | None]) -> str:
    """The mean of the seeds' rates (of those that have any), and in brackets the bounds."""
    held = [rate for rate in rates if rate is not None]
    if not held:
        return "none"
    seeds = (
        f" ({len(held)} of {len(rates)})"
        if len(held) < len(rates)
        else f" ({len(rates)})"
        if len(rates) > 1
        else ""
    )
    bounds = f"{min(rate['low'] for rate in held):.3f}, {max(rate['high'] for rate in held):.3f}"
    return f"{mean([rate['value'] for rate in held]):.3f}{seeds} [{bounds}]"


def number(values: list[float | None], digits: int = 2) -> str:
    held = [value for value in values if value is not None]
    return f"{mean(held):.{digits}f}" if held else "none"


def table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])
