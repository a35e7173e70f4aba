/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * rmdir guests/G, step by step: the replica (does it have non-volatile variables?), the engine (is
 * a guest there?), then the files. A guest that nobody ever wrote to needs no engine for this.
 */

#include "fleet-private.h"

#include "efi-abi.h"

#include <errno.h>

typedef struct {
    FsContinue go_on;
    void *data;
} Removal;

static void removal_done(Removal *removal, FsGuest *guest, int error)
{
    removal->go_on(guest, error, removal->data);
    g_free(removal);
}

static void remove_files(FsGuest *guest, Removal *removal)
{
    FsFleet *fleet = guest->fleet;
    int result = fs_local_remove(fleet->source, guest->rule, guest->name);

    if (result == 0)
        fleet_retire(guest);
    removal_done(removal, result == 0 ? NULL : guest, -result);
}

static void on_replica(FsGuest *guest, int error, void *data)
{
    Removal *removal = data;
    const FsEntry *entry;
    uint64_t after = 0;

    if (error) {
        removal_done(removal, guest, error);
        return;
    }
    while ((entry = fs_replica_next(fs_guest_replica(guest), after))) {
        after = entry->sequence;
        if (fs_entry_attributes(entry) & EFI_VARIABLE_NON_VOLATILE) {
            removal_done(removal, guest, ENOTEMPTY);
            return;
        }
    }
    if (fs_guest_state(guest) & (UV_HOST_STATE_GUEST | UV_HOST_STATE_CONNECTED)) {
        removal_done(removal, guest, EBUSY);
        return;
    }
    remove_files(guest, removal);
}

void fs_guest_remove(FsGuest *guest, void *request, FsContinue go_on, void *data)
{
    if (guest->fleet->options->read_only || guest->rule == FS_RULE_SOURCE) {
        go_on(guest, guest->rule == FS_RULE_SOURCE ? EPERM : EROFS, data);
        return;
    }
    Removal *removal = g_new0(Removal, 1);
    removal->go_on = go_on;
    removal->data = data;
    if (!guest_has_store(guest) && !(guest->live && guest->live->engine))
        remove_files(guest, removal);
    else
        fs_guest_need_replica(guest, request, on_replica, removal);
}
