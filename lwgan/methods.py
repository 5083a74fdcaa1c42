"""The methods' names: as an edit's config has them, and as people write them; ours first."""

METHODS = {
    "lw": "LW",
    "lt": "LT",
    "interfacegan": "InterFaceGAN",
    "ganspace": "GANSpace",
    "sefa": "SeFa",
    "steerability": "steerability",
    "guided": "guided by a picture classifier",
    "centroids": "mean shift",
    "random": "random direction",
}


def rank(method: str | None) -> tuple[int, str]:
    """Sorts methods as METHODS does, unknown ones last by name."""
    return (list(METHODS).index(method) if method in METHODS else len(METHODS), method or "")
