"""Run MONAI's own checks on both bundles, offline. Usage: NAME=value ..."""

import sys

from kd_monai.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["verify-bundles", *sys.argv[1:]]))
