/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Firmware images and templates, which lie anywhere: the source opens them. */

#include "fleet-private.h"

#include "fd.h"

#include <errno.h>

/* An engine that keeps a template as its own store may have to complete it first. */
#define TRIES 10
#define WAIT_MS 30

typedef struct {
    FsFleet *fleet;
    FsQuestion question;
    unsigned tries;
    FsImageOpened opened;
    void *data;
} Opening;

static void ask(Opening *opening);

static gboolean ask_again(void *data)
{
    ask(data);
    return G_SOURCE_REMOVE;
}

static void ask_later(Opening *opening)
{
    g_autoptr(GSource) timer = g_timeout_source_new(WAIT_MS);

    g_source_set_callback(timer, ask_again, opening, NULL);
    g_source_attach(timer, opening->fleet->context);
}

static void on_image(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    Opening *opening = data;
    int error = fds[0] >= 0 ? 0 : answer->error < 0 ? -answer->error : EIO;

    if (error == EAGAIN && ++opening->tries < TRIES) {
        ask_later(opening);
        return;
    }
    opening->opened(uv_fd_steal(&fds[0]), error,
                    *answer->text || !error ? answer->text : g_strerror(error), opening->data);
    g_free(opening);
}

static void ask(Opening *opening)
{
    fs_source_ask(opening->fleet->source, &opening->question, NULL, 0, on_image, opening);
}

void fs_fleet_open_image(FsFleet *fleet, const char *path, FsImageOpened opened, void *data)
{
    Opening *opening = g_new0(Opening, 1);

    opening->fleet = fleet;
    opening->question = fs_question(FS_ASK_IMAGE, NULL);
    opening->opened = opened;
    opening->data = data;
    if (g_strlcpy(opening->question.path, path, sizeof(opening->question.path)) <
        sizeof(opening->question.path)) {
        ask(opening);
        return;
    }
    opened(-1, ENAMETOOLONG, g_strerror(ENAMETOOLONG), data);
    g_free(opening);
}
