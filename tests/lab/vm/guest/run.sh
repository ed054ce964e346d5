#!/bin/bash
# Runs in the virtual machine as root: mxrc into its venv, then the checks.
set -eu
tar -xf /dev/vdb -C /opt/mxrc/lib/python3*/site-packages
export PATH=/opt/mxrc/bin:$PATH
exec python3 -P -m tests.lab.vm.guest.checks /share/results.json
