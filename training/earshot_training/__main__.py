"""`python -m earshot_training` is `earshot-train`."""

import sys

from earshot_training.cli import main

sys.exit(main())
