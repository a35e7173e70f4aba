#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# usage: test-debian.sh SOURCE [MODULE-HEADERS]
#
# Builds the Debian packages of examples/packaging and takes them through their life in a root of its own:
# installed over a stand-in for QEMU, QEMU upgraded under them, removed, purged. With MODULE-HEADERS (a
# folder of qemu-glue/get-headers.sh) and a QEMU module here, uefivars-qemu too. Exit status 0, 1, or 77
# (it can't be done here).
set -euo pipefail

source=$(realpath "$1")
headers=${2:-}
. "$source/tests/packages.sh"

cannot()
{
    echo "test-debian.sh: not possible here: $1" >&2
    exit 77
}

failed()
{
    echo "test-debian.sh: $1" >&2
    exit 1
}

[ "$(id -u)" -eq 0 ] || cannot "only root makes such a root"
for tool in dpkg-buildpackage dh git lintian mmdebstrap; do
    command -v $tool >/dev/null || cannot "no $tool"
done
release=$(release_codename)
mirror=$(apt_mirror "$release")
[ -n "$mirror" ] || cannot "apt has no source for $release"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/uefivars-packages.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
modules=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)/qemu
stock=
[ -z "$headers" ] || [ ! -f "$modules/hw-uefi-vars.so" ] || stock=$modules/hw-uefi-vars.so
"$source/tests/packaging/build-packages.sh" "$source" "$work" ${stock:+"$headers"} ||
    failed "the packages were not built"
packages=("$work"/uefivarsfs_*.deb "$work"/uefivarsfs-libvirt_*.deb)
[ -z "$stock" ] || packages+=("$work"/uefivars-qemu_*.deb)
lintian --fail-on error "${packages[@]}" || failed "lintian has errors"

root=$work/root
mmdebstrap --quiet --variant=minbase "$release" "$root" "$mirror" \
    --include="$(for package in "${packages[@]}"; do dpkg-deb -f "$package" Depends; done | tr ',' '\n' |
        sed 's/[|(].*//; s/ //g' | grep -v '^qemu-\|^uefi' | sort -u | paste -sd, -),binutils" >"$work/log" 2>&1 ||
    { tail "$work/log"; cannot "mmdebstrap failed"; }

# stand_in VERSION MODULE: QEMU's package, as far as this one knows it.
stand_in()
{
    # With a file beside the one that is put aside: a package without any is gone for dpkg.
    mkdir -p "$work/qemu/DEBIAN" "$work/qemu$modules" "$work/qemu/usr/share/doc/qemu-system-x86"
    echo "stand-in" >"$work/qemu/usr/share/doc/qemu-system-x86/copyright"
    cp "$2" "$work/qemu$modules/hw-uefi-vars.so"
    printf '%s\n' 'Package: qemu-system-x86' "Version: $1" "Architecture: $(dpkg --print-architecture)" \
        'Maintainer: nobody <nobody@localhost>' 'Description: stand-in' >"$work/qemu/DEBIAN/control"
    dpkg-deb -b "$work/qemu" "$root/tmp/qemu.deb" >/dev/null
    chroot "$root" dpkg -i /tmp/qemu.deb
}

# stamp_of FILE: which QEMU it was built for.
stamp_of()
{
    grep -ao 'qemu_stamp_[0-9a-f]*' "$1" | head -n 1
}

# is_built_for MODULE: both of ours are for the same QEMU as that.
is_built_for()
{
    local name
    for name in hw-uefi-vars.so hw-uefi-vars-engine.so; do
        [ "$(stamp_of "$root$modules/$name")" = "$(stamp_of "$1")" ] || failed "$name is not built for $1"
    done
}

# upgrade VERSION DIGITS: QEMU to a build whose stamp begins so; what is said is in $work/log, and the module
# that ours were built for until now is $work/before.so.
upgrade()
{
    cp "$root$modules/hw-uefi-vars-engine.so" "$work/before.so"
    sed "s/\(qemu_stamp_\)......../\1$2/" "$stock" >"$work/next.so"
    stand_in "$1" "$work/next.so" >"$work/log" 2>&1 || { cat "$work/log"; failed "QEMU $1 was not installed"; }
    cat "$work/log"
    same "$work/next.so" hw-uefi-vars-qemu.so
}

same()
{
    cmp -s "$1" "$root$modules/$2" || failed "$modules/$2 is not $1"
}

[ -z "$stock" ] || stand_in 1:10.0 "$stock"
cp "${packages[@]}" "$root/tmp/"
chroot "$root" sh -c 'dpkg -i /tmp/uefi*.deb' 2>&1 | tee "$work/log"
! grep -i 'error' "$work/log" || failed "something was said of an error"
chroot "$root" uefivarsd --version
chroot "$root" uefivarsfs --version
chroot "$root" getent passwd uefivarsfs >/dev/null || failed "there is no user uefivarsfs"
for folder in varstore nvram; do
    [ -L "$root/etc/systemd/system/multi-user.target.wants/uefivarsfs-libvirt@$folder.path" ] ||
        failed "libvirt's $folder is not served"
done

if [ -n "$stock" ]; then
    same "$stock" hw-uefi-vars-qemu.so
    is_built_for "$stock"
    # An upgrade brings another build; ours is built again for it.
    upgrade 1:10.0.99 01234567
    is_built_for "$work/next.so"
    # Without ld it can't be, and of another branch it must not be: QEMU's own serves, and it is said why.
    mv "$root/usr/bin/ld" "$root/usr/bin/no-ld"
    upgrade 1:10.0.100 12345678
    grep -q 'there is no ld' "$work/log" || failed "nothing was said of what is missing"
    is_built_for "$work/before.so"
    mv "$root/usr/bin/no-ld" "$root/usr/bin/ld"
    upgrade 1:10.1 89abcdef
    grep -q 'compiled with headers of QEMU 10.0' "$work/log" || failed "nothing was said of QEMU's upgrade"
    is_built_for "$work/before.so"
    chroot "$root" dpkg -r uefivars-qemu
    same "$work/next.so" hw-uefi-vars.so
    [ ! -e "$root$modules/hw-uefi-vars-qemu.so" ] || failed "the diversion is still there"
    chroot "$root" dpkg -P uefivars-qemu
fi
chroot "$root" dpkg -P uefivarsfs-libvirt uefivarsfs
rm -f "$root"/tmp/*.deb
left=$(find "$root" -xdev -path "$root/proc" -prune -o \( -name '*uefivars*' -o -name 'hw-uefi-vars-*' \) -print)
[ -z "$left" ] || failed "left behind: $left"
echo "the packages came and went"
