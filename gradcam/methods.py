"""The one registry of methods: every way to a map by name, for the command line, the tables and the figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from gradcam import baselines, cams, maps, more_runs, paths
from gradcam.explanation import Explanation
from slim_models.mistakes import BadValue, UnknownName

Make = Callable[[Explanation, "str | None"], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Method:
    """A way from an explanation to maps.

    Attributes:
        title: what papers call it.
        making: explanation of N images and a layer (None is the default one) -> `[N, h, w]`, >= 0, of the network's
            whole input.
        formula: of `gradcam.cams`, if the map is that of the true gradient.
        rules: ReLU rules of the saliency that it needs.
        layer_rules: ReLU rules, besides the true gradient's, that it needs at the layer.
        signed: the formula of the map before it was raised above 0, if it was: what figures show of it.
        runs: how often it runs the network again for a picture, in words; empty if the explanation is enough.
    """

    title: str
    making: Make
    formula: cams.CamMethod | None = None
    rules: tuple[str, ...] = ()
    layer_rules: tuple[str, ...] = ()
    signed: cams.CamMethod | None = None
    runs: str = ""

    def make(self, explanation: Explanation, layer: str | None = None) -> np.ndarray:
        """The maps of N images: `[N, h, w]`, >= 0."""
        return self.making(explanation, layer)

    def shown(self, explanation: Explanation, layer: str | None = None) -> np.ndarray:
        """What figures show of the maps of N images: `[N, h, w]`, >= 0 or, where there is `signed`, of any sign."""
        return self.make(explanation, layer) if self.signed is None else explanation.cam(self.signed, layer)


def _cam(title: str, name: str, signed: cams.CamMethod | None = None) -> Method:
    formula = cams.formula(name)
    return Method(title, lambda explanation, layer: explanation.cam(formula, layer), formula, signed=signed)


def _signal(title: str, rule: str) -> Method:
    """Grad-CAM of what reaches the layer under another rule."""
    return Method(title, lambda e, layer: e.cam(cams.grad_cam, layer, rule), layer_rules=(rule,))


def _saliency(title: str, rule: str, smooth: float) -> Method:
    return Method(title, lambda explanation, _: maps.magnitude(explanation.saliency[rule], smooth), rules=(rule,))


def _product(title: str, rule: str, smooth: float) -> Method:
    """Saliency under a rule times the heat map of Grad-CAM."""

    def make(explanation: Explanation, layer: str | None) -> np.ndarray:
        heatmap = maps.heatmap(explanation.cam(layer=layer), explanation.images.shape[1:3])
        return maps.magnitude(maps.guided_grad_cam(explanation.saliency[rule], heatmap), smooth)

    return Method(title, make, rules=(rule,))


def _attribution(title: str, making: Callable[[Explanation], np.ndarray], smooth: float, runs: str = "") -> Method:
    """What is signed at the picture's pixels, made of the true gradient there."""
    return Method(title, lambda e, _: maps.magnitude(making(e), smooth), rules=("backprop",), runs=runs)


def _input_product(explanation: Explanation) -> np.ndarray:
    return paths.gradient_times_input(explanation.saliency["backprop"], explanation.images)


def _fused(explanation: Explanation, _: str | None) -> np.ndarray:
    """LayerCAM of all layers that were explained."""
    return maps.fused([explanation.cam(cams.layer_cam, layer) for layer in explanation.activations])


def _grid(explanation: Explanation, layer: str | None) -> tuple[int, int]:
    """Height and width of a layer's maps."""
    _, height, width, _ = explanation.activations[explanation.default_layer if layer is None else layer].shape
    return height, width


def _more(smooth: float) -> dict[str, Method]:
    """Methods beyond one run of the network, and those that know nothing of it."""
    samples, steps = (more_runs.COUNTS[kind] for kind in ("samples", "steps"))
    noisy, forward = f"{samples} backward", "one forward a channel"
    return {
        "finer_cam": Method("Finer-CAM", more_runs.finer_cam, runs="1 backward"),
        "smooth_grad_cam_plus_plus": Method("SmoothGrad-CAM++", more_runs.smooth_grad_cam_plus_plus, runs=noisy),
        "score_cam": Method("Score-CAM", more_runs.score_cam, runs=forward),
        "faster_score_cam": Method("Faster Score-CAM", more_runs.faster_score_cam, runs=f"{more_runs.FASTER} forward"),
        "ablation_cam": Method("Ablation-CAM", more_runs.ablation_cam, runs=f"{forward}, from the layer on"),
        "rise": Method("RISE", more_runs.rise, runs=f"{more_runs.COUNTS['masks']} forward"),
        "occlusion": Method("occlusion", more_runs.occlusion, runs="196 forward"),
        "cnn_fixations": Method("CNN-Fixations", more_runs.cnn_fixations, runs="1 forward"),
        "gradient_input": _attribution("gradient x input", _input_product, smooth),
        "integrated_gradients": _attribution(
            "integrated gradients", more_runs.integrated_gradients, smooth, f"{steps} backward"
        ),
        "blur_integrated_gradients": _attribution(
            "blur integrated gradients", more_runs.blur_integrated_gradients, smooth, f"{steps} backward"
        ),
        "xrai": Method("XRAI", more_runs.xrai, rules=("backprop",), runs=f"{2 * steps} backward"),
        "smooth_grad": _attribution("SmoothGrad", more_runs.smooth_grad, smooth, noisy),
        "var_grad": _attribution("VarGrad", more_runs.var_grad, smooth, noisy),
        "random": Method("random", lambda e, layer: baselines.random_maps(len(e), _grid(e, layer))),
        "centre": Method("centre", lambda e, layer: baselines.centre_maps(len(e), e.images.shape[1:3])),
        "sobel": Method("Sobel edges", lambda e, layer: maps.smoothed(baselines.sobel_maps(e.images), smooth)),
    }


def _registry(smooth: float) -> dict[str, Method]:
    return {
        "grad_cam": _cam("Grad-CAM", "grad_cam"),
        "counterfactual": _cam("counterfactual", "counterfactual"),
        "grad_cam_plus_plus": _cam("Grad-CAM++", "grad_cam_plus_plus"),
        "xgrad_cam": _cam("XGrad-CAM", "xgrad_cam"),
        "hires_cam": _cam("HiResCAM", "hires_cam"),
        "layer_cam": _cam("LayerCAM", "layer_cam"),
        "layer_cam_fused": Method("LayerCAM of all layers", _fused),
        "grad_cam_elementwise": _cam("element-wise Grad-CAM", "grad_cam_elementwise"),
        "eigen_cam": _cam("EigenCAM", "eigen_cam"),
        "eigen_grad_cam": _cam("EigenGradCAM", "eigen_grad_cam"),
        "backprop": _saliency("backprop", "backprop", smooth),
        "guided_backprop": _saliency("guided backprop", "guided", smooth),
        "deconvnet": _saliency("deconvnet", "deconvnet", smooth),
        "guided_grad_cam": _product("guided Grad-CAM", "guided", smooth),
        "deconvnet_grad_cam": _product("deconvnet Grad-CAM", "deconvnet", smooth),
        **_more(smooth),
        # The appendix's ablations.
        "without_relu": _cam("without ReLU", "without_relu", cams.signed_grad_cam),
        "max_pooled": _cam("max instead of mean", "max_pooled"),
        "absolute_gradients": _cam("absolute gradients", "absolute_gradients"),
        "guided_gradient": _signal("guided gradient", "guided"),
        "deconvnet_gradient": _signal("deconvnet gradient", "deconvnet"),
    }


BASELINES = ("random", "centre", "sobel")  # what knows nothing of the network
FLIP = "-flip"  # behind a method's name
SMOOTH = 0.02  # of saliency, as a share of the height
REGISTRY = _registry(SMOOTH)
_OF_THE_LITERATURE = ("grad_cam", "counterfactual", "grad_cam_plus_plus", "xgrad_cam", "hires_cam", "layer_cam")
# The formulas that `Explanation.cam` and `Explanation.heatmap` take, by name.
METHODS: dict[str, cams.CamMethod] = {name: cams.FORMULAS[name] for name in _OF_THE_LITERATURE}


def methods_named(
    names: Iterable[str], weights: Mapping[str, np.ndarray] | None = None, smooth: float = SMOOTH
) -> dict[str, Method]:
    """The methods of these names, in this order.

    Args:
        names: keys of `REGISTRY`, or `"cam"` for networks whose logits are linear in the last layer's mean; with
            `FLIP` behind it, as `"grad_cam-flip"`, the mean over a picture and its mirror image.
        weights: of the network, variable name -> array; only `"cam"` needs them, and none where the maps are to
            be of another layer than the last.
        smooth: how far saliency is blurred, as in `maps.magnitude`.

    Raises:
        KeyError: no such method.
        ValueError: CAM was asked for, and the network has another head or the layer is another.
    """
    names, known = list(names), _registry(smooth)
    check_methods(names)
    class_weights = linear_head(weights or {})
    if class_weights is not None:
        known["cam"] = Method(
            "CAM", lambda e, layer: cams.class_activation_map(_last(e), class_weights[:, e.targets].T)
        )
    elif "cam" in names:
        raise BadValue(
            "CAM needs the last layer of a network whose logits are linear in the mean of it, as a ResNet's are"
        )
    return {name: known[name] if name in known else _flipped(known[name.removesuffix(FLIP)]) for name in names}


def _flipped(method: Method) -> Method:
    """The mean of a method's maps of a picture and of its mirror image."""

    def make(explanation: Explanation, layer: str | None) -> np.ndarray:
        return more_runs.flipped(explanation, lambda one: method.make(one, layer))

    title, runs = f"{method.title}, flips", "1 backward" + (f", and twice {method.runs}" if method.runs else "")
    return dataclasses.replace(method, title=title, making=make, formula=None, runs=runs)


def why_blank(explanation: Explanation, method: Method, layer: str) -> str:
    """Why a map that is zero everywhere is so, in words that follow 'it is blank:'.

    Args:
        explanation: of one image.
        method: that made the map.
        layer: that it was made of.
    """
    if method.runs:
        return "by this method nothing in the picture speaks for the class"
    signals = [*(explanation.signals[rule][layer] for rule in method.layer_rules)] or [explanation.gradients[layer]]
    saliency = [explanation.saliency[rule] for rule in method.rules]
    if not all(signal.any() for signal in [*signals, *saliency]):
        return f"the class's gradient is zero everywhere at {'the picture' if saliency else layer}"
    if not explanation.activations[layer].any():
        return f"the activations of {layer} are zero everywhere"
    if saliency:
        return f"where the class's gradient is not zero, the heat map of {layer} is"
    return f"nothing at {layer} speaks for the class by this method: the weighted sum of the activations is nowhere > 0"


def check_methods(names: Iterable[str]) -> None:
    """Raises a KeyError if there is no method of one of these names, whatever the network."""
    for name in names:
        if name.removesuffix(FLIP) not in (*REGISTRY, "cam"):
            known = f"{', '.join(REGISTRY)}, and cam of linear heads"
            raise UnknownName(f"no method {name!r}; the methods are {known}; each with {FLIP} behind it over flips")


def linear_head(weights: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The weights `[K, C]` of a head that is linear in the mean of the last layer; None if there is no such head."""
    heads = ("/logits/weights", "/Logits/Conv2d_1c_1x1/weights")  # of ResNets and of MobileNet
    found = [array for name, array in weights.items() if name.endswith(heads) and np.ndim(array) == 4]
    return np.asarray(found[0], np.float32)[0, 0] if len(found) == 1 and found[0].shape[:2] == (1, 1) else None


def _last(explanation: Explanation) -> np.ndarray:
    return explanation.activations[explanation.default_layer]


def needs(methods: Mapping[str, Method]) -> dict[str, Any]:
    """What an `Explainer` has to be told so that all the methods can be made: its `rules` and `layer_rules`."""
    return {
        kind: tuple(dict.fromkeys(rule for method in methods.values() for rule in getattr(method, kind)))
        for kind in ("rules", "layer_rules")
    }


def title_of(formula: cams.CamMethod | str) -> str:
    """What papers call a formula; its own name, if it is none of the registry's."""
    titles = [method.title for method in REGISTRY.values() if method.formula is formula]
    return titles[0] if titles else getattr(formula, "__name__", "map")
