"""`python -m longtail` is the command `longtail`."""

import sys

from longtail.cli.main import main

sys.exit(main())
