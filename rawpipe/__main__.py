"""`python -m rawpipe`: the same as the `rawpipe` command."""

import sys

from rawpipe.cli import main

sys.exit(main())
