/* SPDX-License-Identifier: GPL-2.0-or-later */

/* mv guests/G guests/NAME: its engine ends, then its files take the other name. */

#include "fleet-private.h"

#include "uv-limits.h"

#include <errno.h>
#include <string.h>

typedef struct {
    char *to;
    FsContinue go_on;
    void *data;
} Move;

static void move_done(Move *move, FsGuest *guest, int error)
{
    move->go_on(guest, error, move->data);
    g_free(move->to);
    g_free(move);
}

static void on_renamed(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    if (answer->error == 0)
        fleet_retire(guest);
    move_done(data, guest->gone ? NULL : guest, -answer->error);
}

static void on_here(FsGuest *guest, int error, void *data)
{
    Move *move = data;
    FsQuestion question;

    if (error) {
        move_done(move, guest, error);
        return;
    }
    question = fs_question(FS_ASK_RENAME, guest->name);
    g_strlcpy(question.to, move->to, sizeof(question.to));
    guest_ask(guest, &question, NULL, 0, on_renamed, move);
}

static void on_no_engine(FsGuest *guest, int error, void *data)
{
    if (error)
        move_done(data, guest, error);
    else
        guest_need_here(guest, on_here, data);
}

void fs_guest_rename(FsGuest *guest, const char *name, void *request, FsContinue go_on, void *data)
{
    Move *move;

    if (guest->fleet->options->read_only) {
        go_on(guest, EROFS, data);
        return;
    }
    if (strlen(name) > UV_GUEST_NAME_MAX) {
        go_on(guest, ENAMETOOLONG, data);
        return;
    }
    move = g_new(Move, 1);
    *move = (Move){g_strdup(name), go_on, data};
    fs_guest_need(guest, FS_NEED_LOOK | FS_NEED_NO_ENGINE, request, on_no_engine, move);
}
