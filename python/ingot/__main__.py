"""`python -m ingot`."""

import sys

from ingot.cli import main

if __name__ == "__main__":
    sys.exit(main())
