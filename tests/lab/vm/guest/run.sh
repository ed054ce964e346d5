#!/bin/bash
# Runs in the virtual machine as root: installs the wheels of the shared folder, then does the checks.
set -eu
python3 -m venv /opt/mxrc
/opt/mxrc/bin/python -m pip install -q --no-index --find-links /share/wheels mxrc
useradd -m operator
PATH=/opt/mxrc/bin:$PATH exec /opt/mxrc/bin/python -P /share/checks.py /share/results.json
