# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Debian packages that building, the quickstart and the tests need, and install_missing, which brings
# what is not there. To be sourced.

packages_build=(
    gcc
    libefivar-dev
    libfuse3-dev
    libglib2.0-dev
    libgnutls28-dev
    libjson-glib-dev
    libseccomp-dev
    meson
    ninja-build
    pkg-config
)

# What the mount itself needs at run time, and a real store to look at.
packages_quickstart=(
    efivar
    fuse3
    ovmf
    python3-virt-firmware
)

packages_tests=(
    acl
    attr
    busybox-static
    clang
    clang-format
    cpio
    dbus-daemon
    dosfstools
    e2fsprogs
    ed
    efibootmgr
    efitools
    efivar
    fdisk
    fuse3
    git
    jq
    libclang-rt-dev
    libvirt-clients
    libvirt-daemon
    libvirt-daemon-driver-qemu
    libvirt-dev
    libxml2-utils
    lld
    llvm
    mokutil
    mtools
    openssl
    ovmf
    python3
    qemu-efi-aarch64
    rsync
    sbsigntool
    strace
    systemd
    tshark
    util-linux
    vim
    xz-utils
)

# For test-domains.sh, where this system's libvirt is new enough for it.
packages_domains=(
    debhelper
    debian-keyring
    dpkg-dev
    gpgv
    libvirt-daemon-driver-qemu
    libvirt-daemon-log
    libvirt-daemon-system
)

# From backports on bookworm, where the release's own are too old or missing.
packages_backports=(
    python3-virt-firmware
    qemu-system-arm
    qemu-system-x86
    qemu-utils
)

release_codename()
{
    (. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
}

# The real name of a package here: some have the compiler's version in it.
package_here()
{
    case $1 in
    # Of the compiler that is called clang here.
    libclang-rt-dev) apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev/p' ;;
    *) echo "$1" ;;
    esac
}

# Whether the libvirt that packages of this system have knows <varstore>.
has_varstore()
{
    local version
    version=$(apt-cache policy libvirt-daemon | sed -n 's/^  Candidate: //p')
    [[ ${version%%.*} =~ ^[0-9]+$ ]] && [ "${version%%.*}" -ge 12 ]
}

is_installed()
{
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The address that this system's packages of release CODENAME come from; empty if apt has none.
apt_mirror()
{
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $1" | head -n 1)
    # An unreleased Debian calls itself by the name of the next release, and its suite is sid.
    [ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        'Codename: sid' | head -n 1)
    echo "$mirror"
}

# A folder of apt source lists: the system's own, and its mirror's backports. The system's stay as they are.
sources_with_backports()
{
    local folder=$1 codename=$2 mirror
    cp /etc/apt/sources.list.d/* "$folder"/ 2>/dev/null || true
    [ -e /etc/apt/sources.list ] && cp /etc/apt/sources.list "$folder"/system.list
    mirror=$(apt_mirror "$codename")
    [ -n "$mirror" ] || return 1
    grep -rqs -- "$codename-backports" "$folder" ||
        echo "deb $mirror $codename-backports main" >"$folder/backports.list"
}

# Shows the lines of standard input as one that changes; without a terminal one of them every 20 seconds.
progress()
{
    local line told=$SECONDS
    while IFS= read -r line; do
        if [ -t 2 ]; then
            printf '\r\033[K   %.76s' "$line" >&2
        elif [ $((SECONDS - told)) -ge 20 ]; then
            printf '   %.76s\n' "${line##*$'\r'}" >&2
            told=$SECONDS
        fi
    done
    [ ! -t 2 ] || printf '\r\033[K' >&2
}

# apt_get WORD...: as apt-get, with progress, and with all that it said if it fails.
apt_get()
{
    local log
    log=$(mktemp)
    if ! apt-get -q "$@" </dev/null 2>&1 | tee "$log" | progress; then
        cat "$log" >&2
        rm "$log"
        return 1
    fi
    rm "$log"
}

# install_missing PACKAGE...: says what it installs, and does with apt; or as an ordinary user says what to
# install and fails. Wants `set -o pipefail`.
install_missing()
{
    local package missing=() from_backports=() codename folder
    codename=$(release_codename)
    for package in "$@"; do
        package=$(package_here "$package")
        [ -n "$package" ] || continue
        is_installed "$package" && continue
        if [ "$codename" = bookworm ] && [[ " ${packages_backports[*]} " == *" $package "* ]]; then
            from_backports+=("$package")
        else
            missing+=("$package")
        fi
    done
    [ ${#missing[@]} -eq 0 ] && [ ${#from_backports[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "These packages are missing; install them as root and try again:" >&2
        [ ${#missing[@]} -eq 0 ] || echo "  apt-get install ${missing[*]}" >&2
        [ ${#from_backports[@]} -eq 0 ] ||
            echo "  apt-get install -t $codename-backports ${from_backports[*]}" >&2
        return 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    if [ ${#missing[@]} -gt 0 ]; then
        echo "installing: ${missing[*]}" >&2
        apt_get update
        apt_get install -y --no-install-recommends "${missing[@]}"
    fi
    if [ ${#from_backports[@]} -gt 0 ]; then
        echo "installing from $codename-backports: ${from_backports[*]}" >&2
        folder=$(mktemp -d)
        sources_with_backports "$folder" "$codename"
        set -- -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$folder"
        apt_get "$@" update
        apt_get "$@" install -y --no-install-recommends -t "$codename-backports" "${from_backports[@]}"
        rm -r "$folder"
    fi
}
