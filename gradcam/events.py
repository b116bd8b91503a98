"""What TensorBoard shows: pictures, numbers and texts, in event files."""

from __future__ import annotations

import os

import numpy as np
import tensorflow.compat.v1 as tf

from gradcam.pictures import png_bytes


class Events:
    """Writes to an event file in a folder, TensorBoard's LOGDIR or one below it.

    Of several files in one folder TensorBoard reads on in the newest alone: who shares a folder shares a writer.
    """

    def __init__(self, folder: str | os.PathLike, writer: tf.summary.FileWriter | None = None):
        """Opens the file.

        Args:
            folder: made if it is not there.
            writer: another's, of the same folder, as of `tf.summary.FileWriterCache`; it stays open. None is a new one.
        """
        self._own = writer is None
        with tf.Graph().as_default():  # of eager mode it knows nothing
            self._writer = writer or tf.summary.FileWriter(os.fspath(folder))

    def picture(self, tag: str, image: np.ndarray, step: int) -> None:
        """Adds a picture, uint8 `[H, W, 3]`, RGB; a ValueError if it is none. `tag`: what it goes by, at any step."""
        height, width = image.shape[:2]
        shown = tf.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png_bytes(image))
        self._add(step, tag=tag, image=shown)

    def number(self, tag: str, value: float, step: int) -> None:
        """Adds a number to a curve."""
        self._add(step, tag=tag, simple_value=value)

    def text(self, tag: str, text: str, step: int) -> None:
        """Adds a text."""
        plugin = tf.SummaryMetadata.PluginData(plugin_name="text")
        content = tf.make_tensor_proto([text.encode()], dtype=tf.string)
        self._add(step, tag=tag, metadata=tf.SummaryMetadata(plugin_data=plugin), tensor=content)

    def flush(self) -> None:
        """Writes what is still to be written."""
        self._writer.flush()

    def close(self) -> None:
        """Writes what is still to be written, and ends the file unless it is another's."""
        self.flush()
        if self._own:
            self._writer.close()

    def _add(self, step: int, **value: object) -> None:
        self._writer.add_summary(tf.Summary(value=[tf.Summary.Value(**value)]), step)
