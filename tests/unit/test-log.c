/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What others wrote can't pass for a line of ours, or for a terminal's commands. */

#include "log.h"

#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* What a line with this in it looks like on stderr. */
static char *logged(const char *text)
{
    char bytes[16384] = "";
    int pipe_fds[2], saved = dup(STDERR_FILENO);

    g_assert_cmpint(pipe(pipe_fds), ==, 0);
    g_assert_cmpint(dup2(pipe_fds[1], STDERR_FILENO), ==, STDERR_FILENO);
    uv_log_open("store", false);
    uv_log(LOG_ERR, "%s", text);
    g_assert_cmpint(dup2(saved, STDERR_FILENO), ==, STDERR_FILENO);
    close(saved);
    close(pipe_fds[1]);
    g_assert_cmpint(read(pipe_fds[0], bytes, sizeof(bytes) - 1), >, 0);
    close(pipe_fds[0]);
    return g_strdup(bytes);
}

static void test_one_line(void)
{
    g_autofree char *line =
        logged("s.json:3:4: expected no member 'x\nuefivarsd: store: all is well\r\x1b[2J'");

    g_assert_cmpstr(line, ==,
                    "uefivarsd: store: s.json:3:4: expected no member 'x\\x0auefivarsd: store: all "
                    "is well\\x0d\\x1b[2J'\n");
}

static void test_reading_order(void)
{
    g_autofree char *line = logged("in use by \u202egro.live\u2066 \u00e9 \xff");

    g_assert_cmpstr(line, ==,
                    "uefivarsd: store: in use by \\xe2\\x80\\xaegro.live\\xe2\\x81\\xa6 \u00e9 "
                    "\\xff\n");
}

static void test_length(void)
{
    g_autofree char *text = g_strnfill(9000, '\n');
    g_autofree char *line = logged(text);
    g_autofree char *name = uv_log_escape(text);

    g_assert_cmpuint(strlen(line), <, 4200);
    g_assert_cmpuint(strlen(name), <=, 260);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/one-line", test_one_line);
    g_test_add_func("/log/reading-order", test_reading_order);
    g_test_add_func("/log/length", test_length);
    return g_test_run();
}
