#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The test command: installs what is missing, builds, tests, and ends with "N passed, N failed, N skipped".
#
#   tests/run.sh          everything that is quick: the suites, again under ASAN and UBSAN, each fuzz
#                         target for ten seconds
#   tests/run.sh --long   the slow suites too (guest boots, thousands of kills)
#   tests/run.sh --plain  the suites once: not under ASAN and UBSAN, and no fuzzing
#   tests/run.sh --benchmark   prints the figures instead
#   tests/run.sh --coverage    prints which share of each folder's lines and branches the suites run, instead
#
#   --no-install        with any of these: works with what is there, installs nothing
#   --on-debian 12|13|sid   and at the end one more test: tests/on-debian.sh --plain, in UEFIVARS_MINUTES (20) at
#                       most; skipped where the machine, its mirror or the time does not allow it
#
# UEFIVARS_QEMU_VERSION: whose headers are taken, as get-headers.sh has it, where no suite lists this QEMU's.
# UEFIVARS_REQUIRE_ALL=1 (as in CI): warnings are errors, and a skipped test is a failed one.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/packages.sh

mode=quick install=yes debian=
usage()
{
    echo "usage: tests/run.sh [--long | --plain | --benchmark | --coverage] [--no-install]" \
        "[--on-debian 12|13|sid]" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
    --long | --plain | --benchmark | --coverage) mode=${1#--} ;;
    --no-install) install=no ;;
    --on-debian) debian=${2:-} && shift ;;
    *) usage ;;
    esac
    shift || usage
done
required=${UEFIVARS_REQUIRE_ALL:-}
# python3-virt-firmware belongs to the system's Python; another one first in PATH would not find it.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export LC_ALL=C.UTF-8

[ $install = no ] ||
    install_missing "${packages_build[@]}" "${packages_tests[@]}" "${packages_backports[@]}"
[ $install = no ] || ! has_varstore || install_missing "${packages_domains[@]}"

build=${UEFIVARS_BUILD_DIR:-build-tests}
passed=0 failed=0 skipped=0 failures=()

# configure FOLDER OPTION...: a build folder of its own for each flavour, used again the next time.
configure()
{
    local folder=$1
    shift
    echo "== build in $folder"
    if [ -f "$folder/build.ninja" ]; then
        meson configure "$folder" "$@"
    else
        meson setup "$folder" "$@" >"$folder.setup.log" 2>&1 ||
            { cat "$folder.setup.log"; return 1; }
    fi
    ninja -C "$folder" >"$folder.build.log" 2>&1 || { tail -n 60 "$folder.build.log"; return 1; }
    rm -f "$folder.setup.log" "$folder.build.log"
}

# run_suites FOLDER ARGUMENT...: runs meson test there and adds up what it says of each test.
run_suites()
{
    local folder=$1 line name result
    shift
    rm -f "$folder/meson-logs/testlog.json"
    meson test -C "$folder" --no-rebuild --print-errorlogs "$@" || true
    while IFS=$'\t' read -r name result; do
        case $result in
        OK | EXPECTEDFAIL) passed=$((passed + 1)) ;;
        SKIP)
            if [ -n "$required" ] && [[ $name != *-optional ]]; then
                failed=$((failed + 1)) failures+=("$folder: $name (skipped)")
            else
                skipped=$((skipped + 1))
            fi
            ;;
        *) failed=$((failed + 1)) failures+=("$folder: $name ($result)") ;;
        esac
    done < <(python3 - "$folder/meson-logs/testlog.json" <<'PYTHON'
import json, sys
try:
    for line in open(sys.argv[1]):
        test = json.loads(line)
        print(test["name"], test["result"], sep="\t")
except OSError:
    print("all", "no test log", sep="\t")
PYTHON
    )
}

werror=false
[ -z "$required" ] || werror=true

qemu_source=()
if tree=$(qemu-glue/get-headers.sh "$build-qemu" ${UEFIVARS_QEMU_VERSION:+"$UEFIVARS_QEMU_VERSION"}); then
    qemu_source=("-Dqemu_source=$tree")
elif [ -n "$required" ]; then
    failed=$((failed + 1)) failures+=("qemu-glue/get-headers.sh")
fi

# coverage: the suites in a build that counts, and the table of what they ran; below the bar is a failure.
# Programs also run as other users: the files with their counts are made before, for all to write.
coverage()
{
    local folder=$build-coverage program
    CC=clang configure "$folder" -Dcounting=true -Dwerror=$werror "${qemu_source[@]}"
    rm -rf "$folder/counts"
    (umask 0 && mkdir "$folder/counts")
    for program in "$folder"/{vars/uefivars{d,-qcow2},fusefs/uefivars{fs,-make},tests/engine/uefivarsd-selftest}; do
        (umask 0 && "$program" --version >/dev/null 2>&1) || true
    done
    # It loads its module before it finds no folder.
    (umask 0 && "$folder/vars/uefivarsd" --store=no/store --socket=no/socket 2>/dev/null) || true
    run_suites "$folder" --no-suite long --timeout-multiplier 3
    if tests/lib/coverage-table.py "$folder"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1)) failures+=("coverage")
    fi
}

# on_debian RELEASE: one more test, which says why where it can't be done. What is missing there, and what is not
# done in time, is skipped, also in CI: its packages come over the network.
on_debian()
{
    local status=0 minutes=${UEFIVARS_MINUTES:-20}
    echo "== Debian $1, $((SECONDS / 60)) minutes after the start"
    [ $install = no ] || install_missing mmdebstrap || true
    UEFIVARS_REQUIRE_ALL='' timeout --kill-after=60 "${minutes}m" tests/on-debian.sh --plain "$1" || status=$?
    case $status in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    124 | 137)
        echo "on-debian.sh: ended, as it was not done in $minutes minutes"
        skipped=$((skipped + 1))
        ;;
    *) failed=$((failed + 1)) failures+=("tests/on-debian.sh --plain $1") ;;
    esac
}

# sanitized: the suites under ASAN and UBSAN, and each fuzz target for ten seconds.
sanitized()
{
    configure "$build-asan" -Dwerror=$werror -Db_sanitize=address,undefined -Db_lundef=false
    run_suites "$build-asan" --no-suite long --no-suite qemu --no-suite source --timeout-multiplier 6

    CC=clang configure "$build-fuzz" -Dwerror=$werror -Dfuzzing=true -Db_sanitize=address,undefined -Db_lundef=false
    run_suites "$build-fuzz" --suite fuzz
}

if [ $mode = coverage ]; then
    coverage
else
    configure "$build" -Dwerror=$werror "${qemu_source[@]}"
    if [ $mode = benchmark ]; then
        meson test -C "$build" --no-rebuild --benchmark --verbose
        exit
    fi
    run_suites "$build" --no-suite long --timeout-multiplier 3
    [ $mode != long ] || run_suites "$build" --suite long --timeout-multiplier 3
    [ $mode = plain ] || sanitized
fi
[ -z "$debian" ] || on_debian "$debian"

for name in "${failures[@]}"; do
    echo "failed: $name"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
