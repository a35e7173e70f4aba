/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What engines of commit 1801a2e left behind (old-state/README) is read by this one. */

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "blob.h"
#include "fixture.h"
#include "scratch.h"
#include "session.h"
#include "storetest.h"

static GBytes *old_file(const char *name)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "old-state", name, NULL);
    g_autoptr(GError) error = NULL;
    char *bytes;
    gsize size;

    g_file_get_contents(path, &bytes, &size, &error);
    g_assert_no_error(error);
    return g_bytes_new_take(bytes, size);
}

static void put_file(const char *dir, const char *name, const char *old_name)
{
    g_autoptr(GBytes) bytes = old_file(old_name);
    g_autofree char *path = scratch_path(dir, name);
    g_autofree char *parent = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
    g_assert_true(
        g_file_set_contents(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), NULL));
}

/* The old store with its journal, in a folder of its own, loaded. */
static char *open_old(StoreTest *t, const char *name)
{
    char *dir = scratch_new();
    g_autofree char *store = g_strdup_printf("%s.json", name);
    g_autofree char *journal = g_strdup_printf("%s.journal", name);

    put_file(dir, "s.json", store);
    put_file(dir, STORE_JOURNAL, journal);
    store_test_open(t, dir, "s.json", false);
    g_assert_false(store_test_warned(t, "set aside"));
    return dir;
}

static void expect_data(const UvVarset *set, const char *name_text, const char *data)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    const UvVariable *variable = uv_varset_lookup(set, &fixture_guid, name);

    if (!data) {
        g_assert_null(variable);
        return;
    }
    g_assert_nonnull(variable);
    g_assert_cmpmem(g_bytes_get_data(variable->data, NULL), g_bytes_get_size(variable->data), data,
                    strlen(data));
}

static void expect_signer(const UvVarset *set)
{
    static const uint8_t time[16] = {0xea, 7, 0x0b, 0x19, 1, 2, 3};
    g_autoptr(UvName) name = uv_name_new_utf8("Signed", NULL);
    const UvVariable *variable = uv_varset_lookup(set, &fixture_guid, name);

    g_assert_cmphex(variable->attributes, ==, NV | BS | RT | AT);
    g_assert_cmpmem(variable->time, 16, time, 16);
    g_assert_cmpmem(g_bytes_get_data(variable->digest, NULL), g_bytes_get_size(variable->digest),
                    "0123456789abcdef0123456789abcdef", 32);
}

static void expect_served(const UvVarset *set)
{
    expect_data(set, "Signed", "by somebody");
    expect_data(set, "Kept", "kept and more");
    expect_data(set, "New", "new");
    expect_data(set, "Gone", NULL);
    expect_signer(set);
}

/* The journal is replayed, goes on, and goes into the file. */
static void test_journal(void)
{
    StoreTest t;
    char *dir = open_old(&t, "serving");

    expect_served(t.set);
    store_test_put(&t, "Later", "still in the old journal");
    store_test_drop(&t);
    store_test_open(&t, dir, "s.json", false);
    expect_served(t.set);
    store_test_expect(&t, "Later", "still in the old journal");
    store_test_close(&t);
    g_assert_false(scratch_exists(dir, STORE_JOURNAL));
    store_test_open(&t, dir, "s.json", false);
    expect_served(t.set);
    store_test_drop(&t);
    scratch_free(dir);
}

static void test_crashed(gconstpointer name)
{
    g_autofree char *more = g_strnfill(1500, 'm');
    StoreTest t;
    char *dir = open_old(&t, name);

    for (int round = 0; round < 2; round++) {
        expect_data(t.set, "Kept", more);
        expect_data(t.set, "Gone", "soon");
        expect_data(t.set, "Signed", "by somebody else");
        expect_signer(t.set);
        store_test_close(&t);
        g_assert_false(scratch_exists(dir, STORE_JOURNAL));
        store_test_open(&t, dir, "s.json", false);
    }
    store_test_drop(&t);
    scratch_free(dir);
}

static UvService *service_with(const GPtrArray *variables)
{
    const UvServiceConfig config = {.size_bytes = 65536};
    UvService *service = uv_service_new(&config, NULL);

    uv_service_load(service, (GPtrArray *)variables);
    return service;
}

static void expect_session(UvService *service, GBytes *state)
{
    UvReader reader = uv_reader(g_bytes_get_data(state, NULL), g_bytes_get_size(state));

    g_assert_true(uv_service_read_session(service, &reader));
    g_assert_true(uv_reader_done(&reader));
    expect_served(uv_service_variables(service));
    expect_data(uv_service_variables(service), "Volatile", "until power-off");
    expect_data(uv_service_variables(service), "Empty", "?");
    g_assert_true(uv_service_phase(service)->exit_boot_services);
    g_assert_cmpuint(uv_policy_count(uv_service_policy(service)), ==, 1);
    g_assert_true(uv_policy_is_locked(uv_service_policy(service)));
}

static GPtrArray *nonvolatile_of_blob(UvBlob **ret_blob)
{
    g_autoptr(GBytes) bytes = old_file("blob");
    g_autoptr(GError) error = NULL;

    *ret_blob = uv_blob_decode(bytes, &error);
    g_assert_no_error(error);
    return (*ret_blob)->variables;
}

static void test_blob(void)
{
    g_autoptr(UvBlob) blob = NULL;
    GPtrArray *variables = nonvolatile_of_blob(&blob);
    g_autoptr(UvService) service = service_with(variables);

    g_assert_cmpuint(blob->generation, ==, 7);
    expect_session(service, blob->session);
}

static void test_session(void)
{
    g_autoptr(UvBlob) blob = NULL;
    g_autoptr(UvService) service = service_with(nonvolatile_of_blob(&blob));
    g_autoptr(GBytes) state = NULL;
    char *dir = scratch_new();
    g_autofree char *path = scratch_path(dir, "session");
    g_autoptr(UvSessionFile) file = NULL;
    UvSessionHead head;

    put_file(dir, "session", "session");
    file = uv_session_file_new(open(path, O_RDWR | O_CLOEXEC));
    g_assert_true(uv_session_file_read(file, &head, &state));
    g_assert_cmpstr(head.name, ==, "an old guest");
    g_assert_cmpint(head.id[0], ==, 0x5a);
    g_assert_cmpint(head.mode, ==, UV_SESSION_SERVING);
    expect_session(service, state);
    scratch_free(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/old-state/journal", test_journal);
    g_test_add_data_func("/old-state/renamed", "renamed", test_crashed);
    g_test_add_data_func("/old-state/in-place", "in-place", test_crashed);
    g_test_add_func("/old-state/blob", test_blob);
    g_test_add_func("/old-state/session", test_session);
    return g_test_run();
}
