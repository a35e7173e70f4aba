/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Changes of one key variable. A signed update is the host's SetVariable like the guest's own.
 * Unsigned lists are the host's in setup mode (but PK's), and otherwise the owner's act.
 */

#include <errno.h>
#include <string.h>

#include "bytes.h"
#include "key-input.h"
#include "secure-boot.h"
#include "uv-limits.h"

#define KEY_ATTRIBUTES                                                                             \
    (EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS |   \
     EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS)
#define CONTENT_BYTES_MAX (2 * UV_VIEW_FRAME_MAX)

/* EFI_TIME of now, in UTC. */
static void write_now(UvWriter *writer)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();

    uv_write_u16(writer, (uint16_t)g_date_time_get_year(now));
    uv_write_u8(writer, (uint8_t)g_date_time_get_month(now));
    uv_write_u8(writer, (uint8_t)g_date_time_get_day_of_month(now));
    uv_write_u8(writer, (uint8_t)g_date_time_get_hour(now));
    uv_write_u8(writer, (uint8_t)g_date_time_get_minute(now));
    uv_write_u8(writer, (uint8_t)g_date_time_get_second(now));
    uv_write_zeros(writer, EFI_TIME_BYTES - 7);
}

/* The authentication header that an unsigned request still has: a time, and no certificate. */
static GBytes *with_header(GBytes *lists)
{
    g_auto(UvWriter) writer = uv_writer(CONTENT_BYTES_MAX);

    write_now(&writer);
    uv_write_u32(&writer, EFI_WIN_CERT_HEADER_BYTES);
    uv_write_u16(&writer, EFI_WIN_CERT_REVISION);
    uv_write_u16(&writer, EFI_WIN_CERT_TYPE_EFI_GUID);
    uv_write_bytes(&writer, uv_guid_cert_type_pkcs7.bytes, sizeof(uv_guid_cert_type_pkcs7.bytes));
    uv_write_gbytes(&writer, lists);
    return uv_writer_steal(&writer);
}

static void request_of_content(UvKeyRequest *request, UvDoor door, UvKey key, bool append)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(request->content, &size);

    request->name = uv_name_new_utf8(uv_key_name(key), NULL);
    request->request = (UvSetRequest){
        .door = door,
        .guid = *uv_key_guid(key),
        .name = request->name,
        .attributes = KEY_ATTRIBUTES | (append ? EFI_VARIABLE_APPEND_WRITE : 0),
        .data = bytes,
        .data_bytes = size,
    };
}

void uv_key_request_init(UvKeyRequest *request, UvDoor door, UvKey key, GBytes *lists, bool append)
{
    *request = (UvKeyRequest){.content = with_header(lists)};
    request_of_content(request, door, key, append);
}

void uv_key_request_clear(UvKeyRequest *request)
{
    g_clear_pointer(&request->name, uv_name_unref);
    g_clear_pointer(&request->content, g_bytes_unref);
}

/* In setup mode a user who may write the file may write the keys; PK would have to be signed by
 * itself. */
static UvDoor door_for(const UvServer *server, UvKey key)
{
    g_autoptr(GBytes) pk = uv_key_lists(uv_view_service(server), UV_KEY_PK);

    return !pk && key != UV_KEY_PK ? UV_DOOR_HOST : UV_DOOR_OWNER;
}

static void set_lists(UvServer *server, UvKey key, GBytes *lists, bool append,
                      UvViewOutcome *outcome)
{
    g_auto(UvKeyRequest) request = {0};

    uv_key_request_init(&request, door_for(server, key), key, lists, append);
    uv_view_set(server, &request.request, outcome);
}

static void set_signed(UvServer *server, UvKey key, GBytes *update, bool append,
                       UvViewOutcome *outcome)
{
    g_auto(UvKeyRequest) request = {.content = g_bytes_ref(update)};

    request_of_content(&request, UV_DOOR_HOST, key, append);
    uv_view_set(server, &request.request, outcome);
}

bool uv_key_refuse_input(UvViewOutcome *outcome)
{
    return uv_view_refuse(
        outcome, EFI_INVALID_PARAMETER, EINVAL,
        "expected a signed update, a signature list, certificates in PEM or DER, or "
        "lines of hashes");
}

void uv_secure_boot_write(UvServer *server, UvKey key, bool append, GBytes *content,
                          UvViewOutcome *outcome)
{
    g_autoptr(GBytes) known = append ? uv_key_lists(uv_view_service(server), key) : NULL;
    g_auto(UvKeyInput) input = {0};

    uv_key_input_read(content, known, &input);
    if (input.kind == UV_KEY_INPUT_NONE)
        uv_key_refuse_input(outcome);
    else if (input.kind == UV_KEY_INPUT_SIGNED)
        set_signed(server, key, input.bytes, append, outcome);
    else if (!append || g_bytes_get_size(input.bytes) > 0)
        set_lists(server, key, input.bytes, append, outcome);
}

/* ---- removing ---- */

/* What stays of the lists, which keep their headers and owners. `sha256` is of the certificate that
 * goes; NULL: everything that is no certificate does. */
static bool is_gone(const char *sha256, const UvSiglist *list, const uint8_t *data, size_t size)
{
    if (!sha256)
        return !uv_siglist_is_x509(list);
    if (!uv_siglist_is_x509(list))
        return false;
    g_autofree char *found = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, size);
    return strcmp(found, sha256) == 0;
}

static void copy_list(const UvSiglist *list, const char *sha256, UvWriter *writer)
{
    const size_t before = uv_writer_size(writer);
    const size_t data_bytes = list->signature_bytes - sizeof(UvGuid);
    size_t kept = 0;

    uv_write_bytes(writer, list->bytes, EFI_SIGLIST_HEADER_BYTES + list->header_bytes);
    for (size_t i = 0; i < list->count; i++) {
        const uint8_t *data = uv_siglist_data(list, i);

        if (is_gone(sha256, list, data, data_bytes))
            continue;
        uv_write_bytes(writer, data - sizeof(UvGuid), list->signature_bytes);
        kept++;
    }
    /* An empty list is well formed, and no firmware needs it. */
    if (kept == 0 && list->count > 0)
        uv_writer_truncate(writer, before);
    else
        uv_write_u32_at(writer, before + sizeof(UvGuid),
                        (uint32_t)(uv_writer_size(writer) - before));
}

static GBytes *without(GBytes *lists, const char *sha256)
{
    UvReader reader = uv_reader_of(lists);
    UvSiglist list;
    g_auto(UvWriter) writer = uv_writer(reader.left + 1);

    while (uv_siglist_next(&reader, &list))
        copy_list(&list, sha256, &writer);
    /* What is no list is not ours to drop. */
    uv_write_bytes(&writer, reader.at, reader.left);
    return uv_writer_steal(&writer);
}

void uv_secure_boot_remove(UvServer *server, UvKey key, const char *file, UvViewOutcome *outcome)
{
    g_autoptr(GBytes) lists = uv_key_lists(uv_view_service(server), key);
    g_autoptr(GArray) certificates = uv_key_certificates(lists);
    const UvKeyCertificate *certificate = uv_key_certificate_find(certificates, file);

    if (lists && strcmp(file, "list.esl") == 0) {
        set_lists(server, key, NULL, false, outcome);
        return;
    }
    if (!lists || (!certificate && strcmp(file, "hashes") != 0)) {
        uv_view_refuse_path(outcome);
        return;
    }
    g_autoptr(GBytes) rest = without(lists, certificate ? certificate->text.sha256 : NULL);
    set_lists(server, key, rest, false, outcome);
}
