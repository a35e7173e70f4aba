/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "claim.h"

#include "file-error.h"
#include "file-io.h"
#include "hex.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define SINCE " since "
#define BOOT "boot "
#define NUMBER "claim "

static bool is_name(const char *name)
{
    for (const char *at = name; *at; at++)
        if (!g_ascii_isalnum(*at) && !strchr("-_.", *at))
            return false;
    return *name && strlen(name) <= UV_HOST_NAME_BYTES_MAX;
}

static bool is_boot_id(const char *boot)
{
    return strlen(boot) == UV_BOOT_ID_BYTES && g_uuid_string_is_valid(boot);
}

static bool is_number(const char *number)
{
    return strlen(number) == UV_CLAIM_NUMBER_BYTES &&
           strspn(number, "0123456789abcdef") == UV_CLAIM_NUMBER_BYTES;
}

static bool is_time(const char *since)
{
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";

    for (size_t i = 0; i < sizeof(form) - 1; i++)
        if (form[i] == 'd' ? !g_ascii_isdigit(since[i]) : since[i] != form[i])
            return false;
    return since[sizeof(form) - 1] == '\0';
}

bool uv_host_find(UvHost *ret_host, GError **error)
{
    g_autofree char *boot = NULL;
    UvHost host = {0};

    if (gethostname(host.name, sizeof(host.name) - 1) < 0 || !is_name(host.name) ||
        strcmp(host.name, "localhost") == 0 || g_str_has_prefix(host.name, "localhost."))
        return uv_fail(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                       "'%s' is no name by which other hosts know this one (see hostname(1))",
                       is_name(host.name) ? host.name : "");
    if (!g_file_get_contents(BOOT_ID, &boot, NULL, error))
        return false;
    g_strchomp(boot);
    if (!is_boot_id(boot))
        return uv_file_error(error, EINVAL, "%s", BOOT_ID);
    g_strlcpy(host.boot, boot, sizeof(host.boot));
    *ret_host = host;
    return true;
}

char *uv_claim_new(const UvHost *host)
{
    GString *text = g_string_new(host->name);
    const time_t now = (time_t)(g_get_real_time() / G_USEC_PER_SEC);
    unsigned char number[UV_CLAIM_NUMBER_BYTES / 2];
    char since[32];
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (getrandom(number, sizeof(number), 0) != sizeof(number))
        for (size_t i = 0; i < sizeof(number); i++)
            number[i] = (unsigned char)g_random_int();
    g_string_append_printf(text, SINCE "%s\n" BOOT "%s\n" NUMBER, since, host->boot);
    uv_hex_append(text, number, sizeof(number));
    g_string_append_c(text, '\n');
    return g_string_free(text, FALSE);
}

bool uv_claim_parse(const char *text, size_t size, UvClaim *ret_claim)
{
    g_autofree char *copy = g_strndup(text, size);
    g_auto(GStrv) lines = NULL;
    UvClaim claim = {0};
    char *since;

    if (size > UV_CLAIM_BYTES_MAX || strlen(copy) != size)
        return false;
    lines = g_strsplit(copy, "\n", -1);
    if (g_strv_length(lines) != 4 || *lines[3] || !g_str_has_prefix(lines[1], BOOT) ||
        !g_str_has_prefix(lines[2], NUMBER))
        return false;
    since = strstr(lines[0], SINCE);
    if (!since)
        return false;
    *since = '\0';
    since += strlen(SINCE);
    const char *boot = lines[1] + strlen(BOOT), *number = lines[2] + strlen(NUMBER);
    if (!is_name(lines[0]) || !is_time(since) || !is_boot_id(boot) || !is_number(number))
        return false;
    g_strlcpy(claim.host.name, lines[0], sizeof(claim.host.name));
    g_strlcpy(claim.host.boot, boot, sizeof(claim.host.boot));
    g_strlcpy(claim.since, since, sizeof(claim.since));
    g_strlcpy(claim.number, number, sizeof(claim.number));
    *ret_claim = claim;
    return true;
}

char *uv_claim_describe(const UvClaim *claim)
{
    return g_strconcat(claim->host.name, SINCE, claim->since, NULL);
}

int uv_claim_read(int fd, const UvHost *host, UvClaimKind *ret_kind, UvClaim *ret_claim)
{
    char text[UV_CLAIM_BYTES_MAX + 1];
    const ssize_t size = uv_pread_all(fd, text, sizeof(text), 0);
    UvClaim claim;

    if (size < 0)
        return (int)size;
    if (size == 0) {
        *ret_kind = UV_CLAIM_NONE;
    } else if (!uv_claim_parse(text, (size_t)size, &claim)) {
        *ret_kind = UV_CLAIM_BROKEN;
    } else {
        *ret_kind = strcmp(claim.host.name, host->name) == 0 ? UV_CLAIM_OURS : UV_CLAIM_ANOTHER;
        *ret_claim = claim;
    }
    return 0;
}

int uv_claim_write(int fd, const char *text)
{
    if (ftruncate(fd, 0) < 0)
        return -errno;
    const int result = text ? uv_pwrite_all(fd, text, strlen(text), 0) : 0;
    if (result < 0)
        return result;
    return fdatasync(fd) < 0 ? -errno : 0;
}

bool uv_claim_is_there(int fd, const char *text)
{
    char there[UV_CLAIM_BYTES_MAX + 1];
    const ssize_t size = uv_pread_all(fd, there, sizeof(there), 0);

    return size >= 0 && (size_t)size == strlen(text) && memcmp(there, text, (size_t)size) == 0;
}
