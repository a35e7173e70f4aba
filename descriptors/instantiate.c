/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "instantiate.h"

#include "desc.h"
#include "fd.h"
#include "file-error.h"
#include "file-io.h"
#include "replace-file.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPLATE_TRIES 10
#define TEMPLATE_WAIT_US 30000
/* White space in front of a JSON text, at most. */
#define BLANKS_MAX 4096
#define COPY_CHUNK (256u * 1024)
#define EMPTY_JSON "{\n    \"version\": 2,\n    \"variables\": []\n}\n"

struct DescInstantiation {
    DescStoreKind kind;
    char *template_path; /* NULL: an empty JSON store */
    int template_fd;     /* -1 without one */
    DescFormat format;   /* of the flash image to make */
    bool keep_format;    /* copy as it is, whatever it is */
    char *pin;           /* NULL: nothing to pin */
};

void desc_instantiation_free(DescInstantiation *instantiation)
{
    if (!instantiation)
        return;
    uv_fd_clear(&instantiation->template_fd);
    g_free(instantiation->template_path);
    g_free(instantiation->pin);
    g_free(instantiation);
}

/* Is the file of this descriptor below one of the folders, by the name that the kernel knows it by?
 */
static bool is_below(int fd, const char *const *folders)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *real = g_file_read_link(link, NULL);

    for (; real && *folders; folders++) {
        g_autofree char *folder = realpath(*folders, NULL);
        size_t length = folder ? strlen(folder) : 0;

        if (length > 0 && strncmp(real, folder, length) == 0 && real[length] == '/')
            return true;
    }
    return false;
}

/* The same by its text alone: nothing elsewhere is as much as touched for a path that somebody
 * wrote into a guest's config.json. */
static bool is_named_below(const char *path, const char *const *folders)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);

    if (g_strv_contains((const char *const *)parts, ".."))
        return false;
    for (; *folders; folders++) {
        const size_t length = strlen(*folders);

        if (length > 0 && strncmp(path, *folders, length) == 0 &&
            (path[length] == '/' || path[length - 1] == '/'))
            return true;
    }
    return false;
}

static bool refuse_wished(const char *path, GError **error)
{
    g_set_error(
        error, G_FILE_ERROR, G_FILE_ERROR_PERM,
        "%s: not an absolute path below a folder that templates are taken from (templates=)", path);
    return false;
}

/* For reading, what `found` (O_PATH) is; a negative errno. */
static int open_found(int found)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", found);
    int fd = -1;

    /* An engine that keeps the template as its own store may have to complete it first. */
    for (unsigned i = 0; i < TEMPLATE_TRIES && fd < 0; i++) {
        if (i > 0)
            g_usleep(TEMPLATE_WAIT_US);
        fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 && errno != EAGAIN)
            break;
    }
    return fd;
}

/* What was looked at is what is opened, whatever happens to its name meanwhile. `folders` NULL:
 * from anywhere. */
static bool take_template(DescInstantiation *instantiation, int found, const char *path,
                          const char *const *folders, GError **error)
{
    struct stat st;

    if (folders && !is_below(found, folders)) /* a link in the folder leads elsewhere */
        return refuse_wished(path, error);
    if (fstat(found, &st) == 0 && !S_ISREG(st.st_mode)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: a template is a regular file",
                    path);
        return false;
    }
    instantiation->template_fd = open_found(found);
    return instantiation->template_fd >= 0 ||
           uv_file_error(error, errno, "%s: can't open the template", path);
}

static bool open_template(DescInstantiation *instantiation, const char *path,
                          const char *const *folders, GError **error)
{
    uv_autofd int found = -1;

    instantiation->template_path = g_strdup(path);
    if (folders && !is_named_below(path, folders))
        return refuse_wished(path, error);
    found = open(path, O_PATH | O_CLOEXEC);
    if (found < 0)
        return uv_file_error(error, errno, "%s: can't open the template", path);
    return take_template(instantiation, found, path, folders, error);
}

static DescInstantiation *instantiation_alloc(void)
{
    DescInstantiation *instantiation = g_new0(DescInstantiation, 1);

    instantiation->template_fd = -1;
    return instantiation;
}

DescInstantiation *desc_instantiation_new(const DescChoice *choice,
                                          const char *const *template_folders, GError **error)
{
    g_autoptr(DescInstantiation) instantiation = instantiation_alloc();
    const char *template = desc_choice_template(choice);

    instantiation->kind = desc_choice_store_kind(choice);
    instantiation->format = choice->format;
    if (instantiation->kind == DESC_STORE_NONE) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                    choice->desc ? "the chosen firmware keeps no variables"
                                 : "no firmware satisfies config.json (firmware/why tells)");
        return NULL;
    }
    instantiation->pin = desc_choice_pin(choice);
    if (template && !open_template(instantiation, template,
                                   choice->template_path ? template_folders : NULL, error))
        return NULL;
    return g_steal_pointer(&instantiation);
}

static bool starts_json(int fd)
{
    char first = 0;

    for (off_t at = 0; at < BLANKS_MAX && pread(fd, &first, 1, at) == 1 && g_ascii_isspace(first);
         at++)
        ;
    return first == '{';
}

DescInstantiation *desc_instantiation_of_template(const char *path,
                                                  const char *const *template_folders,
                                                  GError **error)
{
    g_autoptr(DescInstantiation) instantiation = instantiation_alloc();

    instantiation->keep_format = true;
    if (!open_template(instantiation, path, template_folders, error))
        return NULL;
    instantiation->kind =
        starts_json(instantiation->template_fd) ? DESC_STORE_JSON : DESC_STORE_FLASH;
    return g_steal_pointer(&instantiation);
}

bool desc_instantiation_is_json(const DescInstantiation *instantiation)
{
    return instantiation->kind == DESC_STORE_JSON;
}

/* Between any two file systems, which copy_file_range(2) is not for. */
static bool copy_range(int from, int to, off_t at, off_t end)
{
    g_autofree char *bytes = g_malloc(COPY_CHUNK);

    while (at < end) {
        const ssize_t n = uv_pread_all(from, bytes, MIN(COPY_CHUNK, (size_t)(end - at)), at);
        const int ret = n < 0 ? n : n == 0 ? -EIO : uv_pwrite_all(to, bytes, n, at);

        if (ret < 0) {
            errno = -ret; /* EIO: it got shorter meanwhile */
            return false;
        }
        at += n;
    }
    return true;
}

/* Copies all of `from`, leaving holes where it has them, so that a 64 MiB image takes what it
 * holds. */
static bool copy_sparse(int from, int to, const char *path, GError **error)
{
    struct stat st;
    off_t at = 0, hole = 0;

    if (fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0)
        return uv_file_error(error, errno, "%s: can't copy the template", path);
    while (at < st.st_size) {
        at = lseek(from, hole, SEEK_DATA);
        if (at < 0 && errno == ENXIO)
            return true;
        hole = at < 0 ? -1 : lseek(from, at, SEEK_HOLE);
        if (at < 0 || hole < 0 || !copy_range(from, to, at, hole))
            return uv_file_error(error, errno, "%s: can't copy the template", path);
        at = hole;
    }
    return true;
}

static bool is_qcow2(int fd)
{
    char magic[4];

    return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) && memcmp(magic, "QFI\xfb", 4) == 0;
}

/* qemu-img knows both files by descriptors of ours, so no path can change under it. */
static bool convert(int from, int to, DescFormat from_format, DescFormat to_format,
                    const char *path, GError **error)
{
    g_autofree char *source = g_strdup_printf("/proc/%d/fd/%d", getpid(), from);
    g_autofree char *target = g_strdup_printf("/proc/%d/fd/%d", getpid(), to);
    g_autoptr(GSubprocess) qemu_img = NULL;
    g_autofree char *message = NULL;

    qemu_img = g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE,
                                error, "qemu-img", "convert", "-f", desc_formats[from_format], "-O",
                                desc_formats[to_format], source, target, NULL);
    if (!qemu_img || !g_subprocess_communicate_utf8(qemu_img, NULL, NULL, NULL, &message, error))
        return false;
    if (g_subprocess_get_successful(qemu_img))
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_IO, "%s: qemu-img convert: %s", path,
                g_strchomp(message));
    return false;
}

static bool fill_flash(const DescInstantiation *instantiation, int fd, GError **error)
{
    int from = instantiation->template_fd;
    DescFormat format = is_qcow2(from) ? DESC_FORMAT_QCOW2 : DESC_FORMAT_RAW;

    if (instantiation->keep_format || format == instantiation->format)
        return copy_sparse(from, fd, instantiation->template_path, error);
    return convert(from, fd, format, instantiation->format, instantiation->template_path, error);
}

static bool fill(const DescInstantiation *instantiation, int fd, const char *path, GError **error)
{
    int from = instantiation->template_fd;

    if (from < 0) {
        const int ret = uv_write_all(fd, EMPTY_JSON, strlen(EMPTY_JSON));

        return ret == 0 || uv_file_error(error, -ret, "%s: can't write", path);
    }
    if (!instantiation->keep_format &&
        starts_json(from) != (instantiation->kind == DESC_STORE_JSON)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: expected %s",
                    instantiation->template_path,
                    instantiation->kind == DESC_STORE_JSON ? "a JSON variable store"
                                                           : "a flash image");
        return false;
    }
    if (instantiation->kind == DESC_STORE_JSON)
        return copy_sparse(from, fd, instantiation->template_path, error);
    return fill_flash(instantiation, fd, error);
}

static int create_owned(int folder_fd, const char *name, uid_t uid, gid_t gid, GError **error)
{
    uv_autofd int fd = -1;

    unlinkat(folder_fd, name, 0);
    fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || (geteuid() == 0 && fchown(fd, uid, gid) < 0)) {
        uv_file_error(error, errno, "%s: can't create", name);
        return -1;
    }
    return uv_fd_steal(&fd);
}

/* The pin, whole and durable under its name. */
static bool write_pin(const DescInstantiation *instantiation, int sidecars, const char *name,
                      uid_t uid, gid_t gid, GError **error)
{
    g_autofree char *temp = g_strconcat(name, ".pin.tmp", NULL);
    g_autofree char *pin = g_strconcat(name, ".pin", NULL);
    int ret;

    if (!instantiation->pin)
        return true;
    ret = uv_replace_file(sidecars, pin, temp, instantiation->pin, strlen(instantiation->pin), uid,
                          gid, UV_REPLACE_DURABLE);
    return ret == 0 || uv_file_error(error, -ret, "%s: can't write", pin);
}

bool desc_instantiation_run(const DescInstantiation *instantiation, int folder_fd, int sidecars,
                            const char *name, uid_t uid, gid_t gid, GError **error)
{
    g_autofree char *temp = g_strconcat(name, ".new", NULL);
    uv_autofd int fd = create_owned(sidecars, temp, uid, gid, error);
    bool ok;

    if (fd < 0)
        return false;
    ok = fill(instantiation, fd, name, error) &&
         (fsync(fd) == 0 || uv_file_error(error, errno, "%s: can't sync", name)) &&
         write_pin(instantiation, sidecars, name, uid, gid, error) &&
         (renameat2(sidecars, temp, folder_fd, name, RENAME_NOREPLACE) == 0 ||
          uv_file_error(error, errno, "%s: can't make the store", name)) &&
         (fsync(folder_fd) == 0 ||
          uv_file_error(error, errno, "%s: can't sync the folder of", name));
    if (!ok)
        unlinkat(sidecars, temp, 0);
    return ok;
}
