"""`python -m logsim`: the same as the console script `mxrc-logsim`."""

from __future__ import annotations

from logsim.cli import main

raise SystemExit(main())
