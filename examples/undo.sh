#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes a guest's variables what they were at a time, by plain writes of what its record kept, and
# says what it could not; needs jq:
#
#     undo.sh GUEST TIME
#
# GUEST is its folder (/mnt/guests/web1), TIME what date(1) takes ("10 minutes ago"). The record has
# values of up to 1 KiB; what it has no more, and keys that only their owners' signatures change,
# stay as they are. The writes are changes like any other, and on record: undo them the same way.
# The status is 1 if something was not put back.
# shellcheck disable=SC2059 # what printf gets is octal numbers alone
set -u

if [ $# -ne 2 ] || [ ! -f "$1/changes" ] || ! since=$(date -u -d "$2" +%Y-%m-%dT%H:%M:%S.%6NZ); then
    echo "usage: ${0##*/} GUEST TIME" >&2
    exit 2
fi
guest=$1
kept=$(mktemp) || exit 1
trap 'rm -f "$kept"' EXIT

# Of each variable that has changed since, the last one first: its name as JSON has it and as printf
# takes it, for a guest may have put anything into it; the attributes it had (-: it was not
# there); its content for printf (-: the record does not have it). Volatile variables went with
# their boot.
wanted() {
    jq -r -n --arg since "$since" '
        def bytes: ascii_downcase | explode | map(if . > 57 then . - 87 else . - 48 end)
            | [range(0; length; 2) as $i | .[$i] * 16 + .[$i + 1]];
        def utf8: [explode[]
            | if . < 128 then . elif . < 2048 then 192 + ./64, 128 + . % 64
              elif . < 65536 then 224 + ./4096, 128 + ./64 % 64, 128 + . % 64
              else 240 + ./262144, 128 + ./4096 % 64, 128 + ./64 % 64, 128 + . % 64 end | floor];
        def number: [., ./256, ./65536, ./16777216] | map(floor % 256);
        def octal: map("\\" + ([./64, ./8 % 8, . % 8] | map(floor | tostring) | add)) | add;
        [inputs | select(.time >= $since and .status == 0 and .variable)]
        | group_by(.variable) | map(.[0]) | sort_by(.time) | reverse[]
        | (.["attributes-before"] // .attributes) as $attributes
        | select($attributes % 2 == 1)
        | (.variable | tojson[1:-1]), (.variable | utf8 | octal),
          (.["attributes-before"] // "-" | tostring),
          (if .["attributes-before"] and .old then ($attributes | number) + (.old | bytes) | octal
           else "-" end)' "$guest/changes"
}

why() {
    jq -r --arg file "vars/$variable" '.["last-refusal"] // {} | select(.file == $file) | .text' \
        "$guest/status.json" 2>/dev/null
}

failed() { # [REASON]
    reason=${1:-$(why)}
    say "not put back: ${reason:-the write failed}"
    return 1
}

say() {
    printf '%s: %s\n' "$shown" "$1"
}

attributes_of() { # FILE
    od -A n -t u4 -N 4 "$1" | tr -d ' '
}

# Another value of the same attributes, or one of others in its place: if that is refused, what was
# there comes back.
put() {
    if [ ! -e "$file" ] || [ "$(attributes_of "$file")" = "$attributes" ]; then
        printf "$content" 2>/dev/null >"$file"
        return
    fi
    cat "$file" >"$kept" && rm -f "$file" || return
    printf "$content" 2>/dev/null >"$file" && return
    reason=$(why)
    cat "$kept" >"$file"
    return 1
}

undo() {
    file=$guest/vars/$variable reason=
    if [ "$attributes" = - ]; then
        [ -e "$file" ] || return 0
        rm -f "$file" 2>/dev/null || failed || return
        say removed
    elif [ "$content" = - ]; then
        failed "the record does not have its value"
    elif ! printf "$content" | cmp -s - "$file"; then
        put 2>/dev/null || failed "$reason" || return
        say "put back"
    fi
}

missing=$(jq -n --arg since "$since" '
    [inputs | select(.time >= $since) | .["not-recorded"] // 0] | add // 0' "$guest/changes") || exit 1
[ "$missing" -eq 0 ] || echo "$missing changes or refusals since then are not on record" >&2
oldest=$(head -n 1 "$guest/changes" | jq -r .time)
if [ -n "$oldest" ] && [ "$(printf '%s\n' "$oldest" "$since" | sort | head -n 1)" = "$since" ]; then
    echo "the record begins at $oldest" >&2
fi

status=0
list=$(wanted) || exit 1
while IFS= read -r shown && IFS= read -r name && IFS= read -r attributes && IFS= read -r content; do
    variable=$(printf "$name")
    undo || status=1
done <<END
$list
END
exit $status
