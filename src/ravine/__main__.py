"""`python -m ravine` is `ravine`."""

import sys

from ravine.cli import main

sys.exit(main())
