/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Whom a change is for. The kernel tells the process of a request; what that is called the monitor
 * finds out, while the process waits for the change, and the engine is told of both right before
 * the change. A name that can't be had in time delays nothing for long: the monitor answers each
 * question.
 */

#include "fleet-private.h"

#include <string.h>

typedef struct {
    FsFleet *fleet;
    char *guest;
    uint64_t sequence; /* the guest's */
    uint64_t number;   /* the call's */
} Asking;

static FsCall *find_call(const Asking *asking, FsGuest **ret_guest)
{
    *ret_guest = fs_fleet_same(asking->fleet, asking->guest, asking->sequence);
    if (!*ret_guest || !(*ret_guest)->live)
        return NULL;
    for (GList *link = (*ret_guest)->live->calls.head; link; link = link->next) {
        FsCall *call = link->data;
        if (call->actor_asked == asking->number)
            return call;
    }
    return NULL;
}

/* A process chooses what it is called: any bytes. */
static void take_name(FsActor *actor, const char *text)
{
    g_autofree char *line = g_strndup(text, strcspn(text, "\n"));
    g_autofree char *valid = g_utf8_make_valid(line, -1);

    g_strlcpy(actor->name, valid, sizeof(actor->name));
}

static void on_name(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    Asking *asking = data;
    FsGuest *guest;
    FsCall *call = find_call(asking, &guest);

    if (call) {
        call->actor_asked = 0;
        if (answer->error == 0)
            take_name(&call->actor, answer->text);
        guest_pump(guest);
    }
    g_free(asking->guest);
    g_free(asking);
}

void call_find_actor(FsCall *call)
{
    FsFleet *fleet = call->guest->fleet;
    FsQuestion question = fs_question(FS_ASK_NAME, NULL);
    Asking *asking;

    if (!call->request || !fleet->events.actor)
        return;
    fleet->events.actor(call->request, &call->actor, fleet->events_data);
    asking = g_new(Asking, 1);
    *asking =
        (Asking){fleet, g_strdup(call->guest->name), call->guest->sequence, ++fleet->last_actor};
    call->actor_asked = asking->number;
    call->actor_known = true;
    question.process = call->actor.pid;
    fs_source_ask(fleet->source, &question, NULL, 0, on_name, asking);
}

void engine_send_actor(FsEngine *engine, const FsActor *actor)
{
    g_auto(UvWriter) writer = {0};

    uv_writer_init(&writer, 12 + FS_ACTOR_NAME_MAX);
    uv_write_u32(&writer, actor->uid);
    uv_write_u32(&writer, actor->gid);
    uv_write_u32(&writer, actor->pid);
    uv_write_bytes(&writer, actor->name, strlen(actor->name));
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    engine_tell(engine, UV_HOST_ACTOR, payload);
}
