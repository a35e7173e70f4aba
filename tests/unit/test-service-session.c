/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Phases, sessions, and the set as a whole: loading, replacing, what observers are told. */

#include "fixture.h"

#include "uv-limits.h"
#include "wire.h"

#include <string.h>

#define ALL (NV | BS | RT)

/* ---- what observers hear ---- */

static void describe(UvService *service, const UvChange *change, void *data)
{
    GString *text = data;

    for (size_t i = 0; i < uv_change_count(change); i++) {
        const UvChangeItem *item = uv_change_item(change, i);
        const UvVariable *variable = item->after ? item->after : item->before;
        g_autofree char *name = uv_name_to_utf8(variable->name);
        if (uv_guid_equal(&variable->guid, &fixture_guid))
            g_string_append_printf(text, "%s%s ",
                                   !item->before ? "+"
                                   : item->after ? "~"
                                                 : "-",
                                   name);
    }
}

static GPtrArray *array_of(UvVariable *first, ...)
{
    GPtrArray *array = g_ptr_array_new_with_free_func((GDestroyNotify)uv_variable_unref);
    va_list list;

    va_start(list, first);
    for (UvVariable *v = first; v; v = va_arg(list, UvVariable *))
        g_ptr_array_add(array, v);
    va_end(list);
    return array;
}

static UvVariable *timed(UvVariable *variable /* takes ownership */, int64_t mtime_ns)
{
    variable->mtime_ns = mtime_ns;
    return variable;
}

static void test_load_difference(void)
{
    g_autoptr(UvService) service = fixture_service(NULL);
    g_autoptr(GString) heard = g_string_new(NULL);
    g_autoptr(GPtrArray) first =
        array_of(timed(fixture_variable("a", ALL, "1"), 11),
                 timed(fixture_variable("b", ALL, "1"), 12), fixture_variable("c", ALL, "1"), NULL);
    g_autoptr(GPtrArray) second =
        array_of(fixture_variable("d", ALL, "1"), fixture_variable("b", ALL, "2"),
                 fixture_variable("a", ALL, "1"), NULL);

    g_assert_cmphex(fixture_set(service, "v", BS | RT, "v"), ==, EFI_SUCCESS);
    uv_service_load(service, first);
    uv_service_set_observer(service, describe, heard);
    uv_service_load(service, second);
    g_assert_cmpstr(heard->str, ==, "-c +d ~b ");
    g_autofree char *content = fixture_content(service);
    g_assert_cmpstr(content, ==, "v=v d=1 b=2 a=1"); /* in the order of the store */
    g_autoptr(UvVariable) a = fixture_get(service, "a");
    g_assert_cmpint(a->mtime_ns, ==, 11); /* unchanged, and the store knew no time */
    g_autoptr(UvVariable) b = fixture_get(service, "b");
    g_assert_cmpint(b->mtime_ns, ==, 0);

    g_string_truncate(heard, 0);
    uv_service_load(service, second);
    g_assert_cmpstr(heard->str, ==, "");
}

static void test_load_is_unchecked(void)
{
    g_autoptr(UvService) service = fixture_service(NULL);
    g_autoptr(GPtrArray) loaded = array_of(
        fixture_variable("authenticated", ALL | AT, "bytes"), fixture_variable("odd", NV | 8, ""),
        fixture_variable("twice", ALL, "1"), fixture_variable("twice", ALL, "2"),
        fixture_variable("volatile", BS | RT, "x"), NULL);

    uv_service_load(service, loaded);
    g_autofree char *content = fixture_content(service);
    g_assert_cmpstr(content, ==, "authenticated=bytes odd= twice=2");
    g_autoptr(UvVariable) authenticated = fixture_get(service, "authenticated");
    g_assert_cmphex(authenticated->attributes, ==, ALL | AT);
}

static void test_replace(void)
{
    g_autoptr(FixtureStore) store = fixture_store_new();
    g_autoptr(UvService) service = fixture_service(&store->store);
    g_autoptr(GPtrArray) variables = array_of(fixture_variable("n", ALL, "1"), NULL);
    g_autoptr(GString) heard = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmphex(fixture_set(service, "a", ALL, "1"), ==, EFI_SUCCESS);
    uv_service_set_observer(service, describe, heard);
    g_assert_true(uv_service_replace(service, variables, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(store->replaced, ==, 1);
    g_assert_cmpstr(heard->str, ==, "-a +n ");
    g_autofree char *content = fixture_content(service);
    g_assert_cmpstr(content, ==, "n=1");
}

/* ---- beginning and end ---- */

static void test_cold_start(void)
{
    g_autoptr(UvService) service = fixture_service(NULL);
    g_autoptr(GString) heard = g_string_new(NULL);

    g_assert_cmphex(fixture_set(service, "v", BS | RT, "1"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "n", ALL, "1"), ==, EFI_SUCCESS);
    fixture_go_to(service, AT_RUNTIME);
    uv_service_set_observer(service, describe, heard);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    g_assert_cmpstr(heard->str, ==, "-v ");
    g_assert_false(uv_service_phase(service)->exit_boot_services);
    g_assert_false(uv_service_phase(service)->end_of_dxe);
    g_assert_false(uv_policy_is_locked(uv_service_policy(service)));
    g_autofree char *content = fixture_content(service);
    g_assert_cmpstr(content, ==, "n=1");
}

/* A store that takes nothing: the guest boots all the same, on derived variables only. */
static void test_cold_start_on_failing_store(void)
{
    g_autoptr(FixtureStore) store = fixture_store_new();
    g_autoptr(UvService) service = uv_service_new(
        &(UvServiceConfig){.size_bytes = UV_STORAGE_DEFAULT, .force_secure_boot = true},
        &store->store);

    store->fail_with = UV_STORE_ERROR_READ_ONLY;
    const EfiStatus status = uv_service_cold_start(service);
    if (store->applied > 0)
        g_assert_cmphex(status, ==, EFI_WRITE_PROTECTED);
    g_assert_cmpuint(uv_varset_used_bytes(uv_service_variables(service), true), ==, 0);
    g_assert_cmphex(fixture_set(service, "v", BS | RT, "1"), ==, EFI_SUCCESS);
}

static void test_end_session(void)
{
    g_autoptr(FixtureStore) store = fixture_store_new();
    g_autoptr(UvService) service = fixture_service(&store->store);

    g_assert_cmphex(fixture_set(service, "v", BS | RT, "1"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "n", NV | BS, "1"), ==, EFI_SUCCESS);
    fixture_go_to(service, AT_RUNTIME);
    const guint applied = store->applied;
    uv_service_end_session(service);
    g_assert_cmpuint(store->applied, ==, applied);
    g_autofree char *content = fixture_content(service);
    g_assert_cmpstr(content, ==, "n=1");
    /* alone with the store, the host may write what was closed at runtime */
    g_assert_cmphex(fixture_set_bytes(service, UV_DOOR_HOST, "n", NV | BS, "2", 1), ==,
                    EFI_SUCCESS);
}

static void test_fail_closed(void)
{
    g_autoptr(UvService) service = fixture_service(NULL);

    g_assert_cmphex(fixture_set(service, "n", NV | BS, "1"), ==, EFI_SUCCESS);
    uv_service_fail_closed(service);
    g_assert_true(uv_service_phase(service)->exit_boot_services);
    g_assert_true(uv_policy_is_locked(uv_service_policy(service)));
    g_assert_cmphex(fixture_set(service, "n", NV | BS, "2"), ==, EFI_WRITE_PROTECTED);
    g_assert_cmphex(fixture_set(service, "v", BS | RT, "2"), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "n", NV | BS, "2"), ==, EFI_SUCCESS);
}

/* ---- the bytes of a session ---- */

static GBytes *write_session(const UvService *service)
{
    g_auto(UvWriter) writer = uv_writer(UV_WIRE_BLOB_MAX);

    uv_service_write_session(service, &writer);
    return uv_writer_steal(&writer);
}

static bool read_session(UvService *service, const void *bytes, size_t size)
{
    g_autofree void *exact = g_memdup2(bytes, size);
    UvReader reader = uv_reader(exact, size);

    return uv_service_read_session(service, &reader);
}

static UvService *running_service(void)
{
    UvService *service = fixture_service(NULL);
    g_autoptr(UvName) name = uv_name_new_utf8("locked", NULL);

    g_assert_cmphex(fixture_set(service, "v2", BS | RT, "two"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "v1", BS, "one"), ==, EFI_SUCCESS);
    g_assert_cmphex(uv_service_lock_variable(service, &fixture_guid, name), ==, EFI_SUCCESS);
    fixture_go_to(service, AT_READY_TO_BOOT);
    return service;
}

static void test_session_round_trip(void)
{
    g_autoptr(UvService) service = running_service();
    g_autoptr(UvService) successor = fixture_service(NULL);
    g_autoptr(GBytes) bytes = write_session(service);

    g_assert_cmphex(fixture_set(successor, "other", BS, "x"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(successor, "n", ALL, "x"), ==, EFI_SUCCESS);
    g_assert_true(read_session(successor, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)));
    g_assert_true(uv_service_phase(successor)->ready_to_boot);
    g_assert_false(uv_service_phase(successor)->exit_boot_services);
    g_assert_cmphex(fixture_set(successor, "locked", ALL, "x"), ==, EFI_WRITE_PROTECTED);
    g_autofree char *content = fixture_content(successor);
    g_assert_cmpstr(content, ==, "v2=two v1=one n=x");
    g_autoptr(GBytes) again = write_session(successor);
    g_assert_true(g_bytes_equal(bytes, again));
}

/* Cut short anywhere, or with any byte changed, it is refused whole or read whole; it never breaks
 * the service. */
static void test_session_malformed(void)
{
    g_autoptr(UvService) service = running_service();
    g_autoptr(UvService) successor = fixture_service(NULL);
    g_autoptr(GBytes) bytes = write_session(service);
    g_autoptr(GBytes) untouched = write_session(successor);
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);

    for (gsize n = 0; n < size; n++) {
        g_assert_false(read_session(successor, data, n));
        g_autoptr(GBytes) now = write_session(successor);
        g_assert_true(g_bytes_equal(now, untouched));
    }
    for (gsize n = 0; n < size; n++) {
        g_autofree uint8_t *changed = g_memdup2(data, size);
        g_autoptr(UvService) other = fixture_service(NULL);
        changed[n] ^= 0xff;
        const bool taken = read_session(other, changed, size);
        if (n < 13) /* magic, version, length, phases */
            g_assert_false(taken);
    }
}

/* Bytes that the length counts and nobody reads. */
static void test_session_trailing(void)
{
    g_autoptr(UvService) service = running_service();
    g_autoptr(UvService) successor = fixture_service(NULL);
    g_autoptr(GBytes) bytes = write_session(service);
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);
    g_auto(UvWriter) longer = uv_writer(size + 1);

    uv_write_bytes(&longer, data, size);
    uv_write_u8(&longer, 0);
    uv_write_u32_at(&longer, 8, size + 1 - 12);
    g_assert_false(read_session(successor, longer.bytes, size + 1));
    uv_write_u32_at(&longer, 8, size - 12); /* behind the session it is the caller's */
    g_assert_true(read_session(successor, longer.bytes, size + 1));
}

static void test_session_conflict(void)
{
    g_autoptr(UvService) service = running_service();
    g_autoptr(UvService) successor = fixture_service(NULL);
    g_autoptr(GBytes) bytes = write_session(service);
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);

    g_assert_cmphex(fixture_set(successor, "v1", ALL, "mine"), ==, EFI_SUCCESS);
    g_assert_false(read_session(successor, data, size));
    g_assert_false(uv_service_phase(successor)->end_of_dxe);
    g_autofree char *content = fixture_content(successor);
    g_assert_cmpstr(content, ==, "v1=mine");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/load/difference", test_load_difference);
    g_test_add_func("/load/unchecked", test_load_is_unchecked);
    g_test_add_func("/load/replace", test_replace);
    g_test_add_func("/session/cold-start", test_cold_start);
    g_test_add_func("/session/cold-start-on-failing-store", test_cold_start_on_failing_store);
    g_test_add_func("/session/end", test_end_session);
    g_test_add_func("/session/fail-closed", test_fail_closed);
    g_test_add_func("/session/round-trip", test_session_round_trip);
    g_test_add_func("/session/malformed", test_session_malformed);
    g_test_add_func("/session/trailing", test_session_trailing);
    g_test_add_func("/session/conflict", test_session_conflict);
    return g_test_run();
}
