"""Rank METHODS on the validation parts of their runs; no test case is read. Usage: NAME=value ..."""

import sys

from kd_monai.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["choose", *sys.argv[1:]]))
