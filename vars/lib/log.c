/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "log.h"

#include "journald.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define ESCAPED_MAX 256

/* A process has one log: this is state of the process, as stderr is. */
static char *prefix;
static bool use_syslog;
static bool use_journal;
static bool writes; /* the writer is set */

static void write_line(int priority, const char *text)
{
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

static const char *field_text(const GLogField *fields, gsize n_fields, const char *key)
{
    for (gsize i = 0; i < n_fields; i++) {
        if (strcmp(fields[i].key, key) == 0 && fields[i].length < 0)
            return fields[i].value;
    }
    return NULL;
}

/* Each entry has what its line began with as a field. */
static void send_entry(const GLogField *given, gsize n_given)
{
    GLogField fields[2 + 3 + UV_LOG_FIELDS_MAX] = {
        {"SYSLOG_IDENTIFIER", "uefivarsd", -1},
        {"UEFIVARSFS_GUEST", prefix ? prefix : "", -1},
    };
    const gsize n = MIN(n_given, G_N_ELEMENTS(fields) - 2);

    memcpy(fields + 2, given, n * sizeof(*fields));
    uv_journald_send(fields, n + 2);
}

static GLogWriterOutput writer(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                               gpointer data)
{
    const char *message = field_text(fields, n_fields, "MESSAGE");
    const char *said = field_text(fields, n_fields, "PRIORITY");
    const int priority = said ? atoi(said) : LOG_NOTICE; /* GLib's own lines say theirs, too */

    if (use_journal)
        send_entry(fields, n_fields);
    else if (priority < LOG_DEBUG)
        write_line(priority, message ? message : "");
    return G_LOG_WRITER_HANDLED;
}

void uv_log_open(const char *who, bool to_syslog)
{
    g_free(prefix);
    prefix = uv_log_escape(who);
    use_journal = to_syslog && uv_journald_open();
    use_syslog = to_syslog && !use_journal;
    if (use_syslog) {
        tzset(); /* reads its file now; later it may not */
        openlog("uefivarsd", LOG_NDELAY | LOG_PID, LOG_DAEMON);
    }
    if (!writes)
        g_log_set_writer_func(writer, NULL, NULL);
    writes = true;
}

bool uv_log_has_debug(void)
{
    return use_journal;
}

static GLogLevelFlags level_of_priority(int priority)
{
    switch (priority) {
    case LOG_ERR:
        return G_LOG_LEVEL_CRITICAL;
    case LOG_WARNING:
        return G_LOG_LEVEL_WARNING;
    case LOG_NOTICE:
        return G_LOG_LEVEL_MESSAGE;
    case LOG_INFO:
        return G_LOG_LEVEL_INFO;
    default:
        return G_LOG_LEVEL_DEBUG;
    }
}

static void log_line(int priority, const GLogField *given, gsize n_given, const char *raw)
{
    /* Errors name what stands in files and what other processes call themselves. */
    g_autofree char *text = uv_log_printable(raw, UV_LOG_LINE_MAX);
    const char digit[] = {(char)('0' + priority), '\0'};
    GLogField fields[2 + UV_LOG_FIELDS_MAX] = {{"MESSAGE", text, -1}, {"PRIORITY", digit, -1}};

    g_assert(n_given <= UV_LOG_FIELDS_MAX);
    if (n_given > 0)
        memcpy(fields + 2, given, n_given * sizeof(*fields));
    if (writes)
        g_log_structured_array(level_of_priority(priority), fields, n_given + 2);
    else
        write_line(priority, text);
}

void uv_log(int priority, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    log_line(priority, NULL, 0, text);
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

bool uv_log_has_room(UvLogRate *rate)
{
    const int64_t now_us = g_get_monotonic_time();

    /* next_us runs ahead of the clock by a second for each line; `burst` seconds ahead is full. */
    if (rate->next_us < now_us)
        rate->next_us = now_us;
    if (rate->next_us - now_us >= (int64_t)rate->burst * G_USEC_PER_SEC) {
        rate->suppressed++;
        return false;
    }
    return true;
}

static bool may_log(UvLogRate *rate)
{
    if (!uv_log_has_room(rate))
        return false;
    rate->next_us += G_USEC_PER_SEC;
    if (rate->suppressed > 0)
        uv_log(LOG_NOTICE, "%u %s not logged", rate->suppressed, rate->what);
    rate->suppressed = 0;
    return true;
}

void uv_log_event(UvLogRate *rate, int priority, const GLogField *fields, gsize n_fields,
                  const char *format, ...)
{
    va_list arguments;

    if ((priority == LOG_DEBUG && !uv_log_has_debug()) || !may_log(rate))
        return;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    log_line(priority, fields, n_fields, text);
}
