"""Train and score the mono-modal baseline. Usage: NAME=value ..."""

import sys

from kd_monai.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["baseline", *sys.argv[1:]]))
