"""The Domain of the rendered faces."""

from dataclasses import replace

from lwgan.domain import Domain
from trainers.datasets.synthfaces.sampler import NAMES

LICENCE = """apache-2.0
Code and weights: Apache-2.0. The head of MakeHuman and the Face Units of M. Suominen are CC0."""
ABOUT = """The pictures are rendered by lwgan's own renderer over the head of MakeHuman and the Face Units of
M. Suominen; hair, glasses, clothes and colours are procedural. No photograph and no real person is in
them."""
LIMITS = """- The models know rendered faces alone: small, seen from the front, in the frame of their
  renderer. They were neither trained nor measured on photographs.
- Attributes are switches of the renderer with the names of CelebA's. They are correlated as the renderer
  draws them (sex and beards, age and grey hair), and edits learned from them show that. They say nothing
  about people.
- The models are made for research on editing in latent spaces."""
# The eight attributes of the paper's Fig. 4 in the directions that it shows, then four of the renderer's.
OFFERED = (
    "Eyeglasses", "not-Male", "Smiling", "not-Young", "Pale_Skin", "Bangs", "Blond_Hair", "Wavy_Hair",
    "Full_Beard", "Heavy_Makeup", "Long_Hair", "Wearing_Hat",
)  # fmt: skip

DOMAIN = Domain(name="synthfaces", title="Rendered faces", subject="a rendered face", frame="square",
                attributes=NAMES, changes=(), licence=LICENCE, about=ABOUT, limits=LIMITS)  # fmt: skip
DOMAIN = replace(DOMAIN, changes=tuple(map(DOMAIN.change, OFFERED)))
