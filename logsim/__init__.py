"""Log simulator: believable logs of seven micro-services for demos, parser tests, training data.

A tool of its own: it imports nothing of the runtime and needs nothing beyond the standard library,
so that it runs in a bare container. `mxrc-logsim --help` and docs/logsim.md say how to use it.
"""
