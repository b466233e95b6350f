"""``python -m recsec``."""

import sys

from recsec.cli.main import main

sys.exit(main())
