#!/bin/bash
# Check what `make venv` and `make build` need of the system; name the packages that are missing.
# usage: check-prerequisites.sh PYTHON CC
set -euo pipefail
python=$1
cc=$2

if ! command -v "$python" >/dev/null; then
    echo "error: $python not found: apt-get install python3" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "error: mxrc needs Python 3.10 or later, $python is $("$python" -V): make PYTHON=python3.11" >&2
    exit 1
fi

missing=()
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
"$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || missing+=(python3-dev)
command -v "$cc" >/dev/null || missing+=("$cc")
if [[ ${#missing[@]} -gt 0 ]]; then
    echo "error: missing system packages: apt-get install ${missing[*]}" >&2
    exit 1
fi
