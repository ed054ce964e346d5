"""The units of mxrc: rendered from the configuration, installed, removed, looked at."""
