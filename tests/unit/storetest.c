/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "storetest.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#include "efi-abi.h"
#include "json.h"
#include "scratch.h"

static void open_as(StoreTest *t, const char *dir, const char *name, bool keeper,
                    const UvStoreOptions *options)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autoptr(GError) error = NULL;
    UvFolder *folder = uv_folder_new(AT_FDCWD, path, &error);

    g_assert_no_error(error);
    if (keeper)
        g_assert_true(uv_folder_fork_keeper(folder, NULL, NULL, &error));
    t->set = NULL;
    t->store = uv_store_json_open(folder, options, &error);
    g_assert_no_error(error);
    store_test_reload(t);
}

static void open_store(StoreTest *t, const char *dir, const char *name, bool keeper, bool guard,
                       bool in_place)
{
    open_as(t, dir, name, keeper,
            &(UvStoreOptions){.create = true, .guard = guard, .in_place = in_place});
}

void store_test_open_on(StoreTest *t, const char *dir, const char *name, bool keeper,
                        const UvHost *host)
{
    open_as(t, dir, name, keeper, &(UvStoreOptions){.create = true, .guard = true, .host = host});
}

void store_test_open(StoreTest *t, const char *dir, const char *name, bool keeper)
{
    open_store(t, dir, name, keeper, false, false);
}

void store_test_open_guarded(StoreTest *t, const char *dir, const char *name, bool keeper)
{
    open_store(t, dir, name, keeper, true, false);
}

void store_test_open_in_place(StoreTest *t, const char *dir, const char *name, bool keeper)
{
    open_store(t, dir, name, keeper, true, true);
}

void store_test_reload(StoreTest *t)
{
    g_autoptr(GPtrArray) variables = NULL;
    g_autoptr(GError) error = NULL;

    t->store->ops->load(t->store, &variables, &error);
    g_assert_no_error(error);
    g_clear_pointer(&t->set, uv_varset_free);
    t->set = uv_varset_new();
    for (guint i = 0; i < variables->len; i++)
        uv_varset_put(t->set, variables->pdata[i]);
}

void store_test_drop(StoreTest *t)
{
    g_clear_pointer(&t->store, uv_store_close);
    g_clear_pointer(&t->set, uv_varset_free);
}

void store_test_close(StoreTest *t)
{
    g_autoptr(GError) error = NULL;

    t->store->ops->compact(t->store, t->set, &error);
    g_assert_no_error(error);
    store_test_drop(t);
}

UvVariable *store_test_variable(const char *name, const char *value, int64_t mtime_ns)
{
    g_autoptr(UvName) uv_name = uv_name_new_utf8(name, NULL);
    g_autoptr(GBytes) data = g_bytes_new(value, strlen(value));
    UvVariable fields = {.guid = uv_guid_global_variable,
                         .name = uv_name,
                         .data = data,
                         .attributes = 7,
                         .mtime_ns = mtime_ns};

    return uv_variable_new(&fields);
}

bool store_test_try(StoreTest *t, const char *name, const char *value, GError **error)
{
    g_autoptr(UvChange) change = uv_change_new(t->set);
    g_autoptr(UvVariable) variable = store_test_variable(name, value ? value : "", 1000);

    if (value)
        uv_change_put(change, variable);
    else
        uv_change_remove(change, &variable->guid, variable->name);
    if (!t->store->ops->apply(t->store, change, error))
        return false;
    uv_change_apply(change, t->set);
    return true;
}

void store_test_put(StoreTest *t, const char *name, const char *value)
{
    g_autoptr(GError) error = NULL;

    store_test_try(t, name, value, &error);
    g_assert_no_error(error);
}

char *store_test_get(StoreTest *t, const char *name)
{
    g_autoptr(UvVariable) key = store_test_variable(name, "", 0);
    const UvVariable *found = uv_varset_lookup(t->set, &key->guid, key->name);

    return found ? g_strndup(g_bytes_get_data(found->data, NULL), g_bytes_get_size(found->data))
                 : NULL;
}

void store_test_expect(StoreTest *t, const char *name, const char *value)
{
    g_autofree char *found = store_test_get(t, name);

    g_assert_cmpstr(found, ==, value);
}

bool store_test_warned(StoreTest *t, const char *words)
{
    for (guint i = 0; i < t->store->warnings->len; i++)
        if (strstr(t->store->warnings->pdata[i], words))
            return true;
    return false;
}

char *store_test_json(const char *name, ...)
{
    g_autoptr(UvVarset) set = uv_varset_new();
    g_autoptr(GBytes) text = NULL;
    va_list args;

    va_start(args, name);
    while (name) {
        g_autoptr(UvVariable) variable = store_test_variable(name, va_arg(args, const char *), 0);
        uv_varset_put(set, variable);
        name = va_arg(args, const char *);
    }
    va_end(args);
    text = uv_json_format(set);
    return g_strndup(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
}

void store_fixture_set_up(StoreFixture *f, gconstpointer keeper)
{
    f->dir = scratch_new();
    f->keeper = keeper;
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
}

void store_fixture_tear_down(StoreFixture *f, gconstpointer keeper)
{
    store_test_drop(&f->t);
    scratch_free(f->dir);
}

void store_fixture_add(const char *prefix, const char *name, StoreFixtureTest test)
{
    g_autofree char *direct = g_strdup_printf("/%s/direct/%s", prefix, name);
    g_autofree char *keeper = g_strdup_printf("/%s/keeper/%s", prefix, name);

    g_test_add(direct, StoreFixture, NULL, store_fixture_set_up, test, store_fixture_tear_down);
    g_test_add(keeper, StoreFixture, "keeper", store_fixture_set_up, test, store_fixture_tear_down);
}

void store_fixture_reopen(StoreFixture *f)
{
    store_test_drop(&f->t);
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
}

void store_fixture_compact(StoreFixture *f)
{
    g_autoptr(GError) error = NULL;

    f->t.store->ops->compact(f->t.store, f->t.set, &error);
    g_assert_no_error(error);
}

void store_fixture_expect(StoreFixture *f, const char *text)
{
    scratch_expect(f->dir, "s.json", text);
    g_assert_false(scratch_exists(f->dir, STORE_JOURNAL));
    g_assert_false(scratch_exists(f->dir, ".uefivarsfs/s.json.tmp"));
}
