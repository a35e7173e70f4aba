/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The folder that stands for a libvirt as SOURCE. */

#include "open-source.h"

#include "fd.h"
#include "file-error.h"

#include <errno.h>
#include <unistd.h>

/* Read-only mounts share a SOURCE, and each has its own folder. */
static char *folder_of(const char *id, bool read_only, GError **error)
{
    g_autofree char *run = fs_run_folder(error);
    uv_autofd int fd = run ? fs_open_private_folder(run, 0, error) : -1;

    if (fd < 0)
        return NULL;
    return read_only ? g_strdup_printf("%s/%s.domains.ro.%d", run, id, (int)getpid())
                     : g_strdup_printf("%s/%s.domains", run, id);
}

FsLocal *fs_libvirt_open(const char *source, bool read_only, GError **error)
{
    g_autoptr(FsLocal) local = g_new0(FsLocal, 1);
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, source, -1);

    local->fd = -1;
    local->is_domains = true;
    local->id = g_strdup_printf("libvirt-%.8s", digest);
    local->path = folder_of(local->id, read_only, error);
    if (!local->path)
        return NULL;
    local->fd = fs_open_private_folder(local->path, 0700, error);
    if (local->fd < 0)
        return NULL;
    if (fstat(local->fd, &local->st) < 0) {
        uv_file_error(error, errno, "%s", local->path);
        return NULL;
    }
    return g_steal_pointer(&local);
}
