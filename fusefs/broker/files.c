/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What questions want of files. In the broker itself these stay on SOURCE's own mount (-EXDEV:
 * another one); in a child they go on, and may wait (work.c). The texts beside a store are carried
 * as descriptors: the broker does not look into them.
 */

#include "broker-private.h"

#include "beneath.h"
#include "fd.h"
#include "filelock.h"
#include "rights.h"
#include "sidecars-tidy.h"
#include "sidecars.h"
#include "texts.h"
#include "told.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int open_place(const FsJob *job, FsPlace *ret_place)
{
    return fs_place_open(job->broker->local, job->question->guest, ret_place, NULL);
}

static int fill_look(FsJob *job, const FsPlace *place, const char *guest)
{
    const bool watched = broker_watches(job->broker, place->rule == UV_GUEST_FOLDER ? guest : NULL);

    g_strlcpy(job->answer.store, place->path ? place->path : "", sizeof(job->answer.store));
    return fs_place_look(job->broker->local, place, guest, watched && !job->far,
                         &job->broker->above, &job->answer.look);
}

static int look_at(FsJob *job, const char *guest)
{
    g_auto(FsPlace) place = FS_PLACE_NONE;
    g_autoptr(GString) shadowed = g_string_new(NULL);
    const int result = fs_place_open(job->broker->local, guest, &place, shadowed);

    g_strlcpy(job->answer.guest, guest, sizeof(job->answer.guest));
    g_strlcpy(job->answer.text, shadowed->str, sizeof(job->answer.text));
    return result < 0 ? result : fill_look(job, &place, guest);
}

int broker_look(FsJob *job)
{
    return look_at(job, job->question->guest);
}

int broker_looks(FsJob *job)
{
    g_auto(GStrv) names = g_strsplit(job->question->path, "/", FS_LOOKS_MAX);
    g_autofree FsTold *told = g_new0(FsTold, FS_LOOKS_MAX);
    const int source_fd = job->broker->local->fd;
    unsigned n = 0;

    if (uv_names_serve(job->broker->names, source_fd))
        fs_beneath_know(source_fd, job->broker->names);
    for (char **name = names; *name; name++) {
        FsJob one = broker_job(job->broker, job->question, job->fds);
        if (look_at(&one, *name) < 0 || *one.answer.text || *one.answer.store ||
            !(one.answer.look.flags & FS_LOOK_WATCHED))
            continue;
        strcpy(told[n].guest, one.answer.guest);
        told[n++].look = one.answer.look;
    }
    fs_beneath_know(-1, NULL);
    const int fd = fs_told_write(told, n);
    job->answer_fds[0] = MAX(fd, -1);
    job->answer.number = n;
    return MIN(fd, 0);
}

bool broker_is_far(FsJob *job)
{
    const bool far = look_at(job, job->question->guest) == -EXDEV;

    job->answer.text[0] = '\0'; /* which is another question's to fill */
    return far;
}

/* A file of SOURCE that something happened to. */
int broker_file(FsJob *job)
{
    const FsLocal *source = job->broker->local;
    const char *file = job->question->guest;
    const bool valid = uv_guest_name_valid(source->libvirts, file);
    g_autofree char *guest = uv_guest_of_file(source->libvirts, file);
    /* A folder, or a link to one, is the guest of its whole name. */
    int result = valid ? look_at(job, file) : -ENOENT;

    if (result < 0 && result != -EXDEV && guest)
        return look_at(job, guest);
    if (result < 0) {
        g_strlcpy(job->answer.guest, valid ? file : "", sizeof(job->answer.guest));
        result = result == -EXDEV ? result : -ENOENT;
    }
    return result;
}

/* Of its own: QEMU is given no other store by name alone. */
static bool may_have_socket(const FsPlace *place)
{
    return place->format == FS_FORMAT_JSON && !place->unreached &&
           (place->domain || g_str_has_suffix(place->store, ".json"));
}

static int listen_at(FsJob *job, FsPlace *ret_place)
{
    const int result = open_place(job, ret_place);

    if (result < 0)
        return result;
    g_autofree char *path = fs_place_real_path(ret_place);
    if (may_have_socket(ret_place) && strlen(path) < sizeof(job->answer.text))
        strcpy(job->answer.text, path);
    return fill_look(job, ret_place, job->question->guest);
}

int broker_listen(FsJob *job)
{
    g_auto(FsPlace) place = FS_PLACE_NONE;

    return listen_at(job, &place);
}

/* It stays while it is not empty: the end of another store's sidecars must not take it away. */
static void keep_folder(const FsPlace *place, const FsStoreFile *file)
{
    g_autofree char *lock = uv_sidecar_name(place->store, "lock");
    uv_rights_scope rights = uv_rights_take(file->uid, file->gid);
    uv_autofd int fd =
        openat(place->sidecars.fd, lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno != EEXIST)
        g_message("%s: its lock file: %s", place->store, g_strerror(errno));
}

/* Whether its engine finds or can make the folder of the sidecars, and it stays. */
static bool has_sidecars(const FsPlace *place, const FsStoreFile *file)
{
    g_autofree char *lock = uv_sidecar_name(place->store, "lock");
    const bool there = place->sidecars.fd >= 0;
    struct stat st;

    if (there ? place->sidecars.st.st_uid != file->uid
              : place->sidecars.fd != -ENOENT ||
                    !uv_folder_may_write(&place->folder.st, file->uid, file->gid))
        return false;
    if (place->folder.st.st_uid == file->uid)
        return true;
    uv_rights_scope rights = uv_rights_take(file->uid, file->gid);
    return there && fs_beneath_stat(place->sidecars.fd, lock, &st) == 0;
}

/* The sidecars' folder where its engine could not make it: beside those of other owners' stores, or
 * in a folder that is not its user's to write. */
static int make_sidecars(const FsJob *job, FsPlace *place, const FsStoreFile *file)
{
    if (geteuid() != 0 || job->broker->options->read_only || place->format == FS_FORMAT_UBOOT ||
        has_sidecars(place, file))
        return 0;
    if (!job->far)
        return -EXDEV; /* it takes more than a look */
    const int result = fs_place_make_sidecars(place);
    if (result < 0)
        g_message("%s: the folder of its sidecars: %s", place->store, g_strerror(-result));
    else
        keep_folder(place, file);
    return 0;
}

static void expire_sidecars(const FsJob *job, const FsPlace *place)
{
    uv_rights_scope rights = uv_rights_take_at(&place->sidecars);

    if (place->sidecars.fd >= 0 && !job->broker->options->read_only)
        uv_sidecars_expire(place->sidecars.fd, place->store, job->broker->options->keep_days);
}

static int open_store(const FsJob *job, const FsPlace *place, FsStoreFile *ret_file,
                      const char **ret_why)
{
    const FsBrokerOptions *options = job->broker->options;
    /* The engine only looks which file it is, and on shared storage another one may be writing. */
    const bool read_only = options->read_only || options->shared ||
                           job->question->start.stateless || place->format == FS_FORMAT_UBOOT;
    const int result = fs_place_open_store(place, read_only, options->engine_uid,
                                           options->engine_gid, ret_file, ret_why);

    if (result != -ENOENT || !place->domain || !(job->question->flags & FS_START_NO_LISTENER))
        return result;
    /* A domain that libvirt has not made a store for is looked at as one without variables, by
     * a user who owns nothing. */
    *ret_file = (FsStoreFile){.fd = -1, .uid = options->front_uid, .gid = options->front_gid};
    return 0;
}

int broker_start(FsJob *job)
{
    g_auto(FsPlace) place = FS_PLACE_NONE;
    const char *why = NULL;
    FsStoreFile file = {.fd = -1};
    int result = listen_at(job, &place);

    if (result == 0)
        result = open_store(job, &place, &file, &why);
    const bool empty = place.domain && file.fd < 0;
    if (result == 0 && !empty)
        result = make_sidecars(job, &place, &file);
    if (result == 0 && !empty)
        expire_sidecars(job, &place);
    if (result < 0) {
        g_strlcpy(job->answer.text, why ? why : g_strerror(-result), sizeof(job->answer.text));
        uv_fd_clear(&file.fd);
        return result;
    }
    /* For the engine's keeper: readable if its user may. */
    uv_rights_scope rights = uv_rights_take(file.uid, file.gid);
    g_strlcpy(job->answer.look.store_name, place.store, sizeof(job->answer.look.store_name));
    job->answer_fds[0] = uv_open_dir(empty ? place.base.fd : place.folder.fd, ".", 0);
    job->answer_fds[1] = file.fd;
    job->answer.number = (int64_t)((uint64_t)file.uid << 32 | file.gid);
    return MIN(job->answer_fds[0], 0);
}

int broker_read(FsJob *job)
{
    g_auto(FsPlace) place = FS_PLACE_NONE;
    FsLook *look = &job->answer.look;
    FsIdentity *const of_text[FS_TEXTS] = {
        [FS_TEXT_CONFIG] = &look->config,
        [FS_TEXT_PIN] = &look->pin,
        [FS_TEXT_HINT] = &look->hint,
        [FS_TEXT_STORE] = &look->store,
    };
    struct stat st;
    int result = open_place(job, &place);

    if (result == 0)
        result = fs_beside_open(&place, job->question->text, &st);
    if (result < 0)
        return result;
    job->answer_fds[0] = result;
    result = fill_look(job, &place, job->question->guest);
    if (of_text[job->question->text])
        fs_identity_of(&st, of_text[job->question->text]); /* of what was opened */
    return result;
}

int broker_write(FsJob *job)
{
    g_auto(FsPlace) place = FS_PLACE_NONE;
    int result = open_place(job, &place);

    if (result == 0 && place.sidecars.fd < 0 && !job->far)
        return -EXDEV; /* to make it takes more than a look */
    if (result == 0)
        result = fs_beside_write(&place, job->question->text, job->fds[0]);
    return result < 0 ? result : fill_look(job, &place, job->question->guest);
}

int broker_image(FsJob *job)
{
    const FsBrokerOptions *options = job->broker->options;
    uv_rights_scope rights = uv_rights_take(options->front_uid, options->front_gid);
    UvPinned found = UV_PINNED_NONE;

    if (job->question->path[0] != '/')
        return -EINVAL;
    uv_pinned_take(&found, fs_beneath_openat(AT_FDCWD, job->question->path, O_PATH));
    const int fd = fs_beneath_read_pinned(&found);
    job->answer_fds[0] = MAX(fd, -1);
    return MIN(fd, 0);
}

int broker_holder(FsJob *job)
{
    g_auto(FsPlace) place = FS_PLACE_NONE;
    const int result = open_place(job, &place);

    if (result < 0)
        return result;
    g_autofree char *path = fs_place_real_path(&place);
    fs_place_clear(&place); /* which has it open, too */
    g_autofree char *who = uv_filelock_who(path, (pid_t)job->question->process);
    if (who)
        g_strlcpy(job->answer.text, who, sizeof(job->answer.text));
    return 0;
}
