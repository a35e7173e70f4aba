/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "replace-store.h"

#include "fd.h"
#include "file-error.h"
#include "file-io.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The kernel's own limits (XATTR_LIST_MAX, XATTR_SIZE_MAX). */
#define XATTR_MAX 65536
#define ACL_XATTR "system.posix_acl_access"

bool uv_set_store_error(GError **error, const char *name, const char *what, int code)
{
    UvStoreError kind = UV_STORE_ERROR_IO;

    if (code == ENOSPC || code == EDQUOT || code == EFBIG)
        kind = UV_STORE_ERROR_NO_SPACE;
    else if (code == EROFS || code == EACCES || code == EPERM || code == ETXTBSY)
        kind = UV_STORE_ERROR_READ_ONLY;
    return uv_fail(error, UV_STORE_ERROR, kind, "%s: %s: %s", name, what, g_strerror(code));
}

bool uv_map_folder_error(GError **error)
{
    UvStoreError kind = UV_STORE_ERROR_IO;

    if (!error || !*error || (*error)->domain != G_FILE_ERROR)
        return false;
    switch ((*error)->code) {
    case G_FILE_ERROR_NOSPC:
        kind = UV_STORE_ERROR_NO_SPACE;
        break;
    case G_FILE_ERROR_ROFS:
    case G_FILE_ERROR_ACCES:
    case G_FILE_ERROR_PERM:
    case G_FILE_ERROR_TXTBSY:
        kind = UV_STORE_ERROR_READ_ONLY;
        break;
    default:
        break;
    }
    (*error)->domain = UV_STORE_ERROR;
    (*error)->code = kind;
    return false;
}

GBytes *uv_read_file(int fd, const char *name, size_t max, GError **error)
{
    g_autofree uint8_t *bytes = NULL;
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0) {
        uv_set_store_error(error, name, "cannot read", errno);
        return NULL;
    }
    if (st.st_size < 0 || (uint64_t)st.st_size > max) {
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE,
                    "%s: too large: %" G_GINT64_FORMAT " bytes, at most %zu expected", name,
                    (gint64)st.st_size, max);
        return NULL;
    }
    bytes = g_malloc(MAX(st.st_size, 1));
    n = uv_pread_all(fd, bytes, st.st_size, 0); /* fewer if it shrank meanwhile */
    if (n < 0) {
        uv_set_store_error(error, name, "cannot read", -n);
        return NULL;
    }
    return g_bytes_new_take(g_steal_pointer(&bytes), n);
}

bool uv_write_file_at(int fd, const char *name, const void *bytes, size_t size, uint64_t offset,
                      GError **error)
{
    const int ret = uv_pwrite_all(fd, bytes, size, offset);

    if (ret < 0)
        uv_set_store_error(error, name, "cannot write", -ret);
    return ret == 0;
}

bool uv_sync_file(int fd, const char *name, bool data_only, GError **error)
{
    if ((data_only ? fdatasync(fd) : fsync(fd)) == 0)
        return true;
    return uv_set_store_error(error, name, "cannot sync", errno);
}

static bool attribute_error(GError **error, const char *what)
{
    return uv_file_error(error, errno, "cannot keep %s", what);
}

static bool copy_xattr(int from_fd, int to_fd, const char *name, GError **error)
{
    g_autofree uint8_t *value = g_malloc(XATTR_MAX), *present = g_malloc(XATTR_MAX);
    ssize_t size = fgetxattr(from_fd, name, value, XATTR_MAX), present_size;

    if (size < 0)
        return errno == ENODATA || attribute_error(error, name);
    present_size = fgetxattr(to_fd, name, present, XATTR_MAX);
    if (present_size == size && memcmp(value, present, size) == 0)
        return true;
    return fsetxattr(to_fd, name, value, size, 0) == 0 || attribute_error(error, name);
}

static bool copy_xattrs(int from_fd, int to_fd, GError **error)
{
    g_autofree char *names = g_malloc(XATTR_MAX);
    ssize_t size = flistxattr(from_fd, names, XATTR_MAX);
    bool has_acl = false;

    if (size < 0)
        return errno == ENOTSUP || errno == ENOSYS || attribute_error(error, "extended attributes");
    for (const char *name = names; name < names + size; name += strlen(name) + 1) {
        if (!copy_xattr(from_fd, to_fd, name, error))
            return false;
        has_acl = has_acl || strcmp(name, ACL_XATTR) == 0;
    }
    /* One that came from the default ACL of the sidecars' folder. */
    if (!has_acl && fremovexattr(to_fd, ACL_XATTR) < 0 && errno != ENODATA && errno != ENOTSUP &&
        errno != EINVAL)
        return attribute_error(error, ACL_XATTR);
    return true;
}

bool uv_copy_attributes(int from_fd, int to_fd, GError **error)
{
    struct stat from, to;

    if (fstat(from_fd, &from) < 0 || fstat(to_fd, &to) < 0)
        return attribute_error(error, "attributes");
    if ((from.st_uid != to.st_uid || from.st_gid != to.st_gid) &&
        fchown(to_fd, from.st_uid, from.st_gid) < 0)
        return attribute_error(error, "the owner");
    if (!copy_xattrs(from_fd, to_fd, error))
        return false;
    /* Last: a change of owner takes mode bits away, an ACL sets the group's. */
    if (fchmod(to_fd, from.st_mode & 0777) < 0)
        return attribute_error(error, "the mode");
    return true;
}

void uv_publish_abort(UvFolder *folder)
{
    uv_folder_unlink(folder, UV_FILE_TEMP, NULL);
}

int uv_publish_prepare(UvFolder *folder, int old_fd, GBytes *content, GError **error)
{
    const char *name = uv_folder_path(folder, UV_FILE_TEMP);
    uv_autofd int fd = uv_folder_open(folder, UV_FILE_TEMP, O_RDWR | O_CREAT | O_EXCL, error);

    if (fd < 0)
        return -1;
    if (uv_write_file_at(fd, name, g_bytes_get_data(content, NULL), g_bytes_get_size(content), 0,
                         error) &&
        (old_fd < 0 || uv_copy_attributes(old_fd, fd, error)) &&
        uv_sync_file(fd, name, false, error))
        return uv_fd_steal(&fd);
    uv_publish_abort(folder);
    return -1;
}

bool uv_publish(UvFolder *folder, GError **error)
{
    return uv_folder_rename(folder, UV_FILE_TEMP, UV_FILE_STORE, error);
}
