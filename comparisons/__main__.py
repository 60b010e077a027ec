"""`python -m comparisons` is the command `handnet`."""

import sys

from comparisons.cli import main

sys.exit(main())
