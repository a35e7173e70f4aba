#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# From a clone to a mounted variable store: installs what is missing, builds, makes a store from the
# installed OVMF image, mounts it, shows it, edits it. The programs are built in build-quickstart/;
# everything else that it makes is in one temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/packages.sh

install_missing "${packages_build[@]}" "${packages_quickstart[@]}"
# virt-fw-vars belongs to the system's Python; another one first in PATH would not find its modules.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

build=build-quickstart
echo "== build the two programs in $build"
if [ ! -f $build/build.ninja ]; then
    meson setup $build -Dtests=false -Dman=false >$build.setup.log 2>&1 ||
        { cat $build.setup.log >&2; exit 1; }
    rm $build.setup.log
fi
ninja -C $build

folder=$(mktemp -d /tmp/uefivarsfs-quickstart.XXXXXX)
store=$folder/guests/demo_VARS.json
vars=$folder/mnt/guests/demo/vars
mkdir "$folder/guests" "$folder/mnt"

echo "== a store from the OVMF image that has Microsoft's keys: $store"
virt-fw-vars --input /usr/share/OVMF/OVMF_VARS_4M.ms.fd --output-json "$store" 2>/dev/null

echo "== mount"
options=()
if [ "$(id -u)" -ne 0 ] && [ -z "${XDG_RUNTIME_DIR:-}" ]; then
    echo "   XDG_RUNTIME_DIR is not set (su does not): the guests' sockets go to $folder/sockets"
    options=(-o "sockdir=$folder/sockets")
fi
$build/fusefs/uefivarsfs "$folder/guests" "$folder/mnt" "${options[@]}"

echo "== the variables of guest demo"
ls "$vars" | head -n 8
echo "   ... $(ls "$vars" | wc -l) in all"

echo "== edit with printf: attributes NON_VOLATILE|BOOTSERVICE_ACCESS|RUNTIME_ACCESS, then the data"
printf '\7\0\0\0hello' >"$vars/Greeting-0f9f4ab6-6b3c-4c53-9e9c-7d7c8ed0c1a3"

echo "== read it back with efivar"
EFIVARFS_PATH=$vars/ efivar -p -n 0f9f4ab6-6b3c-4c53-9e9c-7d7c8ed0c1a3-Greeting

cat <<END

The mount stays. Look around in
  $folder/mnt
and when you are done:
  umount $folder/mnt && rm -r $folder

After the unmount virt-fw-vars and QEMU read the store with your edit in it:
  virt-fw-vars --input $store --print
END
