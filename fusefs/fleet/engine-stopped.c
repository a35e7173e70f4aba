/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * An engine that a signal stopped (SIGSTOP) serves no guest, and its guest's next start would fail.
 * When a process connects as the guest, one that owes an answer for most of a second, and whose
 * guest's process is no more, is ended, if it is stopped indeed, and the next one takes its place:
 * what was acknowledged is in the store or its journal. One that is busy is not touched, nor one
 * whose guest's process is there: that guest waits for it, and goes on with it. What the host asks
 * waits for it, too, and fails in the end.
 *
 * An idle engine owes nothing. So the monitor watches its guest's socket beside it: when a process
 * connects the front asks the engine for a sign of life, at most once in that time, however often
 * others connect.
 */

#include "engine-stopped.h"

void engine_watch_later(FsEngine *engine)
{
    if (!engine->has_listener || !engine->child)
        return;
    engine->watch_at = g_get_monotonic_time() + STOPPED_US;
    fleet_due(engine->fleet, engine->watch_at);
}

void engine_knocked(FsEngine *engine)
{
    engine->knocked = true;
    if (engine->io && engine->state == FS_ENGINE_READY && !engine->waiting_since)
        engine_send(engine, UV_HOST_CHECK, NULL);
    engine_watch_later(engine);
}

static void watch(FsEngine *engine, int64_t now)
{
    if (engine->watch_at > now) {
        fleet_due(engine->fleet, engine->watch_at);
        return;
    }
    engine->watch_at = 0;
    guest_watch_quiet_listener(engine->guest);
}

static void on_killed(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    if (answer->error == 0 && !guest->gone)
        fs_guest_log(guest, "its engine was stopped by a signal, and no guest had it: ended");
}

static void end_if_stopped(FsEngine *engine, int64_t now)
{
    const bool has_guest = engine->guest->live->state & UV_HOST_STATE_GUEST;
    FsQuestion question = fs_question(FS_ASK_KILL, engine->name);
    const int64_t due = MAX(now - engine_silent_us(engine) + STOPPED_US, engine->kill_at);

    if (due > now) {
        fleet_due(engine->fleet, due);
        return;
    }
    engine->kill_at = now + STOPPED_US / 2;
    fleet_due(engine->fleet, engine->kill_at);
    if (has_guest && engine->guest_process == 0)
        return;
    question.flags = FS_KILL_STOPPED;
    question.process = has_guest ? engine->guest_process : 0;
    guest_ask(engine->guest, &question, NULL, 0, on_killed, NULL);
}

void engines_end_stopped(FsFleet *fleet, int64_t now)
{
    if (fleet->stopping || fleet->lost)
        return;
    for (GList *link = fleet->engines.head; link; link = link->next) {
        FsEngine *engine = link->data;
        if (!engine->guest || !engine->child || engine->asked)
            continue;
        if (engine->watch_at)
            watch(engine, now);
        if (engine->knocked && engine_silent_us(engine) > 0)
            end_if_stopped(engine, now);
    }
}
