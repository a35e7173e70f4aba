/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "tidy.h"

#include "close-all-but.h"
#include "edit.h"
#include "fd.h"
#include "rights.h"
#include "sidecars-tidy.h"
#include "sidecars.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static int tidy_folder(int dir_fd, int fd, const char *store, unsigned keep_days)
{
    uv_rights_scope rights = uv_rights_take_of(fd);
    int result = uv_sidecars_tidy(dir_fd, fd, store, keep_days);

    if (result < 0)
        uv_sidecars_expire(fd, store, keep_days);
    return result;
}

/* Of its own folder, and of the common one, where it may have been before. */
static void tidy_store(int dir_fd, const char *store, unsigned keep_days)
{
    uv_autofd int own = uv_sidecars_open(dir_fd, store);
    uv_autofd int common = uv_open_dir(dir_fd, UV_SIDECARS, O_NOFOLLOW);
    const int in_own = own < 0 ? 0 : tidy_folder(dir_fd, own, store, keep_days);
    const int in_common =
        in_own < 0 || common < 0 ? 0 : tidy_folder(dir_fd, common, store, keep_days);

    if (in_own > 0 || in_common > 0)
        fs_edit_remove_sidecar_folders(dir_fd, store);
}

void fs_tidy_guest(const FsLocal *source, const char *guest, unsigned keep_days)
{
    for (UvGuestRule rule = UV_GUEST_FOLDER + 1; rule < UV_GUEST_RULES; rule++) {
        g_autofree char *store = fs_local_file(source, rule, guest);
        tidy_store(source->fd, store, keep_days);
    }
}

void fs_tidy_expire(const FsPlace *place, unsigned keep_days)
{
    uv_autofd int fd = fs_place_sidecars(place);

    if (fd < 0)
        return;
    uv_rights_scope rights = uv_rights_take_of(fd);
    uv_sidecars_expire(fd, place->store, keep_days);
}

static void sweep(int dir_fd, unsigned keep_days)
{
    uv_autofd int fd = openat(dir_fd, UV_SIDECARS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    uv_autofd int others =
        openat(dir_fd, UV_SIDECARS_OTHERS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    g_autoptr(GPtrArray) stores = uv_sidecars_stores(fd);
    g_autoptr(GPtrArray) apart = uv_sidecars_names(others);

    for (guint i = 0; i < stores->len; i++)
        tidy_store(dir_fd, stores->pdata[i], keep_days);
    for (guint i = 0; i < apart->len; i++)
        tidy_store(dir_fd, apart->pdata[i], keep_days);
}

/* A child's child: nobody has to wait for it. It may outlive the monitor, and must keep no lock
 * then. */
void fs_tidy_all(const FsLocal *source, unsigned keep_days)
{
    const pid_t child = source->store ? -1 : fork();
    int kept = source->fd;

    if (child == 0) {
        uv_close_all_but(&kept, 1);
        if (fork() == 0)
            sweep(kept, keep_days);
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}
