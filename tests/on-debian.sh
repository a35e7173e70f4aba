#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# usage: tests/on-debian.sh [--keep DIR] [--plain] 12|13|sid [COMMAND...]
#
# Runs README.md's two commands as a newcomer on that Debian would: a minbase root from this system's
# own mirror, a clone of this checkout's HEAD in it (what is not committed is not in it), and nothing
# installed but by the commands themselves. With COMMAND that is run instead, in the clone.
#
#   --keep DIR   makes the root in DIR, or uses the one that is there, and leaves it
#   --plain      the first command as root alone, and of the second tests/run.sh --plain
#
# The root has processes and mounts of its own, and this system's network and devices.
# Exit status: that of the commands; 77 and a line that says why if it can't be done here, packages that the
# mirror does not give included; 2 wrong usage.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/packages.sh

# What a root with all packages, the build folders and the tests' scratch takes.
needed_gib=10
# What a mirror may take to give the root, and all packages.
fetch_minutes=15m

cannot()
{
    echo "on-debian.sh: not possible here: $1" >&2
    exit 77
}

usage()
{
    sed -n 's/^# \(usage: .*\)/\1/p' "$0" >&2
    exit 2
}

keep= plain=
while [[ ${1:-} == --* ]]; do
    case $1 in
    --keep) keep=${2:-} && shift ;;
    --plain) plain=--plain needed_gib=6 ;;
    *) usage ;;
    esac
    shift || usage
done
case ${1:-} in
12) suite=bookworm ;;
13) suite=trixie ;;
sid) suite=sid ;;
*) usage ;;
esac
shift

[ "$(id -u)" -eq 0 ] || cannot "only root makes such a root"
for tool in apt-get git mmdebstrap unshare; do
    command -v $tool >/dev/null || cannot "no $tool"
done
[ -c /dev/fuse ] || cannot "no /dev/fuse"
mirror=$(apt_mirror "$(release_codename)")
[ -n "$mirror" ] || cannot "apt has no source for $(release_codename)"
unshare --mount --pid --fork true 2>/dev/null || cannot "no new name spaces"

root=${keep:-$(mktemp -d "${TMPDIR:-/var/tmp}/uefivars-debian.XXXXXX")}
[ -n "$keep" ] || trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 143' TERM # when what it runs has ended, which is told as well: nobody writes to the root any more
mkdir -p "$root"
free_gib=$(($(df --output=avail -k "$root" | tail -n 1) / 1048576))
[ "$free_gib" -ge $needed_gib ] || cannot "$root has room for $free_gib GiB, not for $needed_gib"

begun=$SECONDS
# told WHAT: a line of progress with the seconds since the beginning.
told()
{
    echo "== Debian $suite, $((SECONDS - begun)) s: $1"
}

if [ ! -e "$root/etc/debian_version" ]; then
    told "a minbase root from $mirror"
    # The list of packages of an unreleased suite has an end, which a mirror that stands still is behind.
    timeout --foreground --kill-after=10 $fetch_minutes mmdebstrap --quiet --variant=minbase \
        --aptopt='Acquire::Check-Valid-Until "false"' "$suite" "$root" "$mirror" || cannot "mmdebstrap failed"
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/hosts "$root/etc/hosts"
rm -rf "$root/src/uefivarsfs"
git clone --quiet --no-hardlinks . "$root/src/uefivarsfs"

# inside COMMAND...: runs it in the root's clone, and ends whatever it left.
inside()
{
    tests/lib/in-root.sh "$root" UEFIVARS_REQUIRE_ALL="$UEFIVARS_REQUIRE_ALL" \
        UEFIVARS_QEMU_VERSION="${UEFIVARS_QEMU_VERSION:-}" bash -c 'cd /src/uefivarsfs && "$@"' inside "$@"
}

export UEFIVARS_REQUIRE_ALL=${UEFIVARS_REQUIRE_ALL:-}
if [ $# -gt 0 ]; then
    inside "$@"
    exit
fi
# fetch: brings all packages that the commands will install, and installs none: what a mirror does not give
# is no fault of theirs.
fetch()
{
    inside timeout --kill-after=10 $fetch_minutes bash -euc '
        . tests/packages.sh
        options=(-q -o Acquire::Retries=2 -o Acquire::http::Timeout=60 -o Acquire::https::Timeout=60)
        apt-get "${options[@]}" update --error-on=any
        names=()
        for package in "${packages_build[@]}" "${packages_quickstart[@]}" "${packages_tests[@]}" \
            "${packages_backports[@]}" $(! has_varstore || echo "${packages_domains[@]}"); do
            names+=($(package_here "$package"))
        done
        [ "$(release_codename)" != bookworm ] || exit 0 # some are of backports, which are added later
        apt-get "${options[@]}" install --download-only -y --no-install-recommends "${names[@]}"' \
        >"$root/fetch.log" 2>&1 </dev/null
}
told "packages"
fetch || { tail -n 5 "$root/fetch.log" >&2; cannot "the mirror does not give all packages"; }
status=0
told "examples/quickstart.sh"
inside examples/quickstart.sh || status=1
if [ -z "$plain" ]; then
    told "examples/quickstart.sh, as a user who came by su"
    inside bash -c 'id -u newcomer >/dev/null 2>&1 || useradd -m newcomer
        rm -rf ~newcomer/uefivarsfs
        cp -r . ~newcomer/uefivarsfs
        rm -rf ~newcomer/uefivarsfs/build
        chown -R newcomer: ~newcomer/uefivarsfs
        su - newcomer -c uefivarsfs/examples/quickstart.sh' || status=1
fi
told "tests/run.sh $plain"
inside tests/run.sh $plain || status=1
told "done, exit status $status"
exit $status
