"""The Non-RT process: drains the rings and serves health, metrics, logs, traces and the API."""
