"""Train METHODS on MODALITIES, folds and SEEDS with their teachers, in one table. Usage: NAME=value ..."""

import sys

from kd_monai.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["study", *sys.argv[1:]]))
