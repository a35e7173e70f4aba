/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "monitorfixture.h"
#include "told.h"

#include "open-source.h"
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 5000

void monitor_fixture_set_up(MonitorFixture *f)
{
    f->top = scratch_new();
    f->source = g_build_filename(f->top, "source", NULL);
    f->sockdir = g_build_filename(f->top, "sock", NULL);
    g_chmod(f->top, 0755);
    g_mkdir(f->source, 0755);
    f->link = -1;
    f->told = g_array_new(FALSE, FALSE, sizeof(FsAnswer));
    for (int i = 0; i < FS_QUESTION_FDS; i++)
        f->fds[i] = -1;
}

/* The monitor's end of the socket to it. */
static int fork_broker(const FsBrokerOptions *options, const FsLocal *source)
{
    g_autoptr(GError) error = NULL;
    int ends[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), ==,
                    0);
    if (fork() > 0) {
        close(ends[1]);
        return ends[0];
    }
    close(ends[0]);
    FsBroker *broker = fs_broker_new(options, source, ends[1], &error);
    g_assert_no_error(error);
    fs_broker_run(broker);
    fs_broker_free(broker);
    _exit(0);
}

static G_GNUC_NORETURN void run_monitor(const char *folder, const char *sockdir_path,
                                        const MonitorFixtureOptions *options, int link)
{
    const FsOptions mount = {.sockdir = (char *)sockdir_path};
    FsMonitorOptions monitor_options = options->monitor;
    const FsMonitorHooks hooks = {0};
    g_autoptr(GError) error = NULL;

    g_log_set_always_fatal(G_LOG_FATAL_MASK); /* it warns of its front */
    g_autoptr(FsLocal) source = fs_local_open(folder, &error);
    g_assert_no_error(error);
    g_autoptr(FsSockdir) sockdir = fs_sockdir_open(source, &mount, &error);
    g_assert_no_error(error);
    const int broker_fd = fork_broker(&options->broker, source);
    monitor_options.folder = source->store ? NULL : source->path;
    monitor_options.libvirts = source->libvirts;
    g_autoptr(FsMonitor) monitor =
        fs_monitor_new(&monitor_options, sockdir, link, broker_fd, &error);
    g_assert_no_error(error);
    fs_monitor_run(monitor, &hooks);
    fs_sockdir_remove(sockdir);
    g_clear_pointer(&monitor, fs_monitor_free);
    g_assert_cmpint(wait(NULL), >, 0);
    _exit(0);
}

pid_t monitor_fixture_fork(const char *source, const char *sockdir,
                           const MonitorFixtureOptions *options, int *ret_link)
{
    int ends[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), ==, 0);
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        run_monitor(source, sockdir, options, ends[1]);
    }
    close(ends[1]);
    *ret_link = ends[0];
    return pid;
}

void monitor_fixture_start(MonitorFixture *f, const MonitorFixtureOptions *options)
{
    f->pid = monitor_fixture_fork(f->source, f->sockdir, options, &f->link);
}

int monitor_fixture_stop(MonitorFixture *f)
{
    int status = -1;

    if (f->link < 0)
        return 0;
    close(f->link);
    f->link = -1;
    g_assert_cmpint(waitpid(f->pid, &status, 0), ==, f->pid);
    return status;
}

void monitor_fixture_tear_down(MonitorFixture *f)
{
    fs_packet_close(f->fds);
    g_assert_cmpint(monitor_fixture_stop(f), ==, 0);
    g_array_unref(f->told);
    scratch_free(f->top);
    g_free(f->source);
    g_free(f->sockdir);
}

void monitor_fixture_put(const MonitorFixture *f, const char *name, const char *text)
{
    scratch_put(f->source, name, text);
}

bool monitor_fixture_has(const MonitorFixture *f, const char *name)
{
    g_autofree char *path = g_build_filename(f->source, name, NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* false: nothing within the time. */
static bool receive(MonitorFixture *f, FsAnswer *ret_answer, int fds[FS_QUESTION_FDS])
{
    struct pollfd poll_fd = {f->link, POLLIN, 0};

    if (poll(&poll_fd, 1, WAIT_MS) <= 0)
        return false;
    g_assert_cmpint(fs_packet_receive(f->link, ret_answer, sizeof(*ret_answer), fds), ==, 0);
    g_assert_true(fs_answer_valid(ret_answer));
    return true;
}

/* Of a list each guest by itself. */
static void take_told(MonitorFixture *f, const FsAnswer *told, int fds[FS_QUESTION_FDS])
{
    g_autofree FsTold *guests = g_new0(FsTold, FS_TOLD_MAX);

    if (told->kind == FS_TELL_GUESTS)
        g_assert_cmpuint(fs_told_read(fds[0], guests, FS_TOLD_MAX), ==, told->number);
    for (int64_t i = 0; told->kind == FS_TELL_GUESTS && i < told->number; i++) {
        FsAnswer one = *told;

        memcpy(one.guest, guests[i].guest, sizeof(one.guest));
        one.look = guests[i].look;
        g_array_append_val(f->told, one);
    }
    if (told->kind != FS_TELL_GUESTS)
        g_array_append_val(f->told, *told);
    fs_packet_close(fds);
}

int monitor_fixture_send(MonitorFixture *f, FsQuestion question, const int *fds, size_t n_fds)
{
    fs_packet_close(f->fds);
    question.id = ++f->last_id;
    g_assert_cmpint(fs_packet_send(f->link, &question, sizeof(question), fds, n_fds), ==, 0);
    for (;;) {
        g_assert_true(receive(f, &f->answer, f->fds));
        if (f->answer.kind == FS_TELL_ANSWER) {
            g_assert_cmpuint(f->answer.id, ==, question.id);
            return f->answer.error;
        }
        take_told(f, &f->answer, f->fds);
    }
}

int monitor_fixture_ask(MonitorFixture *f, FsAsk kind, const char *guest)
{
    FsQuestion question = {.kind = kind};

    g_strlcpy(question.guest, guest, sizeof(question.guest));
    return monitor_fixture_send(f, question, NULL, 0);
}

bool monitor_fixture_wait(MonitorFixture *f, FsTell kind, FsAnswer *ret_told)
{
    int fds[FS_QUESTION_FDS];

    for (;;) {
        for (guint i = 0; i < f->told->len; i++) {
            *ret_told = g_array_index(f->told, FsAnswer, i);
            if (ret_told->kind == kind) {
                g_array_remove_index(f->told, i);
                return true;
            }
        }
        if (!receive(f, ret_told, fds))
            return false;
        take_told(f, ret_told, fds);
    }
}

int monitor_fixture_memfd(const char *text, bool sealed)
{
    int fd = memfd_create("text", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
    if (sealed)
        g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), ==, 0);
    return fd;
}
