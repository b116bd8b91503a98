"""What Keras would make of a file's configuration: layers and what belongs to them, and nothing that does more."""

import pytest

from slim_models.loading.keras_code import custom_layer, refuse_code
from slim_models.mistakes import BadValue


def refuse(*entries):
    refuse_code({"class_name": "Functional", "config": {"layers": list(entries)}}, "net.keras", lambda name: None)


def entry(name, module, config=None, **more):
    return {"class_name": name, "module": module, "config": {"name": "mine"} if config is None else config, **more}


@pytest.mark.parametrize(
    "given",
    [
        entry("Lambda", "keras.layers"),
        entry("layers.Lambda", "keras"),  # which Keras finds by both names put together
        entry("src.layers.core.lambda_layer.Lambda", "keras"),
        entry("__lambda__", "builtins", {"value": ["4wEAAAA=", None, None]}),
        entry("Dense", "keras.layers", {"activation": entry("__lambda__", "builtins")}),
        entry("layers.TFSMLayer", "keras"),
        entry("IndexLookup", "keras.src.layers.preprocessing.index_lookup", {"vocabulary": "/etc/passwd"}),
        entry("Sequential", "keras", {"layers": []}, compile_config={"loss": entry("__lambda__", "builtins")}),
    ],
)
def test_code_and_what_reads_other_files(given):
    with pytest.raises(BadValue, match=r"trusted=True \(--trusted\)") as caught:
        refuse(given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        entry("get_file", "keras.utils"),
        entry("utils.get_file", "keras"),
        entry("enable_unsafe_deserialization", "keras.config"),
        entry("load_model", "keras.saving"),
        entry("VGG16", "keras.applications"),  # which downloads
        entry("system", "os"),
        entry("Dense", "keras_of_somebody.layers"),
        entry("function", "keras.utils", "get_file"),
        entry("function", "keras", "saving.load_model"),
        entry("function", "builtins", "exit"),
        entry("function", "os", "system"),
        entry("eval", "builtins"),
    ],
)
def test_what_is_no_part_of_a_model(given):
    with pytest.raises(BadValue, match="is not Keras' own, and nothing of a file is executed"):
        refuse(given)


def test_models_as_keras_writes_them():
    refuse(
        entry("Dense", "keras.layers", {"activation": entry("function", "builtins", "relu")}),
        entry("Functional", "keras.src.models.functional", {"layers": []}),
        entry("Functional", "keras.engine.functional", {"layers": []}),
        entry("Add", "keras.src.ops.numpy"),
        entry("LayerScale", "keras.src.applications.convnext"),
        entry("Conv2D", None),
        entry("Zeros", "keras.initializers", {}),
        entry("DTypePolicy", "keras", {"name": "float32"}),
        entry("SeedGenerator", "keras.src.random.seed_generator", {}),
        entry(
            "Sequential", "keras", {"layers": []}, compile_config={"loss": entry("MeanSquaredError", "keras.losses")}
        ),
    )
    # How the model itself was trained is never built.
    refuse_code(entry("Functional", "keras", {}, compile_config={"loss": entry("mine", "my")}), "a", lambda name: None)


def test_a_class_that_is_a_whole_model_is_told_in_a_line():
    """As a damaged file can have it."""
    damaged = {"class_name": {"layers": [{"name": "x" * 5000}]}, "config": {"name": "y" * 5000}}
    assert len(custom_layer(damaged, "net.h5")) < 600
