"""The flags of the command line's commands."""

from __future__ import annotations

import argparse
import sys

import slim_models

DEFAULT_NETWORK = "resnet_v1_50_tiny"


def add_network_flags(parser: argparse.ArgumentParser, default: str | None = DEFAULT_NETWORK) -> None:
    """The network, by name or by path; of one that is not ours, what could not be found in it."""
    parser.add_argument(
        "--network",
        default=default,
        required=default is None,
        metavar="NAME|PATH",
        help="a name (see gradcam networks), or the path of your own: a frozen graph, SavedModel, checkpoint with "
        ".meta or Keras model" + (" (default: %(default)s)" if default else ""),
    )
    parser.add_argument("--weights", metavar="PATH", help="default: the network's file in weights/, or what is at PATH")
    add_tensor_flags(parser)


def add_tensor_flags(parser: argparse.ArgumentParser) -> None:
    """What `slim_models.load` is told of a network that is not ours."""
    own = parser.add_argument_group("your own network", "what is not given is found out and printed")
    own.add_argument("--images-tensor", metavar="NAME", help="takes the pictures")
    own.add_argument("--logits-tensor", metavar="NAME", help="the logits, or the probabilities made of them")
    own.add_argument(
        "--preprocessing",
        metavar="NAME",
        help="of RGB in [0, 255]: none, minus_one_to_one, zero_to_one, subtract_mean, caffe_bgr or standardized",
    )
    own.add_argument(
        "--labels", metavar="NAME|FILE", help="imagenet, tiny_imagenet, or a file with a name a line; of ours too"
    )
    own.add_argument("--head", metavar="NAME", help="what is made of the logits: softmax, sigmoid or linear")
    own.add_argument("--image-size", type=int, metavar="PIXELS", help="where the network takes any size")


def add_compare_flags(compare: argparse.ArgumentParser) -> None:
    """Of `gradcam compare`."""
    compare.add_argument(
        "reference", metavar="REFERENCE.npz", help="as scripts/caffe_reference.py writes it; with --authors a folder"
    )
    compare.add_argument(
        "--authors",
        metavar="IMAGE",
        help="REFERENCE is a folder with the pictures (classify_gb_243.png, ...) that the paper's authors' code made "
        "of IMAGE: tells how alike ours are",
    )
    add_network_flags(compare, None)
    compare.add_argument("--layer", metavar="NAME", help="the layer of the reference's cam, where that is unclear")
    compare.add_argument(
        "--layout",
        default="tensorflow",
        metavar="NAME",
        help="tensorflow (default), or caffe: as in pycaffe's blobs",
    )
    compare.add_argument("--plot", metavar="FILE", help="draw theirs, ours and the difference side by side")
    compare.add_argument(
        "--tolerance", type=float, default=1e-4, metavar="T", help="relative L2 difference (default: %(default)s)"
    )


def add_download_flags(download: argparse.ArgumentParser) -> None:
    """Of `gradcam download`."""
    download.add_argument(
        "networks", nargs="+", metavar="NETWORK", help="vgg16, vgg19, resnet_v1_50, resnet_v1_101 or mobilenet_v1"
    )
    download.add_argument("--dir", metavar="DIR", help="default: $GRADCAM_WEIGHTS, or ./weights")
    download.add_argument("--from", dest="source", metavar="URL", help="another address of one of the known files")
    download.add_argument("--force", action="store_true", help="fetch weights also if they are there")


def add_explain_flags(explain: argparse.ArgumentParser) -> None:
    """Of `gradcam explain`."""
    explain.add_argument("images", nargs="+", metavar="IMAGE", help="a picture, a folder of pictures, or sample:NAME")
    add_network_flags(explain)
    explain.add_argument(
        "--target",
        action="append",
        metavar="CLASS",
        help="a class by index, WordNet id or name; may be given again (default: the predicted class)",
    )
    explain.add_argument("--layer", action="append", metavar="NAME", help="may be given again; see gradcam layers")
    explain.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help="grad_cam (default), counterfactual, grad_cam_plus_plus, xgrad_cam, hires_cam or layer_cam; "
        "may be given again",
    )
    explain.add_argument(
        "--fit",
        choices=("stretch", "crop"),
        default="stretch",
        help="how a picture becomes square: all of it, squeezed, or its centre, in proportion (default: %(default)s)",
    )
    explain.add_argument("--batch", type=int, default=8, metavar="N", help="pictures a run (default: %(default)s)")
    explain.add_argument("--device", metavar="NAME", help="cpu, gpu or gpu:NUMBER (default: TensorFlow's choice)")
    explain.add_argument(
        "--precision",
        metavar="NAME",
        help="float32 or bfloat16 (default: the network's own, float32 for ours); bfloat16 is up to twice as fast, or "
        "more, on processors with units for it",
    )
    add_file_flags(explain)


def add_file_flags(explain: argparse.ArgumentParser) -> None:
    """Of `gradcam explain`."""
    explain.add_argument(
        "--colormap", default="jet", metavar="NAME", help="jet (default), turbo, viridis, inferno, hot or gray"
    )
    explain.add_argument(
        "--write",
        action="append",
        metavar="NAME",
        help="overlay, figure or arrays; may be given again (default: all three)",
    )
    explain.add_argument("--out", default="out", metavar="DIR", help="where the files go (default: %(default)s)")


def chosen_network(args: argparse.Namespace, image_size: int | None = None) -> slim_models.Network:
    """The network that `--network` and `--weights` mean, with its values; what was guessed is printed."""
    return slim_models.open_network(
        args.network,
        args.weights,
        image_size=image_size or args.image_size,
        say=tell,
        layer=None if args.network in slim_models.NETWORKS else args.layer,
        **found_in(args),
    )


def found_in(args: argparse.Namespace) -> dict[str, str | None]:
    """What the user says of a network, as `slim_models.open_network` takes it."""
    names = {"images": args.images_tensor, "logits": args.logits_tensor}
    return {**names, "preprocessing": args.preprocessing, "labels": args.labels, "head": args.head}


def tell(line: str) -> None:
    print(line, file=sys.stderr)
