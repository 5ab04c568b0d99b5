"""Score finished runs under OUT that have no scores yet, or RUN. Usage: NAME=value ..."""

import sys

from kd_monai.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
