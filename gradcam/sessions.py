"""TensorFlow sessions on the device asked for."""

from __future__ import annotations

import contextlib
import pathlib
import warnings
from collections.abc import Iterator

import numpy as np
import tensorflow.compat.v1 as tf

import slim_models
from slim_models.mistakes import BadValue
from slim_models.running import new_session, running, told
from slim_models.weights import check_open

# Passes over a graph that change nothing of what our own builders and their gradients make, in the run of a session.
_NO_GAIN = (
    *("constant_folding", "arithmetic_optimization", "dependency_optimization", "loop_optimization"),
    *("function_optimization", "shape_optimization", "scoped_allocator_optimization", "pin_to_host_optimization"),
    *("implementation_selector", "common_subgraph_elimination"),
)
_CPUINFO = pathlib.Path("/proc/cpuinfo")


def filled_session(network: slim_models.Network, device: str | None) -> tf.Session:
    """A session in which a network's variables have their values; the user's own, if they are in one.

    Args:
        network: whose graph it is.
        device: as of `open_session`.

    Raises:
        FileNotFoundError: there is no file of weights.
        ValueError: the weights do not fit, or the device cannot be had.
    """
    own = network.values.session
    if own is not None and device is not None:
        raise BadValue(f"the session of {network.name} is the user's own: its device cannot be chosen ({device!r})")
    warn_of_slow_bfloat16(network.precision, device)
    session = own or open_session(network.graph, device, _config(network))
    try:
        with told(f"the values of {network.name} cannot be had"):
            network.values.fill(session, network)
    except BaseException:
        if session is not own:
            session.close()
        raise
    return session


def _config(network: slim_models.Network) -> tf.ConfigProto:
    """How TensorFlow is to optimise a network's graph before it first runs it.

    In float32, graphs of our own builders gain by its fusing layers (`remapping`) and, on a GPU, by other layouts, and
    by nothing else: the first run takes half the time, and the numbers are the same but for the rounding of what is
    done to the pixels first (a division by a constant as a product). Other graphs get all of it.
    """
    config = tf.ConfigProto()
    if network.rebuild is not None and network.precision == "float32":
        rewrites = config.graph_options.rewrite_options
        rewrites.meta_optimizer_iterations = rewrites.ONE
        rewrites.memory_optimization = rewrites.NO_MEM_OPT
        for pass_ in _NO_GAIN:
            setattr(rewrites, pass_, rewrites.OFF)
    return config


@contextlib.contextmanager
def values_there(network: slim_models.Network) -> Iterator[None]:
    """Runs a network in its session, which may be the user's own.

    Raises:
        ValueError: that is closed, its variables have no values, or TensorFlow cannot run it: not with so little
            memory, or not with such pictures, or not at all, as somebody's damaged graph.
    """
    own = network.values.session
    if own is not None:
        check_open(own)
    running()
    with told(f"TensorFlow cannot run {network.name}"):
        try:
            yield
        except tf.errors.FailedPreconditionError as error:
            raise BadValue(
                f"the session has no values for variables of {network.name}: initialize or restore them before"
            ) from error


def values_of(network: slim_models.Network, session: tf.Session) -> dict[str, np.ndarray]:
    """The numbers that a network's logits are made of, its variables and constants, by the names of their operations.

    Args:
        network: whose variables have their values in the session; nothing is added to its graph.
        session: of its graph.
    """
    found: set[tf.Operation] = set()
    ahead = [network.logits.op]
    while ahead:
        operation = ahead.pop()
        if operation not in found and operation is not network.images.op:
            found.add(operation)
            ahead += [tensor.op for tensor in operation.inputs]
    constants = {op.name: tf.make_ndarray(op.get_attr("value")) for op in found if op.type == "Const"}
    variables = {op.name: op.outputs[0] for op in found if op.type in ("Variable", "VariableV2")}
    variables.update({op.inputs[0].op.name: op.outputs[0] for op in found if op.type == "ReadVariableOp"})
    values = {**constants, **session.run(variables)}
    return {name: value for name, value in values.items() if value.dtype.kind != "O"}  # texts


def open_session(graph: tf.Graph, device: str | None = None, config: tf.ConfigProto | None = None) -> tf.Session:
    """A session that sees the device asked for, and no other accelerator.

    Args:
        graph: the session's.
        device: `"cpu"`, `"gpu"` or `"gpu:1"`; None leaves it to TensorFlow.
        config: what else is asked of the session; the device is added to it.

    Raises:
        ValueError: the name is none of these, or the device is not there.
    """
    config = tf.ConfigProto() if config is None else config
    if device is None:
        return new_session(graph, config)
    kind, _, number = device.lower().partition(":")
    if kind not in ("cpu", "gpu") or not (number or "0").isdecimal():
        raise BadValue(f"no device {device!r}; give cpu, gpu or gpu:NUMBER")
    if kind == "cpu":
        config.device_count["GPU"] = 0
        return new_session(graph, config)
    config.gpu_options.visible_device_list = number or "0"
    missing = f"no device {device!r}: TensorFlow sees no such GPU here"
    try:
        session = new_session(graph, config)
    except tf.errors.OpError as error:  # with GPUs, but not that many
        raise BadValue(missing) from error
    if not any(found.device_type == "GPU" for found in session.list_devices()):
        session.close()
        raise BadValue(missing)
    return session


def warn_of_slow_bfloat16(precision: str, device: str | None = None) -> None:
    """Warns of bfloat16 on a processor that is known to be slower in it than in float32."""
    words = _processor_words()
    has_units = bool(words & {"avx512_bf16", "amx_bf16", "bf16"})  # Intel and AMD; Arm
    # Intel's AVX-512 alone, as where a virtual machine has no AMX, takes twice the time of float32; AMD's takes half.
    quick = has_units and ("GenuineIntel" not in words or "amx_bf16" in words)
    if precision == "bfloat16" and words and not quick and not (device or "").startswith("gpu"):
        message = "this processor has no quick units for bfloat16: it will be slower than float32"
        warnings.warn(message, RuntimeWarning, stacklevel=4)


def _processor_words() -> set[str]:
    """Who made the processor and what it can do, in Linux' words; empty where Linux is not there to tell."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    told = [line for line in lines if line.lower().startswith(("vendor_id", "flags", "features"))]
    return {word for line in told for word in line.split()}


def tensorflow_version() -> str:
    """TensorFlow's version, on which numbers depend in their last digits."""
    return tf.__version__
