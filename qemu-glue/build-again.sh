#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: build-again.sh MODULES VERSION
#
# Links both modules anew, of the objects beside this script, for the QEMU whose own device lies in
# MODULES as hw-uefi-vars-qemu.so. VERSION is that QEMU's: of another branch (X.Y) than the headers
# that the objects were compiled with, they don't fit, and nothing is done.
#
# What differs between builds of one branch is the stamp, a name of fixed length in the objects. No
# compiler is needed, just ld (package binutils). A module is replaced when the new one is complete.
#
# Exit status 0: they are for this QEMU, or have been before; 1 and a line that says why they are not.
set -eu
export LC_ALL=C

fail()
{
    echo "uefivars: the modules are not built for QEMU $version: $1" >&2
    exit 1
}

# The stamp in file $1, or nothing.
stamp_of()
{
    grep -ao 'qemu_stamp_[0-9a-f]*' "$1" 2>/dev/null | head -n 1
}

[ $# -eq 2 ] || { sed -n 's/^# \(usage: .*\)/\1/p' "$0" >&2; exit 1; }
modules=$1
version=$2
parts=$(dirname "$0")
branch=$(cat "$parts/branch")

wanted=$(stamp_of "$modules/hw-uefi-vars-qemu.so")
[ -n "$wanted" ] || fail "$modules/hw-uefi-vars-qemu.so has no build stamp"
if [ "$(stamp_of "$modules/hw-uefi-vars.so")" = "$wanted" ] &&
    [ "$(stamp_of "$modules/hw-uefi-vars-engine.so")" = "$wanted" ]; then
    exit 0
fi
case ${version#*:} in
"$branch" | "$branch"[.+~-]*) ;;
*) fail "they are compiled with headers of QEMU $branch" ;;
esac
command -v ld >/dev/null || fail "there is no ld (package binutils)"

work=$(mktemp -d "$modules/.uefivars.XXXXXX")
trap 'rm -rf "$work"' EXIT

# make NAME OPTION...: of NAME's objects, with the stamp that is wanted.
make()
{
    name=$1
    shift
    made_for=$(stamp_of "$parts/$name.a")
    [ ${#made_for} -eq ${#wanted} ] || fail "its stamp is of another kind"
    sed "s/$made_for/$wanted/g" "$parts/$name.a" >"$work/$name.a"
    ld -shared -z now -z relro -z noexecstack --build-id --strip-debug "$@" -o "$work/$name.so" \
        --whole-archive "$work/$name.a" --no-whole-archive -l:libglib-2.0.so.0 -l:libc.so.6 ||
        fail "ld failed"
    [ "$(stamp_of "$work/$name.so")" = "$wanted" ] || fail "$name.so did not get its stamp"
    chmod 644 "$work/$name.so"
}

make hw-uefi-vars-engine
make hw-uefi-vars --hash-style=sysv
# Which of them is loaded is decided by the latter.
mv -f "$work/hw-uefi-vars-engine.so" "$work/hw-uefi-vars.so" "$modules/"
