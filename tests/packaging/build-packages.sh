#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# usage: build-packages.sh SOURCE FOLDER [MODULE-HEADERS]
#
# Builds the Debian packages of examples/packaging in FOLDER, with MODULE-HEADERS (a folder of
# qemu-glue/get-headers.sh) uefivars-qemu too, for the QEMU that is installed. Exit status 0 or 1.
set -euo pipefail

source=$1 folder=$2 headers=${3:-}
mkdir "$folder/uefivarsfs"
git -C "$source" ls-files -z | tar -C "$source" -c --null -T - | tar -x -C "$folder/uefivarsfs"
ln -s examples/packaging/debian "$folder/uefivarsfs/debian"
cd "$folder/uefivarsfs"
UEFIVARS_QEMU_SOURCE=$headers nice dpkg-buildpackage -b -us -uc ${headers:+-Ppkg.uefivarsfs.qemu} \
    >"$folder/log" 2>&1 || { tail -n 40 "$folder/log"; exit 1; }
