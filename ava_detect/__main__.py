"""`python -m ava_detect`, for torchrun and for places without the entry point."""

import sys

from ava_detect.cli import main

if __name__ == "__main__":
    sys.exit(main())
