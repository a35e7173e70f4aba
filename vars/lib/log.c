/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "log.h"

#include <stdarg.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define ESCAPED_MAX 256

/* A process has one log: this is state of the process, as stderr is. */
static char *prefix;
static bool use_syslog;

void uv_log_open(const char *who, bool to_syslog)
{
    g_free(prefix);
    prefix = uv_log_escape(who);
    use_syslog = to_syslog;
    if (to_syslog) {
        tzset(); /* reads its file now; later it may not */
        openlog("uefivarsd", LOG_NDELAY | LOG_PID, LOG_DAEMON);
    }
}

static void write_line(int priority, const char *raw)
{
    /* Errors name what stands in files and what other processes call themselves. */
    g_autofree char *text = uv_log_printable(raw, UV_LOG_LINE_MAX);

    if (use_syslog) {
        syslog(priority, "%s: %s", prefix ? prefix : "", text);
        return;
    }
    g_autofree char *line = g_strdup_printf("uefivarsd: %s: %s\n", prefix ? prefix : "", text);
    /* One write a line, so that lines of several engines do not mix; a failure can be told nowhere.
     */
    if (write(STDERR_FILENO, line, strlen(line)) < 0)
        return;
}

void uv_log(int priority, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    write_line(priority, text);
}

char *uv_log_printable(const char *text, size_t max_bytes)
{
    GString *out = g_string_new(NULL);

    for (const char *at = text; *at && out->len < max_bytes;) {
        const gunichar c = g_utf8_get_char_validated(at, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2 || !g_unichar_isprint(c)) {
            g_string_append_printf(out, "\\x%02x", (unsigned char)*at);
            at++;
            continue;
        }
        g_string_append_unichar(out, c);
        at = g_utf8_next_char(at);
    }
    return g_string_free(out, FALSE);
}

char *uv_log_escape(const char *text)
{
    return uv_log_printable(text, ESCAPED_MAX);
}

static bool is_allowed(UvLogRate *rate)
{
    const int64_t now_us = g_get_monotonic_time();

    /* next_us runs ahead of the clock by a second for each line; `burst` seconds ahead is full. */
    if (rate->next_us < now_us)
        rate->next_us = now_us;
    if (rate->next_us - now_us >= (int64_t)rate->burst * G_USEC_PER_SEC) {
        rate->suppressed++;
        return false;
    }
    rate->next_us += G_USEC_PER_SEC;
    return true;
}

void uv_log_limited(UvLogRate *rate, int priority, const char *format, ...)
{
    va_list arguments;

    if (!is_allowed(rate))
        return;
    if (rate->suppressed > 0)
        uv_log(LOG_NOTICE, "%u %s not logged", rate->suppressed, rate->what);
    rate->suppressed = 0;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    write_line(priority, text);
}
