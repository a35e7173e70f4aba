#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Run by vm.sh in its machine, as root: the units and fstab lines of examples/, under systemd.
set -u
folder="/srv/my vms"
unit="uefivarsfs@$(systemd-escape --path "$folder").service"
mount="/run/uefivars/$(systemd-escape --path "$folder")"

check()
{
    local what=$1
    shift
    if "$@"; then echo "CHECK ok: $what"; else echo "CHECK FAILED: $what"; fi
}

# The guest whose log this is goes on.
goes_on()
{
    local before
    before=$(cat "$1" 2>/dev/null)
    for _ in {1..50}; do
        sleep 0.2
        [ "$(cat "$1" 2>/dev/null)" != "$before" ] && return 0
    done
    return 1
}

start_guest()
{
    systemd-run -q --unit="guest-$1" python3 /opt/tests/systemd/guest.py /opt/tests/lib "$2" "/var/log/$1"
    check "guest $1 is served" goes_on "/var/log/$1"
}

has_front() { ls "$mount/guests" >/dev/null && [ "$(systemctl show -P MainPID "$unit")" != 0 ]; }
engine_pid() { pgrep -f 'uefivarsd --spawned.*--name=vm 1'; }
# Of an engine that outlives the service systemd has nothing to tell.
quiet() { ! journalctl -b -o cat | grep -E 'left-over|remains running'; }
comes_back() { for _ in {1..50}; do sleep 0.2; has_front 2>/dev/null && return 0; done; return 1; }

check "start of $unit" systemctl start "$unit"
check "the mount is there" has_front
start_guest fs "$(readlink "$mount/guests/vm 1/mm.sock")"
engine=$(engine_pid)
check "restart" systemctl restart "$unit"
check "the mount is there after a restart" has_front
check "its engine is none of the service's" quiet
systemctl kill -s KILL --kill-whom=main "$unit"
check "a front that crashed is started again" comes_back
check "restart under a front that found its engine running" systemctl restart "$unit"
systemctl daemon-reexec
systemctl kill -s KILL --kill-whom=main "$unit"
check "the same after a reexec" comes_back
check "the engine is still the first" [ "$(engine_pid)" = "$engine" ]
check "stop of a busy mount" systemctl stop "$unit" <"$mount/guests"
check "the guest goes on without a front" goes_on /var/log/fs
systemctl start "$unit"
systemctl kill -s KILL "$unit"
check "all killed: the mount comes back" comes_back
check "all killed: the guest goes on" goes_on /var/log/fs

check "start of uefivarsd@vm1" systemctl start uefivarsd@vm1
start_guest stand /run/uefivarsd/vm1.sock
check "restart of uefivarsd@vm1" systemctl restart uefivarsd@vm1
check "the guest goes on" goes_on /var/log/stand
systemctl kill -s KILL --kill-whom=main uefivarsd@vm1
check "the guest goes on after a crash" goes_on /var/log/stand

check "start of uefivarsfs-libvirt@varstore" systemctl start uefivarsfs-libvirt@varstore
domain=/run/uefivars/varstore/guests/d
check "a domain's variables are listed" ls "$domain/vars"
start_guest domain "$(readlink $domain/mm.sock)"
check "restart of uefivarsfs-libvirt@varstore" systemctl restart uefivarsfs-libvirt@varstore
check "the domain goes on" goes_on /var/log/domain
check "the domain is shown" grep -q phase "$domain/status.json"

check "the line of fstab is mounted" mountpoint -q /srv/boot
check "an automount mounts" timeout 30 ls /srv/auto/guests
start_guest boot "$(readlink /srv/boot/guests/b/mm.sock)"
journalctl -b -o cat -t uefivarsd -t uefivarsfs | sed 's/^/journal: /'
echo "CHECK done"
systemctl poweroff
