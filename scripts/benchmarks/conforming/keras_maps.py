"""Maps of tf-keras-vis, Xplique, PAIR's saliency and tf-explain, as they make them by default; see `conforming`."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from peers import keras_networks

from conforming import SAMPLES, TARGET, Maps, Reference, main, named

LAYER, PATCH, STRIDE = "conv4_3", 16, 8


class Keras:
    """The network of the reference in Keras, from what it takes (BGR less the mean) to logits."""

    def __init__(self, reference: Reference):
        self.reference = reference
        peer = keras_networks.KerasPeer("vgg16", reference.weights, "float32")
        self.model = peer.model
        self.inputs = peer.prepared(reference.image[None])
        self.one_hot = np.eye(10, dtype=np.float32)[[TARGET]]

    def tf_keras_vis(self) -> Maps:
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
        from tf_keras_vis.layercam import Layercam
        from tf_keras_vis.saliency import Saliency
        from tf_keras_vis.scorecam import Scorecam
        from tf_keras_vis.utils.scores import CategoricalScore

        score = CategoricalScore([TARGET])

        def cam(kind: Any, **options: Any) -> np.ndarray:
            return np.asarray(kind(self.model)(score, self.inputs, penultimate_layer=LAYER, **options))[0]

        def saliency(**options: Any) -> np.ndarray:
            np.random.seed(0)  # noqa: NPY002 (theirs)
            return np.asarray(Saliency(self.model)(score, self.inputs, **options))[0]

        return named(
            [
                ("Gradcam", "grad_cam", lambda: cam(Gradcam)),
                ("GradcamPlusPlus", "grad_cam_plus_plus", lambda: cam(GradcamPlusPlus)),
                ("Layercam", "layer_cam", lambda: cam(Layercam)),
                ("Scorecam", "score_cam", lambda: cam(Scorecam)),
                ("Scorecam max_N=10", "faster_score_cam", lambda: cam(Scorecam, max_N=10)),
                ("Saliency", "backprop", saliency),
                ("Saliency smooth", "smooth_grad", lambda: saliency(smooth_samples=SAMPLES, smooth_noise=0.02)),
            ]
        )

    def xplique(self) -> Maps:
        from xplique import attributions

        def of(name: str, model: Any = None, **options: Any) -> np.ndarray:
            tf.random.set_seed(0)
            explainer = getattr(attributions, name)(self.model if model is None else model, **options)
            return np.asarray(explainer(self.inputs, self.one_hot))[0, ..., 0]

        probabilities = tf.keras.Sequential([self.model, tf.keras.layers.Softmax()])
        noise = {"nb_samples": SAMPLES, "noise": self.reference.sigma}
        patches = {"patch_size": PATCH, "patch_stride": STRIDE}
        return named(
            [
                ("GradCAM", "grad_cam", lambda: of("GradCAM", conv_layer=LAYER)),
                ("GradCAMPP", "grad_cam_plus_plus", lambda: of("GradCAMPP", conv_layer=LAYER)),
                ("Saliency", "backprop", lambda: of("Saliency")),
                ("GuidedBackprop", "guided_backprop", lambda: of("GuidedBackprop")),
                ("DeconvNet", "deconvnet", lambda: of("DeconvNet")),
                ("GradientInput", "gradient_input", lambda: of("GradientInput")),
                ("IntegratedGradients", "integrated_gradients", lambda: of("IntegratedGradients", steps=50)),
                ("SmoothGrad", "smooth_grad", lambda: of("SmoothGrad", **noise)),
                ("VarGrad", "var_grad", lambda: of("VarGrad", **noise)),
                ("SquareGrad", "smooth_grad", lambda: of("SquareGrad", **noise)),
                ("Occlusion", "occlusion", lambda: of("Occlusion", **patches)),
                ("Rise", "rise", lambda: of("Rise", probabilities, nb_samples=4000)),
            ]
        )

    def saliency(self) -> Maps:
        import saliency.core as saliency

        layer = self.model.get_layer(LAYER).output
        both = tf.keras.Model(self.model.inputs, [layer, self.model.output])

        @tf.function(reduce_retracing=True)
        def run(images: tf.Tensor) -> tuple[tf.Tensor, ...]:
            with tf.GradientTape() as tape:
                tape.watch(images)
                activations, logits = both(images)
                score = logits[:, TARGET]
            return activations, score, *tape.gradient(score, [activations, images])

        def call(images: np.ndarray, call_model_args: Any = None, expected_keys: Any = None) -> dict[str, np.ndarray]:
            activations, score, to_layer, to_images = (
                array.numpy() for array in run(tf.constant(np.asarray(images, np.float32)))
            )
            return {
                saliency.base.INPUT_OUTPUT_GRADIENTS: to_images,
                saliency.base.CONVOLUTION_LAYER_VALUES: activations,
                saliency.base.CONVOLUTION_OUTPUT_GRADIENTS: to_layer,
                saliency.base.OUTPUT_LAYER_VALUES: score,
            }

        picture = self.inputs[0]
        spread = self.reference.sigma / float(np.ptp(picture))

        def of(name: str, **options: Any) -> np.ndarray:
            return getattr(saliency, name)().GetMask(picture, call, **options)

        def smooth(magnitude: bool) -> np.ndarray:
            np.random.seed(0)  # noqa: NPY002 (theirs)
            options = {"stdev_spread": spread, "nsamples": SAMPLES, "magnitude": magnitude}
            return saliency.GradientSaliency().GetSmoothedMask(picture, call, **options)[..., ::-1]

        return named(
            [
                ("GradCam", "grad_cam", lambda: of("GradCam")[..., 0]),
                ("GradientSaliency", "backprop", lambda: of("GradientSaliency")[..., ::-1]),
                (
                    "IntegratedGradients",
                    "integrated_gradients",
                    lambda: of("IntegratedGradients", x_steps=50)[..., ::-1],
                ),
                ("BlurIG", "blur_integrated_gradients", lambda: of("BlurIG")[..., ::-1]),
                ("SmoothGrad magnitude=True", "smooth_grad", lambda: smooth(True)),
                ("SmoothGrad magnitude=False", "smooth_grad", lambda: smooth(False)),
                ("Occlusion", "occlusion", lambda: of("Occlusion", size=PATCH)[..., 0]),
            ]
        )

    def tf_explain(self) -> Maps:
        from tf_explain.core.grad_cam import GradCAM
        from tf_explain.core.gradients_inputs import GradientsInputs
        from tf_explain.core.integrated_gradients import IntegratedGradients
        from tf_explain.core.occlusion_sensitivity import OcclusionSensitivity
        from tf_explain.core.vanilla_gradients import VanillaGradients

        def cam(gated: bool) -> np.ndarray:
            arrays = GradCAM.get_gradients_and_filters(self.model, self.inputs, LAYER, TARGET, use_guided_grads=gated)
            return GradCAM.generate_ponderated_output(*arrays)[0].numpy()

        def integrated() -> np.ndarray:
            line = IntegratedGradients.generate_interpolations(self.inputs, 50)
            found = IntegratedGradients.get_integrated_gradients(line, self.model, TARGET, 50)
            return found.numpy()[0, ..., ::-1]

        def of(kind: Any) -> np.ndarray:
            return kind.compute_gradients(self.inputs, self.model, TARGET).numpy()[0, ..., ::-1]

        def occluded() -> np.ndarray:
            return OcclusionSensitivity(batch_size=16).get_sensitivity_map(self.model, self.inputs[0], TARGET, PATCH)

        return named(
            [
                ("GradCAM", "grad_cam", lambda: cam(True)),
                ("GradCAM use_guided_grads=False", "grad_cam", lambda: cam(False)),
                ("VanillaGradients", "backprop", lambda: of(VanillaGradients)),
                ("GradientsInputs", "gradient_input", lambda: of(GradientsInputs)),
                ("IntegratedGradients", "integrated_gradients", integrated),
                ("OcclusionSensitivity", "occlusion", occluded),
            ]
        )


if __name__ == "__main__":
    names = {"tf_keras_vis": "tf-keras-vis", "xplique": "xplique", "saliency": "saliency", "tf_explain": "tf-explain"}
    main(Keras, names)
