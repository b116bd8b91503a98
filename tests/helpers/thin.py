"""The thin networks that the tests share: the production builders, an eighth as wide and less deep, on small images."""

THIN = {"width_divisor": 8, "num_classes": 10}
SIZES = {"vgg16": 48, "resnet_v1_50": 64}
# Every kind of unit in every block, not all sixteen units: building takes half the time.
SHALLOW = {"resnet_v1_50": {"units": (2, 2, 2, 2)}}


def less_deep(name, options):
    """The options that a network is built with: those of the thin ones, and of no other, say how deep, too."""
    return {**options, **SHALLOW.get(name, {})} if options == THIN else options
