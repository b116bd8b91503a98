"""Maps of pytorch-grad-cam, torch-cam and captum, as they make them by default; see `conforming`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from peers import torch_networks

from conforming import SAMPLES, TARGET, Maps, Reference, main, named

CAMS = {
    "GradCAM": "grad_cam",
    "GradCAMPlusPlus": "grad_cam_plus_plus",
    "XGradCAM": "xgrad_cam",
    "HiResCAM": "hires_cam",
    "GradCAMElementWise": "grad_cam_elementwise",
    "LayerCAM": "layer_cam",
    "EigenCAM": "eigen_cam",
    "EigenGradCAM": "eigen_grad_cam",
    "ScoreCAM": "score_cam",
    "AblationCAM": "ablation_cam",
}
TORCHCAM = {
    "GradCAM": "grad_cam",
    "GradCAMpp": "grad_cam_plus_plus",
    "XGradCAM": "xgrad_cam",
    "LayerCAM": "layer_cam",
    "ScoreCAM": "score_cam",
    "FinerCAM": "finer_cam",
}


class Torch:
    """The network of the reference in PyTorch; its layer is the fourth block."""

    def __init__(self, reference: Reference):
        self.reference = reference
        self.network = torch_networks.build("vgg16", reference.weights)
        self.layer = self.network.trunk[6]
        self.inputs = self.network.inputs(reference.image[None])

    def pytorch_grad_cam(self) -> Maps:
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        def cam(name: str) -> np.ndarray:
            with getattr(pytorch_grad_cam, name)(model=self.network, target_layers=[self.layer]) as method:
                return method(input_tensor=self.inputs, targets=[ClassifierOutputTarget(TARGET)])[0]

        def finer() -> np.ndarray:
            with pytorch_grad_cam.FinerCAM(self.network, [self.layer]) as method:
                return method(self.inputs, target_idx=TARGET)[0]

        def guided() -> np.ndarray:
            model = pytorch_grad_cam.GuidedBackpropReLUModel(model=self.network, device="cpu")
            found = model(self.inputs.clone(), target_category=TARGET)
            return self.network.to_rgb(torch.from_numpy(found.transpose(2, 0, 1)[None]))[0]

        found = {(name, ours): cam(name) for name, ours in CAMS.items()}
        more = [("FinerCAM", "finer_cam", finer), ("GuidedBackpropReLUModel", "guided_backprop", guided)]
        return {**found, **named(more)}

    def torchcam(self) -> Maps:
        from torchcam import methods

        def cam(name: str, **options: Any) -> np.ndarray:
            torch.manual_seed(0)
            with getattr(methods, name)(self.network, self.layer, **options) as extractor:
                logits = self.network(self.inputs.clone().requires_grad_())
                return extractor(TARGET, logits)[0][0].detach().numpy()

        def smooth(std: float) -> np.ndarray:
            return cam("SmoothGradCAMpp", num_samples=SAMPLES, std=std)

        more = [
            ("SmoothGradCAMpp", "smooth_grad_cam_plus_plus", lambda: smooth(self.reference.sigma)),
            ("SmoothGradCAMpp std=1e-6", "grad_cam_plus_plus", lambda: smooth(1e-6)),
        ]
        return {**{(name, ours): cam(name) for name, ours in TORCHCAM.items()}, **named(more)}

    def captum(self) -> Maps:
        from captum import attr

        def of(method: Any, **options: Any) -> np.ndarray:
            found = method.attribute(self.inputs.clone().requires_grad_(), target=TARGET, **options)
            return found[0, 0].detach().numpy() if found.shape[1] == 1 else self.network.to_rgb(found)[0]

        def noisy(kind: str) -> np.ndarray:
            torch.manual_seed(0)
            tunnel = attr.NoiseTunnel(attr.Saliency(self.network))
            options = {"nt_samples": SAMPLES, "nt_samples_batch_size": 50, "stdevs": self.reference.sigma}
            return of(tunnel, nt_type=kind, abs=False, **options)

        net, layer = self.network, self.layer
        windows = {"sliding_window_shapes": (3, 16, 16), "strides": (3, 8, 8)}
        pairs = [
            ("LayerGradCam", "grad_cam", lambda: of(attr.LayerGradCam(net, layer))),
            ("Saliency", "backprop", lambda: of(attr.Saliency(net))),
            ("InputXGradient", "gradient_input", lambda: of(attr.InputXGradient(net))),
            ("IntegratedGradients", "integrated_gradients", lambda: of(attr.IntegratedGradients(net))),
            ("GuidedBackprop", "guided_backprop", lambda: of(attr.GuidedBackprop(net))),
            ("Deconvolution", "deconvnet", lambda: of(attr.Deconvolution(net))),
            ("GuidedGradCam", "guided_grad_cam", lambda: of(attr.GuidedGradCam(net, layer))),
            ("NoiseTunnel smoothgrad", "smooth_grad", lambda: noisy("smoothgrad")),
            ("NoiseTunnel vargrad", "var_grad", lambda: noisy("vargrad")),
            ("Occlusion", "occlusion", lambda: of(attr.Occlusion(net), **windows)[..., 0]),
        ]
        return named(pairs)


if __name__ == "__main__":
    main(Torch, {"pytorch_grad_cam": "grad-cam", "torchcam": "torchcam", "captum": "captum"})
