/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Making, removing and renaming guests. A guest made by mkdir is a folder with a config.json of
 * "{}", which is what makes it one. Removing takes away only what belongs to a guest: whatever else
 * lies there (a journal that was set aside, a file of the administrator's) keeps it.
 */

#include "broker-private.h"

#include "beneath.h"
#include "fd.h"
#include "file-io.h"
#include "rights.h"
#include "sidecars-folders.h"
#include "sidecars-tidy.h"
#include "sidecars.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Made aside, under a name that is no guest's, so that no user meets half of it; SOURCE's owner's
 * from its first moment on. */
static int make_folder(const FsLocal *source, const char *guest)
{
    static const char empty[] = "{}\n";
    g_autofree char *aside = g_strdup_printf(".%s.%x-new", guest, g_random_int());
    uv_rights_scope rights = uv_rights_take_of(source->fd);
    uv_autofd int folder = -1, fd = -1;
    int result;

    if (mkdirat(source->fd, aside, 0755) < 0)
        return -errno;
    folder = openat(source->fd, aside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    fd = folder < 0 ? -1
                    : openat(folder, "config.json",
                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    result = fd < 0 ? -errno : uv_write_all(fd, empty, sizeof(empty) - 1);
    if (result == 0 && renameat2(source->fd, aside, source->fd, guest, RENAME_NOREPLACE) < 0)
        result = -errno;
    if (result < 0) {
        if (fd >= 0)
            unlinkat(folder, "config.json", 0);
        unlinkat(source->fd, aside, AT_REMOVEDIR);
    }
    return result;
}

int broker_make(FsJob *job)
{
    const FsLocal *source = job->broker->local;
    const char *guest = job->question->guest;
    g_auto(FsPlace) place = FS_PLACE_NONE;
    int result;

    if (!uv_guest_name_valid(source->libvirts, guest) ||
        !uv_guest_fits(source->libvirts, UV_GUEST_FOLDER, guest))
        return -EINVAL;
    if (fs_local_find(source, guest, &place, NULL) == 0)
        return -EEXIST;
    result = make_folder(source, guest);
    return result < 0 ? result : broker_look(job);
}

static bool belongs_to_folder(const char *file, const char *store)
{
    return strcmp(file, store) == 0 || strcmp(file, "config.json") == 0 ||
           strcmp(file, UV_SIDECARS) == 0 || strcmp(file, UV_SIDECARS_OTHERS) == 0;
}

/* Any of these may be absent: what counts is that the guest goes. */
static void remove_sidecars(const FsPlace *place)
{
    if (place->sidecars.fd >= 0) {
        uv_rights_scope rights = uv_rights_take_at(&place->sidecars);
        uv_sidecars_remove(place->sidecars.fd, place->store);
    }
    uv_sidecars_remove_folders(place->folder.fd, place->store);
}

static int remove_folder(const FsLocal *source, const FsPlace *place, const char *guest)
{
    if (!uv_dir_has_only(place->base.fd, ".", belongs_to_folder, place->store) ||
        !uv_sidecars_has_only(place->base.fd, place->store))
        return -ENOTEMPTY;
    remove_sidecars(place);
    {
        uv_rights_scope rights = uv_rights_take_at(&place->base);
        unlinkat(place->base.fd, place->store, 0);
        unlinkat(place->base.fd, place->config, 0);
    }
    uv_rights_scope rights = uv_rights_take_of(source->fd);
    return unlinkat(source->fd, guest, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* Its own, and the link in SOURCE where root has put one: not the file that it leads to. */
static int remove_file(const FsLocal *source, const FsPlace *place, const char *guest)
{
    g_autofree char *file = fs_local_file(source, place->rule, guest);
    uv_rights_scope rights = uv_rights_take_of(source->fd);

    if (unlinkat(source->fd, file, 0) < 0 && errno != ENOENT)
        return -errno;
    remove_sidecars(place);
    unlinkat(source->fd, place->config, 0);
    return 0;
}

int broker_remove(FsJob *job)
{
    const FsLocal *source = job->broker->local;
    const char *guest = job->question->guest;
    g_auto(FsPlace) place = FS_PLACE_NONE;
    g_autoptr(GString) shadowed = g_string_new(NULL);
    int result;

    result = fs_place_open(source, guest, &place, shadowed);
    if (result < 0 || shadowed->len)
        return result < 0 ? result : -ENOTEMPTY;
    return place.rule == UV_GUEST_FOLDER ? remove_folder(source, &place, guest)
                                         : remove_file(source, &place, guest);
}

/* The store's sidecars to its new name; first, for without its store no engine looks for them. */
static int rename_sidecars(const FsPlace *place, const char *store)
{
    if (place->sidecars.fd < 0)
        return place->sidecars.fd == -ENOENT ? 0 : place->sidecars.fd;
    uv_rights_scope rights = uv_rights_take_at(&place->sidecars);
    return uv_sidecars_rename(place->sidecars.fd, place->store, store);
}

static int rename_file(const FsLocal *source, const FsPlace *place, const char *guest,
                       const char *to)
{
    g_autofree char *file = fs_local_file(source, place->rule, guest);
    g_autofree char *to_file = fs_local_file(source, place->rule, to);
    g_autofree char *to_config = uv_guest_config(source->libvirts, place->rule, to);
    int result = place->linked ? 0 : rename_sidecars(place, to_file);
    uv_rights_scope rights = uv_rights_take_of(source->fd);

    if (result < 0)
        return result;
    if (renameat2(source->fd, place->config, source->fd, to_config, RENAME_NOREPLACE) < 0 &&
        errno != ENOENT)
        return -errno;
    if (renameat2(source->fd, file, source->fd, to_file, RENAME_NOREPLACE) < 0)
        return -errno;
    return uv_sync_names(source->fd) < 0 && errno != EBADF ? -errno : 0;
}

int broker_rename(FsJob *job)
{
    const FsLocal *source = job->broker->local;
    const char *guest = job->question->guest, *to = job->question->to;
    g_auto(FsPlace) place = FS_PLACE_NONE;
    g_auto(FsPlace) other = FS_PLACE_NONE;
    int result;

    if (!uv_guest_name_valid(source->libvirts, to))
        return -EINVAL;
    if (fs_local_find(source, to, &other, NULL) == 0)
        return -EEXIST;
    result = fs_place_open(source, guest, &place, NULL);
    if (result < 0)
        return result;
    if (!uv_guest_fits(source->libvirts, place.rule, to))
        return -EINVAL;
    if (place.rule != UV_GUEST_FOLDER)
        return rename_file(source, &place, guest, to);
    if (uv_guest_store_is_of_others(place.store, guest))
        return -EPERM; /* the machine is called so */
    uv_rights_scope rights = uv_rights_take_of(source->fd);
    return renameat2(source->fd, guest, source->fd, to, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

int broker_set_journal_aside(const FsPlace *place, char **ret_path)
{
    unsigned number;

    if (place->sidecars.fd < 0)
        return place->sidecars.fd;
    if (place->file.fd >= 0)
        return -EEXIST;
    uv_rights_scope rights = uv_rights_take_at(&place->sidecars);
    const int result = uv_sidecars_set_journal_aside(place->sidecars.fd, place->store, &number);
    if (result < 0)
        return result;
    g_autofree char *real = fs_place_real_path(place), *folder = g_path_get_dirname(real);
    g_autofree char *sidecars = uv_sidecars_path(place->folder.fd, place->store);
    g_autofree char *journal = uv_sidecar_name(place->store, "journal");
    g_autofree char *name = uv_sidecar_conflict_name(journal, number);
    *ret_path = g_build_filename(folder, sidecars, name, NULL);
    return 0;
}

void broker_tidy(const FsJob *job)
{
    const FsLocal *source = job->broker->local;
    const FsBrokerOptions *options = job->broker->options;

    if (options->read_only || source->store ||
        !uv_guest_name_valid(source->libvirts, job->question->guest))
        return;
    for (UvGuestRule rule = UV_GUEST_FOLDER + 1; rule < UV_GUEST_RULES; rule++) {
        g_autofree char *store = fs_local_file(source, rule, job->question->guest);
        uv_sidecars_tidy(source->fd, store, options->keep_days);
    }
}

int broker_set_aside(FsJob *job)
{
    const FsQuestion *question = job->question;
    g_auto(FsPlace) place = FS_PLACE_NONE;
    g_autofree char *path = NULL;
    int result = fs_place_open_lost(job->broker->local, question->guest, question->to, &place);

    if (result == 0)
        result = broker_set_journal_aside(&place, &path);
    if (result == 0)
        g_strlcpy(job->answer.text, path, sizeof(job->answer.text));
    broker_tidy(job);
    return result;
}

int broker_clean(FsJob *job)
{
    g_auto(FsPlace) place = FS_PLACE_NONE;

    /* What another file system holds may be one. */
    job->answer.number =
        fs_local_find(job->broker->local, job->question->guest, &place, NULL) == -ENOENT;
    if (job->answer.number) /* its engine had the lock until now */
        broker_tidy(job);
    return 0;
}
