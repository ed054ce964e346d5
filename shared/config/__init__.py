"""The configuration registry: models of every file, loading, and changes at runtime.

Programs use what is exported here; `docs/configuration.md` describes the files themselves.
"""

from shared.config.configuration import Config
from shared.config.errors import EX_CONFIG, ConfigError, Problem
from shared.config.load import load_config
from shared.config.store import Change, ConfigStore

__all__ = ["EX_CONFIG", "Change", "Config", "ConfigError", "ConfigStore", "Problem", "load_config"]
