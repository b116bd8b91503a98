"""Which operations TensorFlow really runs."""

import tensorflow.compat.v1 as tf


def executed(session, tensors, feed):
    """The operations that TensorFlow runs for `tensors`, after its own optimisation: type -> nodes."""
    metadata = tf.RunMetadata()
    session.run(tensors, feed, options=tf.RunOptions(output_partition_graphs=True), run_metadata=metadata)
    types_ = {}
    for graph in metadata.partition_graphs:
        for node in graph.node:
            types_.setdefault(node.op, []).append(node)
    return types_
