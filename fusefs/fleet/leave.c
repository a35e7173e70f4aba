/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * rmdir guests/G, step by step: the replica (does it have non-volatile variables?), the engine (is
 * a guest there?), then the files. A guest that was never written to needs no engine for this.
 */

#include "fleet-private.h"

#include "efi-abi.h"

#include <errno.h>

typedef struct {
    FsContinue go_on;
    void *data, *request;
} Removal;

static void removal_done(Removal *removal, FsGuest *guest, int error)
{
    removal->go_on(guest, error, removal->data);
    g_free(removal);
}

static void on_removed(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    if (answer->error == 0)
        fleet_retire(guest);
    removal_done(data, guest->gone ? NULL : guest, -answer->error);
}

static void on_here(FsGuest *guest, int error, void *data)
{
    Removal *removal = data;
    FsQuestion question;

    if (error) {
        removal_done(removal, guest, error);
        return;
    }
    question = fs_question(FS_ASK_REMOVE, guest->name);
    guest_ask(guest, &question, NULL, 0, on_removed, removal);
}

static void remove_files(FsGuest *guest, Removal *removal)
{
    guest_need_here(guest, on_here, removal);
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
        if (entry->attributes & EFI_VARIABLE_NON_VOLATILE) {
            fs_guest_refused(guest, "it has variables that are kept");
            removal_done(removal, guest, ENOTEMPTY);
            return;
        }
    }
    if (fs_guest_state(guest) & (UV_HOST_STATE_GUEST | UV_HOST_STATE_CONNECTED)) {
        fs_guest_refused(guest, guest_is_connected);
        removal_done(removal, guest, EBUSY);
        return;
    }
    remove_files(guest, removal);
}

static void on_look(FsGuest *guest, int error, void *data)
{
    Removal *removal = data;

    if (error) {
        removal_done(removal, guest, error);
    } else if (fs_guest_has_store(guest) && fs_guest_look(guest)->format == FS_FORMAT_UBOOT) {
        fs_guest_refused(guest, FS_STORE_IS_UBOOTS);
        removal_done(removal, guest, EROFS);
    } else if (!fs_guest_has_store(guest) && !(guest->live && guest->live->engine)) {
        remove_files(guest, removal);
    } else {
        fs_guest_need_replica(guest, removal->request, on_replica, removal);
    }
}

void fs_guest_remove(FsGuest *guest, void *request, FsContinue go_on, void *data)
{
    bool is_store = guest->fleet->source->facts.is_store;
    Removal *removal;

    if (guest->fleet->options->read_only || is_store) {
        go_on(guest, is_store ? EPERM : EROFS, data);
        return;
    }
    removal = g_new0(Removal, 1);
    removal->go_on = go_on;
    removal->data = data;
    removal->request = request;
    fs_guest_need(guest, FS_NEED_LOOK, request, on_look, removal);
}
