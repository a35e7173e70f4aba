/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "session.h"

static int memory_file(void)
{
    const int fd = memfd_create("session", MFD_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void write_session(UvSessionFile *file, const char *name, const char *text)
{
    UvSessionHead head = {.mode = UV_SESSION_RELEASED, .identity = {.inode = 5}};

    g_strlcpy(head.name, name, sizeof(head.name));
    memset(head.id, 7, sizeof(head.id));
    uv_write_bytes(uv_session_file_begin(file, &head), text, strlen(text));
    g_assert_true(uv_session_file_commit(file, NULL));
}

static char *read_session(int fd)
{
    g_autoptr(UvSessionFile) file = uv_session_file_new(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    g_autoptr(GBytes) state = NULL;
    UvSessionHead head;
    gsize size;

    if (!uv_session_file_read(file, &head, &state))
        return NULL;
    const char *text = g_bytes_get_data(state, &size);
    g_assert_cmpint(head.mode, ==, UV_SESSION_RELEASED);
    g_assert_cmpuint(head.identity.inode, ==, 5);
    g_assert_cmpint(head.id[15], ==, 7);
    return g_strdup_printf("%s:%.*s", head.name, (int)size, text ? text : "");
}

static void expect(int fd, const char *wanted)
{
    g_autofree char *text = read_session(fd);

    g_assert_cmpstr(text, ==, wanted);
}

static void test_newest(void)
{
    const int fd = memory_file();
    g_autoptr(UvSessionFile) file = uv_session_file_new(fd);

    expect(fd, NULL);
    write_session(file, "q", "one");
    expect(fd, "q:one");
    write_session(file, "q", "two");
    expect(fd, "q:two");
    write_session(file, "q", "three");
    expect(fd, "q:three");
    uv_session_file_clear(file);
    expect(fd, NULL);
    write_session(file, "", "");
    expect(fd, ":");
}

/* A torn newest slot: the one before counts. */
static void test_torn(void)
{
    const int fd = memory_file();
    g_autoptr(UvSessionFile) file = uv_session_file_new(fd);

    write_session(file, "q", "one");
    write_session(file, "q", "two");
    /* Sequence 2 is in slot 0; its body ends with "two". */
    for (off_t at = 0; at < 28 + 16 + 4 + 40 + 1 + 1 + 3; at++) {
        uint8_t byte;
        g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
        const uint8_t flipped = byte ^ 1;
        g_assert_cmpint(pwrite(fd, &flipped, 1, at), ==, 1);
        expect(fd, "q:one");
        g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
    }
    expect(fd, "q:two");
}

/* A successor goes on with the sequence. */
static void test_successor(void)
{
    const int fd = memory_file();
    g_autoptr(UvSessionFile) file = uv_session_file_new(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    g_autoptr(UvSessionFile) next = uv_session_file_new(fd);
    g_autoptr(GBytes) state = NULL;
    UvSessionHead head;

    for (int i = 0; i < 5; i++) {
        g_autofree char *text = g_strdup_printf("%d", i);
        write_session(file, "a", text);
    }
    g_assert_true(uv_session_file_read(next, &head, &state));
    write_session(next, "b", "x");
    expect(fd, "b:x");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/session/newest", test_newest);
    g_test_add_func("/session/torn", test_torn);
    g_test_add_func("/session/successor", test_successor);
    return g_test_run();
}
