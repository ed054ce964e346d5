#!/bin/bash
# build.sh DIR SITE: make in DIR what run.sh boots: a PREEMPT_RT kernel, an initrd and a Debian 12 root file system.
#
# The packages in the folder SITE are in /opt/mxrc, a venv, byte-compiled; the programs of mxrc are in its bin.
# Root, and: apt-get install --no-install-recommends mmdebstrap qemu-system-x86 kmod e2fsprogs
# Debian's packages come from the apt sources of this machine.
set -euo pipefail

site=$(readlink -f "${2:?folder of packages}")
cd "${1:?folder}"

packages=systemd,systemd-sysv,dbus,udev,kmod,procps,util-linux,iproute2,python3,python3-venv,libnuma1
kernel_package=$(apt-cache depends linux-image-rt-amd64 | awk '/Depends:/ {print $2; exit}')
unpack() { # PACKAGE FOLDER
    mkdir -p "$2.deb.d"
    (cd "$2.deb.d" && apt-get -q download "$1")
    dpkg -x "$2".deb.d/*.deb "$2"
}
unpack "$kernel_package" kernel
unpack busybox-static busybox
release=$(basename kernel/lib/modules/*)
modules=kernel/lib/modules/$release/kernel

sources=/etc/apt/sources.list
if [[ ! -s $sources ]]; then
    sources=$(find /etc/apt/sources.list.d -name '*.sources' | sort | head -n 1)
fi
mmdebstrap --quiet --mode=root --variant=minbase --skip=check/empty --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='Acquire::Languages "none"' \
    bookworm rootfs "$sources"

# ---- initrd: busybox, and the modules that the disks and the shared folder need, in load order ----
mkdir -p initrd.d/{bin,proc,sys,dev,new,modules}
cp busybox/bin/busybox initrd.d/bin/
ln -s busybox initrd.d/bin/sh
load=
for module in virtio/virtio_ring virtio/virtio virtio/virtio_pci_modern_dev virtio/virtio_pci_legacy_dev \
    virtio/virtio_pci block/virtio_blk; do
    load+=" drivers/$module"
done
load+=" lib/crc16 fs/mbcache fs/jbd2/jbd2 crypto/crc32c_generic fs/ext4/ext4"
load+=" net/9p/9pnet net/9p/9pnet_virtio fs/netfs/netfs fs/fscache/fscache fs/9p/9p"
names=
for module in $load; do
    if [[ -e $modules/$module.ko ]]; then
        cp "$modules/$module.ko" initrd.d/modules/
        names+=" ${module##*/}.ko"
    fi
done
cat >initrd.d/init <<INIT
#!/bin/sh
b=/bin/busybox
\$b mount -t proc proc /proc
\$b mount -t sysfs sysfs /sys
\$b mount -t devtmpfs dev /dev
for module in$names; do \$b insmod /modules/\$module || echo "not loaded: \$module"; done
tries=0
while [ ! -b /dev/vda ] && [ \$tries -lt 50 ]; do \$b sleep 0.2; tries=\$((tries + 1)); done
\$b mount -t ext4 -o rw,noatime /dev/vda /new || exec /bin/sh
\$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /new/share || exec /bin/sh
\$b umount /proc /sys
\$b mount --move /dev /new/dev
exec \$b switch_root /new /lib/systemd/systemd
INIT
chmod +x initrd.d/init
mknod initrd.d/dev/console c 5 1
(cd initrd.d && find . | sort | ../busybox/bin/busybox cpio -o -H newc 2>/dev/null) | gzip -3 >initrd.gz

# ---- root file system: the venv, the test service, nothing that costs time at boot ----
target=rootfs/lib/modules/$release
mkdir -p "$target" rootfs/share
cp kernel/lib/modules/"$release"/modules.{order,builtin,builtin.modinfo} "$target/"
cp kernel/boot/config-"$release" rootfs/boot/
depmod -b rootfs "$release"
echo mxrc-vm >rootfs/etc/hostname
: >rootfs/etc/fstab
tr -d - </proc/sys/kernel/random/uuid >rootfs/etc/machine-id
for unit in systemd-timesyncd systemd-networkd-wait-online systemd-hwdb-update systemd-udev-trigger systemd-logind \
    systemd-user-sessions systemd-update-utmp systemd-random-seed systemd-pstore systemd-tmpfiles-clean.timer \
    e2scrub_reap e2scrub_all.timer fstrim.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    getty.target sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
    dev-mqueue.mount dev-hugepages.mount kmod-static-nodes modprobe@ systemd-modules-load; do
    [[ $unit == *.* ]] || unit+=.service
    ln -sf /dev/null "rootfs/etc/systemd/system/$unit"
done
cat >rootfs/etc/systemd/system/vmtest.service <<'UNIT'
[Unit]
Description=Test script of the shared folder
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/bin/bash /share/run.sh
StandardOutput=append:/share/out.txt
StandardError=inherit
TimeoutStartSec=infinity
ExecStopPost=/bin/systemctl --no-block poweroff --force --force
UNIT
mkdir -p rootfs/etc/systemd/system/graphical.target.wants
ln -sf ../vmtest.service rootfs/etc/systemd/system/graphical.target.wants/vmtest.service
ln -sf /lib/systemd/system/graphical.target rootfs/etc/systemd/system/default.target
chroot rootfs useradd --create-home pilot
chroot rootfs python3 -m venv --without-pip /opt/mxrc
packages=$(echo rootfs/opt/mxrc/lib/python3*/site-packages)
cp -r "$site"/. "$packages/"
chroot rootfs /opt/mxrc/bin/python3 -m compileall -q "${packages#rootfs}"
for program in mxrc-rt:rt_process.main mxrc-nonrt:nonrt_process.main mxrc:shared.cli.main; do
    file=rootfs/opt/mxrc/bin/${program%%:*}
    printf '#!/opt/mxrc/bin/python3 -P\nimport sys\nfrom %s import main\nsys.exit(main())\n' "${program#*:}" >"$file"
    chmod +x "$file"
done

truncate -s 1500M rootfs.ext4
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -d rootfs rootfs.ext4
cp "kernel/boot/vmlinuz-$release" vmlinuz
rm -rf rootfs initrd.d kernel kernel.deb.d busybox busybox.deb.d
