#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: get-headers.sh DIR [VERSION]
#
# Puts what is needed of the source tree of QEMU's stable branch VERSION (default: that of the
# installed qemu-system-*) into DIR, and prints DIR's absolute path, so that
# `meson setup -Dqemu_source="$(qemu-glue/get-headers.sh DIR)"` works. That is headers, the QAPI schema
# and its generator; nothing of QEMU is built. A DIR that holds that branch already is left as it is.
# A mirror may have a source that none of its suites lists: with its full version (11.1.1+ds-1) it is found.
#
# apt fetches it with a configuration of its own below a temporary directory: the system's
# sources.list and package lists are not touched. Exit status 0 done, 77 it can't be had here
# (no QEMU, no apt, no network), 1 wrong usage.
set -eu

die() {
    echo "get-headers.sh: $2" >&2
    exit "$1"
}

[ $# -ge 1 ] && [ $# -le 2 ] || die 1 "usage: get-headers.sh DIR [VERSION, e.g. 10.0]"
dir=$1
branch=${2:-}
# Of the source that is asked for, or that the installed one was built from.
package=

case $branch in *-*) package=$branch ;; esac
if [ -z "$branch" ]; then
    package=$(dpkg-query -W -f '${source:Version}\n' qemu-system-x86 qemu-system-arm 2>/dev/null | head -1) || true
    for qemu in qemu-system-x86_64 qemu-system-aarch64; do
        command -v "$qemu" >/dev/null || continue
        branch=$("$qemu" --version | sed -n 's/^QEMU emulator version \([0-9]*\.[0-9]*\)\..*/\1/p')
        break
    done
    [ -n "$branch" ] || die 77 "no qemu-system-x86_64 or qemu-system-aarch64 here: name the version"
fi
package=${package#*:}
branch=$(echo "$branch" | sed 's/^\([0-9]*\.[0-9]*\)\..*/\1/')

if [ -f "$dir/VERSION" ]; then
    case $(cat "$dir/VERSION") in
        "$branch".*) realpath "$dir" && exit 0 ;;
        *) [ -f "$dir/.from-get-headers" ] ||
            die 1 "$dir holds QEMU $(cat "$dir/VERSION"), not $branch, and was not made by this script" ;;
    esac
fi
command -v apt-get >/dev/null || die 77 "apt-get is not here: unpack QEMU $branch's source into $dir"

mkdir -p "$(dirname "$dir")"
parent=$(realpath "$(dirname "$dir")")
work=$(mktemp -d "$parent/.get-headers.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 0755 "$work"
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/parts" "$work/out"

# The mirror that this system's packages come from.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
    "Codename: $codename" | head -1)}
# An unreleased Debian calls itself by the name of the next release, and its suite is sid.
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
    'Codename: sid' | head -1)
[ -n "$mirror" ] || die 77 "apt has no source for ${codename:-this system}: set DEBIAN_MIRROR"
key=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$key" ] || die 77 "$key is not here (package debian-archive-keyring)"
apt_options=(
    -o Dir::Etc::sourcelist="$work/sources.list"
    -o Dir::Etc::sourceparts="$work/parts"
    -o Dir::State::lists="$work/lists"
    -o Dir::Cache::archives="$work/archives"
    -o Dir::Cache::srcpkgcache="$work/srcpkgcache.bin"
    -o Dir::Cache::pkgcache="$work/pkgcache.bin"
    -o Acquire::Languages=none
    -o Acquire::Check-Valid-Until=false # of a mirror that stands still
    -o APT::Sandbox::User=root
    -o Acquire::Retries=2
)

# Sets `version` to the newest source version of the branch in suite $1, or fails.
find_in_suite() {
    echo "deb-src [signed-by=$key] $mirror $1 main" >"$work/sources.list"
    rm -f "$work"/*.bin
    apt-get "${apt_options[@]}" update >"$work/log" 2>&1 || return 1
    version=$(apt-cache "${apt_options[@]}" showsrc qemu 2>>"$work/log" |
        sed -n 's/^Version: //p' | grep -E "^([0-9]+:)?${branch//./\\.}[.+-]" | sort -V | tail -1)
    [ -n "$version" ]
}

found=
for suite in ${codename:+"$codename"} trixie trixie-backports ${codename:+"$codename-backports"} forky sid; do
    find_in_suite "$suite" || continue
    if (cd "$work/out" && apt-get "${apt_options[@]}" source --download-only "qemu=$version") \
        >"$work/log" 2>&1; then
        found=$suite
        break
    fi
done
# get URL FILE [HASH]: by apt's own means.
get() {
    /usr/lib/apt/apt-helper "${apt_options[@]}" download-file "$1" "$work/out/$2" ${3:+"$3"} >>"$work/log" 2>&1
}

# What vouches for a source that no suite lists is its maker: its .dsc is signed by a Debian developer, and has the
# tarball's hash. Sets `version`, or `why` there is none.
find_in_pool() {
    local pool=${mirror%/}/pool/main/q/qemu keyrings=() ring dsc name hash
    why="its pool has no $package"
    [ -n "$package" ] || return 1
    dsc=qemu_$package.dsc
    get "$pool/$dsc" "$dsc" || return 1
    why="gpgv and the package debian-keyring, which $dsc in its pool must be verified with, are not here"
    command -v gpgv >/dev/null || return 1
    for ring in /usr/share/keyrings/debian-{keyring,maintainers}.{gpg,pgp}; do
        [ ! -f "$ring" ] || keyrings+=(--keyring "$ring")
    done
    [ ${#keyrings[@]} -gt 0 ] || return 1
    why="the signature of $dsc in its pool is no Debian developer's"
    # What is read from here on is what was signed, and nothing around it.
    gpgv "${keyrings[@]}" --output "$work/signed" "$work/out/$dsc" 2>>"$work/log" || return 1
    why="$dsc in its pool names no tarball, or another one than is there"
    grep -qx 'Source: qemu' "$work/signed" || return 1
    read -r hash name < <(sed -n '/^Checksums-Sha256:/,/^[^ ]/s/^ \([0-9a-f]\{64\}\) [0-9]* \(qemu_[^/ ]*\.orig\.tar\.[a-z]*\)$/\1 \2/p' \
        "$work/signed") || return 1
    get "$pool/$name" "$name" "SHA256:$hash" || return 1
    version=$(sed -n 's/^Version: //p' "$work/signed")
}

why=
if [ -z "$found" ]; then
    find_in_pool || {
        tail -3 "$work/log" >&2
        die 77 "no suite of $mirror gave QEMU $branch's source, and $why. Name another version of that branch \
which it has ($0 $dir $branch.1+ds-1), or unpack a source tree that you trust, and give that: -Dqemu_source=TREE"
    }
    found="the pool"
fi

mkdir "$work/tree"
tarball=$(find "$work/out" -name 'qemu_*.orig.tar.*' ! -name '*.asc' | head -1)
tar -x -C "$work/tree" --strip-components=1 -f "$tarball" --wildcards --no-wildcards-match-slash \
    '*/VERSION' '*/COPYING' '*/module-common.c' '*/include' '*/linux-headers' '*/host/include' \
    '*/qapi' '*/scripts/qapi-gen.py' '*/scripts/qapi'
touch "$work/tree/.from-get-headers"
if [ -f "$dir/.from-get-headers" ]; then
    rm -rf "$dir"
elif [ -d "$dir" ]; then
    rmdir "$dir"
fi
mv "$work/tree" "$dir"
echo "get-headers.sh: QEMU $(cat "$dir/VERSION") (Debian $version, $found) is in $dir" >&2
realpath "$dir"
