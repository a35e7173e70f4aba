#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Rolls signed updates over the guests of a mount, running or off, and prints what each of them has
# before and after:
#
#     roll-out.sh UPDATES MOUNT [GUEST...]
#
# UPDATES is a folder of KEK*, DB* and DBX* files (.bin as Microsoft publishes them, or .auth). Each
# goes to each guest as if its own system had written it: what the guest's keys did not sign is
# refused and changes nothing, so of several KEK updates the guest takes the one for its PK. A
# second time changes nothing. The status is 1 if a guest refused updates of a kind and took none.
set -u

if [ $# -lt 2 ] || [ ! -d "$1" ] || [ ! -d "$2/guests" ]; then
    echo "usage: ${0##*/} UPDATES MOUNT [GUEST...]" >&2
    exit 2
fi
updates=$1 mount=$2
shift 2
[ $# -gt 0 ] || set -- $(ls "$mount/guests")

# What a variable has: names of certificates, or how many hashes.
has() { # GUEST VARIABLE
    if [ "$2" = dbx ]; then
        sed -n 's/^dbx-hashes: //p' "$mount/guests/$1/secure-boot/summary"
    else
        sed -n "s/^$2: \(.*\), valid until.*/\1/p" "$mount/guests/$1/secure-boot/summary" |
            sort -u | paste -s -d ',' | sed 's/,/, /g'
    fi
}

# Exit status: 0 if an update was taken or none is there.
roll() { # GUEST VARIABLE FILES...
    guest=$1 variable=$2 taken=0 tried=0
    shift 2
    for update; do
        [ -f "$update" ] || continue
        tried=$((tried + 1))
        if cat "$update" 2>/dev/null >"$mount/guests/$guest/secure-boot/$variable/append"; then
            taken=$((taken + 1))
        fi
    done
    [ $taken -gt 0 ] || [ $tried -eq 0 ]
}

row() {
    printf '%-20s %-4s %-60s %s\n' "$@"
}

status=0
row GUEST "" BEFORE AFTER
for guest; do
    for variable in KEK db dbx; do
        before=$(has "$guest" $variable)
        case $variable in
        KEK) roll "$guest" KEK "$updates"/KEK* ;;
        db) roll "$guest" db "$updates"/DB[!X]* ;;
        dbx) roll "$guest" dbx "$updates"/DBX* ;;
        esac || { status=1 && echo "$guest: no update of $variable is for it" >&2; }
        row "$guest" $variable "${before:--}" "$(has "$guest" $variable)"
    done
done
exit $status
