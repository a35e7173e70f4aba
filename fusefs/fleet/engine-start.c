/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How engines come to be. One that is wanted is made here first (so that it is counted under the
 * cap), then the guest's configuration is read, then the source is asked to start it; or it
 * outlived an earlier front, and the source found it.
 *
 * An engine for what is only looked at loads nothing that verifies signatures, and gets a socket
 * that no guest knows: when something is to be changed, or the guest itself comes, it ends; the
 * store is made (perhaps from a template) if there is none, and a new engine started.
 */

#include "engine-stopped.h"
#include "fleet-private.h"

#include "fd.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>

/* Another engine may be about to let go of the same file (a store that was renamed). */
#define START_TRIES 20
#define START_AGAIN_US (50 * 1000)

/* There is no engine after all. */
static void drop_engine(FsEngine *engine)
{
    FsGuest *guest = engine->guest;

    guest->live->engine = NULL;
    guest->live->state = 0;
    trace_engine_gone(guest);
    engine_free(engine);
    replica_cold(guest);
    guest_watch_listener(guest);
}

static void on_started(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    FsEngine *engine = data;
    FsFleet *fleet = engine->fleet;
    FsGuest *guest = engine->guest;

    if (!engine_answered(engine) || answer->error == -ECANCELED)
        return;
    if (answer->error == 0)
        engine_attach_process(engine, uv_fd_steal(&fds[1]), (pid_t)answer->number, true);
    if (!guest) { /* it went away meanwhile */
        engine_kill(engine);
        if (engine->pidfd < 0)
            engine_gone(engine);
        return;
    }
    if (answer->error == -EAGAIN && ++engine->start_tries < START_TRIES) {
        engine->start_at = g_get_monotonic_time() + START_AGAIN_US;
        fleet_due(fleet, engine->start_at);
        return;
    }
    if (answer->error < 0) {
        drop_engine(engine);
        guest_start_failed(guest, *answer->text ? answer->text : g_strerror(-answer->error));
        engines_make_room(fleet);
        return;
    }
    engine->has_listener = engine->wants_listener;
    engine_watch_later(engine);
    if (fds[0] >= 0)
        engine_connected(engine, uv_fd_steal(&fds[0]));
    else
        engine_connect(engine);
}

static void ask_start(FsEngine *engine)
{
    FsGuest *guest = engine->guest;
    FsQuestion question = fs_question(FS_ASK_START, guest->name);

    /* What another host does to a shared store its engine has to be able to follow. */
    const bool follows = fs_fleet_is_shared(guest->fleet) && fs_guest_has_store(guest);
    const bool looks = engine->why < FS_START_WRITE && !follows;

    engine->no_socket =
        !looks && guest->listener == FS_LISTENER_NONE && guest->fleet->no_more_sockets;
    engine->wants_listener = !looks && !engine->no_socket;
    question.start = engine->wish;
    question.start.looked_at = looks;
    question.start.light = looks && engine->why < FS_START_SHOW;
    question.start.traced = guest->live->trace != NULL;
    engine->uid = guest->look.uid;
    if (!engine->wants_listener)
        question.flags = FS_START_NO_LISTENER;
    else if (guest->listener > FS_LISTENER_QUIET)
        guest->listener = FS_LISTENER_QUIET; /* the engine has it from now on */
    engine->asked = true;
    fs_source_ask(guest->fleet->source, &question, NULL, 0, on_started, engine);
}

void engines_start_again(FsFleet *fleet, int64_t now)
{
    for (GList *link = fleet->engines.head; link; link = link->next) {
        FsEngine *engine = link->data;

        if (!engine->start_at || !engine->guest)
            continue;
        if (engine->start_at > now) {
            fleet_due(fleet, engine->start_at);
            continue;
        }
        engine->start_at = 0;
        ask_start(engine);
    }
}

static void on_known(FsGuest *guest, int error, void *data)
{
    FsEngine *engine = guest ? guest->live->engine : NULL;
    FsEngineWish wish = {0};
    g_autoptr(GError) failure = NULL;
    FsFleet *fleet;

    if (!engine || engine->io || engine->asked)
        return; /* it is gone with its guest */
    fleet = guest->fleet;
    if (error)
        g_set_error(&failure, G_FILE_ERROR, g_file_error_from_errno(error), "%s",
                    g_strerror(error));
    else if (!fleet->events.engine_starting ||
             fleet->events.engine_starting(guest, guest->live->why, &wish, fleet->events_data,
                                           &failure)) {
        engine->wish = wish;
        engine->why = guest->live->why;
        engine->config = guest->live->texts[FS_TEXT_CONFIG].identity;
        ask_start(engine);
        guest->live->why = FS_START_READ;
        return;
    }
    guest->live->preparing = g_error_matches(failure, G_IO_ERROR, G_IO_ERROR_PENDING);
    drop_engine(engine);
    if (!guest->live->preparing)
        guest_start_failed(guest, failure->message);
    engines_make_room(fleet);
}

void guest_start_engine(FsGuest *guest)
{
    FsEngine *engine = engine_new(guest);

    engine->child = true;
    guest_need_own(guest, FS_NEED_LOOK | FS_NEED_CONFIG | FS_NEED_PIN, on_known, NULL);
}

void fleet_adopt(FsFleet *fleet, const FsAnswer *tell, int fds[FS_QUESTION_FDS])
{
    FsGuest *guest = fleet_guest(fleet, tell->guest);

    if (!guest || fds[0] < 0 || (guest->live && guest->live->engine))
        return;
    FsEngine *engine = engine_new(guest);
    engine->has_listener = true;
    engine->uid = guest->look.uid;
    guest->away = true;
    guest->listener = FS_LISTENER_NONE;
    if (fds[1] >= 0)
        engine_attach_process(engine, uv_fd_steal(&fds[1]), (pid_t)tell->number, false);
    engine_connected(engine, uv_fd_steal(&fds[0]));
    g_message("guest %s: found its engine running", guest->name);
}
