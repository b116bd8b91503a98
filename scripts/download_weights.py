"""Fetches published weights into the folder `weights`: the command `gradcam download`.

python scripts/download_weights.py vgg16 resnet_v1_50 resnet_v1_101
"""

from __future__ import annotations

import sys

from gradcam.cli import main

if __name__ == "__main__":
    sys.exit(main(["download", *sys.argv[1:]]))
