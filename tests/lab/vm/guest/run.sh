#!/bin/bash
# Runs in the virtual machine as root: unpacks what was installed outside for its Python, then does the checks.
# (pip itself takes ten minutes in emulation.)
set -eu
mkdir -p /opt/mxrc/bin
tar -xf /share/site.tar -C /opt/mxrc
for program in mxrc-rt:rt_process.main mxrc:shared.cli.main; do
    file=/opt/mxrc/bin/${program%%:*}
    printf '#!/bin/sh\nexec python3 -P -c "import sys; from %s import main; sys.exit(main())" "$@"\n' \
        "${program#*:}" >"$file"
    chmod +x "$file"
done
useradd -m pilot
export PATH=/opt/mxrc/bin:$PATH PYTHONPATH=/opt/mxrc/site
exec python3 -P /share/checks.py /share/results.json
