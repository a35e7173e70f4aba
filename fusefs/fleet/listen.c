/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Guests' sockets, which the monitor has: when they are made, when a connection is told of, and
 * what a guest is told that connects to one that can't have an engine. They are made in the
 * background, and at once when a guest is looked at.
 *
 * A refusal takes one connection at a time; after some the socket is left alone for a while, longer
 * each time, so that who connects again and again costs no more than that.
 */

#include "fleet-private.h"

#include "fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Sockets that are asked for at the same time in the background: of few guests, and of many, where
 * a guest that is looked at comes first. */
#define FEW_GUESTS 64
#define FEW_AT_A_TIME 8
#define MANY_AT_A_TIME 1
/* Connections refused before there is a pause, and how long that may become. */
#define REFUSALS_MAX 16
#define PAUSE_US (100 * 1000)
#define PAUSE_MAX_US (2 * G_USEC_PER_SEC)
#define REASON_MAX 1024

static void on_listening(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS],
                         void *data)
{
    FsFleet *fleet = guest->fleet;

    guest->listener = answer->error == 0 ? FS_LISTENER_WATCHED : FS_LISTENER_NONE;
    if (answer->error == -EMFILE || answer->error == -ENFILE)
        fleet->no_more_sockets = true;
    else if (answer->error < 0 && answer->error != -EAGAIN && answer->error != -ENOENT &&
             answer->error != -ECANCELED)
        fs_guest_log(guest, "no socket: %s",
                     *answer->text ? answer->text : g_strerror(-answer->error));
    if (!guest->gone)
        guest_pump(guest);
}

void guest_listen(FsGuest *guest)
{
    FsQuestion question = fs_question(FS_ASK_LISTEN, guest->name);

    if (guest->listener != FS_LISTENER_NONE || guest->away || guest->fleet->lost)
        return;
    guest->listener = FS_LISTENER_ASKED;
    guest_ask(guest, &question, NULL, 0, on_listening, NULL);
}

static void on_listening_in_background(FsGuest *guest, const FsAnswer *answer,
                                       int fds[FS_QUESTION_FDS], void *data)
{
    FsFleet *fleet = guest->fleet;

    fleet->background_asked--;
    on_listening(guest, answer, fds, data);
    if (answer->error != -ECANCELED)
        listen_in_background(fleet);
}

void listen_in_background(FsFleet *fleet)
{
    bool few = fleet->guests->len <= FEW_GUESTS;

    if (!fleet->started || !fleet->listed || fleet->stopping || fleet->lost ||
        fleet->guests->len > FS_LISTEN_AHEAD_MAX || (!few && fleet->looking > 0))
        return;
    while (fleet->background_asked < (few ? FEW_AT_A_TIME : MANY_AT_A_TIME) &&
           !fleet->no_more_sockets && fleet->background_at < fleet->guests->len) {
        FsGuest *guest = fleet->guests->pdata[fleet->background_at++];
        FsQuestion question = fs_question(FS_ASK_LISTEN, guest->name);

        if (guest->listener != FS_LISTENER_NONE || guest->away)
            continue;
        guest->listener = FS_LISTENER_ASKED;
        fleet->background_asked++;
        guest_ask(guest, &question, NULL, 0, on_listening_in_background, NULL);
    }
}

void guest_watch_quiet_listener(FsGuest *guest)
{
    FsQuestion question = fs_question(FS_ASK_WATCH, guest->name);

    if (guest->listener != FS_LISTENER_QUIET)
        return;
    guest->listener = FS_LISTENER_WATCHED;
    fs_source_ask(guest->fleet->source, &question, NULL, 0, NULL, NULL);
}

void guest_watch_listener(FsGuest *guest)
{
    const FsEngine *engine = guest->live ? guest->live->engine : NULL;

    if (guest->gone || guest->fleet->stopping || guest->fleet->lost ||
        (engine && (engine->has_listener || engine->wants_listener)))
        return;
    if (guest->listener == FS_LISTENER_NONE)
        guest_listen(guest);
    else
        guest_watch_quiet_listener(guest);
}

void guest_knocked(FsGuest *guest)
{
    if (guest->listener == FS_LISTENER_WATCHED)
        guest->listener = FS_LISTENER_QUIET;
    if (guest->fleet->stopping || (guest->live && guest->live->refusing))
        return;
    engine_want(guest, FS_START_GUEST);
}

void guest_take_listener(FsGuest *guest, int fd)
{
    FsQuestion question = fs_question(FS_ASK_LISTENER, guest->name);

    guest->away = false;
    guest->listener = FS_LISTENER_QUIET; /* its engine serves it */
    fs_source_ask(guest->fleet->source, &question, &fd, 1, NULL, NULL);
}

/* Refusals */

static void send_refusal(int fd, const char *text)
{
    size_t size = MIN(strlen(text), REASON_MAX);
    g_auto(UvWriter) writer = uv_writer(2 * REASON_MAX);

    uv_write_u32(&writer, (uint32_t)(4 + size));
    uv_write_u16(&writer, UV_WIRE_REPLY | UV_WIRE_ERROR);
    uv_write_u16(&writer, 0);
    uv_write_u64(&writer, 0);
    uv_write_u32(&writer, UV_WIRE_E_STORE);
    uv_write_bytes(&writer, text, size);
    g_autoptr(GBytes) frame = uv_writer_steal(&writer);
    if (frame && send(fd, g_bytes_get_data(frame, NULL), g_bytes_get_size(frame),
                      MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* who does not listen is not told */
}

static void watch_later(FsGuest *guest)
{
    FsLive *live = guest->live;
    int64_t pause_us = live->refused < REFUSALS_MAX ? 0 : PAUSE_US * (live->refused / REFUSALS_MAX);

    if (pause_us == 0) {
        guest_watch_listener(guest);
        return;
    }
    live->watch_at = g_get_monotonic_time() + MIN(pause_us, PAUSE_MAX_US);
    g_queue_push_tail(&guest->fleet->unwatched, guest);
    fleet_due(guest->fleet, live->watch_at);
}

static void ask_accept(FsGuest *guest);

static void on_accepted(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS],
                        void *data)
{
    FsLive *live = guest->live;

    live->refusing = false;
    if (answer->error == 0 && fds[0] >= 0) {
        send_refusal(fds[0], live->failure ? live->failure : "it has no engine now");
        live->refused++;
    }
    if (!guest->gone && !live->engine && answer->error != -ECANCELED) {
        if (answer->error == 0 && live->refused % REFUSALS_MAX != 0)
            ask_accept(guest);
        else if (!live->watch_at)
            watch_later(guest);
    }
}

static void ask_accept(FsGuest *guest)
{
    FsQuestion question = fs_question(FS_ASK_ACCEPT, guest->name);

    guest->live->refusing = true;
    guest_ask(guest, &question, NULL, 0, on_accepted, NULL);
}

void guest_refuse_connections(FsGuest *guest)
{
    if (guest->listener == FS_LISTENER_QUIET && !guest->live->refusing && !guest->live->watch_at &&
        !guest->fleet->lost)
        ask_accept(guest);
}

void listeners_tick(FsFleet *fleet, int64_t now)
{
    for (GList *link = fleet->unwatched.head, *next; link; link = next) {
        FsGuest *guest = link->data;
        next = link->next;
        if (guest->live->watch_at > now) {
            fleet_due(fleet, guest->live->watch_at);
            continue;
        }
        guest->live->watch_at = 0;
        g_queue_delete_link(&fleet->unwatched, link);
        guest_watch_listener(guest);
    }
}
