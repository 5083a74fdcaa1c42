"""Names, once: of methods; of CelebA's forty attributes (Liu et al., 2015), in the order of its list_attr_celeba.txt; and what the
paper calls eight of them."""

import difflib
from collections.abc import Sequence

METHODS = {  # as an edit's config has them, and as people do; ours first
    "lw": "LW", "lt": "LT", "interfacegan": "InterFaceGAN", "ganspace": "GANSpace", "sefa": "SeFa", "steerability": "steerability",
    "guidedstyle": "GuidedStyle", "centroids": "mean shift", "random": "random direction",
}  # fmt: skip

CELEBA = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose", "Black_Hair",
    "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup",
    "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose",
    "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat",
    "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip

# Sec. 4.3 and Fig. 4. The paper shows "Gender" from male to female; of "Age" it does not say which way: here from young to old.
PAPER = {
    "Glasses": "Eyeglasses", "Gender": "not-Male", "Smile": "Smiling", "Age": "not-Young",
    "Pale Skin": "Pale_Skin", "Bangs": "Bangs", "Blond Hair": "Blond_Hair", "Wavy Hair": "Wavy_Hair",
}  # fmt: skip


def index_of(name: str, names: Sequence[str] = CELEBA) -> int:
    """Where a name stands among `names`. ValueError with the nearest one if it does not."""
    if name in names:
        return list(names).index(name)
    by_lower = {known.lower(): known for known in names}
    meant = PAPER.get(name, "").removeprefix("not-")
    near = difflib.get_close_matches(name.lower().replace(" ", "_"), by_lower, 1, 0)
    raise ValueError(
        f"attribute {name!r} is unknown: did you mean {meant if meant in names else by_lower[near[0]]!r}?"
    )
