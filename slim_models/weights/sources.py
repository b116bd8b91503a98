"""Where the published weights are: addresses in order of preference, and the hashes that their owners published."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Source:
    """A file on the web that holds a network's weights.

    Attributes:
        url: its address.
        published_hash: `"md5:..."` or `"sha1:..."` as its owners published it; None where they never did.
        megabytes: how large its weights are; the file itself may be a little smaller.
        member: the file of weights in it, or the prefix of a V2 checkpoint, if it is a tar archive.
    """

    url: str
    published_hash: str | None
    megabytes: int
    member: str | None = None


def _slim(archive: str, member: str, megabytes: int) -> tuple[Source, ...]:
    """An archive of TF-Slim's, at its storage's secure address and at the one that slim names."""
    addresses = ("https://storage.googleapis.com/download.tensorflow.org", "http://download.tensorflow.org")
    return tuple(Source(f"{address}/models/{archive}", None, megabytes, member) for address in addresses)


# The VGGs were trained in Caffe; all files of one hold the same numbers, and end as vgg16.npy and vgg19.npy.
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_CAFFE = "https://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe"
SOURCES: dict[str, tuple[Source, ...]] = {
    "vgg16": (
        Source(
            f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5",
            "md5:64373286793e3c8b2b4e3219cbf3544b",
            553,
        ),
        Source(
            "https://s3.amazonaws.com/content.udacity-data.com/nd101/vgg16.npy",
            "sha1:6206897b35c2bfe5d9d16b83314e44fc3ea83b1c",
            553,
        ),
        Source(
            f"{_CAFFE}/VGG_ILSVRC_16_layers.caffemodel",
            "sha1:9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24",
            553,
        ),
        *_slim("vgg_16_2016_08_28.tar.gz", "vgg_16.ckpt", 553),
    ),
    "vgg19": (
        Source(
            f"{_KERAS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels.h5",
            "md5:cbe5617147190e668d6c5d5026f83318",
            575,
        ),
        Source(
            f"{_CAFFE}/VGG_ILSVRC_19_layers.caffemodel",
            "sha1:239785e7862442717d831f682bb824055e51e9ba",
            575,
        ),
        *_slim("vgg_19_2016_08_28.tar.gz", "vgg_19.ckpt", 575),
    ),
    "resnet_v1_50": _slim("resnet_v1_50_2016_08_28.tar.gz", "resnet_v1_50.ckpt", 102),
    "resnet_v1_101": _slim("resnet_v1_101_2016_08_28.tar.gz", "resnet_v1_101.ckpt", 178),
    "mobilenet_v1": _slim("mobilenet_v1_2018_02_22/mobilenet_v1_1.0_224.tgz", "mobilenet_v1_1.0_224.ckpt", 17),
}
