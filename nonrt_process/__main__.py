"""`python -P -m nonrt_process`."""

from __future__ import annotations

import sys

from nonrt_process.main import main

sys.exit(main())
