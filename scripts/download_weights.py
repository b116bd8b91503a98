"""Fetches published weights into the folder `weights`: the command `gradcam download`.

python scripts/download_weights.py vgg16 resnet_v1_50 resnet_v1_101
"""

from __future__ import annotations

import sys

from gradcam import cli

if __name__ == "__main__":
    sys.exit(cli.main(["download", *sys.argv[1:]]))
