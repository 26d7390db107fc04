"""``python -m ava_eval`` is ``ava-eval``."""

import sys

from ava_eval.cli import main

sys.exit(main())
