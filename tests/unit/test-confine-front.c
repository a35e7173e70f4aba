/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is left to a front after it has confined itself, tried in a child. */

#include "confine-front.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER 4242

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, g_strerror(errno));         \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

#define DENIED(call) CHECK((call) < 0 && (errno == EPERM || errno == EACCES))

static bool is_active(const UvConfinement *confinement, const char *step)
{
    for (guint i = 0; i < confinement->active->len; i++) {
        if (g_str_has_prefix(confinement->active->pdata[i], step))
            return true;
    }
    return false;
}

static UvConfinement confine(const char *readable)
{
    const FsFrontUser user = {geteuid() == 0, geteuid() == 0 ? USER : geteuid(),
                              geteuid() == 0 ? USER : getegid()};
    const char *const folders[] = {readable, "/nowhere", NULL};
    UvConfinement confinement;
    g_autoptr(GError) error = NULL;

    if (!fs_front_confine(&user, folders, false, &confinement, &error)) {
        fprintf(stderr, "%s\n", error->message);
        _exit(1);
    }
    return confinement;
}

static void check_status(int status_fd)
{
    char text[8192] = "";
    g_autofree char *uid =
        g_strdup_printf("Uid:\t%u\t%u\t%u\t%u\n", geteuid(), geteuid(), geteuid(), geteuid());

    CHECK(pread(status_fd, text, sizeof(text) - 1, 0) > 0);
    CHECK(geteuid() != 0);
    CHECK(strstr(text, uid));
    CHECK(strstr(text, "CapEff:\t0000000000000000\n"));
    CHECK(strstr(text, "CapPrm:\t0000000000000000\n"));
    CHECK(strstr(text, "CapBnd:\t0000000000000000\n") || getuid() != USER);
    CHECK(strstr(text, "NoNewPrivs:\t1\n"));
    CHECK(strstr(text, "Groups:\t \n") || getuid() != USER);
}

static gpointer in_thread(gpointer data)
{
    DENIED(open("/etc/passwd", O_RDONLY));
    return data;
}

/* All that a front does. */
static void check_allowed(const char *readable)
{
    g_autofree char *file = g_build_filename(readable, "file", NULL);
    int pair[2] = {-1, -1}, fd = open(file, O_RDONLY | O_CLOEXEC);
    struct stat st;

    CHECK(fd >= 0);
    CHECK(fstat(fd, &st) == 0);
    close(fd);
    CHECK(g_dir_open(readable, 0, NULL));
    CHECK(stat("/etc/passwd", &st) == 0);
    fd = memfd_create("text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(write(fd, "x", 1) == 1);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    CHECK(pipe2(pair, O_CLOEXEC) == 0);
    CHECK(epoll_create1(EPOLL_CLOEXEC) >= 0);
    CHECK(syscall(SYS_pidfd_open, getpid(), 0) >= 0);
    GThread *thread = g_thread_new("t", in_thread, pair);
    CHECK(g_thread_join(thread) == pair);
}

static void check_denied(const char *readable)
{
    static char name[] = "true";
    char *const arguments[] = {name, NULL};
    g_autofree char *file = g_build_filename(readable, "file", NULL);
    g_autofree char *new_file = g_build_filename(readable, "new", NULL);

    DENIED(open("/etc/passwd", O_RDONLY));
    DENIED(open(file, O_WRONLY));
    DENIED(open(new_file, O_WRONLY | O_CREAT, 0600));
    DENIED(unlink(file));
    DENIED(chmod(file, 0777));
    DENIED(socket(AF_UNIX, SOCK_STREAM, 0));
    DENIED(kill(getppid(), 0));
    DENIED(fork());
    DENIED(execve("/bin/true", arguments, arguments + 1));
    DENIED(setresuid(0, 0, 0));
    DENIED(fcntl(0, F_SETOWN, getppid()));
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
          MAP_FAILED);
    DENIED((long)syscall(SYS_io_uring_setup, 1, NULL));
}

static void test_confined(void)
{
    g_autofree char *folder = g_dir_make_tmp("confine-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "file", NULL);
    int status;

    g_assert_true(g_file_set_contents(file, "x", 1, NULL));
    g_assert_cmpint(chmod(folder, 0755), ==, 0);
    g_assert_cmpint(chmod(file, 0666), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        int status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
        const UvConfinement confinement = confine(folder);
        if (!is_active(&confinement, "landlock") || !is_active(&confinement, "seccomp"))
            _exit(77);
        CHECK(is_active(&confinement, "selftest"));
        CHECK(is_active(&confinement, "uid"));
        check_status(status_fd);
        check_allowed(folder);
        check_denied(folder);
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    unlink(file);
    rmdir(folder);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        g_test_skip("no Landlock or no seccomp here");
    else
        g_assert_cmpint(status, ==, 0);
}

static void test_users(void)
{
    FsOptions options = {0};
    FsFrontUser user;
    g_autoptr(GError) error = NULL;

    g_assert_true(fs_front_user_find(&options, &user, &error));
    options.front_user = (char *)"nobody";
    if (geteuid() == 0) {
        g_assert_true(fs_front_user_find(&options, &user, &error));
        g_assert_true(user.become);
        g_assert_cmpuint(user.uid, ==, 65534);
    } else {
        g_assert_false(fs_front_user_find(&options, &user, &error) && user.uid != geteuid());
        g_clear_error(&error);
    }
    options.front_user = (char *)"no such user";
    g_assert_false(fs_front_user_find(&options, &user, &error));
    g_assert_cmpstr(error->message, ==, "front-user=no such user: no such user");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/confine-front/confined", test_confined);
    g_test_add_func("/confine-front/users", test_users);
    return g_test_run();
}
