"""`mxrc doctor`: is this machine fit for the configured real-time loop, and if not, what to do.

One file per group of checks: each has `checks(subject) -> Iterable[Finding]`, listed in run.py.
"""
