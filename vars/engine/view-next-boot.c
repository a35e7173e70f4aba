/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * next-boot/: what waits for the next cold start or reset, in the order in which it came.
 *
 *   results                        a line for each change that was applied
 *   secure-boot/VAR/append, replace, secure-boot/enroll, vars/NAME-GUID
 *
 * What is written to one of these waits; reading it gives what waits, rm takes it back. Several
 * changes of one path are PATH, PATH~2, PATH~3.
 */

#include <errno.h>
#include <string.h>

#include "key-input.h"
#include "name.h"
#include "next-boot.h"
#include "secure-boot.h"
#include "server-internal.h"

#define RESULTS "results"

/* The name that item `i` is listed by. */
static char *listed_path(const UvNextBoot *next, guint i)
{
    const UvNextBootItem *item = next->items->pdata[i];
    guint before = 0;

    for (guint j = 0; j < i; j++)
        before += strcmp(((UvNextBootItem *)next->items->pdata[j])->path, item->path) == 0;
    return before ? g_strdup_printf("%s~%u", item->path, before + 1) : g_strdup(item->path);
}

static bool find_item(const UvNextBoot *next, const char *path, guint *ret_i)
{
    for (guint i = 0; i < next->items->len; i++) {
        g_autofree char *listed = listed_path(next, i);

        if (strcmp(listed, path) == 0) {
            *ret_i = i;
            return true;
        }
    }
    return false;
}

/* The folders above a path, each once. */
static void list_folders(UvViewList *list, GHashTable *seen, const char *path)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        char *folder = g_strndup(path, (gsize)(slash - path));

        if (!g_hash_table_contains(seen, folder))
            uv_view_list_add(list, folder, VIEW_FOLDER, 0);
        g_hash_table_add(seen, folder);
    }
}

static void next_boot_list(UvServer *server, UvViewList *list)
{
    g_autoptr(UvNextBoot) next = uv_next_boot_load(server);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    uv_view_list_add(list, RESULTS, VIEW_READ_ONLY, next->results->len);
    list_folders(list, seen, "vars/");
    list_folders(list, seen, "secure-boot/");
    for (UvKey key = 0; key < UV_KEYS; key++) {
        g_autofree char *path = g_strconcat("secure-boot/", uv_key_name(key), "/", NULL);
        list_folders(list, seen, path);
    }
    for (guint i = 0; i < next->items->len; i++) {
        const UvNextBootItem *item = next->items->pdata[i];
        g_autofree char *path = listed_path(next, i);

        list_folders(list, seen, path);
        uv_view_list_add(list, path, VIEW_READ_WRITE, g_bytes_get_size(item->content));
    }
}

static GBytes *next_boot_read(UvServer *server, const char *path)
{
    g_autoptr(UvNextBoot) next = uv_next_boot_load(server);
    guint i;

    if (strcmp(path, RESULTS) == 0)
        return g_bytes_new(next->results->str, next->results->len);
    return find_item(next, path, &i)
               ? g_bytes_ref(((UvNextBootItem *)next->items->pdata[i])->content)
               : NULL;
}

/* ---- what is taken ---- */

static bool is_key_path(const char *path)
{
    const char *slash = strchr(path, '/');
    UvKey key;

    return slash && uv_key_parse(path, (size_t)(slash - path), &key) &&
           (strcmp(slash, "/append") == 0 || strcmp(slash, "/replace") == 0);
}

/* Refuses at once what could not be done later either. */
static bool check_keys(const UvServer *server, const char *path, GBytes *content,
                       UvViewOutcome *outcome)
{
    const bool profile = strcmp(path, "enroll") == 0;
    g_auto(UvKeyInput) input = {0};

    if (!profile && !is_key_path(path))
        return uv_view_refuse_path(outcome);
    if (!profile)
        uv_key_input_read(content, NULL, &input);
    if (!profile && input.kind == UV_KEY_INPUT_NONE)
        return uv_key_refuse_input(outcome);
    if (input.kind != UV_KEY_INPUT_SIGNED &&
        uv_service_config(server->service)->disable_custom_mode)
        return uv_view_refuse(outcome, EFI_SECURITY_VIOLATION, 0,
                              "custom mode is disabled: keys change by signatures alone");
    return true;
}

static bool check_variable(const char *file_name, GBytes *content, UvViewOutcome *outcome)
{
    g_autoptr(UvName) name = NULL;
    UvGuid guid;

    if (!uv_file_name_parse(file_name, &name, &guid))
        return uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL, "not a variable's file name");
    if (g_bytes_get_size(content) < sizeof(uint32_t))
        return uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL,
                              "shorter than the four bytes of attributes");
    return true;
}

static bool check(const UvServer *server, const char *path, GBytes *content, UvViewOutcome *outcome)
{
    if (uv_server_is_read_only(server))
        return uv_view_refuse(outcome, EFI_WRITE_PROTECTED, 0, "%s",
                              server->store->read_only_reason);
    if (g_str_has_prefix(path, "secure-boot/"))
        return check_keys(server, path + strlen("secure-boot/"), content, outcome);
    if (g_str_has_prefix(path, "vars/"))
        return check_variable(path + strlen("vars/"), content, outcome);
    return uv_view_refuse_path(outcome);
}

static void save(UvServer *server, const UvNextBoot *next, UvViewOutcome *outcome)
{
    g_autoptr(GError) error = NULL;

    if (!uv_next_boot_save(server, next, &error))
        uv_view_refuse(outcome, EFI_DEVICE_ERROR, 0, "%s", error->message);
}

static void keep(UvServer *server, const char *path, GBytes *content, UvViewOutcome *outcome)
{
    g_autoptr(UvNextBoot) next = uv_next_boot_load(server);

    if (!check(server, path, content, outcome))
        return;
    uv_next_boot_add(next, path, content, &server->actor);
    if (uv_next_boot_bytes(next) > UV_NEXT_BOOT_BYTES_MAX)
        uv_view_refuse(outcome, EFI_OUT_OF_RESOURCES, 0, "more than 1 MiB would wait");
    else
        save(server, next, outcome);
}

static void take_back(UvServer *server, const char *path, UvViewOutcome *outcome)
{
    g_autoptr(UvNextBoot) next = uv_next_boot_load(server);
    guint i;

    if (strcmp(path, RESULTS) == 0) {
        g_string_truncate(next->results, 0);
    } else if (find_item(next, path, &i)) {
        g_ptr_array_remove_index(next->items, i);
    } else {
        uv_view_refuse_path(outcome);
        return;
    }
    save(server, next, outcome);
}

static void next_boot_act(UvServer *server, UvViewAct act, const char *path, GBytes *content,
                          UvViewOutcome *outcome)
{
    if (act == UV_VIEW_WRITE)
        keep(server, path, content, outcome);
    else if (act == UV_VIEW_REMOVE)
        take_back(server, path, outcome);
    else
        uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EPERM, "nothing can be done here");
}

const UvView uv_view_next_boot = {
    .name = "next-boot",
    .list = next_boot_list,
    .read = next_boot_read,
    .act = next_boot_act,
};
