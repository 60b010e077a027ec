"""`python -m comparisons` is the command `handnet`."""

import sys

from comparisons.cli import main

if __name__ == "__main__":
    sys.exit(main())
