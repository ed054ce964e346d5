#!/bin/bash
# build.sh DIR: make in DIR what run.sh boots: a PREEMPT_RT kernel, an initrd and a Debian 12 root file system.
#
# Root, and: apt-get install --no-install-recommends mmdebstrap qemu-system-x86 kmod e2fsprogs
# Packages come from the apt sources of this machine. Done once: a stamp holds the checksum of this
# file, and an image with the same stamp is kept.
set -euo pipefail

self=$(readlink -f "$0")
mkdir -p "${1:?folder}"
cd "$1"
stamp=$(sha256sum "$self" | cut -d ' ' -f 1)
if [[ -e rootfs.ext4 && "$(cat stamp 2>/dev/null)" == "$stamp" ]]; then
    exit 0
fi
rm -rf stamp kernel.deb.d busybox.deb.d kernel busybox rootfs initrd.d rootfs.ext4

packages=systemd,systemd-sysv,dbus,udev,kmod,procps,util-linux,iproute2,python3,python3-venv
packages+=,libnuma1,numactl,rt-tests,curl
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

# ---- initrd: busybox, and the modules that the disk and the shared folder need, in load order ----
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
\$b mount -t ext4 -o rw /dev/vda /new || exec /bin/sh
\$b umount /proc /sys
\$b mount --move /dev /new/dev
exec \$b switch_root /new /lib/systemd/systemd
INIT
chmod +x initrd.d/init
mknod initrd.d/dev/console c 5 1
(cd initrd.d && find . | sort | ../busybox/bin/busybox cpio -o -H newc 2>/dev/null) | gzip -3 >initrd.gz

# ---- root file system: modules for later, the test service, nothing that costs time at boot ----
target=rootfs/lib/modules/$release
for folder in drivers/virtio drivers/watchdog fs/overlayfs fs/9p net/9p; do
    mkdir -p "$target/kernel/$folder"
    cp -r "$modules/$folder/." "$target/kernel/$folder/"
done
cp kernel/lib/modules/"$release"/modules.{order,builtin,builtin.modinfo} "$target/"
cp kernel/boot/config-"$release" rootfs/boot/
depmod -b rootfs "$release"
echo mxrc-vm >rootfs/etc/hostname
tr -d - </proc/sys/kernel/random/uuid >rootfs/etc/machine-id
for unit in systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
    fstrim.timer dpkg-db-backup.timer systemd-networkd-wait-online.service getty@tty1.service \
    systemd-hwdb-update.service; do
    ln -sf /dev/null "rootfs/etc/systemd/system/$unit"
done
mkdir -p rootfs/share
cat >rootfs/etc/fstab <<'FSTAB'
/dev/vda / ext4 defaults,noatime 0 0
share /share 9p trans=virtio,version=9p2000.L,msize=262144,nofail 0 0
FSTAB
cat >rootfs/etc/systemd/system/vmtest.service <<'UNIT'
[Unit]
Description=Test script of the shared folder
Requires=share.mount
After=share.mount multi-user.target

[Service]
Type=oneshot
ExecStart=/bin/bash /share/run.sh
StandardOutput=file:/share/out.txt
StandardError=inherit
TimeoutStartSec=infinity
ExecStopPost=/bin/systemctl --no-block poweroff --force
UNIT
mkdir -p rootfs/etc/systemd/system/graphical.target.wants
ln -sf ../vmtest.service rootfs/etc/systemd/system/graphical.target.wants/vmtest.service
ln -sf /lib/systemd/system/graphical.target rootfs/etc/systemd/system/default.target

truncate -s 1500M rootfs.ext4
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -d rootfs rootfs.ext4
cp "kernel/boot/vmlinuz-$release" vmlinuz
rm -rf rootfs initrd.d kernel kernel.deb.d busybox busybox.deb.d
echo "$stamp" >stamp
