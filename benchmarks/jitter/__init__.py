"""Parts of bench_jitter: the two who wake up, the load, the isolation, and what came of it."""
