"""Methods that fit edits: one file per method, each with a subclass of `trainers.edits.base.Method`."""

# Methods that differ in substance from the published ones, and how: for cards and tables.
ADAPTED = {
    "interfacegan": "fitted to labelled W+ codes of encoded pictures, equally many of each side, instead of "
    "the 2% of sampled z or w codes with the highest and the lowest scores",
    "ganspace": "principal axes of the W+ codes of encoded pictures, one of them chosen by labels, instead "
    "of axes of sampled w codes, chosen by eye",
    "sefa": "one of all directions, chosen by labels, instead of one of the first few, chosen by eye",
    "steerability": "singular vectors of a StyleGAN's style weights, one of them chosen by labels, instead "
    "of those of a BigGAN's first layer with prescribed changes",
    "guided": "after the abstract of GuidedStyle (Hou et al., 2022) alone; losses and settings are ours",
}
