#!/bin/bash
# run.sh IMAGE SHARE [SECONDS]: boot what build.sh made in IMAGE: 4 CPUs on 2 NUMA nodes, CPUs 2,3 (node 1) isolated.
# VM_COUNTED=1: one CPU, whose clock counts its instructions, one a nanosecond (more CPUs do not boot so).
#
# The folder SHARE is /share in it, SHARE/own.tar its second disk; its run.sh is run by systemd as root, what that
# prints is in SHARE/out.txt, then the machine powers off. Emulated: no latency measured in it means anything, and
# no time either but where it is counted: then it is that of a slow CPU, that never waits for this machine but for its disk.
# tsc=reliable: the kernel would take the HPET for its clock, ten times as slow to read.
set -euo pipefail
image=$(readlink -f "${1:?folder of the image}")
share=$(readlink -f "${2:?folder to share}")
rm -f "$share/out.txt"
cpus=(-accel "tcg,thread=multi,tb-size=512" -smp "4,sockets=2,cores=2,threads=1"
    -object "memory-backend-ram,id=m0,size=1024M" -object "memory-backend-ram,id=m1,size=1024M"
    -numa "node,nodeid=0,cpus=0-1,memdev=m0" -numa "node,nodeid=1,cpus=2-3,memdev=m1" -numa "dist,src=0,dst=1,val=21")
if [[ ${VM_COUNTED:-} ]]; then
    cpus=(-accel "tcg,thread=single,tb-size=512" -icount shift=0,sleep=off -smp 1)
fi
exec timeout -k 5 "${3:-300}" qemu-system-x86_64 "${cpus[@]}" -machine q35 -cpu max -m 2048 \
    -kernel "$image/vmlinuz" -initrd "$image/initrd.gz" \
    -append "console=ttyS0 quiet systemd.show_status=false rw ${VM_ISOLATION-isolcpus=2,3 nohz_full=2,3 rcu_nocbs=2,3} tsc=reliable mitigations=off nokaslr audit=0 net.ifnames=0 panic=-1 ${VM_APPEND:-}" \
    -drive file="$image/rootfs.ext4",if=virtio,format=raw,snapshot=on,cache=unsafe \
    -drive file="$share/own.tar",if=virtio,format=raw,readonly=on \
    -virtfs local,path="$share",mount_tag=share,security_model=none,id=share \
    -nic none -nodefaults -display none -no-reboot -serial file:"$share/console.log" -monitor none
