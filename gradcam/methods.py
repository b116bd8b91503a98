"""Every way to a map by name, for tables and figures that compare them: what it needs, and how it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from gradcam import cams, maps
from gradcam.explanation import Explanation
from slim_models.mistakes import BadValue, UnknownName


@dataclasses.dataclass(frozen=True)
class MapMethod:
    """A way from an explanation to maps.

    Attributes:
        title: what papers call it.
        make: explanation of N images -> `[N, h, w]`, >= 0, of the network's whole input.
        rules: ReLU rules of the saliency that it needs.
        layer_rules: ReLU rules, besides the true gradient's, that it needs at the layer.
    """

    title: str
    make: Callable[[Explanation], np.ndarray]
    rules: tuple[str, ...] = ()
    layer_rules: tuple[str, ...] = ()


def _cam(title: str, method: cams.CamMethod, rule: str = "backprop") -> MapMethod:
    layer_rules = () if rule == "backprop" else (rule,)
    return MapMethod(title, lambda explanation: explanation.cam(method, rule=rule), layer_rules=layer_rules)


def _saliency(title: str, rule: str, smooth: float) -> MapMethod:
    return MapMethod(title, lambda explanation: maps.magnitude(explanation.saliency[rule], smooth), (rule,))


def _product(title: str, rule: str, smooth: float) -> MapMethod:
    """Saliency under a rule times the heat map of Grad-CAM."""

    def make(explanation: Explanation) -> np.ndarray:
        return maps.magnitude(maps.guided_grad_cam(explanation.saliency[rule], explanation.heatmap()), smooth)

    return MapMethod(title, make, (rule,))


def _methods(smooth: float) -> dict[str, MapMethod]:
    return {
        "grad_cam": _cam("Grad-CAM", cams.grad_cam),
        "grad_cam_plus_plus": _cam("Grad-CAM++", cams.grad_cam_plus_plus),
        "xgrad_cam": _cam("XGrad-CAM", cams.xgrad_cam),
        "hires_cam": _cam("HiResCAM", cams.hires_cam),
        "layer_cam": _cam("LayerCAM", cams.layer_cam),
        "backprop": _saliency("backprop", "backprop", smooth),
        "guided_backprop": _saliency("guided backprop", "guided", smooth),
        "deconvnet": _saliency("deconvnet", "deconvnet", smooth),
        "guided_grad_cam": _product("guided Grad-CAM", "guided", smooth),
        "deconvnet_grad_cam": _product("deconvnet Grad-CAM", "deconvnet", smooth),
        # The appendix's ablations.
        "without_relu": _cam("without ReLU", cams.without_relu),
        "max_pooled": _cam("max instead of mean", cams.max_pooled),
        "absolute_gradients": _cam("absolute gradients", cams.absolute_gradients),
        "guided_gradient": _cam("guided gradient", cams.grad_cam, "guided"),
        "deconvnet_gradient": _cam("deconvnet gradient", cams.grad_cam, "deconvnet"),
    }


SMOOTH = 0.02  # of saliency, as a share of the height
MAP_METHODS = _methods(SMOOTH)


def map_methods(
    names: Iterable[str], weights: Mapping[str, np.ndarray] | None = None, smooth: float = SMOOTH
) -> dict[str, MapMethod]:
    """The methods of these names, in this order.

    Args:
        names: keys of `MAP_METHODS`, or `"cam"` for networks whose logits are linear in the last layer's mean.
        weights: of the network, variable name -> array; only `"cam"` needs them, and none where the maps are to
            be of another layer than the last.
        smooth: how far saliency is blurred, as in `maps.magnitude`.

    Raises:
        KeyError: no such method.
        ValueError: CAM was asked for, and the network has another head or the layer is another.
    """
    known = _methods(smooth)
    class_weights = linear_head(weights or {})
    if class_weights is not None:
        known["cam"] = MapMethod("CAM", lambda e: cams.class_activation_map(_last(e), class_weights[:, e.targets].T))
    elif "cam" in (names := list(names)):
        raise BadValue(
            "CAM needs the last layer of a network whose logits are linear in the mean of it, as a ResNet's are"
        )
    chosen = {}
    for name in names:
        if name not in known:
            raise UnknownName(f"no method {name!r}; the methods are {', '.join(known)}")
        chosen[name] = known[name]
    return chosen


def linear_head(weights: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The weights `[K, C]` of a head that is linear in the mean of the last layer; None if there is no such head."""
    heads = ("/logits/weights", "/Logits/Conv2d_1c_1x1/weights")  # of ResNets and of MobileNet
    found = [array for name, array in weights.items() if name.endswith(heads) and np.ndim(array) == 4]
    return np.asarray(found[0], np.float32)[0, 0] if len(found) == 1 and found[0].shape[:2] == (1, 1) else None


def _last(explanation: Explanation) -> np.ndarray:
    return explanation.activations[explanation.default_layer]


def needs(methods: Mapping[str, MapMethod]) -> dict[str, Any]:
    """What an `Explainer` has to be told so that all the methods can be made: its `rules` and `layer_rules`."""
    return {
        kind: tuple(dict.fromkeys(rule for method in methods.values() for rule in getattr(method, kind)))
        for kind in ("rules", "layer_rules")
    }
