/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * uefivars-make: makes a guest's store, for the monitor of a mount.
 *
 * It runs as who owns the folder that the store will lie in, and gets everything as descriptors:
 * 3 that folder, 4 the folder of the store's sidecars, 5 what is to be copied, 6 the pin's text,
 * 7 where it says what failed. Its exit status is an errno.
 *
 * The copy is complete and synced under a temporary name before it gets the store's; the pin is in
 * place before. So a crash leaves no store or a whole one, and a pin without a store means nothing.
 */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "file-error.h"
#include "file-io.h"
#include "landlock.h"
#include "replace-file.h"
#include "sidecars.h"
#include "uv-limits.h"

enum {
    FD_FOLDER = 3,
    FD_SIDECARS,
    FD_TEMPLATE,
    FD_PIN,
    FD_OUTPUT,
    FD_FIRST_CLOSED,
};

#define PIN_MAX (1024u * 1024)
#define EMPTY_JSON "{\n    \"version\": 2,\n    \"variables\": []\n}\n"

typedef struct {
    char *store, *from, *format; /* from NULL: an empty JSON store */
    char *instead_of;            /* another name that the guest's store has until now, or NULL */
    gboolean replace;
} Options;

static void options_clear(Options *options)
{
    g_free(options->store);
    g_free(options->from);
    g_free(options->format);
    g_free(options->instead_of);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

/* Leaves holes where the template has them, so that a 64 MiB image takes what it holds. */
static int copy_sparse(int to)
{
    struct stat st;
    off_t at = 0, hole = 0;
    int result = 0;

    if (fstat(FD_TEMPLATE, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size > UV_FLASH_FILE_MAX)
        return -EFBIG;
    if (ftruncate(to, st.st_size) < 0)
        return -errno;
    while (at < st.st_size && result == 0) {
        at = lseek(FD_TEMPLATE, hole, SEEK_DATA);
        if (at < 0 && errno == ENXIO)
            return 0;
        hole = at < 0 ? -1 : lseek(FD_TEMPLATE, at, SEEK_HOLE);
        if (hole < 0)
            return -errno;
        result = uv_copy_range(FD_TEMPLATE, to, (uint64_t)at, (uint64_t)hole);
        at = hole;
    }
    return result;
}

/*
 * In the process that becomes qemu-img: it reaches these two files, and what a program needs to
 * run. Whatever an image's header names as backing or data file stays closed to it.
 */
static void confine_converter(void *data)
{
    const int *to = data;
    const UvLandlockRule rules[] = {{FD_TEMPLATE, UV_LANDLOCK_READ}, {*to, UV_LANDLOCK_WRITE}};
    const int failed = uv_landlock_confine_program(rules, G_N_ELEMENTS(rules));

    if (failed && failed != ENOSYS)
        _exit(126);
    fcntl(FD_TEMPLATE, F_SETFD, 0);
    fcntl(*to, F_SETFD, 0);
}

static bool convert(const Options *options, int to, GError **error)
{
    g_autofree char *source = g_strdup_printf(
        "json:{\"driver\":\"%s\",%s\"file\":{\"driver\":\"file\",\"locking\":\"off\","
        "\"filename\":\"/proc/self/fd/%d\"}}",
        options->from, strcmp(options->from, "qcow2") == 0 ? "\"backing\":null," : "", FD_TEMPLATE);
    g_autofree char *target = g_strdup_printf("/proc/self/fd/%d", to);
    g_autofree char *message = NULL;
    char *argv[] = {
        (char *)"qemu-img", (char *)"convert", (char *)"-O", options->format, source, target, NULL};
    int status;

    if (!g_spawn_sync("/", argv, NULL,
                      G_SPAWN_SEARCH_PATH | G_SPAWN_LEAVE_DESCRIPTORS_OPEN |
                          G_SPAWN_STDOUT_TO_DEV_NULL,
                      confine_converter, &to, NULL, &message, &status, error))
        return false;
    if (g_spawn_check_wait_status(status, NULL))
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_IO, "%s: qemu-img convert: %s", options->store,
                g_strchomp(message));
    return false;
}

static bool fill(const Options *options, int fd, GError **error)
{
    int result;

    if (options->from && strcmp(options->from, options->format) != 0)
        return convert(options, fd, error);
    result = options->from ? copy_sparse(fd) : uv_write_all(fd, EMPTY_JSON, strlen(EMPTY_JSON));
    return result == 0 ||
           uv_file_error(error, -result, "%s: can't copy the template", options->store);
}

static bool is_given(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && !S_ISCHR(st.st_mode);
}

static bool write_pin(const Options *options, GError **error)
{
    g_autofree char *name = uv_sidecar_name(options->store, "pin");
    g_autofree char *temporary = uv_sidecar_name(options->store, "pin.tmp");
    g_autofree char *text = g_malloc(PIN_MAX);
    ssize_t size = is_given(FD_PIN) ? uv_pread_all(FD_PIN, text, PIN_MAX, 0) : 0;
    int result = 0;

    if (!is_given(FD_PIN))
        return true;
    result = size < 0 ? (int)size
                      : uv_replace_file(FD_SIDECARS, name, temporary, text, (size_t)size,
                                        UV_REPLACE_OWNER_NONE, UV_REPLACE_DURABLE);
    return result == 0 || uv_file_error(error, -result, "%s: can't write", name);
}

/* The new file gets the store's name; one that is there is kept beside it, if it may be replaced,
 * and no engine takes the new one for that one, changed by another program. */
static bool publish(const Options *options, const char *temporary, GError **error)
{
    g_autofree char *kept = uv_sidecar_name(options->store, "before-load");
    g_autofree char *left = uv_sidecar_name(options->store, "meta");

    if (renameat2(FD_SIDECARS, temporary, FD_FOLDER, options->store, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EEXIST || !options->replace)
        return uv_file_error(error, errno, "%s: can't make the store", options->store);
    if (renameat2(FD_SIDECARS, temporary, FD_FOLDER, options->store, RENAME_EXCHANGE) < 0)
        return uv_file_error(error, errno, "%s: can't replace the store", options->store);
    if (renameat(FD_SIDECARS, temporary, FD_SIDECARS, kept) < 0) {
        const int code = errno;

        /* Back: what has the temporary name goes. */
        renameat2(FD_SIDECARS, temporary, FD_FOLDER, options->store, RENAME_EXCHANGE);
        return uv_file_error(error, code, "%s: can't keep the store before", options->store);
    }
    unlinkat(FD_SIDECARS, left, 0);
    return true;
}

/* Its store had another name, which would count before the new one; what belonged to it goes. */
static bool retire_other(const Options *options, GError **error)
{
    g_autofree char *kept = uv_sidecar_name(options->store, "before-load");

    if (!options->instead_of)
        return true;
    if (renameat(FD_FOLDER, options->instead_of, FD_SIDECARS, kept) < 0)
        return uv_file_error(error, errno, "%s: can't put aside", options->instead_of);
    uv_sidecars_remove(FD_SIDECARS, options->instead_of);
    return true;
}

static bool make(const Options *options, GError **error)
{
    g_autofree char *temporary = uv_sidecar_name(options->store, "new");
    uv_autofd int fd = -1;
    bool ok;

    unlinkat(FD_SIDECARS, temporary, 0); /* left by a crash: the monitor makes one at a time */
    fd = openat(FD_SIDECARS, temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return uv_file_error(error, errno, "%s: can't create", temporary);
    ok = fill(options, fd, error) &&
         (fsync(fd) == 0 || uv_file_error(error, errno, "%s: can't sync", options->store)) &&
         write_pin(options, error) && publish(options, temporary, error) &&
         retire_other(options, error) &&
         (uv_sync_names(FD_FOLDER) == 0 ||
          uv_file_error(error, EIO, "%s: can't sync its folder", options->store));
    if (!ok)
        unlinkat(FD_SIDECARS, temporary, 0);
    return ok;
}

static bool is_format(const char *text)
{
    return strcmp(text, "json") == 0 || strcmp(text, "raw") == 0 || strcmp(text, "qcow2") == 0;
}

static bool parse(int argc, char **argv, Options *options, GError **error)
{
    const GOptionEntry entries[] = {
        {"store", 0, 0, G_OPTION_ARG_FILENAME, &options->store, "The store's name", "NAME"},
        {"from", 0, 0, G_OPTION_ARG_STRING, &options->from, "What the template is", "FORMAT"},
        {"format", 0, 0, G_OPTION_ARG_STRING, &options->format, "What the store is", "FORMAT"},
        {"instead-of", 0, 0, G_OPTION_ARG_FILENAME, &options->instead_of,
         "Another store that is put aside for it", "NAME"},
        {"replace", 0, 0, G_OPTION_ARG_NONE, &options->replace, "Keep a store as before-load",
         NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(context, "Makes a guest's store, for uefivarsfs.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error))
        return false;
    const bool json = options->format && strcmp(options->format, "json") == 0;
    const bool from_json = !options->from || strcmp(options->from, "json") == 0;
    if (!options->store || strchr(options->store, '/') || !options->format ||
        (options->instead_of && (strchr(options->instead_of, '/') || !options->replace)) ||
        !is_format(options->format) || (options->from && !is_format(options->from)) ||
        json != from_json || !is_given(FD_FOLDER) || !is_given(FD_SIDECARS)) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "uefivarsfs starts this program");
        return false;
    }
    return true;
}

static int fail(const GError *error)
{
    if (!is_given(FD_OUTPUT) || write(FD_OUTPUT, error->message, strlen(error->message)) < 0)
        fprintf(stderr, "uefivars-make: %s\n", error->message);
    return uv_file_error_number(error);
}

int main(int argc, char **argv)
{
    const struct rlimit largest = {UV_FLASH_FILE_MAX, UV_FLASH_FILE_MAX};
    g_autoptr(GError) error = NULL;
    g_auto(Options) options = {0};

    if (!parse(argc, argv, &options, &error))
        return fail(error);
    umask(077);
    for (int fd = FD_FOLDER; fd < FD_FIRST_CLOSED; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    setrlimit(RLIMIT_FSIZE, &largest);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return make(&options, &error) ? 0 : fail(error);
}
