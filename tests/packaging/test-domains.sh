#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# usage: test-domains.sh SOURCE GUEST [MODULE-HEADERS [TEST...]]
#
# What a host has whose administrator installed the packages and did nothing else: domains.py, with this
# system's libvirt and QEMU, over this system's own files, which stay as they are. GUEST is the bare-metal
# guest, and MODULE-HEADERS a folder of qemu-glue/get-headers.sh for this QEMU. With TEST those of domains.py
# alone, for instance UV_ROUNDS=100 and Served.test_lives. UEFIVARS_FIRMWARE names a real firmware for the
# device, which one domain boots then. Exit status 0, 1, or 77 (it can't be done here).
set -euo pipefail

source=$(realpath "$1")
guest=$2
headers=${3:-}

cannot()
{
    echo "test-domains.sh: not possible here: $1" >&2
    exit 77
}

# is_at_least VERSION WANTED
is_at_least()
{
    [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

[ "$(id -u)" -eq 0 ] || cannot "only root runs the system's libvirt"
for tool in dpkg-buildpackage dh git libvirtd qemu-system-x86_64 virsh virtlogd; do
    command -v $tool >/dev/null || cannot "no $tool"
done
is_at_least "$(libvirtd --version | sed 's/.* //')" 12 || cannot "libvirt knows <varstore> since version 12"
is_at_least "$(qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version \([0-9.]*\).*/\1/p')" 11.1 ||
    cannot "QEMU is older than 11.1"
[ -n "$headers" ] || cannot "no headers for the module (-Dqemu_source)"
[ -f "$guest" ] || cannot "the bare-metal guest was not built (clang, lld)"
[ ! -e /run/libvirt/libvirt-sock ] || cannot "a libvirt runs here"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/uefivars-domains.XXXXXX")
trap 'umount "$work/over/root" "$work/over" 2>/dev/null; rm -rf --one-file-system "$work"' EXIT
mkdir "$work/packages" "$work/over"
"$source/tests/packaging/build-packages.sh" "$source" "$work/packages" "$headers"

# All that is written lies over this system's files.
mount -t tmpfs -o mode=755 tmpfs "$work/over"
mkdir "$work/over/root" "$work/over/upper" "$work/over/work"
mount -t overlay -o "lowerdir=/,upperdir=$work/over/upper,workdir=$work/over/work" overlay "$work/over/root" ||
    cannot "nothing can be mounted over this system's files"
root=$work/over/root
mkdir -p "$root/uefivars" "$root/var/lib/libvirt/qemu"
cp -r "$source/tests/lib" "$source/tests/qemu" "$source/tests/packaging" "$work/packages" "$root/uefivars/"
install -m 755 "$guest" "$root/uefivars/guest"
[ -z "${UEFIVARS_FIRMWARE:-}" ] || install -m 644 "$UEFIVARS_FIRMWARE" "$root/uefivars/firmware.fd"

# Not as systemd would have it: there is none, so libvirt is left without control groups.
"$source/tests/lib/in-root.sh" "$root" UV_LONG="${UV_LONG:-}" UV_ROUNDS="${UV_ROUNDS:-}" \
    UEFIVARS_FIRMWARE="${UEFIVARS_FIRMWARE:+/uefivars/firmware.fd}" bash -euo pipefail -c '
    umount -R -l /sys/fs/cgroup
    cd /uefivars
    dpkg --install packages/uefivarsfs_*.deb packages/uefivarsfs-libvirt_*.deb packages/uefivars-qemu_*.deb \
        2>&1 | tee log
    ! grep -i error log || exit 1
    python3 packaging/domains.py guest packages "$@"' domains "${@:4}"
