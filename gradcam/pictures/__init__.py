"""Pictures: read, fitted to a network and back, and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from gradcam.pictures.arrays import ARRAY_SUFFIXES as ARRAY_SUFFIXES
    from gradcam.pictures.bands import checked_bands as checked_bands
    from gradcam.pictures.images import SUFFIXES as SUFFIXES, checked_images as checked_images, read_image as read_image
    from gradcam.pictures.photograph import (
        FITS as FITS,
        Photograph as Photograph,
        check_source as check_source,
        expand as expand,
        fit_image as fit_image,
        read_classes as read_classes,
        read_photograph as read_photograph,
        region as region,
        resize as resize,
    )
    from gradcam.pictures.samples import SAMPLES as SAMPLES, cat_and_coffee as cat_and_coffee
    from gradcam.pictures.writing import (
        plain as plain,
        write_json as write_json,
        write_npz as write_npz,
        write_png as write_png,
    )

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "arrays": "ARRAY_SUFFIXES",
        "bands": "checked_bands",
        "images": "SUFFIXES checked_images read_image",
        "photograph": "FITS Photograph check_source expand fit_image read_classes read_photograph region resize",
        "samples": "SAMPLES cat_and_coffee",
        "writing": "plain write_json write_npz write_png",
    },
)
