#!/bin/bash
# Runs in the virtual machine as root: installs mxrc as a person would, into /opt/mxrc, then its units, then the checks.
set -eu
python3 -m venv --without-pip --system-site-packages /opt/mxrc
tar -xf /share/site.tar -C /opt/mxrc
packages=$(/opt/mxrc/bin/python3 -c 'import site; print(site.getsitepackages()[0])')
mv /opt/mxrc/site/* "$packages/"
for program in mxrc-rt:rt_process.main mxrc-nonrt:nonrt_process.main mxrc:shared.cli.main; do
    file=/opt/mxrc/bin/${program%%:*}
    printf '#!/opt/mxrc/bin/python3 -P\nimport sys\nfrom %s import main\nsys.exit(main())\n' "${program#*:}" >"$file"
    chmod +x "$file"
done
# Where the system user may read it.
install -m 644 /share/tests/lab/arm.py /opt/mxrc/arm.py
export PATH=/opt/mxrc/bin:$PATH PYTHONPATH=/share
exec python3 -P -m tests.lab.vm.units.checks /share/results.json
