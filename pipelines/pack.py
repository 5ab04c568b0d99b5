"""Write the small files of the scored runs under OUT into the archive PACK. Usage: NAME=value ..."""

import sys

from kd_monai.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["pack", *sys.argv[1:]]))
