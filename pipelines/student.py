"""Train and score the mono-modal student, and its teacher if there is none. Usage: NAME=value ..."""

import sys

from kd_monai.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["student", *sys.argv[1:]]))
