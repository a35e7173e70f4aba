#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: stamp.sh [INSTALLED-MODULE [OUR-MODULE]]
#
# Prints the build stamp of the installed QEMU, as its own hw-uefi-vars.so has it (looked for in the
# usual places when not named). Given our module too, it checks that this was built for that QEMU,
# and says what to do when it was not.
set -eu

fail() {
    echo "$1" >&2
    exit 1
}

# The stamp of module $1, or nothing.
stamp_of() {
    nm -D --defined-only "$1" 2>/dev/null | sed -n 's/^.* qemu_stamp_\([0-9a-f]*\)$/\1/p'
}

installed=${1:-}
if [ -z "$installed" ]; then
    for folder in /usr/lib/*/qemu /usr/lib64/qemu-kvm /usr/lib64/qemu /usr/lib/qemu /usr/local/lib/*/qemu; do
        # Where ours lies in its place, QEMU's own was put aside.
        for name in hw-uefi-vars-qemu.so hw-uefi-vars.so; do
            [ -f "$folder/$name" ] || continue
            installed=$folder/$name
            break 2
        done
    done
    [ -n "$installed" ] || fail "QEMU's own hw-uefi-vars.so was not found: install QEMU 10.0 or later \
(Debian: qemu-system-x86), or name it with -Dqemu_module=FILE"
fi
command -v nm >/dev/null || fail "nm (package binutils) is needed to read QEMU's build stamp"
[ -f "$installed" ] || fail "$installed is not there"
stamp=$(stamp_of "$installed")
[ -n "$stamp" ] || fail "$installed has no build stamp (a symbol qemu_stamp_...): it is no QEMU module"

if [ $# -ge 2 ]; then
    [ -f "$2" ] || fail "$2 is not there"
    ours=$(stamp_of "$2")
    [ -n "$ours" ] || fail "$2 has no build stamp (a symbol qemu_stamp_...): it is no QEMU module"
    [ "$ours" = "$stamp" ] || fail "$2 was built for another QEMU than the one installed here, which \
will refuse it with «Only modules from the same build can be loaded»: its stamp is $ours, that of \
$installed is $stamp. QEMU was upgraded since, or it was built elsewhere: build it again here, with \
the headers of this QEMU's branch (qemu-glue/get-headers.sh)."
fi
echo "$stamp"
