/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "libvirt-uri.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "libvirt:"
#define PREFIX_OF_OTHERS "libvirt+"
#define URI_BYTES_MAX 512
#define HOME "/libvirt/qemu"

bool fs_libvirt_is(const char *source)
{
    return g_str_has_prefix(source, PREFIX) || g_str_has_prefix(source, PREFIX_OF_OTHERS);
}

bool fs_libvirt_is_systems(const char *source)
{
    return strcmp(source, PREFIX "///system") == 0;
}

char *fs_libvirt_home(const char *source)
{
    char *resolved = realpath(source, NULL), *home = NULL;

    if (resolved && g_str_has_suffix(resolved, HOME) && g_file_test(resolved, G_FILE_TEST_IS_DIR))
        home = g_strdup(resolved);
    free(resolved);
    return home;
}

/* A driver's name, perhaps with the transport over a local socket: no other transport stays on this
 * host. */
static bool is_local_scheme(const char *scheme, size_t size)
{
    static const char unix_socket[] = "+unix";
    const size_t suffix = strlen(unix_socket);

    if (size > suffix && memcmp(scheme + size - suffix, unix_socket, suffix) == 0)
        size -= suffix;
    for (size_t i = 0; i < size; i++)
        if (!g_ascii_isalnum(scheme[i]))
            return false;
    return size > 0;
}

char *fs_libvirt_uri(const char *source, GError **error)
{
    const char *uri = source + strlen(PREFIX_OF_OTHERS);
    const char *path = strstr(uri, ":///");

    if (fs_libvirt_is_systems(source))
        return g_strdup("qemu:///system");
    if (strcmp(source, PREFIX "///session") == 0)
        return g_strdup("qemu:///session");
    if (g_str_has_prefix(source, PREFIX_OF_OTHERS) && path &&
        is_local_scheme(uri, (size_t)(path - uri)) && strlen(uri) < URI_BYTES_MAX)
        return g_strdup(uri);
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                "%s: a libvirt of this host is expected: libvirt:///system, libvirt:///session, or "
                "libvirt+SCHEME:///PATH",
                source);
    return NULL;
}
