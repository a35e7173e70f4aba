/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is written beside a guest's store, and the store itself where it is made from here. */

#include "fleet-private.h"

#include "fd.h"
#include "file-error.h"
#include "sealed.h"

#include <errno.h>
#include <string.h>

typedef struct {
    FsGuest *guest; /* held */
    FsQuestion question;
    int pin_fd, template_fd;
    FsContinue go_on;
    FsMade made;
    FsTemplateCheck check;
    FsImageOpened opened;
    void *data;
} Asking;

static Asking *asking_new(FsGuest *guest, FsAsk kind, void *data)
{
    Asking *asking = g_new0(Asking, 1);

    asking->guest = fs_guest_hold(guest);
    asking->question = fs_question(kind, guest->name);
    asking->pin_fd = asking->template_fd = -1;
    asking->data = data;
    return asking;
}

static void asking_free(Asking *asking)
{
    uv_fd_clear(&asking->pin_fd);
    uv_fd_clear(&asking->template_fd);
    fs_guest_release(asking->guest);
    g_free(asking);
}

/* NULL: it is gone. */
static FsGuest *asking_guest(const Asking *asking)
{
    return asking->guest->gone ? NULL : asking->guest;
}

/* Texts */

static void on_written(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    Asking *asking = data;
    FsGuest *guest = asking_guest(asking);

    if (guest)
        guest_is_stale(guest);
    if (asking->go_on)
        asking->go_on(guest, guest || answer->error ? -answer->error : ENOENT, asking->data);
    asking_free(asking);
}

void fs_guest_write_text(FsGuest *guest, FsText text, GBytes *bytes, FsContinue go_on, void *data)
{
    gsize size;
    const void *content = g_bytes_get_data(bytes, &size);
    int fd = uv_sealed_new(content, size);
    Asking *asking;

    if (fd < 0) {
        if (go_on)
            go_on(guest, -fd, data);
        return;
    }
    asking = asking_new(guest, FS_ASK_WRITE, data);
    asking->question.text = text;
    asking->go_on = go_on;
    fs_source_ask(guest->fleet->source, &asking->question, &fd, 1, on_written, asking);
}

/* Stores */

static void made(Asking *asking, const GError *error)
{
    FsGuest *guest = asking_guest(asking);

    if (guest)
        guest_is_stale(guest);
    asking->made(guest, error, asking->data);
    asking_free(asking);
}

static void on_instantiated(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    g_autoptr(GError) error = NULL;

    if (answer->error < 0)
        g_set_error(&error, G_FILE_ERROR, g_file_error_from_errno(-answer->error), "%s",
                    *answer->text ? answer->text : g_strerror(-answer->error));
    made(data, error);
}

static void on_here(FsGuest *guest, int unavailable, void *data)
{
    Asking *asking = data;
    g_autoptr(GError) error = NULL;
    int fds[2] = {-1, -1};
    size_t n_fds = 0;

    if (unavailable) {
        g_autofree char *reason = guest ? fs_guest_take_reason(guest) : NULL;
        g_set_error(&error, G_FILE_ERROR, g_file_error_from_errno(unavailable), "%s",
                    reason ? reason : g_strerror(unavailable));
        made(asking, error);
        return;
    }
    if (asking->template_fd >= 0)
        fds[n_fds++] = uv_fd_steal(&asking->template_fd);
    else
        asking->question.flags |= FS_MAKE_EMPTY;
    if (asking->pin_fd >= 0)
        fds[n_fds++] = uv_fd_steal(&asking->pin_fd);
    fs_source_ask(asking->guest->fleet->source, &asking->question, fds, n_fds, on_instantiated,
                  asking);
}

static void instantiate(Asking *asking, int *template_fd)
{
    FsGuest *guest = asking_guest(asking);

    asking->template_fd = uv_fd_steal(template_fd);
    if (guest)
        guest_need_here(guest, on_here, asking);
    else
        on_here(NULL, ENOENT, asking);
}

static void on_template(int fd, int error, const char *reason, void *data)
{
    Asking *asking = data;
    g_autoptr(GError) wrong = NULL;

    if (asking->check(fd, reason, &asking->question.from, &asking->question.format, asking->data,
                      &wrong))
        instantiate(asking, &fd);
    else
        made(asking, wrong);
    uv_fd_clear(&fd);
}

void fs_guest_instantiate(FsGuest *guest, const FsMaking *making, FsMade go_on, void *data)
{
    Asking *asking = asking_new(guest, FS_ASK_INSTANTIATE, data);
    g_autoptr(GError) error = NULL;
    int image_fd = -1;

    asking->made = go_on;
    asking->check = making->check;
    asking->question.from = asking->question.format = making->format;
    asking->question.flags = making->replace ? FS_MAKE_REPLACE : 0;
    if (making->pin)
        asking->pin_fd = uv_sealed_new(making->pin, strlen(making->pin));
    if (making->pin && asking->pin_fd < 0)
        uv_file_error(&error, -asking->pin_fd, "the pin");
    if (making->image)
        image_fd =
            uv_sealed_new(g_bytes_get_data(making->image, NULL), g_bytes_get_size(making->image));
    if (making->image && image_fd < 0)
        uv_file_error(&error, -image_fd, "the image");
    if (error)
        made(asking, error);
    else if (making->path)
        fs_fleet_open_image(guest->fleet, making->path, on_template, asking);
    else
        instantiate(asking, &image_fd);
    uv_fd_clear(&image_fd);
}

static void on_store(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    Asking *asking = data;
    int error = fds[0] >= 0 ? 0 : answer->error < 0 ? -answer->error : EIO;

    asking->opened(uv_fd_steal(&fds[0]), error, *answer->text ? answer->text : g_strerror(error),
                   asking->data);
    asking_free(asking);
}

void fs_guest_open_store(FsGuest *guest, FsImageOpened opened, void *data)
{
    Asking *asking = asking_new(guest, FS_ASK_READ, data);

    asking->question.text = FS_TEXT_STORE;
    asking->opened = opened;
    fs_source_ask(guest->fleet->source, &asking->question, NULL, 0, on_store, asking);
}
