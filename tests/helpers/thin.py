"""Sizes of the thin networks that the tests share: the production builders, an eighth as wide, on small images."""

THIN = {"width_divisor": 8, "num_classes": 10}
SIZES = {"vgg16": 48, "resnet_v1_50": 64}
