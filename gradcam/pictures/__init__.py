"""Pictures: read, fitted to a network and back, and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from gradcam.pictures.arrays import ARRAY_SUFFIXES as ARRAY_SUFFIXES, name_of as name_of, parts as parts
    from gradcam.pictures.bands import checked_bands as checked_bands
    from gradcam.pictures.folders import expand as expand, read_classes as read_classes
    from gradcam.pictures.images import SUFFIXES as SUFFIXES, checked_images as checked_images, read_image as read_image
    from gradcam.pictures.photograph import (
        FITS as FITS,
        Frame as Frame,
        Photograph as Photograph,
        bytes_of as bytes_of,
        check_source as check_source,
        fit_image as fit_image,
        read_photograph as read_photograph,
        region as region,
        resize as resize,
    )
    from gradcam.pictures.provenance import (
        KEY as KEY,
        MOST_PIXELS as MOST_PIXELS,
        as_text as as_text,
        read_heatmap as read_heatmap,
        read_provenance as read_provenance,
        source_of as source_of,
    )
    from gradcam.pictures.samples import SAMPLES as SAMPLES, cat_and_coffee as cat_and_coffee
    from gradcam.pictures.writing import (
        FORMATS as FORMATS,
        plain as plain,
        png_bytes as png_bytes,
        write_json as write_json,
        write_npz as write_npz,
        write_picture as write_picture,
        write_png as write_png,
    )

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "arrays": "ARRAY_SUFFIXES name_of parts",
        "bands": "checked_bands",
        "folders": "expand read_classes",
        "images": "SUFFIXES checked_images read_image",
        "photograph": "FITS Frame Photograph bytes_of check_source fit_image read_photograph region resize",
        "provenance": "KEY MOST_PIXELS as_text read_heatmap read_provenance source_of",
        "samples": "SAMPLES cat_and_coffee",
        "writing": "FORMATS plain png_bytes write_json write_npz write_picture write_png",
    },
)
