"""`python -P -m rt_process`."""

import sys

from rt_process.main import main

sys.exit(main())
