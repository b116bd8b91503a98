"""Where the time goes: an explanation's milliseconds by layer, and by type of operation, from TensorFlow's own trace.

    python scripts/benchmarks/benchmark_layers.py --batch 8
    python scripts/benchmarks/benchmark_layers.py --network vgg16 --precision bfloat16 --task cam

prints Markdown. Operations that TensorFlow fused count as the last of them. Small ones run beside each other, so the
sum over operations can exceed the time of a run.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence

from benchmarking.measuring import arguments, pictures, positive, sized_network, timed
from benchmarking.tracing import OTHER, Map, Operation, fetched, traced

from gradcam.terminal import quiet_tensorflow, run_script

with quiet_tensorflow():
    from benchmarking import work
    from benchmarking.tables import table

    import slim_models
    from gradcam.explainer import Explainer

RULES: Mapping[str, Sequence[str]] = {"cam": (), "both": ("guided",)}


def main(argv: list[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    network, weights = sized_network(args.network, args.weights)
    macs = layer_macs(network)
    # The trace of an accelerator's operations tells when they were launched, not what they took.
    options = {"rules": RULES[args.task], "precision": args.precision, "device": "cpu"}
    with Explainer(network, weights, **options) as explainer:
        images = pictures(args.batch, network)
        operations = traced(explainer, images, args.runs)
        places = Map(explainer, macs)
        feed = {explainer.network.images: images}
        whole = timed(lambda: explainer.session.run(fetched(explainer), feed), 0, args.runs)
    title = f"{args.network}, {args.precision}, batch {args.batch}"
    print(by_layer(title, operations, places, macs, args.batch), by_type(operations), sep="\n\n")
    total = sum(operation.ms for operation in operations)
    print(f"\nall operations {total:.2f} ms; a run without the trace {1000 * statistics.median(whole):.2f} ms")


def _parser() -> argparse.ArgumentParser:
    parser = arguments(__doc__)
    precisions = slim_models.PRECISIONS
    parser.add_argument("--precision", choices=precisions, default=precisions[0], help="default: %(default)s")
    parser.add_argument("--batch", type=positive, default=1, metavar="N", help="pictures a run (default: %(default)s)")
    text = "Grad-CAM, or that and guided backprop (default: %(default)s)"
    parser.add_argument("--task", choices=RULES, default="both", help=text)
    parser.add_argument("--runs", type=positive, default=15, metavar="N", help="traced ones (default: %(default)s)")
    return parser


def layer_macs(network: slim_models.Network) -> dict[str, int]:
    """Multiplications of a forward pass for one picture, by the scope of the weights.

    Args:
        network: as it was built: no gradients in its graph.
    """
    return {layer.name.rsplit("/", 1)[0]: layer.macs for layer in work.layers(network)}


def by_layer(title: str, operations: Sequence[Operation], places: Map, macs: Mapping[str, int], batch: int) -> str:
    """A table in forward order: milliseconds in each direction, operations to compute, and their rate.

    Args:
        title: of the table.
        operations: of a run.
        places: of the operations.
        macs: of `layer_macs`.
        batch: pictures of the run.
    """
    directions = places.directions()
    rows = {layer: dict.fromkeys(directions, 0.0) for layer in [*places.layers, OTHER]}
    for operation in operations:
        rows[places.layer(operation.name)][places.direction(operation.name)] += operation.ms
    gflop = gflop_by_layer(operations, places, macs, batch)
    rows = {layer: cells for layer, cells in rows.items() if any(cells.values())}
    rows["all"] = {direction: sum(cells[direction] for cells in rows.values()) for direction in directions}
    gflop["all"] = sum(gflop.values())
    lines = []
    for layer, cells in rows.items():
        done, ms = gflop.get(layer, 0), sum(cells.values())
        work = [f"{done:.3f}", f"{done / ms * 1000:.0f}"] if done else ["-", "-"]
        lines.append([layer, *(f"{cell:.2f}" for cell in cells.values()), *work])
    return table([title, *(f"ms {direction}" for direction in directions), "GFLOP", "GFLOP/s"], lines)


def gflop_by_layer(
    operations: Sequence[Operation], places: Map, macs: Mapping[str, int], batch: int
) -> dict[str, float]:
    """Billions of multiplications and additions: a layer's, for every direction in which it was run."""
    ran = {(places.direction(one.name), places.scope(one)) for one in operations if one.multiplies}
    found: dict[str, float] = {}
    for _, scope in sorted(ran):
        if scope:
            layer = places.layer(scope)
            found[layer] = found.get(layer, 0) + 2 * macs[scope] * batch / 1e9
    return found


def by_type(operations: Sequence[Operation]) -> str:
    """A table of the types of operations, longest first; those of less than a hundredth are one line."""
    total = sum(operation.ms for operation in operations)
    kinds: dict[str, list[float]] = {}
    for operation in operations:
        kinds.setdefault(operation.type, []).append(operation.ms)
    small = [kind for kind, found in kinds.items() if sum(found) < total / 100]
    rest = [ms for kind in small for ms in kinds.pop(kind)]
    rows = sorted(kinds.items(), key=lambda item: -sum(item[1]))
    rows += [(f"{len(small)} other types", rest)] if small else []
    lines = [[kind, str(len(found)), f"{sum(found):.2f}", f"{sum(found) / total:.1%}"] for kind, found in rows]
    return table(["type of operation", "operations", "ms", "share"], lines)


if __name__ == "__main__":
    run_script("benchmark_layers", main)
