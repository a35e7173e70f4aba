/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * SOURCE on storage that other hosts have, too: which of them a guest is on. The lock file beside
 * its store says so (claim.h), and is read anew each time: nothing tells of another host's doing.
 */

#include "fleet-private.h"

#include "claim.h"
#include "fd.h"

#include <errno.h>

#define UNKNOWN "a host that can't be told"

typedef struct {
    FsHolderTold told;
    void *data;
} Asking;

bool fs_fleet_is_shared(const FsFleet *fleet)
{
    return fleet->options->host != NULL;
}

/* Allocated; NULL: no host. */
static char *read_holder(const UvHost *host, int fd, bool *ret_elsewhere)
{
    UvClaimKind kind;
    UvClaim claim;
    const int result = uv_claim_read(fd, host, &kind, &claim);

    *ret_elsewhere = result < 0 || kind == UV_CLAIM_ANOTHER || kind == UV_CLAIM_BROKEN;
    if (result < 0 || kind == UV_CLAIM_BROKEN)
        return g_strdup(UNKNOWN);
    return kind == UV_CLAIM_NONE ? NULL : uv_claim_describe(&claim);
}

static void on_lock_file(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS],
                         void *data)
{
    g_autofree Asking *asking = data;
    g_autofree char *holder = NULL;
    bool elsewhere = false;

    if (fds[0] >= 0)
        holder = read_holder(guest->fleet->options->host, fds[0], &elsewhere);
    asking->told(guest->gone ? NULL : guest, holder, elsewhere, asking->data);
}

void fs_guest_ask_holder(FsGuest *guest, FsHolderTold told, void *data)
{
    FsQuestion question = fs_question(FS_ASK_READ, guest->name);
    Asking *asking = g_new(Asking, 1);

    *asking = (Asking){told, data};
    question.text = FS_TEXT_LOCK;
    guest_ask(guest, &question, NULL, 0, on_lock_file, asking);
}

typedef struct {
    FsContinue go_on;
    void *data;
} Needing;

static void on_holder(FsGuest *guest, const char *holder, bool elsewhere, void *data)
{
    g_autofree Needing *needing = data;
    g_autofree char *reason = g_strdup_printf("held by %s", holder);

    if (guest && elsewhere)
        fs_guest_refused(guest, reason);
    needing->go_on(guest, !guest ? ENOENT : elsewhere ? EROFS : 0, needing->data);
}

void guest_need_here(FsGuest *guest, FsContinue go_on, void *data)
{
    Needing *needing;

    if (!fs_fleet_is_shared(guest->fleet)) {
        go_on(guest, 0, data);
        return;
    }
    needing = g_new(Needing, 1);
    *needing = (Needing){go_on, data};
    fs_guest_ask_holder(guest, on_holder, needing);
}

void fs_guest_break_hold(FsGuest *guest, void *request, FsContinue go_on, void *data)
{
    g_auto(UvWriter) writer = uv_writer(UV_HOST_REQUEST_MAX);

    call_submit_outcome(guest, request, UV_HOST_BREAK, &writer, false, go_on, data);
}
