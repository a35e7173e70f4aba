/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A store is made by uefivars-make, as the owner of the folder: a child becomes it (work.c). */

#include "broker-private.h"

#include "fd.h"
#include "program.h"
#include "rights.h"
#include "sealed.h"
#include "sidecars.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const char *const formats[FS_FORMATS] = {
    [FS_FORMAT_JSON] = "json", [FS_FORMAT_FLASH] = "raw", [FS_FORMAT_QCOW2] = "qcow2"};

/* In a guest's own folder the store's name says what it is; elsewhere the guest's name decided. */
static const char *store_name(const FsPlace *place, FsFormat format)
{
    if (place->rule != UV_GUEST_FOLDER || place->linked)
        return place->store;
    return format == FS_FORMAT_JSON ? "vars.json" : "vars.fd";
}

/* Nothing is made in the place of another user's store. */
static int check_owner(const FsPlace *place)
{
    return place->file.fd < 0 || geteuid() != 0 || place->file.st.st_uid == place->folder.st.st_uid
               ? 0
               : -EPERM;
}

static int open_folder(const FsPlace *place)
{
    uv_rights_scope rights = uv_rights_take_at(&place->folder);

    return uv_open_dir(place->folder.fd, ".", 0);
}

static int open_sidecars(FsPlace *place)
{
    const int result = fs_place_make_sidecars(place);

    return result < 0 ? result : uv_fd_steal(&place->sidecars.fd);
}

static int given_or_null(int fd)
{
    return fd >= 0 ? uv_fd_copy(fd) : open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Whether the template, where one is needed, is there, and the pin is what it must be. */
static int check_fds(const FsQuestion *question, const int fds[FS_QUESTION_FDS], int *ret_pin)
{
    const bool empty = question->flags & FS_MAKE_EMPTY;

    *ret_pin = empty ? fds[0] : fds[1];
    if (!empty && fds[0] < 0)
        return -EINVAL;
    return *ret_pin >= 0 ? (int)MIN(uv_sealed_size(*ret_pin, FS_PIN_BYTES_MAX), 0) : 0;
}

int broker_instantiate(FsJob *job)
{
    const FsQuestion *question = job->question;
    g_auto(FsPlace) place = FS_PLACE_NONE;
    char *argv[7] = {(char *)"uefivars-make"};
    int pin, n = 1, result = check_fds(question, job->fds, &pin);

    if (result == 0)
        result = fs_place_open(job->broker->local, question->guest, &place, NULL);
    if (result == 0)
        result = check_owner(&place);
    if (result < 0)
        return result;
    const char *name = store_name(&place, question->format);
    argv[n++] = g_strconcat("--store=", name, NULL);
    argv[n++] = g_strconcat("--format=", formats[question->format], NULL);
    if (!(question->flags & FS_MAKE_EMPTY))
        argv[n++] = g_strconcat("--from=", formats[question->from], NULL);
    if (question->flags & FS_MAKE_REPLACE)
        argv[n++] = (char *)"--replace";
    /* One of another kind, which would count before the new one. */
    if (question->flags & FS_MAKE_REPLACE && place.file.fd >= 0 && strcmp(place.store, name) != 0)
        argv[n] = g_strconcat("--instead-of=", place.store, NULL);
    UvProgram program = {
        .path = job->broker->options->maker,
        .argv = argv,
        .uid = place.folder.st.st_uid,
        .gid = place.folder.st.st_gid,
        .fds = {open_folder(&place), open_sidecars(&place),
                given_or_null(question->flags & FS_MAKE_EMPTY ? -1 : job->fds[0]),
                given_or_null(pin), uv_fd_copy(job->output_fd)},
        .n_fds = 5,
    };
    return uv_program_become(&program);
}
