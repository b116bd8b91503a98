"""How far our metrics are from Quantus', captum's and PAIR's on one small network: JSON on the last line.

A program of its own: PyTorch and TensorFlow do not bear each other in one process.
"""

import importlib.util
import json
import warnings
from unittest import mock

import numpy as np
import torch

from gradcam.evaluation import criteria, metrics, removal
from gradcam.xrai import xrai_map

TARGET, SIDE = 2, 16
RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(0, 1, (SIDE, SIDE, 3)).astype(np.float32)
HEATMAP = RNG.uniform(0.01, 1, (SIDE, SIDE)).astype(np.float32)  # no two places alike
MASK = np.zeros((SIDE, SIDE), bool)
MASK[3:9, 5:14] = True
SILENT = {"disable_warnings": True, "normalise": False, "abs": False}


def small_network():
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(6, 4, 3, stride=2), torch.nn.ReLU()]
    head = [torch.nn.Flatten(), torch.nn.Linear(4 * 7 * 7, 5), torch.nn.Softmax(dim=1)]
    return torch.nn.Sequential(*layers, *head).eval()


def to_torch(images):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.asarray(images, np.float32), -1, 1)))


def scorer(network):
    return lambda images: network(to_torch(images))[:, TARGET].detach().numpy()


def relative(ours, theirs):
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return float(abs(ours - theirs).max() / abs(theirs).max())


def batch(network, **attributions):
    """What Quantus takes: a picture, its class and a map of one channel."""
    x = to_torch(IMAGE[None]).numpy()
    given = {"model": network, "x_batch": x, "y_batch": np.array([TARGET]), "a_batch": HEATMAP[None, None].copy()}
    return {**given, "device": "cpu", "softmax": True, **attributions}  # the probabilities, or else the logits


def from_quantus(network):
    import quantus

    order = removal.hottest_first(HEATMAP)
    found = {
        "Sparseness": (criteria.sparseness(HEATMAP), quantus.Sparseness(**SILENT)(**batch(network))),
        "Complexity": (criteria.complexity(HEATMAP), quantus.Complexity(**SILENT)(**batch(network))),
    }
    with_mask = batch(network, s_batch=MASK[None, None])
    found["RelevanceMassAccuracy"] = (
        metrics.mass_inside(HEATMAP, MASK),
        quantus.RelevanceMassAccuracy(**SILENT)(**with_mask),
    )
    found["RelevanceRankAccuracy"] = (
        metrics.rank_accuracy(HEATMAP, MASK),
        quantus.RelevanceRankAccuracy(**SILENT)(**with_mask),
    )
    found["PixelFlipping"] = flipped(quantus, network, order)
    found["ROAD"] = road(quantus, network, order)
    found["FaithfulnessCorrelation"] = correlation(quantus, network)
    found["MaxSensitivity"] = sensitivity_of_quantus(quantus, network)
    return {name: relative(*pair) for name, pair in found.items()}


def flipped(quantus, network, order):
    """The curve; theirs takes single numbers away, so that both are given a picture of one channel."""
    grey, image, step = torch.nn.Sequential(Repeated(), *network).eval(), IMAGE[..., :1], SIDE * SIDE // 8
    metric = quantus.PixelFlipping(features_in_step=step, perturb_baseline=0.0, **SILENT)
    theirs = metric(**batch(grey, x_batch=to_torch(image[None]).numpy()))[0]
    return removal.curve(scorer(grey), image, np.zeros_like(image), order, [step * (1 + n) for n in range(8)]), theirs


def road(quantus, network, order):
    """The imputed picture without noise: what ROAD's accuracy is counted of."""
    from quantus.functions.perturb_func import noisy_linear_imputation

    places = order[: SIDE * SIDE // 2]
    theirs = noisy_linear_imputation(arr=to_torch(IMAGE[None]).numpy()[0].astype(np.float64), indices=places, noise=0)
    return removal.imputed(IMAGE, places, noise=0), np.moveaxis(theirs, 0, -1)


def correlation(quantus, network):
    """Over the sets that theirs draws, of numbers of all channels: both are given a picture of one channel."""
    grey, image = torch.nn.Sequential(Repeated(), *network).eval(), IMAGE[..., :1]
    drawn = []
    metric = quantus.FaithfulnessCorrelation(nr_runs=50, subset_size=20, perturb_baseline=0.0, **SILENT)
    with mock.patch("numpy.random.choice", lambda size, count, replace: drawn.append(sample(size, count)) or drawn[-1]):
        theirs = metric(**batch(grey, x_batch=to_torch(image[None]).numpy()))
    places = np.stack(drawn)
    score = scorer(grey)
    hidden = np.repeat(image[None], len(places), axis=0)
    for one, those in zip(hidden, places):
        one.reshape(-1)[those] = 0
    drops = score(image[None]) - score(hidden)
    return criteria.faithfulness_correlation(HEATMAP.ravel()[places].sum(axis=1), drops), theirs


def sample(size, count):
    return RNG.choice(size, count, replace=False)


class Repeated(torch.nn.Module):
    """One channel as three."""

    def forward(self, x):
        return x.repeat(1, 3, 1, 1)


def explained(network, images):
    """A map of each picture `[n, 3, H, W]`: the gradient, as large as it is."""
    inputs = torch.as_tensor(np.asarray(images, np.float32)).requires_grad_()
    network(inputs)[:, TARGET].sum().backward()
    return inputs.grad.abs().numpy()


def sensitivity_of_quantus(quantus, network):
    copies, bound = 6, 0.1
    metric = quantus.MaxSensitivity(nr_samples=copies, lower_bound=bound, **SILENT)
    seen = []

    def explain(model, inputs, targets, **_):
        seen.append(np.array(inputs))
        return explained(model, inputs)

    x = to_torch(IMAGE[None]).numpy()
    theirs = metric(**batch(network, a_batch=explained(network, x)), explain_func=explain)
    others = explained(network, np.concatenate([one for one in seen if not np.array_equal(one, x)]))
    return criteria.max_sensitivity(explained(network, x)[0], others), theirs


def from_captum(network):
    from captum.metrics import infidelity, sensitivity_max

    x, copies = to_torch(IMAGE[None]), 30
    score = scorer(network)
    noise = RNG.normal(0, 0.1, (copies, *IMAGE.shape)).astype(np.float32)
    attributions = explained(network, x)
    drops = score(IMAGE[None]) - score(IMAGE - noise)
    products = (noise * np.moveaxis(attributions, 1, -1)).reshape(copies, -1).sum(axis=1)

    def perturbed(inputs):
        return to_torch(noise), inputs - to_torch(noise)

    options = {"target": TARGET, "n_perturb_samples": copies}
    result = {}
    for name, scaled in (("infidelity", False), ("infidelity, normalize=True", True)):
        theirs = infidelity(network, perturbed, x, torch.from_numpy(attributions), normalize=scaled, **options)
        result[name] = relative(criteria.infidelity(products, drops, scaled=scaled), theirs)
    others = np.moveaxis(IMAGE + noise, -1, 1)

    @torch.enable_grad()
    def explain(inputs):
        return (torch.from_numpy(explained(network, inputs[0] if isinstance(inputs, tuple) else inputs)),)

    theirs = sensitivity_max(
        explain,
        x,
        perturb_func=lambda inputs: torch.from_numpy(others),
        n_perturb_samples=copies,
    )
    ours = criteria.max_sensitivity(attributions[0], explained(network, others))
    return {**result, "sensitivity_max": relative(ours, theirs)}


def from_saliency(network):
    from saliency.core import XRAI, XRAIParameters

    height, width = 60, 70
    rows, columns = np.mgrid[:height, :width]
    labels = [(rows // step) * 100 + columns // step for step in (9, 17, 30)]
    masks = np.stack([one == label for one in labels for label in np.unique(one)][:-2])  # some pixels in none
    attributions = RNG.normal(size=(height, width))
    options = XRAIParameters(algorithm="full")
    image = np.repeat(attributions[..., None], 3, axis=2)
    theirs = XRAI().GetMaskWithDetails(
        image, None, segments=list(masks), base_attribution=image, extra_parameters=options
    )
    return {"XRAI": relative(xrai_map(attributions, masks, 50), theirs.attribution_mask)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    differences = {}
    for library, compare in (("quantus", from_quantus), ("captum", from_captum), ("saliency", from_saliency)):
        if importlib.util.find_spec(library):
            differences |= compare(small_network())
    print(json.dumps(differences))
