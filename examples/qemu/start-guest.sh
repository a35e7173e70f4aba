#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: start-guest.sh STORE FIRMWARE [QEMU-ARGUMENT...]
#
# One guest without FUSE and without a service manager: an engine for STORE, and QEMU with the device
# that forwards to it. FIRMWARE is an edk2 built for the device (QEMU_PV_VARS). The engine ends with
# the guest.
set -eu

[ $# -ge 2 ] || { echo "usage: $0 STORE FIRMWARE [QEMU-ARGUMENT...]" >&2 && exit 2; }
store=$1 firmware=$2
shift 2

folder=$(mktemp -d "${XDG_RUNTIME_DIR:-/tmp}/uefivars.XXXXXX")
uefivarsd --store "$store" --socket "$folder/guest.sock" &
engine=$!
trap 'kill $engine; wait $engine || true; rm -rf "$folder"' EXIT
tries=0
until [ -S "$folder/guest.sock" ] || [ $tries -ge 50 ]; do
    sleep 0.1
    tries=$((tries + 1))
done

QEMU_MODULE_DIR=${QEMU_MODULE_DIR:-/usr/lib/uefivarsfs/qemu} qemu-system-x86_64 -machine q35 -m 1G \
    -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny \
    -bios "$firmware" -device "uefi-vars-x64,socket=$folder/guest.sock" "$@"
