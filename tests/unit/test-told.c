/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the monitor tells of many guests is what the front reads, and nothing else is read. */

#include "told.h"

#include "fd.h"

#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define N 3

static FsTold told[N];

static void set_up(void)
{
    for (int i = 0; i < N; i++) {
        told[i].look = (FsLook){.flags = FS_LOOK_STORE,
                                .format = FS_FORMAT_FLASH,
                                .mtime_ns = -i,
                                .hint = {{1, 2, 3, 4, 5}}};
        g_snprintf(told[i].guest, FS_QUESTION_FILE, "g%d", i);
        g_snprintf(told[i].look.file, FS_QUESTION_FILE, "g%d.json", i);
    }
    memset(told[1].look.store_name, 'x', FS_QUESTION_FILE - 1);
}

static void test_same(void)
{
    uv_autofd int fd = fs_told_write(told, N), none = fs_told_write(told, 0);
    FsTold read[N + 1] = {0};

    g_assert_cmpuint(fs_told_read(fd, read, N + 1), ==, N);
    g_assert_cmpmem(read, sizeof(told), told, sizeof(told));
    g_assert_cmpuint(fs_told_read(fd, read, 1), ==, 1); /* no more than there is room for */
    g_assert_cmpuint(fs_told_read(none, read, N), ==, 0);
    g_assert_cmpuint(fs_told_read(-1, read, N), ==, 0);
}

/* Cut anywhere, what is whole is read. */
static void test_cut(void)
{
    uv_autofd int fd = fs_told_write(told, N);
    struct stat st;
    FsTold read[N];

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    for (off_t size = st.st_size - 1, most = N - 1; size >= 0; size--) {
        g_assert_cmpint(ftruncate(fd, size), ==, 0);
        const unsigned n = fs_told_read(fd, read, N);
        g_assert_cmpint(n, <=, most);
        most = n;
    }
}

static void test_format(void)
{
    FsTold wrong = told[0];

    wrong.look.format = FS_FORMATS;
    uv_autofd int fd = fs_told_write(&wrong, 1);
    g_assert_cmpuint(fs_told_read(fd, &wrong, 1), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    set_up();
    g_test_add_func("/told/same", test_same);
    g_test_add_func("/told/cut", test_cut);
    g_test_add_func("/told/format", test_format);
    return g_test_run();
}
