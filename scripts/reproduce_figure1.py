"""Reproduces Figure 1 of the Grad-CAM paper: two classes of one picture, each explained.

    python scripts/reproduce_figure1.py
    python scripts/reproduce_figure1.py --network vgg16 --resnet resnet_v1_50 \
        --images cat_dog.jpg --classes "tiger cat" boxer

A row a class; columns: original, guided backprop, Grad-CAM, guided Grad-CAM and occlusion map of a VGG16,
Grad-CAM of a ResNet. By default a cat and a cup of coffee seen by the embedded networks.

What it shows: guided backprop hardly depends on the class; occlusion map and the ResNet's Grad-CAM lie on the cat's
forehead and on the cup; the small VGG16's Grad-CAM is on the right side of the picture, but off to the left of the face
and over the rim of the cup, and it gives the cat less than 0.1 %.
"""

from __future__ import annotations

import pathlib

import numpy as np

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from gradcam import figures
    from gradcam.cli import reproduction
    from gradcam.perturbation import occlusion_map
    from gradcam.pictures import read_photograph
    from slim_models.labels import class_name


def main(argv: list[str] | None = None) -> pathlib.Path:
    parser = reproduction.arguments(__doc__, reproduction.VGG, "out/figure1.png")
    reproduction.add_resnet(parser)
    reproduction.add_images(parser, ["sample:cat_and_coffee"], ["Egyptian cat", "espresso"])
    parser.add_argument(
        "--patch", type=int, metavar="PIXELS", help="of the occlusion map (default: a fifth of the height)"
    )
    parser.add_argument("--stride", type=int, metavar="PIXELS", help="between patches (default: height / 28)")
    args = parser.parse_args(argv)

    rows, titles, numbers = [], [], []
    with (
        reproduction.open_explainer(args.network, args.weights) as vgg,
        reproduction.open_explainer(args.resnet, args.resnet_weights, rules=()) as resnet,
    ):
        classes = reproduction.same_classes(vgg, resnet, args.classes)
        stride = max(1, vgg.network.image_size[0] // 28) if args.stride is None else args.stride
        for source in args.images:
            photograph = read_photograph(source)
            image = photograph.fitted(vgg.network.image_size)
            explanation = vgg.explain_classes(image, args.classes)
            seen_by_resnet = resnet.explain_classes(photograph.fitted(resnet.network.image_size), classes)
            for number, target in enumerate(explanation.targets):
                row = figures.panels(photograph, explanation[number])
                drops = occlusion_map(vgg.predict, image, target, patch=args.patch, stride=stride, progress=True)
                row["occlusion map"] = reproduction.overlay(photograph, np.maximum(drops, 0))
                row["ResNet Grad-CAM"] = reproduction.overlay(photograph, seen_by_resnet[number].cam()[0])
                rows.append(list(row.items()))
                name = class_name(target, vgg.labels)
                by_vgg, by_resnet = (e.probabilities[number, target] for e in (explanation, seen_by_resnet))
                titles.append(f"{name}\nVGG {reproduction.percent(by_vgg)}\nResNet {reproduction.percent(by_resnet)}")
                numbers.append(
                    {
                        "image": source,
                        "class": name,
                        "probability": by_vgg,
                        "resnet_probability": by_resnet,
                        "cam": explanation[number].cam()[0],
                        "occlusion": drops,
                        "resnet_cam": seen_by_resnet[number].cam()[0],
                    }
                )
    networks = {"network": vgg.network.name, "resnet": resnet.network.name}
    figure = figures.grid(rows, titles, panel=reproduction.PAGE / len(rows[0]))
    return figures.write_figure(figure, {**networks, "rows": numbers}, args.out, say=print)


if __name__ == "__main__":
    run_script("reproduce_figure1", main)
