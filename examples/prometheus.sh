#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Prints what a mount's guests ask of their engines, in Prometheus' text format, for node_exporter's
# textfile collector; needs jq:
#
#     prometheus.sh MOUNT [GUEST...] >/var/lib/prometheus/node-exporter/uefivarsfs.prom.new &&
#         mv /var/lib/prometheus/node-exporter/uefivarsfs.prom.new \
#             /var/lib/prometheus/node-exporter/uefivarsfs.prom
#
# Without GUESTs it is those whose machine is there: of the others nothing is counted, and to look
# would start an engine for each. Counters begin anew with each engine. The status is 1 if a guest
# could not be asked.
set -u

if [ $# -lt 1 ] || [ ! -d "$1/guests" ]; then
    echo "usage: ${0##*/} MOUNT [GUEST...]" >&2
    exit 2
fi
mount=$1
shift

# A session's file is beside the guest's socket, and empty when there is no session.
runs() { # GUEST
    socket=$(readlink "$mount/guests/$1/mm.sock") && [ -s "${socket%.sock}.session" ]
}

ask() { # GUEST
    jq -c --arg guest "$1" '{guest: $guest} + .' "$mount/guests/$1/status.json"
}

print() {
    jq -r -n '
        [inputs | values] as $guests
        | def replace(what; with): split(what) | join(with);
          def quoted: replace("\\"; "\\\\") | replace("\""; "\\\"") | replace("\n"; "\\n");
          def sample(name; labels; value):
            name + "{" + ([labels | to_entries[] | "\(.key)=\"\(.value | quoted)\""] | join(","))
                + "} \(value)";
          def metric(name; type; help; samples):
            "# HELP \(name) \(help)", "# TYPE \(name) \(type)", samples;
          def each(name; type; help; value):
            metric(name; type; help; $guests[]
                | . as $status | value | values | sample(name; {guest: $status.guest}; .));
          def number: if . == true then 1 elif . == false then 0 else . end;
          metric("uefivars_requests_total"; "counter"; "Requests of the guest to its engine.";
              $guests[] | .guest as $guest | (.requests.functions // {}) | to_entries[]
              | sample("uefivars_requests_total"; {guest: $guest, function: .key}; .value)),
          each("uefivars_refusals_total"; "counter";
              "Changes that were refused, of the guest and the host."; .requests.refusals),
          metric("uefivars_bytes_total"; "counter"; "Bytes of requests and of their answers.";
              $guests[] | .guest as $guest | .requests | values
              | sample("uefivars_bytes_total"; {guest: $guest, direction: "in"}; .["bytes-in"]),
                sample("uefivars_bytes_total"; {guest: $guest, direction: "out"}; .["bytes-out"])),
          each("uefivars_seconds_total"; "counter"; "Time spent on requests.";
              .requests["time-us"] | values / 1e6),
          each("uefivars_longest_seconds"; "gauge"; "The longest time spent on one request.";
              .requests["longest-us"] | values / 1e6),
          each("uefivars_start_time_seconds"; "gauge"; "When the engine started.";
              .requests["since-us"] | values / 1e6),
          each("uefivars_storage_bytes"; "gauge"; "Size of the variable storage.";
              .storage["total-bytes"]),
          each("uefivars_storage_used_bytes"; "gauge"; "What of the storage is used.";
              .storage["used-bytes"]),
          each("uefivars_connected"; "gauge"; "Whether the machine is connected.";
              .session.connected // false | number),
          each("uefivars_secure_boot"; "gauge"; "Whether Secure Boot is on.";
              .["secure-boot"]["secure-boot"] | values | number),
          each("uefivars_warnings"; "gauge"; "Warnings in status.json."; .warnings // [] | length)'
}

if [ $# -eq 0 ]; then
    for path in "$mount"/guests/*/; do
        path=${path%/}
        [ ! -d "$path" ] || ! runs "${path##*/}" || set -- "$@" "${path##*/}"
    done
fi
asked=$(for guest; do ask "$guest" || echo null; done)
printf '%s\n' "$asked" | print || exit 1
! printf '%s\n' "$asked" | grep -qx null
