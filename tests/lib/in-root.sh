#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# usage: in-root.sh ROOT [NAME=VALUE...] COMMAND...
#
# Runs a command in the root file system ROOT, with processes, mounts and a /run of its own, and this system's
# network and devices. Its environment is what is named. What it leaves running ends with it; the exit status
# is the command's.
set -euo pipefail

exec unshare --mount --pid --uts --ipc --fork --kill-child bash -euc '
    root=$1
    shift
    # Who unmounts one of these waits for the last copy of it. One may go by itself meanwhile: with its folder.
    { grep " fuse.uefivarsfs " /proc/mounts | cut -d " " -f 2 | xargs -r -n1 umount -l; } 2>/dev/null || true
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount --rbind /dev "$root/dev"
    mknod -m 666 "$root/run/fuse" c 10 229 # as udev has it: for everybody
    mount --bind "$root/run/fuse" "$root/dev/fuse"
    # No exec: the first process there is who waits for what daemons leave.
    chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root LC_ALL=C.UTF-8 "$@" && exit
    exit $?
' in-root "$(realpath "$1")" "${@:2}"
