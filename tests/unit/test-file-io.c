/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fd.h"
#include "file-error.h"
#include "file-io.h"
#include "replace-file.h"
#include "scratch.h"
#include "sealed.h"

/* Larger than a pipe holds, so that one write(2) does not take it and one read(2) does not give it.
 */
#define MANY 300000u

static int open_in(const char *dir, const char *name, int flags)
{
    g_autofree char *path = scratch_path(dir, name);
    const int fd = open(path, flags | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void *write_many(void *data)
{
    g_autofree uint8_t *bytes = g_malloc(MANY);
    uv_autofd int fd = GPOINTER_TO_INT(data);

    memset(bytes, 0x5a, MANY);
    g_assert_cmpint(uv_write_all(fd, bytes, MANY), ==, 0);
    return NULL;
}

static int start_writer(GThread **ret_thread)
{
    int ends[2];

    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    *ret_thread = g_thread_new("writer", write_many, GINT_TO_POINTER(ends[1]));
    return ends[0];
}

static void test_read_all(void)
{
    g_autofree uint8_t *bytes = g_malloc(MANY + 1);
    GThread *writer;
    uv_autofd int fd = start_writer(&writer);

    g_assert_cmpint(uv_read_all(fd, bytes, MANY + 1), ==, MANY);
    g_assert_cmpuint(bytes[MANY - 1], ==, 0x5a);
    g_thread_join(writer);
    g_assert_cmpint(uv_read_all(-1, bytes, 1), ==, -EBADF);
}

static void test_read_to_end(void)
{
    g_autoptr(GBytes) bytes = NULL;
    g_autofree char *dir = scratch_new();
    uv_autofd int file = -1;
    GThread *writer;
    uv_autofd int fd = start_writer(&writer);

    g_assert_cmpint(uv_read_to_end(fd, MANY, &bytes), ==, 0);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, MANY);
    g_thread_join(writer);
    scratch_write(dir, "file", "12345");
    file = open_in(dir, "file", O_RDONLY);
    g_clear_pointer(&bytes, g_bytes_unref);
    g_assert_cmpint(uv_read_to_end(file, 4, &bytes), ==, -EFBIG);
    g_assert_null(bytes);
    g_assert_cmpint(lseek(file, 0, SEEK_SET), ==, 0);
    g_assert_cmpint(uv_read_to_end(file, 5, &bytes), ==, 0);
    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), "12345", 5);
    scratch_free(g_steal_pointer(&dir));
}

static void test_at_offsets(void)
{
    g_autofree char *dir = scratch_new();
    uv_autofd int fd = open_in(dir, "file", O_RDWR | O_CREAT);
    char bytes[8];

    g_assert_cmpint(uv_pwrite_all(fd, "abc", 3, 2), ==, 0);
    g_assert_cmpint(uv_pread_all(fd, bytes, sizeof(bytes), 1), ==, 4);
    g_assert_cmpmem(bytes, 4, "\0abc", 4);
    g_assert_cmpint(uv_pread_all(fd, bytes, 3, 2), ==, 3);
    g_assert_cmpint(uv_pread_all(fd, bytes, 1, 5), ==, 0);
    scratch_free(g_steal_pointer(&dir));
}

static void test_copy(void)
{
    g_autofree char *dir = scratch_new();
    uv_autofd int from = open_in(dir, "from", O_RDWR | O_CREAT);
    uv_autofd int to = open_in(dir, "to", O_RDWR | O_CREAT);
    g_autofree char *bytes = g_malloc0(1 << 20), *got = g_malloc(1 << 20);

    memset(bytes + 300000, 'x', 400000);
    g_assert_cmpint(uv_write_all(from, bytes, 1 << 20), ==, 0);
    g_assert_cmpint(uv_copy_range(from, to, 7, 1 << 20), ==, 0);
    g_assert_cmpint(uv_pread_all(to, got, 1 << 20, 0), ==, 1 << 20);
    g_assert_cmpmem(bytes, 1 << 20, got, 1 << 20);
    g_assert_cmpint(uv_copy_range(from, to, 1 << 20, (1 << 20) + 1), ==, -EIO);
    g_assert_cmpint(lseek(to, 0, SEEK_END), ==, 1 << 20);
    scratch_free(g_steal_pointer(&dir));
}

/* The first write(2) is short, the next one fails. */
static void test_short_write(void)
{
    g_autofree char *dir = scratch_new();
    uv_autofd int fd = open_in(dir, "file", O_RDWR | O_CREAT);
    struct rlimit before, limit;

    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    limit = (struct rlimit){4, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    g_assert_cmpint(uv_write_all(fd, "123456", 6), ==, -EFBIG);
    g_assert_cmpint(uv_pwrite_all(fd, "123456", 6, 1), ==, -EFBIG);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    scratch_expect(dir, "file", "1123");
    scratch_free(g_steal_pointer(&dir));
}

static void test_descriptors(void)
{
    int first = open("/dev/null", O_RDONLY | O_CLOEXEC), second;

    {
        uv_autofd int fd = first;
        uv_autofd int none = -ENOENT;

        second = uv_fd_steal(&fd);
        g_assert_cmpint(fd, ==, -1);
        g_assert_cmpint(none, ==, -ENOENT);
    }
    g_assert_cmpint(fcntl(second, F_GETFD), >=, 0);
    {
        uv_autofd int fd = second;

        g_assert_cmpint(fd, ==, first);
        errno = ENOLINK;
    }
    g_assert_cmpint(errno, ==, ENOLINK);
    g_assert_cmpint(fcntl(second, F_GETFD), ==, -1);
}

static void test_replace(void)
{
    static const UvReplaceDurability all[] = {UV_REPLACE_LAZY, UV_REPLACE_DURABLE};
    g_autofree char *dir = scratch_new();
    uv_autofd int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        scratch_write(dir, "file", "old");
        scratch_write(dir, "aside", "left by a crash");
        g_assert_cmpint(
            uv_replace_file(folder, "file", "aside", "new", 3, getuid(), getgid(), all[i]), ==, 0);
        scratch_expect(dir, "file", "new");
        g_assert_false(scratch_exists(dir, "aside"));
    }
    scratch_stat(dir, "file", &st);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
    scratch_free(g_steal_pointer(&dir));
}

/* What stands in the way of the new file leaves the old state. */
static void test_replace_fails(void)
{
    g_autofree char *dir = scratch_new();
    g_autofree char *in_the_way = scratch_path(dir, "folder");
    uv_autofd int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    g_assert_cmpint(g_mkdir_with_parents(in_the_way, 0700), ==, 0);
    g_assert_cmpint(uv_replace_file(folder, "folder", "aside", "new", 3, UV_REPLACE_OWNER_NONE,
                                    UV_REPLACE_DURABLE),
                    ==, -EISDIR);
    g_assert_false(scratch_exists(dir, "aside"));
    g_assert_cmpint(
        uv_replace_file(folder, "file", "folder", "new", 3, UV_REPLACE_OWNER_NONE, UV_REPLACE_LAZY),
        ==, -EEXIST);
    g_assert_false(scratch_exists(dir, "file"));
    scratch_free(g_steal_pointer(&dir));
}

/* What a program is told is what the system said, as far as GFileError knows it. */
static void test_error_number(void)
{
    const struct {
        int said, told;
    } rows[] = {{ENOENT, ENOENT}, {EACCES, EACCES}, {ENOSPC, ENOSPC}, {EDQUOT, ENOSPC},
                {EROFS, EROFS},   {EINVAL, EINVAL}, {EEXIST, EEXIST}, {ESTALE, EIO}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(uv_file_error(&error, rows[i].said, "vars.%s", "json"));
        g_assert_true(g_str_has_prefix(error->message, "vars.json: "));
        g_assert_cmpint(uv_file_error_number(error), ==, rows[i].told);
    }
}

static void test_sealed(void)
{
    uv_autofd int fd = uv_sealed_new("text", 4);
    uv_autofd int open_to_all = memfd_create("text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    char bytes[8];

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, bytes, sizeof(bytes), 0), ==, 4);
    g_assert_cmpint(pwrite(fd, "x", 1, 0), ==, -1);
    g_assert_cmpint(ftruncate(fd, 3), ==, -1);
    g_assert_cmpint(uv_sealed_size(fd, 4), ==, 4);
    g_assert_cmpint(uv_sealed_size(fd, 3), ==, -EFBIG);
    g_assert_cmpint(uv_sealed_size(open_to_all, 4), ==, -EINVAL);
    g_assert_cmpint(fcntl(open_to_all, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), ==, 0);
    g_assert_cmpint(uv_sealed_size(open_to_all, 4), ==, -EINVAL);
    g_assert_cmpint(uv_sealed_size(STDIN_FILENO, 4), ==, -EINVAL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/file-io/read-all", test_read_all);
    g_test_add_func("/file-io/read-to-end", test_read_to_end);
    g_test_add_func("/file-io/at-offsets", test_at_offsets);
    g_test_add_func("/file-io/copy", test_copy);
    g_test_add_func("/file-io/short-write", test_short_write);
    g_test_add_func("/file-io/descriptors", test_descriptors);
    g_test_add_func("/file-io/error-number", test_error_number);
    g_test_add_func("/file-io/replace", test_replace);
    g_test_add_func("/file-io/replace-fails", test_replace_fails);
    g_test_add_func("/file-io/sealed", test_sealed);
    return g_test_run();
}
