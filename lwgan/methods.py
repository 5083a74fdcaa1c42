"""The methods that fit edits: the key in an edit's config -> the name for people, ours first."""

METHODS = {
    "lw": "LW",
    "lt": "LT",
    "interfacegan": "InterFaceGAN",
    "ganspace": "GANSpace",
    "sefa": "SeFa",
    "steerability": "steerability",
    "guided": "guided by a picture classifier",
    "centroids": "mean shift",
    "teach": "taught from two piles",
    "random": "random direction",
}


def rank(method: str | None) -> tuple[int, str]:
    """A sort key: methods in the order of METHODS, then unknown ones by name."""
    return (list(METHODS).index(method) if method in METHODS else len(METHODS), method or "")
