#!/bin/bash
# Run unit and integration tests with the lowest version of each direct dependency that pyproject.toml allows.
# usage: test-lowest.sh PYTHON
set -euo pipefail
environment=build/lowest
[[ -x $environment/bin/python ]] || "$1" -m venv "$environment"
"$1" - >build/lowest.txt <<'CONSTRAINTS'
import importlib.metadata
import re

for requirement in importlib.metadata.requires("mxrc") or []:
    if "extra ==" not in requirement:
        print(re.sub(r"\s*>=\s*", "==", requirement))
CONSTRAINTS
"$environment/bin/python" -m pip install -q --disable-pip-version-check 'setuptools>=77' 'cffi>=1.17'
MXRC_SKIP_EXT=1 "$environment/bin/python" -m pip install -q --disable-pip-version-check \
    --no-build-isolation -c build/lowest.txt -e '.[dev]'
"$environment/bin/python" -m pytest -q tests/unit tests/integration -p no:cacheprovider
