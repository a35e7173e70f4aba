/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * secure-boot/summary: a "key: value" a line, in this order and with these words, for grep. Years
 * of Microsoft's certificates stand in it only where the certificates are there.
 */

#include <string.h>

#include "secure-boot.h"

/* By fingerprint (SHA-256 of the certificate): another one can have the same name. */
static const struct {
    const char *sha256;
    const char *name;
} microsoft[] = {
    {"a1117f516a32cefcba3f2d1ace10a87972fd6bbe8fe0d0b996e09e65d802a503", "KEK CA 2011"},
    {"3cd3f0309edae228767a976dd40d9f4affc4fbd5218f2e8cc3c9dd97e8ac6f9d", "KEK 2K CA 2023"},
    {"e8e95f0733a55e8bad7be0a1413ee23c51fcea64b3c8fa6a786935fddcc71961",
     "Windows Production PCA 2011"},
    {"48e99b991f57fc52f76149599bff0a58c47154229b9f8d603ac40d3500248507", "UEFI CA 2011"},
    {"076f1fea90ac29155ebf77c17682f75f1fdd1be196da302dc8461e350a9ae330", "Windows UEFI CA 2023"},
    {"f6124e34125bee3fe6d79a574eaa7b91c0e7bd9d929c1a321178efd611dad901", "UEFI CA 2023"},
    {"e5be3e64c6e66a281457ecdece0d6d0787577aad2a3a0144262c10c14ba8d8f1", "Option ROM UEFI CA 2023"},
};

static bool read_byte(const UvService *service, const UvGuid *guid, const char *ascii)
{
    g_autoptr(UvName) name = uv_name_new_utf8(ascii, NULL);
    const UvVariable *variable = uv_varset_lookup(uv_service_variables(service), guid, name);
    gsize size = 0;
    const uint8_t *data = variable ? g_bytes_get_data(variable->data, &size) : NULL;

    return data && size == 1 && data[0] == 1;
}

static void add_certificate(GString *text, UvKey key, const UvKeyCertificate *certificate)
{
    g_autofree char *until = NULL;

    if (certificate->text.valid_until >= 0) {
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(certificate->text.valid_until);
        until = time ? g_date_time_format(time, "%Y-%m-%d") : NULL;
    }
    g_autofree char *name = uv_key_common_name(&certificate->text);
    g_string_append_printf(text, "%s: %s, valid until %s, sha256 %s\n", uv_key_name(key), name,
                           until ? until : "unknown", certificate->text.sha256);
}

static void add_microsoft(GString *text, UvKey key, const GArray *certificates)
{
    const char *separator = " ";

    g_string_append_printf(text, "%s-microsoft:", uv_key_name(key));
    for (size_t i = 0; i < G_N_ELEMENTS(microsoft); i++) {
        for (guint j = 0; j < certificates->len; j++) {
            const UvKeyCertificate *c = &g_array_index(certificates, UvKeyCertificate, j);

            if (strcmp(c->text.sha256, microsoft[i].sha256) == 0) {
                g_string_append_printf(text, "%s%s", separator, microsoft[i].name);
                separator = ", ";
            }
        }
    }
    g_string_append_c(text, '\n');
}

static size_t count_hashes(GBytes *lists)
{
    UvKeyWalk walk;
    size_t count = 0;

    uv_key_walk_init(&walk, lists);
    while (uv_key_walk_next(&walk))
        count += !uv_siglist_is_x509(&walk.list);
    return count;
}

static void add_key(GString *text, const UvService *service, UvKey key)
{
    g_autoptr(GBytes) lists = uv_key_lists(service, key);
    g_autoptr(GArray) certificates = uv_key_certificates(lists);

    for (guint i = 0; i < certificates->len; i++)
        add_certificate(text, key, &g_array_index(certificates, UvKeyCertificate, i));
    if (certificates->len == UV_KEY_CERTIFICATES_MAX)
        g_string_append_printf(text, "%s: others are in list.esl alone\n", uv_key_name(key));
    if (key == UV_KEY_KEK || key == UV_KEY_DB)
        add_microsoft(text, key, certificates);
    if (key == UV_KEY_DBX)
        g_string_append_printf(text, "dbx-hashes: %zu\n", count_hashes(lists));
}

GBytes *uv_secure_boot_summary(UvServer *server)
{
    const UvService *service = uv_view_service(server);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GBytes) pk = uv_key_lists(service, UV_KEY_PK);
    const bool secure_boot = read_byte(service, &uv_guid_global_variable, "SecureBoot");

    g_string_append_printf(text, "secure-boot: %s\n", secure_boot ? "on" : "off");
    g_string_append_printf(text, "mode: %s\n", pk ? "user" : "setup");
    g_string_append_printf(text, "custom-mode: %d\n",
                           read_byte(service, &uv_guid_custom_mode, "CustomMode"));
    for (UvKey key = 0; key < UV_KEYS; key++)
        add_key(text, service, key);
    g_string_append_printf(text, "space-left: %" G_GUINT64_FORMAT "\n",
                           uv_service_usage(service).remaining_storage_bytes);
    return g_string_free_to_bytes(g_steal_pointer(&text));
}
