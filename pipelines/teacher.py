"""Train and score the multi-modal teacher. Usage: NAME=value ..."""

import sys

from kd_monai.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["teacher", *sys.argv[1:]]))
