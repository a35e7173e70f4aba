/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Whom a change is for. The kernel tells the process of a request; what that is called the monitor
 * finds out, while the process waits for the change, and the engine is told of both right before
 * the change. A name that can't be had in time delays nothing for long: the monitor answers each
 * question.
 *
 * The monitor answers with a descriptor that tells the name of that very process whenever it is
 * read: who changes one thing after the other is asked about once, and what it is called is read
 * each time, for it may have become another program. Of a process that has ended nothing is read,
 * also when another one has its number.
 */

#include "fleet-private.h"

#include "fd.h"

#include <string.h>
#include <unistd.h>

#define KEPT 4

/* Of a process that changed something: a descriptor that tells what it is called. */
typedef struct {
    uint32_t pid;
    int fd; /* -1: none */
} Name;

struct FsActors {
    uint64_t last_asked;
    Name names[KEPT]; /* of those that changed something last */
    unsigned next;    /* which is given up for another one */
};

typedef struct {
    uint64_t number; /* the call's */
    uint32_t pid;
} Asking;

static FsCall *find_call(const FsGuest *guest, uint64_t number)
{
    for (GList *link = guest->live->calls.head; link; link = link->next) {
        FsCall *call = link->data;
        if (call->actor_asked == number)
            return call;
    }
    return NULL;
}

/* A process chooses what it is called: any bytes. false: it is no more. */
static bool read_name(FsActor *actor, int fd)
{
    char text[64]; /* the kernel has up to 16 */
    const ssize_t size = pread(fd, text, sizeof(text), 0);

    if (size <= 0)
        return false;
    g_autofree char *line = g_strndup(text, (size_t)size);
    g_autofree char *valid = g_utf8_make_valid(line, (gssize)strcspn(line, "\n"));
    g_strlcpy(actor->name, valid, sizeof(actor->name));
    return true;
}

static bool read_kept_name(const struct FsActors *actors, FsActor *actor)
{
    for (size_t i = 0; i < KEPT; i++)
        if (actors->names[i].pid == actor->pid && actors->names[i].fd >= 0)
            return read_name(actor, actors->names[i].fd);
    return false;
}

/* Takes the descriptor. */
static void keep_name(struct FsActors *actors, uint32_t pid, int *fd)
{
    Name *name = NULL;

    for (size_t i = 0; i < KEPT && !name; i++)
        if (actors->names[i].pid == pid)
            name = &actors->names[i]; /* of an earlier process, or asked for twice */
    if (!name)
        name = &actors->names[actors->next++ % KEPT];
    uv_fd_clear(&name->fd);
    *name = (Name){.pid = pid, .fd = uv_fd_steal(fd)};
}

void actors_start(FsFleet *fleet)
{
    fleet->actors = g_new0(struct FsActors, 1);
    for (size_t i = 0; i < KEPT; i++)
        fleet->actors->names[i].fd = -1;
}

void actors_stop(FsFleet *fleet)
{
    for (size_t i = 0; i < KEPT; i++)
        uv_fd_clear(&fleet->actors->names[i].fd);
    g_clear_pointer(&fleet->actors, g_free);
}

static void on_name(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    g_autofree Asking *asking = data;
    FsCall *call = find_call(guest, asking->number);

    if (call) {
        call->actor_asked = 0;
        if (fds[0] >= 0)
            (void)read_name(&call->actor, fds[0]);
        guest_pump(guest);
    }
    if (fds[0] >= 0)
        keep_name(guest->fleet->actors, asking->pid, &fds[0]);
}

void call_find_actor(FsCall *call)
{
    FsFleet *fleet = call->guest->fleet;
    FsQuestion question = fs_question(FS_ASK_NAME, NULL);
    Asking *asking;

    if (!call->request || !fleet->events.actor)
        return;
    fleet->events.actor(call->request, &call->actor, fleet->events_data);
    call->actor_known = true;
    if (read_kept_name(fleet->actors, &call->actor))
        return;
    asking = g_new(Asking, 1);
    *asking = (Asking){++fleet->actors->last_asked, call->actor.pid};
    call->actor_asked = asking->number;
    question.process = call->actor.pid;
    guest_ask(call->guest, &question, NULL, 0, on_name, asking);
}

void engine_send_actor(FsEngine *engine, const FsActor *actor)
{
    g_auto(UvWriter) writer = uv_writer(12 + FS_ACTOR_NAME_MAX);

    uv_write_u32(&writer, actor->uid);
    uv_write_u32(&writer, actor->gid);
    uv_write_u32(&writer, actor->pid);
    uv_write_bytes(&writer, actor->name, strlen(actor->name));
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    engine_tell(engine, UV_HOST_ACTOR, payload);
}
