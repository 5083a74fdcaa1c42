"""The methods that fit edits: the key in an edit's config -> the name for people, ours first."""

from collections.abc import Mapping

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


def method_of(config: Mapping, star: bool = False) -> str:
    """The name for people of an edit's method, with ", partial transport" where it is not the paper's loss,
    or ", exact W2" where that is the limit of the paper's loss (kappa 1).

    star: mark it as learned without regularisation, as the paper does (LW*)."""
    method = config.get("method") or "other"
    options = (config.get("training") or {}).get("method")
    loss = ""
    if isinstance(options, Mapping) and options.get("solver") == "partial":
        exact = options.get("kappa") == 1 and not options.get("skip")
        loss = ", exact W2" if exact else ", partial transport"
    return METHODS.get(method, method) + "*" * star + loss


def rank(method: str | None) -> tuple[int, str]:
    """A sort key: methods in the order of METHODS, then unknown ones by name."""
    return (list(METHODS).index(method) if method in METHODS else len(METHODS), method or "")
