#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: UV_SYSTEMD=DIR vm.sh
#
# Boots a Debian of its own with what the build installs, its units too, and the fstab lines of
# examples/, and runs checks.sh in it; afterwards, the stores on its disk must be complete. Makes the root file system in DIR/root, once
# (with debootstrap, from this system's mirror). Without UV_SYSTEMD: skipped.
set -eu
here=$(dirname "$(realpath "$0")")
top=$here/../..
build=${UV_BUILD:-$top/build}

skip()
{
    echo "skipped: $1"
    exit 77
}

[ -n "${UV_SYSTEMD:-}" ] || skip "UV_SYSTEMD=DIR is not set"
[ "$(id -u)" = 0 ] || skip "needs root"
for tool in debootstrap debugfs mke2fs qemu-system-x86_64; do
    command -v $tool >/dev/null || skip "no $tool"
done
mkdir -p "$UV_SYSTEMD"
cd "$UV_SYSTEMD"

make_root()
{
    local codename mirror packages
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename" | head -n 1)
    packages=systemd,systemd-sysv,dbus,kmod,mount,procps,initramfs-tools,fuse3,python3
    packages+=,libglib2.0-0,libgnutls30,libjson-glib-1.0-0,libefivar1
    rm -rf root.new
    debootstrap --variant=minbase --include=$packages "$codename" root.new "$mirror"
    chroot root.new env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends linux-image-amd64
    chroot root.new useradd --system --no-create-home uefivarsd
    chroot root.new groupadd -f kvm
    mv root.new root
}

add_project()
{
    local store='{"version": 2, "variables": []}'
    DESTDIR=$PWD/root meson install -C "$build" --no-rebuild --quiet
    mkdir -p root/opt/tests "root/srv/my vms" root/srv/boot root/srv/auto root/var/lib/boot root/var/lib/auto \
        root/var/lib/libvirt/qemu/varstore
    cp -r "$top/tests/lib" "$here" root/opt/tests/
    echo "$store" | tee "root/srv/my vms/vm 1.json" root/var/lib/boot/b.json root/var/lib/libvirt/qemu/varstore/d.json \
        >root/var/lib/auto/a.json
    cat >root/etc/fstab <<'END'
/dev/vda       /          ext4             defaults                                                      0 1
/var/lib/boot  /srv/boot  fuse.uefivarsfs  sock-group=kvm                                                0 0
/var/lib/auto  /srv/auto  fuse.uefivarsfs  noauto,x-systemd.automount,x-systemd.mount-timeout=20         0 0
END
    cat >root/etc/systemd/system/checks.service <<'END'
[Service]
ExecStart=/bin/bash /opt/tests/systemd/checks.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=multi-user.target
END
    mkdir -p root/etc/systemd/system/multi-user.target.wants
    ln -sf ../checks.service root/etc/systemd/system/multi-user.target.wants/
    ln -sf /dev/null root/etc/systemd/system/serial-getty@ttyS0.service
}

# complete STORE LOG: the image's store has the last count that its guest was told of, or the next.
complete()
{
    local count have
    count=$(debugfs -R "cat /var/log/$2" disk.img 2>/dev/null)
    have=$(debugfs -R "cat \"$1\"" disk.img 2>/dev/null | python3 -c '
import json, sys
print(*(int.from_bytes(bytes.fromhex(v["data"]), "little")
        for v in json.load(sys.stdin)["variables"] if v["name"] == "Count"))')
    [ -n "$count" ] && { [ "$have" = "$count" ] || [ "$have" = $((count + 1)) ]; } && return 0
    echo "CHECK FAILED: $1 has count '$have', its guest '$count'" | tee -a console.log
}

[ -d root ] || make_root >debootstrap.log 2>&1 || { tail debootstrap.log; exit 1; }
add_project
rm -f disk.img
truncate -s 3G disk.img
mke2fs -q -t ext4 -d root disk.img
timeout 900 qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1024 -nodefaults \
    -display none -no-reboot -kernel root/boot/vmlinuz-* -initrd root/boot/initrd.img-* \
    -append "root=/dev/vda rw console=ttyS0 quiet" -drive file=disk.img,if=virtio,format=raw,cache=unsafe \
    -device virtio-rng-pci -serial file:console.log
complete "/srv/my vms/vm 1.json" fs
complete /var/lib/uefivarsd/vm1.json stand
complete /var/lib/boot/b.json boot
grep -a -E 'CHECK|journal' console.log
grep -a -q 'CHECK done' console.log && ! grep -a -q 'CHECK FAILED' console.log
