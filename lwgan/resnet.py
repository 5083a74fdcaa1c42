"""ResNet-50's body (He et al., 2016) as torchvision computes it; parameters have torchvision's names."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

UNITS = (3, 4, 6, 3)  # bottlenecks of each of the four widths
EXPANSION = 4  # a bottleneck's output is so many times wider than its 3 x 3 convolution


class Body(nn.Module):
    """Pictures x [N, channels, H, W] -> features [N, 4 * widths[-1]], not negative."""

    def __init__(self, channels: int, widths: Sequence[int]):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        before = widths[0]
        for level, (width, count) in enumerate(zip(widths, UNITS, strict=True)):
            strides = [2 if level else 1] + [1] * (count - 1)
            inputs = [before] + [EXPANSION * width] * (count - 1)
            units = (Bottleneck(n, width, stride) for n, stride in zip(inputs, strides, strict=True))
            setattr(self, f"layer{level + 1}", nn.Sequential(*units))
            before = EXPANSION * width

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return x.mean((2, 3))


class Bottleneck(nn.Module):
    """Convolutions of 1, 3 and 1 px, the second one strided, added to a shortcut."""

    def __init__(self, in_channels: int, width: int, stride: int):
        super().__init__()
        channels = EXPANSION * width
        self.conv1, self.bn1 = nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels)
        if stride > 1 or in_channels != channels:
            conv = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)
