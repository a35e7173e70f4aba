/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "daemonize.h"

/* The starter is this test run again: it ends in uv_daemon_start(). */
static void expect_starter(const char *path, int status, const char *text)
{
    g_test_trap_subprocess(path, 0, 0);
    if (status == 0)
        g_test_trap_assert_passed();
    else
        g_test_trap_assert_failed();
    g_test_trap_assert_stderr(text);
}

static void start(UvDaemon *daemon)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(uv_daemon_start(daemon, "program", &error));
    g_assert_no_error(error);
}

static void test_ready(void)
{
    UvDaemon daemon = UV_DAEMON_FOREGROUND;

    if (!g_test_subprocess()) {
        expect_starter("/daemonize/ready", 0, "");
        return;
    }
    start(&daemon);
    uv_daemon_leave_terminal();
    uv_daemon_ready(&daemon);
    g_assert_false(uv_daemon_failed(&daemon, "too late\n"));
    _exit(0);
}

static void test_failed(void)
{
    UvDaemon daemon = UV_DAEMON_FOREGROUND;

    if (!g_test_subprocess()) {
        expect_starter("/daemonize/failed", 1, "why it failed\n");
        return;
    }
    start(&daemon);
    g_assert_true(uv_daemon_failed(&daemon, "why it failed\n"));
    _exit(0);
}

static void test_killed(void)
{
    UvDaemon daemon = UV_DAEMON_FOREGROUND;

    if (!g_test_subprocess()) {
        expect_starter("/daemonize/killed", 1, "program: killed by signal 9\n");
        return;
    }
    start(&daemon);
    raise(SIGKILL);
}

static void test_ended(void)
{
    UvDaemon daemon = UV_DAEMON_FOREGROUND;

    if (!g_test_subprocess()) {
        expect_starter("/daemonize/ended", 1, "program: ended before it was ready\n");
        return;
    }
    start(&daemon);
    _exit(0);
}

static void test_foreground(void)
{
    UvDaemon daemon = UV_DAEMON_FOREGROUND;

    uv_daemon_ready(&daemon);
    g_assert_false(uv_daemon_failed(&daemon, "nobody reads this\n"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/daemonize/ready", test_ready);
    g_test_add_func("/daemonize/failed", test_failed);
    g_test_add_func("/daemonize/killed", test_killed);
    g_test_add_func("/daemonize/ended", test_ended);
    g_test_add_func("/daemonize/foreground", test_foreground);
    return g_test_run();
}
