/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * secure-boot/: keys and lists as certificates and hashes.
 *
 *   summary
 *   VAR/CN.XXXXXXXX.crt   a certificate in PEM; rm takes it out of the variable
 *   VAR/hashes            "TYPE HEX" a line: all that is no certificate
 *   VAR/list.esl          the variable's content; rm deletes the variable
 *   VAR/append, replace   write only, see key-input.h
 *   enroll                write only here: the front sends a profile's files (secure-boot.h)
 *
 * VAR is PK, KEK, db, dbx, dbt and dbr, whether the variable is there or not.
 */

#include <errno.h>
#include <string.h>

#include "hex.h"
#include "secure-boot.h"

/* "VAR/FILE"; false: it is not. */
static bool split(const char *path, UvKey *ret_key, const char **ret_file)
{
    const char *slash = strchr(path, '/');

    if (!slash || !uv_key_parse(path, (size_t)(slash - path), ret_key))
        return false;
    *ret_file = slash + 1;
    return true;
}

static GBytes *read_hashes(GBytes *lists)
{
    g_autoptr(GString) text = g_string_new(NULL);
    UvKeyWalk walk;

    uv_key_walk_init(&walk, lists);
    while (uv_key_walk_next(&walk)) {
        const char *name = uv_siglist_type_name(&walk.list.type);
        char guid[UV_GUID_TEXT_BYTES + 1];

        if (uv_siglist_is_x509(&walk.list))
            continue;
        uv_guid_format(&walk.list.type, guid);
        g_string_append_printf(text, "%s ", name ? name : guid);
        uv_hex_append(text, walk.data, walk.data_bytes);
        g_string_append_c(text, '\n');
    }
    return g_string_free_to_bytes(g_steal_pointer(&text));
}

static GBytes *pem_of(const UvKeyCertificate *certificate)
{
    char *pem = uv_x509_to_pem(certificate->der, certificate->der_bytes);

    return g_bytes_new_take(pem, strlen(pem));
}

static GBytes *read_certificate(GBytes *lists, const char *file)
{
    g_autoptr(GArray) certificates = uv_key_certificates(lists);
    const UvKeyCertificate *certificate = uv_key_certificate_find(certificates, file);

    return certificate ? pem_of(certificate) : NULL;
}

static GBytes *secure_boot_read(UvServer *server, const char *path)
{
    const char *file;
    UvKey key;

    if (strcmp(path, "summary") == 0)
        return uv_secure_boot_summary(server);
    if (!split(path, &key, &file))
        return NULL;
    g_autoptr(GBytes) lists = uv_key_lists(uv_view_service(server), key);
    if (strcmp(file, "list.esl") == 0)
        return lists ? g_steal_pointer(&lists) : g_bytes_new(NULL, 0);
    return strcmp(file, "hashes") == 0 ? read_hashes(lists) : read_certificate(lists, file);
}

static void list_file(UvViewList *list, UvKey key, const char *file, uint32_t mode, GBytes *text)
{
    g_autofree char *path = g_strconcat(uv_key_name(key), "/", file, NULL);

    uv_view_list_add(list, path, mode, text ? g_bytes_get_size(text) : 0);
}

static void list_key(const UvService *service, UvKey key, UvViewList *list)
{
    g_autoptr(GBytes) lists = uv_key_lists(service, key);
    g_autoptr(GArray) certificates = uv_key_certificates(lists);
    g_autoptr(GBytes) hashes = read_hashes(lists);

    uv_view_list_add(list, uv_key_name(key), VIEW_FOLDER, 0);
    list_file(list, key, "append", VIEW_WRITE_ONLY, NULL);
    list_file(list, key, "replace", VIEW_WRITE_ONLY, NULL);
    list_file(list, key, "hashes", VIEW_READ_ONLY, hashes);
    list_file(list, key, "list.esl", VIEW_READ_ONLY, lists);
    for (guint i = 0; i < certificates->len; i++) {
        const UvKeyCertificate *c = &g_array_index(certificates, UvKeyCertificate, i);
        g_autoptr(GBytes) text = pem_of(c);

        list_file(list, key, c->name, VIEW_READ_ONLY, text);
    }
}

static void secure_boot_list(UvServer *server, UvViewList *list)
{
    g_autoptr(GBytes) summary = uv_secure_boot_summary(server);

    uv_view_list_add(list, "summary", VIEW_READ_ONLY, g_bytes_get_size(summary));
    uv_view_list_add(list, "enroll", VIEW_READ_WRITE, 0);
    for (UvKey key = 0; key < UV_KEYS; key++)
        list_key(uv_view_service(server), key, list);
}

static void write_file(UvServer *server, UvKey key, const char *file, GBytes *content,
                       UvViewOutcome *outcome)
{
    const bool append = strcmp(file, "append") == 0;

    if (append || strcmp(file, "replace") == 0)
        uv_secure_boot_write(server, key, append, content, outcome);
    else
        uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EPERM, "write to append or replace");
}

static void secure_boot_act(UvServer *server, UvViewAct act, const char *path, GBytes *content,
                            UvViewOutcome *outcome)
{
    const char *file;
    UvKey key;

    if (act == UV_VIEW_WRITE && strcmp(path, "enroll") == 0)
        uv_secure_boot_enroll(server, content, outcome);
    else if (!split(path, &key, &file) || (act != UV_VIEW_WRITE && act != UV_VIEW_REMOVE))
        uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EPERM, "nothing can be done here");
    else if (act == UV_VIEW_WRITE)
        write_file(server, key, file, content, outcome);
    else
        uv_secure_boot_remove(server, key, file, outcome);
}

const UvView uv_view_secure_boot = {
    .name = "secure-boot",
    .list = secure_boot_list,
    .read = secure_boot_read,
    .act = secure_boot_act,
};
