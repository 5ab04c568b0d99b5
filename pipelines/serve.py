"""Serve the runs under OUT on 127.0.0.1:PORT. Usage: NAME=value ..."""

import sys

from kd_monai.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["mlflow", *sys.argv[1:]]))
