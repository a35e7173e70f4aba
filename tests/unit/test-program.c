/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Programs get exactly the descriptors that they are given, however many their starter has. */

#include "fd.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 600
#define FIRST_SLOT 16

static char list_them[] =
    "exec >&3; for f in /proc/self/fd/*; do [ -e $f ] && echo ${f##*/}; done; true";
static char *arguments[] = {(char *)"sh", (char *)"-c", list_them, NULL};

static void raise_limit(void)
{
    struct rlimit limit;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    limit.rlim_cur = limit.rlim_max;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

static char *read_all(int fd)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char buffer[256];
    ssize_t n;

    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        g_string_append_len(text, buffer, n);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* What a program that is given the pipe and `more` others has open. */
static char *start(size_t more)
{
    UvProgram program = {.path = "/bin/sh",
                         .argv = arguments,
                         .uid = geteuid(),
                         .gid = getegid(),
                         .n_fds = 1 + more};
    int ends[2], status;
    uv_autofd int pidfd = -1;
    pid_t pid;

    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    uv_autofd int from = ends[0];
    program.fds[0] = ends[1];
    for (size_t i = 1; i <= more; i++)
        program.fds[i] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(uv_program_start(&program, &pid, &pidfd), ==, 0);
    char *text = read_all(from);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    return text;
}

static bool is_null(int fd)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *target = g_file_read_link(path, NULL);

    return g_strcmp0(target, "/dev/null") == 0 && fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static void check_slots(void)
{
    for (int i = 0; i <= UV_PROGRAM_FDS; i++)
        g_assert_true(is_null(FIRST_SLOT + i));
}

static void test_exactly(void)
{
    int many[MANY];

    raise_limit();
    for (size_t i = 0; i < MANY; i++) {
        many[i] = open("/dev/zero", O_RDONLY); /* that exec would not close */
        g_assert_cmpint(many[i], >=, 0);
    }
    for (int i = 0; i < 3; i++) {
        g_autofree char *one = start(0), *all = start(UV_PROGRAM_FDS - 1);
        g_assert_cmpstr(one, ==, "0\n1\n2\n3\n");
        g_assert_cmpstr(all, ==, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    }
    for (size_t i = 0; i < MANY; i++)
        g_assert_cmpint(close(many[i]), ==, 0); /* ours are what they were */
}

static void test_refused(void)
{
    UvProgram program = {
        .path = "/bin/sh", .argv = arguments, .fds = {dup(0), -EMFILE}, .n_fds = 2};
    const int lowest = program.fds[0];
    int pidfd;
    pid_t pid;

    g_assert_cmpint(uv_program_start(&program, &pid, &pidfd), ==, -EMFILE);
    g_assert_cmpint(fcntl(lowest, F_GETFD), ==, -1);
    program = (UvProgram){.path = "/nonexistent", .argv = arguments};
    g_assert_cmpint(uv_program_start(&program, &pid, &pidfd), ==, -ENOENT);
}

/* The numbers stay reserved for the life of the process. */
static void test_reserved(void)
{
    int between = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, FIRST_SLOT + 2);

    g_assert_cmpint(between, ==, FIRST_SLOT + 2);
    g_assert_false(uv_program_reserve());
    g_assert_cmpint(fcntl(FIRST_SLOT, F_GETFD), ==, -1);
    test_exactly();
    uv_fd_clear(&between);
    g_assert_true(uv_program_reserve());
    check_slots();
    test_exactly();
    check_slots();
    test_refused();
    check_slots();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/program/exactly", test_exactly);
    g_test_add_func("/program/refused", test_refused);
    g_test_add_func("/program/reserved", test_reserved);
    return g_test_run();
}
