/* SPDX-License-Identifier: GPL-2.0-or-later */

/* MemoryOverwriteRequestControl and its lock (rules 2.8; edk2's TcgMorLockSmm.c). */

#include "fixture.h"

#include <string.h>

#define ALL (NV | BS | RT)
#define KEY "\1\2\3\4\5\6\7\x08"
#define OTHER_KEY "\1\2\3\4\5\6\7\x09"

typedef enum {
    MOR,
    LOCK,
} Which;

static EfiStatus set_from(UvDoor door, UvService *service, Which which, uint32_t attributes,
                          const char *data, size_t size)
{
    g_autoptr(UvName) name = uv_name_new_utf8(
        which == MOR ? "MemoryOverwriteRequestControl" : "MemoryOverwriteRequestControlLock", NULL);
    const UvSetRequest request = {
        .door = door,
        .guid = which == MOR ? uv_guid_mor_control : uv_guid_mor_lock,
        .name = name,
        .attributes = attributes,
        .data = (const uint8_t *)data,
        .data_bytes = size,
    };

    return fixture_request(service, &request);
}

static EfiStatus set(UvService *service, Which which, uint32_t attributes, const char *data,
                     size_t size)
{
    return set_from(UV_DOOR_GUEST, service, which, attributes, data, size);
}

/* What the lock variable reads: 0, 1, 2; -1: not there. */
static int lock_value(const UvService *service)
{
    g_autoptr(UvName) name = uv_name_new_utf8("MemoryOverwriteRequestControlLock", NULL);
    const UvVariable *variable =
        uv_varset_lookup(uv_service_variables(service), &uv_guid_mor_lock, name);

    if (!variable)
        return -1;
    g_assert_cmpuint(g_bytes_get_size(variable->data), ==, 1);
    return *(const uint8_t *)g_bytes_get_data(variable->data, NULL);
}

/* A firmware with MOR, after EndOfDxe. */
static UvService *make(UvStore *store)
{
    UvService *service = fixture_service(store);

    g_assert_cmphex(set(service, MOR, ALL, "\0", 1), ==, EFI_SUCCESS);
    fixture_go_to(service, AT_END_OF_DXE);
    g_assert_cmpint(lock_value(service), ==, 0);
    return service;
}

static void test_arguments(void)
{
    g_autoptr(UvService) service = make(NULL);

    g_assert_cmphex(set(service, MOR, ALL, "\1\0", 2), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(set(service, MOR, NV | BS, "\1", 1), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(set(service, MOR, 0, "", 0), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(set(service, MOR, ALL | APPEND, "\1", 1), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(set(service, MOR, ALL, "\1", 1), ==, EFI_SUCCESS);
    g_assert_cmphex(set(service, LOCK, ALL, "\2", 1), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(set(service, LOCK, ALL, "\1\0", 2), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(set(service, LOCK, NV | BS, "\1", 1), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(set(service, LOCK, 0, "", 0), ==, EFI_WRITE_PROTECTED);
    g_assert_cmphex(set(service, LOCK, ALL, "", 0), ==, EFI_WRITE_PROTECTED);
    g_assert_cmpint(lock_value(service), ==, 0);
}

static void test_without_key(void)
{
    g_autoptr(UvService) service = make(NULL);

    g_assert_cmphex(set(service, LOCK, ALL, "\0", 1), ==, EFI_SUCCESS);
    g_assert_cmphex(set(service, MOR, ALL, "\1", 1), ==, EFI_SUCCESS);
    g_assert_cmphex(set(service, LOCK, ALL, "\1", 1), ==, EFI_SUCCESS);
    g_assert_cmpint(lock_value(service), ==, 1);
    g_assert_cmphex(set(service, MOR, ALL, "\0", 1), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(set(service, LOCK, ALL, "\0", 1), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(set(service, LOCK, ALL, KEY, 8), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(set(service, LOCK, 0, "", 0), ==, EFI_WRITE_PROTECTED);
    fixture_go_to(service, AT_RUNTIME);
    g_assert_cmphex(set(service, MOR, ALL, "\0", 1), ==, EFI_ACCESS_DENIED);
    /* until reset */
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    fixture_go_to(service, AT_END_OF_DXE);
    g_assert_cmpint(lock_value(service), ==, 0);
    g_assert_cmphex(set(service, MOR, ALL, "\0", 1), ==, EFI_SUCCESS);
}

static void test_with_key(void)
{
    g_autoptr(UvService) service = make(NULL);

    g_assert_cmphex(set(service, LOCK, ALL, KEY, 8), ==, EFI_SUCCESS);
    g_assert_cmpint(lock_value(service), ==, 2); /* never the key */
    g_assert_cmphex(set(service, MOR, ALL, "\1", 1), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(set(service, LOCK, ALL, "\0", 1), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(set(service, LOCK, ALL, KEY, 8), ==, EFI_SUCCESS);
    g_assert_cmpint(lock_value(service), ==, 0);
    g_assert_cmphex(set(service, MOR, ALL, "\1", 1), ==, EFI_SUCCESS);
}

static void test_wrong_key(void)
{
    g_autoptr(UvService) service = make(NULL);

    g_assert_cmphex(set(service, LOCK, ALL, KEY, 8), ==, EFI_SUCCESS);
    g_assert_cmphex(set(service, LOCK, ALL, OTHER_KEY, 8), ==, EFI_ACCESS_DENIED);
    g_assert_cmpint(lock_value(service), ==, 1);
    g_assert_cmphex(set(service, LOCK, ALL, KEY, 8), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(set(service, MOR, ALL, "\1", 1), ==, EFI_ACCESS_DENIED);
}

/* The guess counts also where its consequence can't be stored; a lock that can't be stored is not
 * one. */
static void test_failing_store(void)
{
    g_autoptr(FixtureStore) store = fixture_store_new();
    g_autoptr(UvService) service = make(&store->store);

    store->fail_with = UV_STORE_ERROR_NO_SPACE;
    g_assert_cmphex(set(service, LOCK, ALL, KEY, 8), ==, EFI_OUT_OF_RESOURCES);
    store->fail_with = -1;
    g_assert_cmphex(set(service, MOR, ALL, "\1", 1), ==, EFI_SUCCESS);
    g_assert_cmphex(set(service, LOCK, ALL, KEY, 8), ==, EFI_SUCCESS);
    store->fail_with = UV_STORE_ERROR_IO;
    g_assert_cmphex(set(service, LOCK, ALL, OTHER_KEY, 8), ==, EFI_ACCESS_DENIED);
    store->fail_with = -1;
    g_assert_cmphex(set(service, LOCK, ALL, KEY, 8), ==, EFI_ACCESS_DENIED);
}

/* A firmware that has no MOR at EndOfDxe gets none from the operating system. */
static void test_absent(void)
{
    g_autoptr(UvService) service = fixture_service(NULL);

    g_assert_cmphex(set(service, LOCK, ALL, "\0", 1), ==, EFI_SUCCESS);
    fixture_go_to(service, AT_END_OF_DXE);
    g_assert_cmpint(lock_value(service), ==, -1);
    g_assert_cmphex(set(service, MOR, ALL, "\1", 1), ==, EFI_WRITE_PROTECTED);
    g_assert_cmphex(set(service, LOCK, ALL, "\1", 1), ==, EFI_WRITE_PROTECTED);
}

/* The key goes with the session to a successor. */
static void test_session(void)
{
    g_autoptr(UvService) service = make(NULL), successor = make(NULL);

    g_assert_cmphex(set(service, LOCK, ALL, KEY, 8), ==, EFI_SUCCESS);
    g_auto(UvWriter) writer = uv_writer(65536);
    uv_service_write_session(service, &writer);
    g_autoptr(GBytes) bytes = uv_writer_steal(&writer);
    UvReader reader = uv_reader(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_assert_true(uv_service_read_session(successor, &reader));
    g_assert_cmphex(set(successor, MOR, ALL, "\1", 1), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(set(successor, LOCK, ALL, KEY, 8), ==, EFI_SUCCESS);
    g_assert_cmphex(set(successor, MOR, ALL, "\1", 1), ==, EFI_SUCCESS);
}

/* The rules are a session's. */
static void test_host(void)
{
    g_autoptr(UvService) service = make(NULL);

    g_assert_cmphex(set(service, LOCK, ALL, "\1", 1), ==, EFI_SUCCESS);
    g_assert_cmphex(set_from(UV_DOOR_HOST, service, MOR, ALL, "\1", 1), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(set_from(UV_DOOR_HOST, service, LOCK, 0, "", 0), ==, EFI_WRITE_PROTECTED);
    uv_service_end_session(service);
    g_assert_cmphex(set_from(UV_DOOR_HOST, service, MOR, ALL, "\1", 1), ==, EFI_SUCCESS);
    g_assert_cmphex(set_from(UV_DOOR_HOST, service, LOCK, ALL, "\2", 1), ==, EFI_SUCCESS);
    g_assert_cmpint(lock_value(service), ==, 2);
    g_assert_cmphex(set_from(UV_DOOR_HOST, service, LOCK, 0, "", 0), ==, EFI_SUCCESS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mor/2.8 arguments", test_arguments);
    g_test_add_func("/mor/2.8 lock without a key", test_without_key);
    g_test_add_func("/mor/2.8 lock with a key", test_with_key);
    g_test_add_func("/mor/2.8 wrong key", test_wrong_key);
    g_test_add_func("/mor/2.8 failing store", test_failing_store);
    g_test_add_func("/mor/2.8 absent", test_absent);
    g_test_add_func("/mor/host", test_host);
    g_test_add_func("/mor/session", test_session);
    return g_test_run();
}
