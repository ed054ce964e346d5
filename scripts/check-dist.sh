#!/bin/bash
# Make the sdist and the wheel in dist/, install each into a fresh environment, and look whether the
# result works outside of the source tree.
# usage: check-dist.sh PYTHON
set -euo pipefail
python=$(realpath -s "$1")
export PIP_DISABLE_PIP_VERSION_CHECK=1

rm -rf dist build/lib build/bdist.*
"$python" -m build --outdir dist . >build/dist.log 2>&1 || {
    tail -n 40 build/dist.log >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for file in dist/*.whl dist/*.tar.gz; do
    echo "Installing $(basename "$file") ..."
    case $file in
        *.whl) [[ $file == *-cp310-abi3-*.whl ]] || {
            echo "error: $file is not tagged cp310-abi3" >&2
            exit 1
        } ;;
    esac
    rm -rf "$work/venv"
    "$python" -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install -q "$file"
    (cd "$work" && venv/bin/python -P - <<'CHECK'
import importlib
import importlib.metadata

from shared._core import lib
from shared.resources import resource_path

assert "site-packages" in str(resource_path("config")), resource_path("config")
assert list(resource_path("config").glob("*.json")), "no configuration files"
assert resource_path("cffi_build/include/mxrc/events.def").is_file()
assert lib.mxrc_layout_hash() != 0
names = {}
for entry in importlib.metadata.distribution("mxrc").entry_points:
    assert callable(entry.load()), entry
    names[entry.name] = entry.value
assert {"mxrc", "mxrc-rt", "mxrc-nonrt", "mxrc-logsim"} <= set(names), names
CHECK
    )
    for script in mxrc mxrc-rt mxrc-nonrt mxrc-logsim; do
        (cd "$work" && "venv/bin/$script" --help >/dev/null)
    done
done
echo "dist: $(cd dist && echo *) install and start"
