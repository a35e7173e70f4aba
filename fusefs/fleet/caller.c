/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a thread that waits for the mount is doing: the front may not look into /proc. */

#include "fleet-private.h"

typedef struct {
    FsCallerTold told;
    void *data;
} Asking;

static void on_caller(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    g_autofree Asking *asking = data;

    asking->told(answer->error == 0 && answer->number == 1, asking->data);
}

void fs_fleet_ask_caller(FsFleet *fleet, pid_t thread, FsCallerTold told, void *data)
{
    FsQuestion question = fs_question(FS_ASK_CALLER, NULL);
    Asking *asking = g_new(Asking, 1);

    *asking = (Asking){told, data};
    question.flags = (uint32_t)thread;
    fs_source_ask(fleet->source, &question, NULL, 0, on_caller, asking);
}
