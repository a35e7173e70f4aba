/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A guest's record of changes, in two files, the older of which goes when the newer is full. */

#include "fleet-record.h"

#include "fd.h"
#include "wire.h"

#include <string.h>
#include <sys/stat.h>

enum {
    OLDER,
    NEWER,
    PARTS
};

typedef struct {
    int fds[PARTS];
    FsRecordOpened opened;
    void *data;
} Asking;

/* The newer one has become the older between the two questions. */
static bool is_same_file(const int fds[PARTS])
{
    struct stat older, newer;

    return fstat(fds[OLDER], &older) == 0 && fstat(fds[NEWER], &newer) == 0 &&
           older.st_dev == newer.st_dev && older.st_ino == newer.st_ino;
}

static void on_older(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    g_autofree Asking *asking = data;

    asking->fds[OLDER] = uv_fd_steal(&fds[0]);
    if (is_same_file(asking->fds))
        uv_fd_clear(&asking->fds[NEWER]);
    asking->opened(guest->gone ? NULL : guest, asking->fds, asking->data);
    uv_fd_clear(&asking->fds[OLDER]);
    uv_fd_clear(&asking->fds[NEWER]);
}

static void ask(FsGuest *guest, FsText text, FsGuestAnswered answered, Asking *asking)
{
    FsQuestion question = fs_question(FS_ASK_READ, guest->name);

    question.text = text;
    guest_ask(guest, &question, NULL, 0, answered, asking);
}

static void on_newer(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    Asking *asking = data;

    asking->fds[NEWER] = uv_fd_steal(&fds[0]);
    ask(guest, FS_TEXT_RECORD_OLD, on_older, asking);
}

void fs_guest_open_record(FsGuest *guest, FsRecordOpened opened, void *data)
{
    Asking *asking = g_new(Asking, 1);

    *asking = (Asking){.fds = {-1, -1}, .opened = opened, .data = data};
    ask(guest, FS_TEXT_RECORD, on_newer, asking);
}

void engine_follow_record(FsEngine *engine)
{
    if (engine->io && engine->guest->follows_record)
        engine_tell(engine, UV_HOST_FOLLOW, NULL);
}

void fs_guest_follow_record(FsGuest *guest)
{
    guest->follows_record = true;
    if (guest->live && guest->live->engine)
        engine_follow_record(guest->live->engine);
}

void guest_record_grew(FsGuest *guest)
{
    guest->follows_record = false;
    if (guest->fleet->events.record_grew)
        guest->fleet->events.record_grew(guest, guest->fleet->events_data);
}
