"""Write the phantom data set. Usage: NAME=value ..."""

import sys

from kd_monai.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["phantom", *sys.argv[1:]]))
