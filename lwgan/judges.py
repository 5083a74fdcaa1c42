"""Networks that read: judges of pictures, the identity network, and F_l (Eq. 5), a classifier of codes.

Each network has one use. F_l trains edits. One judge, the selector, may choose settings and strengths.
Another, the judge, has no part in any training or choice and gives the published figures.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lwgan import resnet
from lwgan.encoder import ir_se

PLACES = 8  # side of the last feature map of `PictureFeatures`; at 64 px what three halvings leave
PUBLISHED_SIDE = 256  # px: of the pictures that published networks of faces take
FACE_ROWS, FACE_COLUMNS = slice(35, 223), slice(32, 220)  # of such a picture: what IR-SE50 sees
FACE_SIDE = 112  # px: the size at which it sees them


class Judge(nn.Module):
    """Which labels a picture has: x [N, C, H, W] in [-1, 1] -> logits [N, K], K = len(names). `names` are the
    labels; `features(x)` [N, D] is the space of the Frechet distance."""

    names: tuple[str, ...]

    @torch.no_grad()
    def read(self, x: Tensor, batch: int = 50) -> Tensor:
        """bool [N, K]: the labels that the judge reads. Larger batches exceed a CPU's caches."""
        return torch.cat([self(part) > 0 for part in x.split(batch)])

    @staticmethod
    def from_pretrained(source, revision: str | None = None, token: str | None = None) -> "Judge":
        """The judge of a folder or a Hub repo, frozen. Errors as `lwgan.hub.registry.load_model`."""
        from lwgan.hub.registry import load_module

        return load_module(judge_network, "judge", source, revision, token)


def judge_network(*, network: str = "attributes", **architecture) -> Judge:
    """A judge with random weights: network "attributes", "counts" or "resnet50", and that class's
    arguments."""
    if network not in NETWORKS:
        raise TypeError(f"network is {network!r}, expected one of {', '.join(NETWORKS)}")
    return NETWORKS[network](**architecture)


class CountJudge(Judge):
    """How many objects a picture holds, and how many of each class, as yes/no labels.

    x [N, channels, H, W] in [-1, 1] -> logits [N, K] with K = len(names) = (classes + 1) * most. Labels
    come in groups of `most`: first "at least 1, 2, ..., `most` objects", then the same for each class. The
    network itself answers with classes + 1 distributions over 0..most (`counts`); the logit of "at least
    k" is the best logit among k..most minus the best among 0..k-1, so that "logit > 0" says the same as
    the likeliest count. Residual convolutions down to H/8, features summed over places: the answer does
    not depend on the layout."""

    def __init__(
        self, *, names: Sequence[str], most: int = 4, channels: int = 1,
        widths: Sequence[int] = (32, 64, 128), features: int = 128,
    ):  # fmt: skip
        super().__init__()
        if len(names) % most:
            raise ValueError(f"{len(names)} names: expected a multiple of {most}, the largest count")
        self.config = {"network": "counts", "names": list(names), "most": most, "channels": channels,
                       "widths": list(widths), "features": features}  # fmt: skip
        self.names, self.most = tuple(names), most
        blocks, channels = [], 4 * channels
        for width in widths:
            blocks += [ConvBlock(channels, width), ConvBlock(width, width)]
            channels = width
            blocks.append(nn.MaxPool2d(2))
        last = ConvBlock(channels, 2 * channels), ConvBlock(2 * channels, features)
        self.body = nn.Sequential(*blocks[:-1], *last)
        self.hidden = nn.Linear(features, features)
        self.head = nn.Linear(features, len(names) // most * (most + 1))

    def features(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] in [-1, 1] -> [N, features], the space of the Frechet distance."""
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        return F.relu(self.hidden(self.body(x).float().sum((2, 3)) / 8))

    def counts(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] in [-1, 1] -> logits [N, classes + 1, most + 1] over 0..most: classes, then all."""
        return self.head(self.features(x)).view(len(x), -1, self.most + 1)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.counts(x).roll(1, 1)  # all objects first
        at_least = [logits[..., k:].amax(-1) - logits[..., :k].amax(-1) for k in range(1, self.most + 1)]
        return torch.stack(at_least, -1).flatten(1)


class ConvBlock(nn.Module):
    """3 x 3 convolution, batch normalisation, ReLU; with a shortcut where the widths allow it."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.shortcut = in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return F.relu(x + y if self.shortcut else y)


class PictureFeatures(nn.Module):
    """Pictures x [N, channels, H, W] in [-1, 1] -> features [N, features], not negative.

    Residual convolutions from H/2 on, then one hidden layer over all places. Blocks of 2 x 2 px become
    channels of the first convolution, without pooling: rims and earrings are 1 to 2 px wide."""

    def __init__(self, widths: Sequence[int], features: int, channels: int = 3):
        super().__init__()
        blocks, channels = [], 4 * channels
        for width in widths:
            blocks += [ConvBlock(channels, width), ConvBlock(width, width), nn.MaxPool2d(2)]
            channels = width
        self.body = nn.Sequential(*blocks[:-1], ConvBlock(channels, channels))
        self.narrow = nn.Conv2d(channels, channels // 4, 1)
        self.hidden = nn.Linear(channels // 4 * PLACES**2, features)

    def forward(self, x: Tensor) -> Tensor:
        return self.levels(x)[-1]

    def levels(self, x: Tensor) -> list[Tensor]:
        """The feature maps [N, width, H/2, W/2], [N, width, H/4, W/4], ..., and last the features."""
        x, maps = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last), []
        for layer in self.body:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
            x = layer(x)
        return [*maps, x, F.relu(self.hidden(F.adaptive_avg_pool2d(self.narrow(x), PLACES).flatten(1)))]


class AttributeJudge(Judge):
    """A judge of any labels: residual convolutions, then one logit per label."""

    def __init__(
        self, *, names: Sequence[str], channels: int = 3, widths: Sequence[int] = (32, 64, 128),
        features: int = 128,
    ):  # fmt: skip
        super().__init__()
        self.config = {"network": "attributes", "names": list(names), "channels": channels,
                       "widths": list(widths), "features": features}  # fmt: skip
        self.names = tuple(names)
        self.features = PictureFeatures(widths, features, channels)
        self.head = nn.Linear(features, len(self.names))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class ResNetJudge(Judge):
    """ResNet-50 on pictures of 256 px, one logit per label: the published reader of attributes of faces
    (mit-han-lab/anycost-gan, models/__init__.py), whose two outputs per label became their difference."""

    def __init__(
        self, *, names: Sequence[str], channels: int = 3, widths: Sequence[int] = (64, 128, 256, 512)
    ):  # fmt: skip
        super().__init__()
        self.config = {"network": "resnet50", "names": list(names), "channels": channels,
                       "widths": list(widths)}  # fmt: skip
        self.names = tuple(names)
        self.body = resnet.Body(channels, widths)
        self.fc = nn.Linear(resnet.EXPANSION * widths[-1], len(self.names))

    def features(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] in [-1, 1] -> [N, 4 * widths[-1]], the space of the Frechet distance."""
        return self.body(at_published_side(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x))


def at_published_side(x: Tensor) -> Tensor:
    """Pictures [N, C, H, W] as published networks take them: within [-1, 1], at 256 px. Larger ones are
    averaged, smaller ones interpolated, as in anycost-gan (utils/torch_utils.py)."""
    x, size = x.clamp(-1, 1), (PUBLISHED_SIDE, PUBLISHED_SIDE)
    if x.shape[-1] > PUBLISHED_SIDE:
        return F.adaptive_avg_pool2d(x, size)
    return x if x.shape[-1] == PUBLISHED_SIDE else F.interpolate(x, size, mode="bilinear")


NETWORKS = {"attributes": AttributeJudge, "counts": CountJudge, "resnet50": ResNetJudge}


class IdentityNetwork(nn.Module):
    """Who it is: x [N, C, H, W] in [-1, 1] -> embedding [N, embedding] of length 1.
    The cosine of two embeddings says how likely they show one person."""

    def __init__(
        self, *, channels: int = 3, widths: Sequence[int] = (32, 64, 128), features: int = 192,
        embedding: int = 64,
    ):  # fmt: skip
        super().__init__()
        self.config = {"channels": channels, "widths": list(widths), "features": features,
                       "embedding": embedding}  # fmt: skip
        self.features = PictureFeatures(widths, features, channels)
        self.head = nn.Linear(features, embedding)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.head(self.features(x)).float(), dim=1)

    @staticmethod
    def from_pretrained(source, revision=None, token=None) -> "IdentityNetwork":
        """The network of a folder or a Hub repo, frozen. Errors as `lwgan.hub.registry.load_model`."""
        from lwgan.hub.registry import load_module

        return load_module(identity_network, "identity", source, revision, token)


class FaceIdentity(IdentityNetwork):
    """IR-SE50 on the middle of an aligned face, as in pSp's identity loss (criteria/id_loss.py and
    models/encoders/model_irse.py of eladrich/pixel2style2pixel)."""

    def __init__(self, *, widths: Sequence[int] = (64, 128, 256, 512), embedding: int = 512):
        nn.Module.__init__(self)
        self.config = {"network": "ir_se50", "widths": list(widths), "embedding": embedding}
        self.stem, self.backbone = ir_se.stem(3, widths[0]), ir_se.units(widths)
        self.head = ir_se.embedder(widths[-1], FACE_SIDE, embedding)

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(at_published_side(x)[:, :, FACE_ROWS, FACE_COLUMNS], FACE_SIDE)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        for unit in self.backbone:
            x = unit(x)
        return F.normalize(self.head(x).float(), dim=1)


IDENTITIES = {"plain": IdentityNetwork, "ir_se50": FaceIdentity}


def identity_network(*, network: str = "plain", **architecture) -> IdentityNetwork:
    """An identity network with random weights: network "plain" or "ir_se50", and that class's arguments."""
    if network not in IDENTITIES:
        raise TypeError(f"network is {network!r}, expected one of {', '.join(IDENTITIES)}")
    return IDENTITIES[network](**architecture)


class LatentClassifier(nn.Module):
    """F_l of Eq. 5: codes w [N, num_ws, w_dim] -> logits [N, outputs]. Two hidden layers on the flattened
    code, as in the paper of Latent Transformer (Yao et al., 2021)."""

    def __init__(self, *, num_ws: int, w_dim: int, outputs: int, hidden: tuple[int, int] = (1024, 256)):
        super().__init__()
        self.config = {"num_ws": num_ws, "w_dim": w_dim, "outputs": outputs, "hidden": list(hidden)}
        sizes = (num_ws * w_dim, *hidden)
        layers = []
        for a, b in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], outputs))

    def forward(self, w: Tensor) -> Tensor:
        return self.layers(w.flatten(1))

    @classmethod
    def from_pretrained(cls, source, revision=None, token=None) -> "LatentClassifier":
        """The classifier of a folder or a Hub repo, frozen. Errors as `lwgan.hub.registry.load_model`."""
        from lwgan.hub.registry import load_module

        return load_module(cls, "latent-classifier", source, revision, token)
