"""Restore the runs of PACK under OUT. Usage: NAME=value ..."""

import sys

from kd_monai.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["unpack", *sys.argv[1:]]))
