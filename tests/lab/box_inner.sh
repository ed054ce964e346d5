#!/bin/bash
# First process of a box: builds its root over this machine's one and becomes systemd.
# usage: box_inner.sh FOLDER   (in mount, pid, ipc, uts and cgroup namespaces of its own)
set -euo pipefail
folder=$1
root=$folder/root

mount --make-rprivate /
mount -t tmpfs -o mode=755 box "$folder"
mkdir "$folder"/{upper,work,root}
mount -t overlay box -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root"

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for place in run:755 tmp:1777 dev:755; do
    mount -t tmpfs -o "mode=${place#*:}" tmpfs "$root/${place%:*}"
done
mkdir "$root"/dev/{pts,shm}
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for device in null zero full random urandom tty cpu_dma_latency; do
    if [[ -e /dev/$device ]]; then
        : >"$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    fi
done
for link in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
    ln -s "/proc/self/${link#*:}" "$root/dev/${link%%:*}"
done

# Of this machine's own services none is wanted; a journal in memory is.
units=$root/etc/systemd/system
mkdir -p "$units"
find "$units" -maxdepth 1 -name '*.wants' -exec rm -rf {} +
ln -sf /lib/systemd/system/basic.target "$units/default.target"
for unit in systemd-{udevd,udev-trigger,logind,networkd,resolved,timesyncd,modules-load,sysctl}.service \
    systemd-{remount-fs,random-seed,update-utmp,binfmt,firstboot,hwdb-update,tmpfiles-setup}.service \
    systemd-udevd-{control,kernel}.socket ldconfig.service kmod-static-nodes.service e2scrub_reap.service \
    dev-hugepages.mount sys-kernel-{debug,tracing,config}.mount sys-fs-fuse-connections.mount \
    proc-sys-fs-binfmt_misc.automount; do
    ln -sf /dev/null "$units/$unit"
done
: >"$root/etc/fstab"
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nReadKMsg=no\n' >"$root/etc/systemd/journald.conf.d/box.conf"

cd "$root"
mkdir -p .host
pivot_root . .host
umount -l /.host
exec env -i container=box PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 /lib/systemd/systemd --show-status=false
