/* SPDX-License-Identifier: GPL-2.0-or-later */

/* systemd's native journal protocol: a datagram an entry, a line a field, or for a value with line
 * feeds its size and bytes behind the field's name. */

#include "journald.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fd.h"

#define SOCKET_PATH "/run/systemd/journal/socket"

/* State of the process, as its stderr is. */
static int journal_fd = -1;

bool uv_journald_open(void)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_PATH};

    if (journal_fd >= 0)
        return true;
    uv_autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        journal_fd = uv_fd_steal(&fd);
    return journal_fd >= 0;
}

static void add_field(GString *out, const GLogField *field)
{
    const gsize size = field->length < 0 ? strlen(field->value) : (gsize)field->length;

    g_string_append(out, field->key);
    if (memchr(field->value, '\n', size)) {
        const guint64 little = GUINT64_TO_LE((guint64)size);
        g_string_append_c(out, '\n');
        g_string_append_len(out, (const char *)&little, sizeof(little));
    } else {
        g_string_append_c(out, '=');
    }
    g_string_append_len(out, field->value, (gssize)size);
    g_string_append_c(out, '\n');
}

void uv_journald_send(const GLogField *fields, gsize n_fields)
{
    g_autoptr(GString) entry = g_string_sized_new(512);

    for (gsize i = 0; i < n_fields; i++)
        add_field(entry, &fields[i]);
    if (journal_fd >= 0 && send(journal_fd, entry->str, entry->len, MSG_NOSIGNAL) < 0)
        return; /* and that can be told nowhere */
}
