"""`gradcam evaluate`, and the scripts that reproduce tables: a kind is a measure, its flags and published numbers."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import slim_models
from gradcam import methods
from gradcam.cli import flags, network_flags, sanity
from gradcam.cli.clusters import check_cluster, cluster_of, opening_of
from gradcam.evaluation import (
    METRICS,
    PLACE_METRICS,
    PROTOCOLS,
    BoxProtocol,
    Choices,
    Elsewhere,
    Faithfulness,
    Localization,
    Measure,
    Pointing,
    run,
    write_run,
)
from gradcam.evaluation.datasets import check_data, read_examples
from gradcam.terminal import Parser, quiet_tensorflow
from slim_models.mistakes import BadValue, check_name

if TYPE_CHECKING:
    from gradcam.cluster import Cluster
    from gradcam.methods import Method

RESNET, VGG = "resnet_v1_50_tiny", "vgg16_tiny"


@dataclasses.dataclass(frozen=True)
class OverData:
    """A measure over a data set.

    Attributes:
        help: in a few words.
        description: in a sentence.
        methods: names of the methods that are compared by default, `cam` where the network allows it.
        measure: flags and methods -> what is measured.
        published: numbers of others, and what they are of.
        network: the default one.
        more: adds the measure's own flags.
        metrics: names of the metrics that there are; empty of a measure that is one.
    """

    help: str
    description: str
    methods: Sequence[str]
    measure: Callable[[argparse.Namespace, Mapping[str, Method]], Measure]
    published: str
    network: str = RESNET
    more: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    metrics: Sequence[str] = ()

    def add_flags(self, parser: argparse.ArgumentParser, out: str, network: str | None) -> None:
        """Network, data, methods, and the measure's own flags."""
        flags.add_run_flags(parser, network, out)
        flags.add_data_flags(parser, self.methods)
        if self.metrics:
            text = f"{', '.join(self.metrics)} (default: {self.metrics[0]})"
            parser.add_argument("--metric", nargs="+", default=[self.metrics[0]], metavar="NAME", help=text)
        self.more(parser)

    def check(self, args: argparse.Namespace) -> None:
        """Raises what is wrong with the flags and can be told without the network."""
        if args.limit is not None and args.limit < 1:
            raise BadValue(f"--limit must be at least 1, not {args.limit}")
        methods.check_methods(args.methods or ())
        if self.metrics:
            for name in args.metric:
                check_name("metric", name, self.metrics)
        check_data(args.data)
        check_cluster(args)

    def run(self, args: argparse.Namespace) -> pathlib.Path:
        """Measures every picture that no earlier run has measured; writes figure, CSV and JSON."""
        self.check(args)
        with cluster_of(args) as cluster:
            network = network_flags.network_of(args)
            measure = self.made(args, network)
            source = args.data if cluster is None or args.data == "samples" else pathlib.Path(args.data).absolute()
            examples = read_examples(source, annotations=args.annotations, labels=args.labels)[: args.limit]
            choices = Choices(args.layer, args.fit, args.smooth, args.batch, args.fresh)
            about = {"name": args.network, "data": pathlib.Path(args.data).name, "choices": choices, "say": print}
            there = None if cluster is None else self._elsewhere(args, network, cluster)
            found = run(network, examples, measure, args.out, **about, elsewhere=there)
        return write_run(found, args.out, [self.published], say=print)

    def made(self, args: argparse.Namespace, network: slim_models.Network) -> Measure:
        """What is measured of a network."""
        return self.measure(args, self._methods(args, network))

    def _elsewhere(self, args: argparse.Namespace, network: slim_models.Network, cluster: Cluster) -> Elsewhere:
        (kind,) = (name for name, kind in KINDS.items() if kind is self)
        opened, made = opening_of(args, network), functools.partial(_made, kind, args)
        return Elsewhere(cluster, opened, made, args.send_pictures, args.any_tensorflow)

    def _methods(self, args: argparse.Namespace, network: slim_models.Network) -> dict[str, Method]:
        # What CAM looks for a linear head in.
        weights = network.values.arrays() if args.layer in (None, network.default_layer) else None
        linear = methods.linear_head(weights or {}) is not None
        names = args.methods or [name for name in self.methods if name != "cam" or linear]
        return methods.methods_named(names, weights, args.smooth)


def _made(kind: str, args: argparse.Namespace, network: slim_models.Network) -> Measure:
    """On a worker: what is measured."""
    found = KINDS[kind]
    assert isinstance(found, OverData)
    return found.made(args, network)


def _boxes(args: argparse.Namespace) -> BoxProtocol:
    return BoxProtocol(args.threshold, args.segment, args.resize)


def _add_pointing_flags(parser: argparse.ArgumentParser) -> None:
    text = "torchray: at the pixels of the class where the data have them, and the mean over classes (default: paper)"
    parser.add_argument("--protocol", choices=PROTOCOLS, default=PROTOCOLS[0], help=text)
    parser.add_argument(
        "--tolerance",
        type=float,
        default=15,
        metavar="PIXELS",
        help="of a picture whose shorter side has 224, smaller ones in proportion; by TorchRay's protocol of the "
        "picture as it is (default: %(default)s)",
    )
    parser.add_argument(
        "--classes",
        type=int,
        default=5,
        metavar="K",
        help="most probable ones, for the recall; 0 leaves it out (default: 5)",
    )


def _add_occlusion_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--patch", type=int, metavar="PIXELS", help="of the network's input (default: a fifth of its height)"
    )
    parser.add_argument("--stride", type=int, metavar="PIXELS", help="between patches (default: height / 14)")


SALIENCY = ("guided_grad_cam", "guided_backprop", "backprop")
KINDS: dict[str, OverData | sanity.Sanity] = {
    "localization": OverData(
        "error of classification and of boxes from maps (Table 1); MaxBoxAcc, energy inside the boxes",
        "A picture is right if its class is among the one or five most probable and the box made of that class's map "
        "has IoU >= 0.5 with a true box. Other metrics judge the same maps by the boxes: see docs/METHODS.md.",
        ("grad_cam", "cam", "grad_cam_plus_plus", "xgrad_cam", "hires_cam", "layer_cam", *SALIENCY),
        lambda args, chosen: Localization(chosen, _boxes(args), metrics=args.metric),
        # ILSVRC-15 val, per cent, top-1 / top-5: Selvaraju et al., table 1, and a reproduction of it.
        """\
published for ILSVRC-15 val, 224 pixels, 1000 classes; not comparable with other data (localisation, top-1 / top-5):
  Grad-CAM: VGG-16 56.51 / 46.41, GoogLeNet 60.09 / 49.34, AlexNet 68.3 / 56.6;   VGG-16 CAM 57.20 / 45.14
  VGG-16 Grad-CAM, independent reproduction (KTH): 55.82 / 44.82;   classification, VGG-16: 30.38 / 10.89""",
        more=flags.add_box_flags,
        metrics=list(PLACE_METRICS),
    ),
    "ablations": OverData(
        "error of boxes with pieces of Grad-CAM left out (Table 3)",
        "The error of boxes from maps with pieces of Grad-CAM left out or exchanged.",
        ("grad_cam", "without_relu", "max_pooled", "absolute_gradients", "guided_gradient", "deconvnet_gradient"),
        lambda args, chosen: Localization(chosen, _boxes(args), classification=False),
        """\
published for ILSVRC, VGG-16, top-1 localisation error, by another protocol than that of Table 1:
  Grad-CAM 59.65   guided gradient 59.14   deconvnet gradient 83.95   without ReLU about 75""",
        network=VGG,
        more=flags.add_box_flags,
    ),
    "pointing": OverData(
        "the pointing game, with recall",
        "A map is right if its maximum lies on the object or close to it; with recall, maps of classes that are not "
        "there have to be rejected.",
        ("grad_cam", "cam", "grad_cam_plus_plus", "layer_cam", *SALIENCY, "random", "sobel"),
        lambda args, chosen: Pointing(chosen, args.tolerance, args.classes, args.protocol),
        """\
published: COCO with recall, GoogLeNet: Grad-CAM 70.58, c-MWP 60.30 (Selvaraju et al.);
  VOC07 all/difficult, VGG16 (TorchRay): Grad-CAM 86.6/74.0, backprop 76.3/56.9, guided backprop 75.9/53.0,
  centre 69.6/42.4""",
        more=_add_pointing_flags,
    ),
    "faithfulness": OverData(
        "do maps say what the network goes by: occlusion, deletion, insertion, ROAD and more",
        "Do maps rank the picture's places as occluding them does? Spearman's correlation with occlusion maps; and the "
        "other metrics of the literature, which docs/METHODS.md tells of.",
        (
            *("grad_cam", "cam", "grad_cam_plus_plus", "hires_cam", "layer_cam"),
            *("guided_grad_cam", "guided_backprop", "deconvnet", "backprop"),
        ),
        lambda args, chosen: Faithfulness(chosen, args.metric, args.patch, args.stride),
        """\
published for VOC07 val, VGG-16: Grad-CAM .254, guided Grad-CAM .261, guided backprop .168, c-MWP .220, CAM .208
  (an independent reproduction by KTH found only about .05)""",
        more=_add_occlusion_flags,
        metrics=list(METRICS),
    ),
    "sanity": sanity.Sanity(),
}


def reproduce(kind: str, documentation: str | None, out: str, argv: Sequence[str] | None) -> pathlib.Path:
    """What a script that reproduces a table does.

    Args:
        kind: a key of `KINDS`.
        documentation: of the script.
        out: the figure's default name.
        argv: the arguments; None takes those of the process.

    Returns:
        The figure's name.
    """
    with quiet_tensorflow():
        import gradcam.explainer  # noqa: F401 - it brings TensorFlow
    parser = Parser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    KINDS[kind].add_flags(parser, out, KINDS[kind].network)
    return KINDS[kind].run(parser.parse_args(argv))
