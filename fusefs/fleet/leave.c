/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A guest leaves: rmdir guests/G, or mv guests/G guests/NAME, step by step. Before it is removed
 * the replica tells whether it has non-volatile variables, and the engine whether a guest is there;
 * one that was never written to needs no engine for this. Before it takes another name its engine
 * ends. Then the source does it.
 */

#include "fleet-private.h"

#include "efi-abi.h"
#include "uv-limits.h"

#include <errno.h>
#include <string.h>

typedef struct {
    FsQuestion question;
    FsContinue go_on;
    void *data, *request;
} Leaving;

static Leaving *leaving_new(const FsGuest *guest, FsAsk kind, void *request, FsContinue go_on,
                            void *data)
{
    Leaving *leaving = g_new(Leaving, 1);

    *leaving = (Leaving){fs_question(kind, guest->name), go_on, data, request};
    return leaving;
}

static void leaving_done(Leaving *leaving, FsGuest *guest, int error)
{
    leaving->go_on(guest, error, leaving->data);
    g_free(leaving);
}

static void on_left(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    if (answer->error == 0)
        fleet_retire(guest);
    leaving_done(data, guest->gone ? NULL : guest, -answer->error);
}

static void on_here(FsGuest *guest, int error, void *data)
{
    Leaving *leaving = data;

    if (error)
        leaving_done(leaving, guest, error);
    else
        guest_ask(guest, &leaving->question, NULL, 0, on_left, leaving);
}

static void refuse(Leaving *leaving, FsGuest *guest, int error, const char *reason)
{
    fs_guest_refused(guest, reason);
    leaving_done(leaving, guest, error);
}

/* Removing */

static bool has_kept_variables(const FsGuest *guest)
{
    const FsEntry *entry;

    for (uint64_t after = 0; (entry = fs_replica_next(fs_guest_replica(guest), after));) {
        after = entry->sequence;
        if (entry->attributes & EFI_VARIABLE_NON_VOLATILE)
            return true;
    }
    return false;
}

static void on_replica(FsGuest *guest, int error, void *data)
{
    if (error)
        leaving_done(data, guest, error);
    else if (has_kept_variables(guest))
        refuse(data, guest, ENOTEMPTY, "it has variables that are kept");
    else if (guest_connected(guest))
        refuse(data, guest, EBUSY, guest_is_connected);
    else
        guest_need_here(guest, on_here, data);
}

static void on_look(FsGuest *guest, int error, void *data)
{
    Leaving *leaving = data;

    if (error)
        leaving_done(leaving, guest, error);
    else if (fs_guest_has_store(guest) && fs_guest_look(guest)->format == FS_FORMAT_UBOOT)
        refuse(leaving, guest, EROFS, FS_STORE_IS_UBOOTS);
    else if (!fs_guest_has_store(guest) && !(guest->live && guest->live->engine))
        guest_need_here(guest, on_here, leaving);
    else
        fs_guest_need(guest, FS_NEED_REPLICA, leaving->request, on_replica, leaving);
}

void fs_guest_remove(FsGuest *guest, void *request, FsContinue go_on, void *data)
{
    bool is_store = guest->fleet->source->facts.is_store;

    if (guest->fleet->options->read_only || is_store)
        go_on(guest, is_store ? EPERM : EROFS, data);
    else
        fs_guest_need(guest, FS_NEED_LOOK, request, on_look,
                      leaving_new(guest, FS_ASK_REMOVE, request, go_on, data));
}

/* Renaming */

static void on_no_engine(FsGuest *guest, int error, void *data)
{
    if (error)
        leaving_done(data, guest, error);
    else
        guest_need_here(guest, on_here, data);
}

void fs_guest_rename(FsGuest *guest, const char *name, void *request, FsContinue go_on, void *data)
{
    Leaving *leaving;

    if (guest->fleet->options->read_only) {
        go_on(guest, EROFS, data);
        return;
    }
    if (strlen(name) > UV_GUEST_NAME_MAX) {
        go_on(guest, ENAMETOOLONG, data);
        return;
    }
    leaving = leaving_new(guest, FS_ASK_RENAME, request, go_on, data);
    g_strlcpy(leaving->question.to, name, sizeof(leaving->question.to));
    fs_guest_need(guest, FS_NEED_LOOK | FS_NEED_NO_ENGINE, request, on_no_engine, leaving);
}
