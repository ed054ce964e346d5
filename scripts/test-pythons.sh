#!/bin/bash
# Run the unit tests on every other Python 3.10 to 3.13 of this machine. The extension is the one in
# the tree: being abi3, one file has to serve all of them.
# usage: test-pythons.sh PYTHON (the one of .venv, which is left out)
set -euo pipefail
own=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
failed=()
tested=()
for version in 3.10 3.11 3.12 3.13; do
    [[ $version != "$own" ]] || continue
    interpreter=
    for candidate in "$(command -v "python$version" || true)" "$HOME"/.pyenv/versions/"$version".*/bin/python; do
        # A shim may be there without the Python behind it.
        if [[ -x $candidate ]] && "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            interpreter=$candidate
            break
        fi
    done
    if [[ -z $interpreter ]]; then
        echo "Python $version: not installed"
        continue
    fi
    echo "Python $version: $interpreter"
    environment=build/pythons/$version
    [[ -x $environment/bin/python ]] || "$interpreter" -m venv "$environment"
    "$environment/bin/python" -m pip install -q --disable-pip-version-check 'setuptools>=77' 'cffi>=1.17'
    MXRC_SKIP_EXT=1 "$environment/bin/python" -m pip install -q --disable-pip-version-check \
        --no-build-isolation -e '.[dev]'
    tested+=("$version")
    "$environment/bin/python" -m pytest -q tests/unit -p no:cacheprovider || failed+=("$version")
done
if [[ ${#failed[@]} -gt 0 ]]; then
    echo "error: tests failed on Python ${failed[*]}" >&2
    exit 1
fi
echo "Pythons tested: ${tested[*]:-none}"
