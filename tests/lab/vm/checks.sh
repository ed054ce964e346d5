#!/bin/bash
# Runs in the virtual machine as root: mxrc into its venv, then the checks of the machine that is named in /share/name.
set -eu
tar -xf /dev/vdb -C /opt/mxrc/lib/python3*/site-packages
# Where the system user may read it.
install -m 644 /opt/mxrc/lib/python3*/site-packages/tests/lab/arm.py /opt/mxrc/arm.py
export PATH=/opt/mxrc/bin:$PATH
exec python3 -P -m "tests.lab.vm.$(</share/name).checks" /share/results.json
