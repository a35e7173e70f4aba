/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The variables behind secure-boot/, read. */

#include <string.h>

#include "hash.h"
#include "secure-boot.h"

#define OWNER_BYTES 16u
#define SHORT_HEX 8
#define COMMON_NAME_BYTES_MAX 160u

static const char *const names[UV_KEYS] = {"PK", "KEK", "db", "dbx", "dbt", "dbr"};

const char *uv_key_name(UvKey key)
{
    return names[key];
}

bool uv_key_parse(const char *name, size_t size, UvKey *ret_key)
{
    for (UvKey key = 0; key < UV_KEYS; key++) {
        if (strlen(names[key]) == size && strncmp(names[key], name, size) == 0) {
            *ret_key = key;
            return true;
        }
    }
    return false;
}

const UvGuid *uv_key_guid(UvKey key)
{
    return key <= UV_KEY_KEK ? &uv_guid_global_variable : &uv_guid_image_security;
}

GBytes *uv_key_lists(const UvService *service, UvKey key)
{
    g_autoptr(UvName) name = uv_name_new_utf8(names[key], NULL);
    const UvVariable *variable =
        uv_varset_lookup(uv_service_variables(service), uv_key_guid(key), name);

    return variable ? g_bytes_ref(variable->data) : NULL;
}

void uv_key_walk_init(UvKeyWalk *walk, GBytes *lists)
{
    *walk = (UvKeyWalk){.reader = uv_reader_of(lists)};
}

bool uv_key_walk_next(UvKeyWalk *walk)
{
    walk->i++;
    while (!walk->in_list || walk->i >= walk->list.count) {
        if (!uv_siglist_next(&walk->reader, &walk->list))
            return false;
        walk->in_list = true;
        walk->i = 0;
    }
    walk->data = uv_siglist_data(&walk->list, walk->i);
    walk->data_bytes = walk->list.signature_bytes - OWNER_BYTES;
    return true;
}

char *uv_key_common_name(const UvX509Text *text)
{
    g_autoptr(GString) name = g_string_new(NULL);

    for (const char *at = text->common_name ? text->common_name : ""; *at;
         at = g_utf8_next_char(at)) {
        const gunichar c = g_utf8_get_char(at);

        if (name->len >= COMMON_NAME_BYTES_MAX)
            break;
        g_string_append_unichar(name, c == '/' || !g_unichar_isprint(c) ? '_' : c);
    }
    if (name->len == 0 || name->str[0] == '.')
        g_string_prepend(name, "certificate");
    return g_string_free(g_steal_pointer(&name), FALSE);
}

static char *file_name(const UvX509Text *text, int hex_digits)
{
    g_autofree char *name = uv_key_common_name(text);

    return g_strdup_printf("%s.%.*s.crt", name, hex_digits, text->sha256);
}

static void certificate_clear(void *data)
{
    UvKeyCertificate *certificate = data;

    g_free(certificate->name);
    uv_x509_text_clear(&certificate->text);
}

/* Describes it into `ret_certificate`; false: it was there before. Both sets' keys are borrowed. */
static bool describe(const UvKeyWalk *walk, GHashTable *names_seen, GHashTable *digests,
                     UvKeyCertificate *ret_certificate)
{
    UvKeyCertificate certificate = {.der = walk->data, .der_bytes = walk->data_bytes};
    g_autofree char *digest =
        g_compute_checksum_for_data(G_CHECKSUM_SHA256, walk->data, walk->data_bytes);

    if (!g_hash_table_add(digests, g_steal_pointer(&digest)))
        return false;
    uv_x509_describe(walk->data, walk->data_bytes, &certificate.text);
    certificate.name = file_name(&certificate.text, SHORT_HEX);
    if (g_hash_table_contains(names_seen, certificate.name)) {
        g_free(certificate.name);
        certificate.name = file_name(&certificate.text, UV_X509_SHA256_HEX);
    }
    g_hash_table_add(names_seen, certificate.name);
    *ret_certificate = certificate;
    return true;
}

GArray *uv_key_certificates(GBytes *lists)
{
    GArray *certificates = g_array_new(FALSE, FALSE, sizeof(UvKeyCertificate));
    g_autoptr(GHashTable) names_seen = g_hash_table_new(uv_hash_text, g_str_equal);
    g_autoptr(GHashTable) digests = g_hash_table_new_full(uv_hash_text, g_str_equal, g_free, NULL);
    UvKeyCertificate certificate;
    UvKeyWalk walk;

    g_array_set_clear_func(certificates, certificate_clear);
    uv_key_walk_init(&walk, lists);
    while (certificates->len < UV_KEY_CERTIFICATES_MAX && uv_key_walk_next(&walk))
        if (uv_siglist_is_x509(&walk.list) && describe(&walk, names_seen, digests, &certificate))
            g_array_append_val(certificates, certificate);
    return certificates;
}

const UvKeyCertificate *uv_key_certificate_find(const GArray *certificates, const char *file)
{
    for (guint i = 0; i < certificates->len; i++) {
        const UvKeyCertificate *c = &g_array_index(certificates, UvKeyCertificate, i);

        if (strcmp(c->name, file) == 0)
            return c;
    }
    return NULL;
}
