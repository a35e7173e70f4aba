/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A profile's keys, all or none: db and its kin first, then KEK, PK last. */

#include <errno.h>
#include <string.h>

#include "auth-header.h"
#include "bytes.h"
#include "json.h"
#include "key-input.h"
#include "profile-image.h"
#include "secure-boot.h"
#include "uv-limits.h"

/* Of each variable; NULL: the profile does not mention it. */
typedef struct {
    GByteArray *lists[UV_KEYS];
} Profile;

static void profile_clear(Profile *profile)
{
    for (UvKey key = 0; key < UV_KEYS; key++)
        g_clear_pointer(&profile->lists[key], g_byte_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Profile, profile_clear)

static void add_lists(Profile *profile, UvKey key, const uint8_t *bytes, size_t size)
{
    if (!profile->lists[key])
        profile->lists[key] = g_byte_array_new();
    g_byte_array_append(profile->lists[key], bytes, (guint)size);
}

/* Of a signed update only the content counts: that it is enrolled is the owner's act. */
static bool add_key_file(Profile *profile, UvKey key, GBytes *content)
{
    g_auto(UvKeyInput) input = {0};
    UvAuthHeader header;
    gsize size;

    uv_key_input_read(content, NULL, &input);
    if (input.kind == UV_KEY_INPUT_NONE)
        return false;
    const uint8_t *bytes = g_bytes_get_data(input.bytes, &size);
    if (input.kind == UV_KEY_INPUT_LISTS) {
        add_lists(profile, key, bytes, size);
        return true;
    }
    if (!uv_auth_header_parse(bytes, size, &header) ||
        !uv_siglist_check(header.content.bytes, header.content.size, false))
        return false;
    add_lists(profile, key, header.content.bytes, header.content.size);
    return true;
}

static bool key_of_variable(const UvVariable *variable, UvKey *ret_key)
{
    g_autofree char *name = uv_name_to_utf8(variable->name);

    return uv_key_parse(name, strlen(name), ret_key) &&
           uv_guid_equal(&variable->guid, uv_key_guid(*ret_key));
}

static bool add_store(Profile *profile, const char *path, GBytes *content, char **ret_reason)
{
    g_autoptr(GError) error = NULL;
    gsize size;
    const char *text = g_bytes_get_data(content, &size);
    g_autoptr(GPtrArray) variables = g_str_has_suffix(path, ".json")
                                         ? uv_json_parse(path, text, size, NULL, &error)
                                         : uv_profile_image_read(path, content, &error);

    if (!variables) {
        *ret_reason = g_strdup(error->message);
        return false;
    }
    for (guint i = 0; i < variables->len; i++) {
        const UvVariable *variable = variables->pdata[i];
        gsize data_bytes;
        const uint8_t *data = g_bytes_get_data(variable->data, &data_bytes);
        UvKey key;

        if (key_of_variable(variable, &key))
            add_lists(profile, key, data, data_bytes);
    }
    return true;
}

static bool add_file(Profile *profile, const char *path, GBytes *content, char **ret_reason)
{
    const char *slash = strchr(path, '/');
    UvKey key;

    if (!slash && (g_str_has_suffix(path, ".json") || g_str_has_suffix(path, ".fd")))
        return add_store(profile, path, content, ret_reason);
    if (!slash || !uv_key_parse(path, (size_t)(slash - path), &key))
        return true; /* a README, say */
    if (add_key_file(profile, key, content))
        return true;
    *ret_reason = g_strdup_printf("%s: neither keys, nor hashes, nor a signature list", path);
    return false;
}

static bool read_profile(GBytes *bytes, Profile *profile, char **ret_reason)
{
    UvReader reader = uv_reader_of(bytes);
    while (reader.left > 0 && !reader.failed) {
        const size_t path_bytes = uv_read_u16(&reader);
        const uint8_t *path = uv_read_bytes(&reader, path_bytes);
        const size_t content_bytes = uv_read_u32(&reader);
        const uint8_t *content = uv_read_bytes(&reader, content_bytes);

        if (!content || memchr(path, '\0', path_bytes))
            break;
        g_autofree char *name = g_strndup((const char *)path, path_bytes);
        g_autoptr(GBytes) text = g_bytes_new(content, content_bytes);
        if (!add_file(profile, name, text, ret_reason))
            return false;
    }
    if (uv_reader_done(&reader))
        return true;
    *ret_reason = g_strdup("a malformed profile");
    return false;
}

static size_t make_requests(const Profile *profile, UvKeyRequest *requests, UvSetRequest *sets)
{
    static const UvKey order[UV_KEYS] = {UV_KEY_DB,  UV_KEY_DBX, UV_KEY_DBT,
                                         UV_KEY_DBR, UV_KEY_KEK, UV_KEY_PK};
    size_t count = 0;

    for (size_t i = 0; i < UV_KEYS; i++) {
        const GByteArray *lists = profile->lists[order[i]];

        if (!lists)
            continue;
        g_autoptr(GBytes) bytes = g_bytes_new(lists->data, lists->len);
        uv_key_request_init(&requests[count], UV_DOOR_OWNER, order[i], bytes, false);
        sets[count] = requests[count].request;
        count++;
    }
    return count;
}

void uv_secure_boot_enroll(UvServer *server, GBytes *bytes, UvViewOutcome *outcome)
{
    g_auto(Profile) profile = {0};
    g_autofree char *reason = NULL;
    UvKeyRequest requests[UV_KEYS] = {0};
    UvSetRequest sets[UV_KEYS];

    if (!read_profile(bytes, &profile, &reason)) {
        uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL, "%s", reason);
        return;
    }
    const size_t count = make_requests(&profile, requests, sets);
    if (count > 0)
        uv_view_set_all(server, sets, count, outcome);
    else
        uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL, "no keys in this profile");
    for (size_t i = 0; i < count; i++)
        uv_key_request_clear(&requests[i]);
}
