/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Asking engines of views. An answer is kept (views.c) only if nothing changed between the question
 * and its delivery.
 */

#include "views.h"

#include "efi-errno.h"
#include "fleet-private.h"
#include "uv-limits.h"

#include <errno.h>
#include <string.h>

static const char *const names[FS_VIEWS] = {"boot", "secure-boot", "next-boot"};

const char *fs_view_name(FsViewKind view)
{
    return names[view];
}

typedef struct {
    FsViewKind view;
    void *request;
    uint32_t generation;
    bool recalled; /* what is kept beside the store was read */
    FsReply go_on;
    void *data;
    char path[]; /* "": the list */
} Asking;

/* Device paths are in boot/ alone. */
static FsStart start_for(const FsGuest *guest, FsViewKind view)
{
    return view == FS_VIEW_BOOT && guest->fleet->options->light ? FS_START_SHOW : FS_START_READ;
}

static void end(Asking *asking, FsGuest *guest, int error, GBytes *reply)
{
    asking->go_on(guest, error, reply, asking->data);
    g_free(asking);
}

static void took_list(Asking *asking, FsGuest *guest, GBytes *list)
{
    if (!fs_view_list_check(list)) {
        fs_guest_log(guest, "its engine listed a view that can't be");
        end(asking, guest, EIO, NULL);
        return;
    }
    guest->live->view_mtime_ns[asking->view] = guest_views_newest_ns(guest, asking->view);
    if (asking->generation == guest->live->views_generation)
        guest_views_keep_list(guest, asking->view, list);
    end(asking, guest, 0, list);
}

/* An outcome, with the text in place of a reason. */
#define OUTCOME_BYTES 12

static void took_text(Asking *asking, FsGuest *guest, GBytes *reply)
{
    g_autofree char *reason = NULL;
    const int error = fs_outcome_parse(reply, &reason);

    if (error) {
        end(asking, guest, error, NULL);
        return;
    }
    g_autoptr(GBytes) text =
        g_bytes_new_from_bytes(reply, OUTCOME_BYTES, g_bytes_get_size(reply) - OUTCOME_BYTES);
    if (asking->generation == guest->live->views_generation)
        guest_views_keep_text(guest, asking->view, asking->path, text);
    end(asking, guest, 0, text);
}

static void answered(FsGuest *guest, int error, GBytes *reply, void *data)
{
    Asking *asking = data;

    if (!guest || error)
        end(asking, guest, error, NULL);
    else if (!*asking->path)
        took_list(asking, guest, reply);
    else
        took_text(asking, guest, reply);
}

static void ask(FsGuest *guest, int error, void *data)
{
    Asking *asking = data;

    if (!guest || error) {
        end(asking, guest, error, NULL);
        return;
    }
    g_auto(UvWriter) writer = uv_writer(UV_HOST_REQUEST_MAX);
    host_write_text(&writer, names[asking->view], UINT16_MAX);
    if (*asking->path)
        host_write_text(&writer, asking->path, UINT16_MAX);
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    if (!payload) {
        end(asking, guest, ENAMETOOLONG, NULL);
        return;
    }
    asking->generation = guest->live->views_generation;
    if (start_for(guest, asking->view) == FS_START_SHOW)
        engines_walk_shows(guest);
    fs_guest_call(guest, asking->request, start_for(guest, asking->view),
                  *asking->path ? UV_HOST_VIEW_READ : UV_HOST_VIEW_LIST, payload, answered, asking);
}

static void ignore(FsGuest *guest, int error, GBytes *reply, void *data)
{
}

/* Whether what is asked for has been asked for already because it was expected to be, and is of
 * what the view is now: that answer is then this one's. Takes `asking` in that case. */
static bool join_expected(FsGuest *guest, Asking *asking)
{
    const FsLive *live = guest->live;

    for (GList *link = live ? live->calls.head : NULL; link; link = link->next) {
        FsCall *call = link->data;
        Asking *expected = call->data;

        if (call->type != UV_HOST_VIEW_READ || call->request || expected->go_on != ignore ||
            expected->generation != live->views_generation || expected->view != asking->view ||
            strcmp(expected->path, asking->path) != 0)
            continue;
        expected->go_on = asking->go_on;
        expected->data = asking->data;
        call->request = asking->request;
        g_free(asking);
        return true;
    }
    return false;
}

static void looked(FsGuest *guest, int error, void *data)
{
    Asking *asking = data;
    g_autoptr(GBytes) reply =
        guest && !error ? guest_views_kept(guest, asking->view, asking->path) : NULL;
    const bool engine = guest && guest->live && guest->live->engine && !guest_engine_ends(guest);
    const bool recalls = !asking->recalled && guest && !engine;

    if (reply || !guest || error) {
        end(asking, guest, error, reply);
    } else if (recalls) {
        asking->recalled = true;
        fs_guest_need(guest, FS_NEED_HINT, asking->request, looked, asking);
    } else if (!join_expected(guest, asking)) {
        FsLive *wants = guest_live(guest);
        wants->why = MAX(wants->why, start_for(guest, asking->view));
        /* An engine that is there looks at the store again, if that has changed. */
        fs_guest_need(guest, FS_NEED_REPLICA, asking->request, ask, asking);
    }
}

void fs_guest_view_read(FsGuest *guest, void *request, FsViewKind view, const char *path,
                        FsReply go_on, void *data)
{
    const size_t path_bytes = strlen(path) + 1;
    Asking *asking = g_malloc(sizeof(*asking) + path_bytes);

    *asking = (Asking){.view = view, .request = request, .go_on = go_on, .data = data};
    memcpy(asking->path, path, path_bytes);
    fs_guest_need(guest, FS_NEED_FRESH_LOOK, request, looked, asking);
}

void fs_guest_view_expect(FsGuest *guest, FsViewKind view, const char *path)
{
    if (guest->live && guest->live->engine && guest_views_miss(guest, view, path))
        fs_guest_view_read(guest, NULL, view, path, ignore, NULL);
}

/* Changing */

void fs_guest_view_act(FsGuest *guest, void *request, FsViewKind view, FsViewAct act,
                       const char *path, GBytes *content, FsContinue go_on, void *data)
{
    gsize size = 0;
    const void *bytes = content ? g_bytes_get_data(content, &size) : NULL;

    if (view == FS_VIEW_NEXT_BOOT)
        guest_unkeep(guest);
    g_auto(UvWriter) writer = uv_writer(UV_VIEW_FRAME_MAX);
    uv_write_u32(&writer, act);
    host_write_text(&writer, names[view], UINT16_MAX);
    host_write_text(&writer, path, UINT16_MAX);
    if (size > 0)
        uv_write_bytes(&writer, bytes, size);
    call_submit_outcome(guest, request, UV_HOST_VIEW_ACT, &writer, true, go_on, data);
}
