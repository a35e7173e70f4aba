/* SPDX-License-Identifier: GPL-2.0-or-later */

/* SetVariable's rules (rules 2.1, 2.2, 1.8) for variables without authentication: one row a
 * rule, on a service that has bs (NV, BS), rt (NV, BS, RT) and vol (BS, RT). */

#include "fixture.h"

#include "uv-limits.h"

#include <errno.h>
#include <string.h>

#define ALL (NV | BS | RT)
#define BEFORE "vol=v bs=b rt=r"
#define GUEST UV_DOOR_GUEST
#define HOST UV_DOOR_HOST

typedef struct {
    const char *rule;
    FixturePhase phase;
    UvDoor door;
    const char *name;
    uint32_t attributes;
    const char *data;
    EfiStatus expected;
    const char *after; /* NULL: nothing changes */
} Row;

static const Row rows[] = {
    {"2.1.1 empty name", AT_POWER_ON, GUEST, "", ALL, "x", EFI_INVALID_PARAMETER, NULL},
    {"2.1.3 unknown attribute 0x80", AT_POWER_ON, GUEST, "n", ALL | 0x80, "x",
     EFI_INVALID_PARAMETER, NULL},
    {"2.1.3 unknown attribute 0x80000000", AT_POWER_ON, GUEST, "n", ALL | 0x80000000, "x",
     EFI_INVALID_PARAMETER, NULL},
    {"2.1.4 RT without BS", AT_POWER_ON, GUEST, "n", NV | RT, "x", EFI_INVALID_PARAMETER, NULL},
    {"2.1.4 RT without BS, AW", AT_POWER_ON, GUEST, "n", NV | RT | AW, "x", EFI_UNSUPPORTED, NULL},
    {"2.1.5 NV only", AT_POWER_ON, GUEST, "n", NV, "x", EFI_INVALID_PARAMETER, NULL},
    {"2.1.5 NV and AW", AT_POWER_ON, GUEST, "n", NV | AW, "x", EFI_UNSUPPORTED, NULL},
    {"2.1.6 hardware error record", AT_POWER_ON, GUEST, "n", ALL | HR, "x", EFI_SUCCESS,
     BEFORE " n=x"},
    {"2.1.7 AW and AT", AT_POWER_ON, GUEST, "n", ALL | AW | AT, "x", EFI_UNSUPPORTED, NULL},
    {"2.1.7 AW", AT_POWER_ON, GUEST, "n", ALL | AW, "x", EFI_UNSUPPORTED, NULL},
    {"2.1.8 AT without data", AT_POWER_ON, GUEST, "n", ALL | AT, "", EFI_SECURITY_VIOLATION, NULL},
    {"2.1.8 AT with 39 bytes", AT_POWER_ON, GUEST, "n", ALL | AT,
     "012345678901234567890123456789012345678", EFI_SECURITY_VIOLATION, NULL},
    {"2.1.8 AT with text for a length", AT_POWER_ON, GUEST, "n", ALL | AT,
     "01234567890123456789012345678901234567890", EFI_SECURITY_VIOLATION, NULL},
    {"2.1.11 boot service variable at runtime", AT_RUNTIME, GUEST, "bs", NV | BS, "x",
     EFI_WRITE_PROTECTED, NULL},
    {"2.1.11 deleted at runtime", AT_RUNTIME, GUEST, "bs", 0, "", EFI_WRITE_PROTECTED, NULL},
    {"2.1.11 from the host at runtime", AT_RUNTIME, HOST, "bs", NV | BS, "x", EFI_WRITE_PROTECTED,
     NULL},
    {"2.1.12 more attributes", AT_POWER_ON, GUEST, "bs", ALL, "x", EFI_INVALID_PARAMETER, NULL},
    {"2.1.12 fewer attributes", AT_POWER_ON, GUEST, "rt", NV | BS, "x", EFI_INVALID_PARAMETER,
     NULL},
    {"2.1.12 volatile for NV", AT_POWER_ON, GUEST, "rt", BS | RT, "x", EFI_INVALID_PARAMETER, NULL},
    {"2.1.12 deletion with other attributes", AT_POWER_ON, GUEST, "rt", NV | BS, "",
     EFI_INVALID_PARAMETER, NULL},
    {"2.1.12 only APPEND", AT_POWER_ON, GUEST, "rt", APPEND, "x", EFI_INVALID_PARAMETER, NULL},
    {"2.1.12 attributes 0 with data deletes", AT_POWER_ON, GUEST, "rt", 0, "x", EFI_SUCCESS,
     "vol=v bs=b"},
    {"2.1 plain update moves to the end", AT_POWER_ON, GUEST, "bs", NV | BS, "new", EFI_SUCCESS,
     "vol=v rt=r bs=new"},
    {"2.2 volatile at runtime", AT_RUNTIME, GUEST, "vol", BS | RT, "x", EFI_WRITE_PROTECTED, NULL},
    {"2.2 volatile deleted at runtime", AT_RUNTIME, GUEST, "vol", 0, "", EFI_WRITE_PROTECTED, NULL},
    {"2.2 new volatile at runtime", AT_RUNTIME, GUEST, "n", BS | RT, "x", EFI_INVALID_PARAMETER,
     NULL},
    {"2.2 new boot service at runtime", AT_RUNTIME, GUEST, "n", NV | BS, "x", EFI_INVALID_PARAMETER,
     NULL},
    {"2.2 new boot service at runtime, host", AT_RUNTIME, HOST, "n", NV | BS, "x",
     EFI_INVALID_PARAMETER, NULL},
    {"2.2 new NV RT at runtime", AT_RUNTIME, GUEST, "n", ALL, "x", EFI_SUCCESS, BEFORE " n=x"},
    {"2.2 update at runtime", AT_RUNTIME, GUEST, "rt", ALL, "x", EFI_SUCCESS, "vol=v bs=b rt=x"},
    {"2.2 delete, size 0", AT_POWER_ON, GUEST, "rt", ALL, "", EFI_SUCCESS, "vol=v bs=b"},
    {"2.2 delete, attributes 0", AT_POWER_ON, GUEST, "rt", 0, "", EFI_SUCCESS, "vol=v bs=b"},
    {"2.2 delete at runtime", AT_RUNTIME, GUEST, "rt", 0, "", EFI_SUCCESS, "vol=v bs=b"},
    {"2.2 delete volatile", AT_POWER_ON, GUEST, "vol", 0, "", EFI_SUCCESS, "bs=b rt=r"},
    {"2.2 delete missing", AT_POWER_ON, GUEST, "n", ALL, "", EFI_NOT_FOUND, NULL},
    {"2.2 delete missing, attributes 0", AT_POWER_ON, GUEST, "n", 0, "", EFI_NOT_FOUND, NULL},
    {"2.2 missing, attributes 0 with data", AT_POWER_ON, GUEST, "n", 0, "x", EFI_NOT_FOUND, NULL},
    {"2.2 append nothing", AT_POWER_ON, GUEST, "rt", ALL | APPEND, "", EFI_SUCCESS, NULL},
    {"2.2 append nothing to nothing", AT_POWER_ON, GUEST, "n", ALL | APPEND, "", EFI_SUCCESS, NULL},
    {"2.2 only APPEND, nothing to nothing", AT_POWER_ON, GUEST, "n", APPEND, "", EFI_SUCCESS, NULL},
    {"2.2 only APPEND, missing", AT_POWER_ON, GUEST, "n", APPEND, "x", EFI_NOT_FOUND, NULL},
    {"2.2 append creates", AT_POWER_ON, GUEST, "n", ALL | APPEND, "x", EFI_SUCCESS, BEFORE " n=x"},
    {"2.2 append concatenates", AT_POWER_ON, GUEST, "rt", ALL | APPEND, "xyz", EFI_SUCCESS,
     "vol=v bs=b rt=rxyz"},
    {"2.2 append at runtime", AT_RUNTIME, GUEST, "rt", ALL | APPEND, "x", EFI_SUCCESS,
     "vol=v bs=b rt=rx"},
    {"2.2 append to volatile", AT_POWER_ON, GUEST, "vol", BS | RT | APPEND, "x", EFI_SUCCESS,
     "vol=vx bs=b rt=r"},
    {"2.2 the same again", AT_POWER_ON, GUEST, "bs", NV | BS, "b", EFI_SUCCESS, NULL},
    {"1.4 what is there, host", AT_POWER_ON, HOST, "bs", NV | BS, "b", EFI_SUCCESS, NULL},
    {"1.4 what is there, host at runtime", AT_RUNTIME, HOST, "bs", NV | BS, "b", EFI_SUCCESS, NULL},
    {"1.4 what is there, guest at runtime", AT_RUNTIME, GUEST, "bs", NV | BS, "b",
     EFI_WRITE_PROTECTED, NULL},
    {"1.8 volatile from the host with a guest", AT_POWER_ON, HOST, "n", BS | RT, "x", EFI_SUCCESS,
     "vol=v n=x bs=b rt=r"},
    {"host write", AT_END_OF_DXE, HOST, "n", ALL, "x", EFI_SUCCESS, BEFORE " n=x"},
};

static UvService *make(UvStore *store, FixturePhase phase)
{
    UvService *service = fixture_service(store);

    g_assert_cmphex(fixture_set(service, "bs", NV | BS, "b"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "vol", BS | RT, "v"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "rt", ALL, "r"), ==, EFI_SUCCESS);
    fixture_go_to(service, phase);
    return service;
}

static void count(UvService *service, const UvChange *change, void *data)
{
    (*(guint *)data)++;
}

static void test_row(gconstpointer data)
{
    const Row *row = data;
    g_autoptr(FixtureStore) store = fixture_store_new();
    g_autoptr(UvService) service = make(&store->store, row->phase);
    const guint applied = store->applied;
    guint changes = 0;

    uv_service_set_observer(service, count, &changes);
    const EfiStatus status = fixture_set_bytes(service, row->door, row->name, row->attributes,
                                               row->data, strlen(row->data));
    g_autofree char *content = fixture_content(service);
    g_assert_cmphex(status, ==, row->expected);
    g_assert_cmpstr(content, ==, row->after ? row->after : BEFORE);
    g_assert_cmpuint(changes, ==, row->after ? 1 : 0);
    if (!row->after)
        g_assert_cmpuint(store->applied, ==, applied);
}

/* ---- sizes ---- */

static EfiStatus set_size(UvService *service, const char *name, uint32_t attributes, size_t size)
{
    g_autofree uint8_t *data = g_malloc0(size + 1);

    return fixture_set_bytes(service, UV_DOOR_GUEST, name, attributes, data, size);
}

static UvService *large_service(size_t size_bytes)
{
    const UvServiceConfig config = {.size_bytes = size_bytes};
    UvService *service = uv_service_new(&config, NULL);

    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    return service;
}

static void test_variable_limit(void)
{
    static const uint32_t classes[] = {ALL, BS | RT, ALL | HR};
    g_autoptr(UvService) service = large_service(UV_STORAGE_DEFAULT);

    for (size_t i = 0; i < G_N_ELEMENTS(classes); i++) {
        /* "n" and its NUL are 4 bytes */
        g_assert_cmphex(set_size(service, "n", classes[i], UV_VARIABLE_MAX - 3), ==,
                        EFI_INVALID_PARAMETER);
        g_assert_cmphex(set_size(service, "n", classes[i], UV_VARIABLE_MAX - 4), ==, EFI_SUCCESS);
        g_assert_cmphex(set_size(service, "n", classes[i] | APPEND, 1), ==, EFI_INVALID_PARAMETER);
        g_assert_cmphex(set_size(service, "n", classes[i], 0), ==, EFI_SUCCESS);
    }
}

/* 2.1.9: what counts is the payload, not the authentication header in front of it. */
static void note_rule(const UvSetRequest *request, EfiStatus status, const UvRefusal *refusal,
                      void *data)
{
    *(const char **)data = refusal->rule;
}

static void test_auth_payload_limit(void)
{
    const char *rule = NULL;
    g_autoptr(UvService) service = large_service(UV_STORAGE_DEFAULT);
    const size_t header = 16 + 24;
    g_autofree uint8_t *data = g_malloc0(header + UV_VARIABLE_MAX);

    uv_service_set_refusal_log(service, note_rule, &rule);
    data[16] = 24; /* dwLength */
    g_assert_cmphex(fixture_set_bytes(service, UV_DOOR_GUEST, "n", ALL | AT, data,
                                      header + UV_VARIABLE_MAX - 3),
                    ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(fixture_set_bytes(service, UV_DOOR_GUEST, "n", ALL | AT, data,
                                      header + UV_VARIABLE_MAX - 4),
                    !=, EFI_INVALID_PARAMETER);
    data[16] = 23;
    g_assert_cmphex(fixture_set_bytes(service, UV_DOOR_GUEST, "n", ALL | AT, data, header + 1), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmpstr(rule, ==, "2.1.8");
    data[16] = 26; /* one byte more than there is */
    g_assert_cmphex(fixture_set_bytes(service, UV_DOOR_GUEST, "n", ALL | AT, data, header + 1), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmpstr(rule, ==, "2.1.8");
}

static void test_long_name(void)
{
    g_autoptr(UvService) service = large_service(UV_STORAGE_DEFAULT);
    g_autofree char *name = g_strnfill(UV_VARIABLE_MAX, 'n');

    g_assert_cmphex(fixture_set(service, name, ALL, "x"), ==, EFI_INVALID_PARAMETER);
    name[UV_VARIABLE_MAX / 2 - 1] = '\0'; /* fits without data only */
    g_assert_cmphex(fixture_set(service, name, ALL, "x"), ==, EFI_INVALID_PARAMETER);
    name[UV_VARIABLE_MAX / 2 - 2] = '\0';
    g_assert_cmphex(fixture_set(service, name, ALL, "xy"), ==, EFI_SUCCESS);
}

static uint64_t remaining(UvService *service, uint32_t attributes)
{
    UvQueryInfo info;

    g_assert_cmphex(uv_service_query(service, UV_DOOR_GUEST, attributes, &info), ==, EFI_SUCCESS);
    return info.remaining_storage_bytes;
}

static void test_quota(void)
{
    static const uint32_t classes[] = {ALL, BS | RT};
    for (size_t i = 0; i < G_N_ELEMENTS(classes); i++) {
        g_autoptr(UvService) service = large_service(4096);
        const uint64_t room = remaining(service, classes[i]) & ~3ull;
        g_assert_cmphex(set_size(service, "n", classes[i], room - 64 + 1), ==,
                        EFI_OUT_OF_RESOURCES);
        g_assert_cmphex(set_size(service, "n", classes[i], room - 64), ==, EFI_SUCCESS);
        g_assert_cmpuint(remaining(service, classes[i]), <, 4);
        g_assert_cmphex(set_size(service, "m", classes[i], 1), ==, EFI_OUT_OF_RESOURCES);
        g_assert_cmphex(set_size(service, "n", classes[i], 10), ==, EFI_SUCCESS);
        g_assert_cmphex(set_size(service, "m", classes[i], 1), ==, EFI_SUCCESS);
    }
}

/* A set that was loaded over its limit can shrink, and be rewritten, but not grow. */
static void test_over_quota(void)
{
    g_autoptr(UvService) service = large_service(1000);
    g_autoptr(GPtrArray) loaded = g_ptr_array_new_with_free_func((GDestroyNotify)uv_variable_unref);

    for (int i = 0; i < 20; i++) {
        g_autofree char *name = g_strdup_printf("v%02d", i);
        g_ptr_array_add(loaded, fixture_variable(name, ALL, "0123456789"));
    }
    uv_service_load(service, loaded);
    g_assert_cmpuint(remaining(service, ALL), ==, 0);
    g_assert_cmphex(fixture_set(service, "n", ALL, "x"), ==, EFI_OUT_OF_RESOURCES);
    g_assert_cmphex(fixture_set(service, "v00", ALL, "0123456789x0123456789"), ==,
                    EFI_OUT_OF_RESOURCES);
    g_assert_cmphex(fixture_set(service, "v00", ALL, "abcdefghij"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "v00", ALL, "a"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "v01", 0, ""), ==, EFI_SUCCESS);
}

/* ---- doors, times, refusals ---- */

static void test_no_session(void)
{
    g_autoptr(UvService) service = make(NULL, AT_POWER_ON);
    g_autoptr(UvName) name = uv_name_new_utf8("n", NULL);
    UvSetRequest request = {.door = UV_DOOR_HOST,
                            .guid = fixture_guid,
                            .name = name,
                            .attributes = BS | RT,
                            .data = (const uint8_t *)"x",
                            .data_bytes = 1};
    UvRefusal refusal;

    uv_service_end_session(service);
    g_assert_cmphex(uv_service_set(service, &request, &refusal), ==, EFI_WRITE_PROTECTED);
    g_assert_cmpint(refusal.error, ==, EPERM);
    request.attributes = ALL;
    g_assert_cmphex(uv_service_set(service, &request, &refusal), ==, EFI_SUCCESS);
    g_assert_null(refusal.rule);
    g_assert_cmpint(refusal.error, ==, 0);
}

/* Asking changes neither the set nor the store. */
static void test_only_asks(void)
{
    FixtureStore *store = fixture_store_new();
    g_autoptr(UvService) service = fixture_service(&store->store);
    g_autoptr(UvName) name = uv_name_new_utf8("n", NULL);
    UvSetRequest request = {.door = UV_DOOR_HOST,
                            .guid = fixture_guid,
                            .name = name,
                            .attributes = ALL,
                            .data = (const uint8_t *)"x",
                            .data_bytes = 1,
                            .only_asks = true};
    const guint applied = store->applied;

    g_assert_cmphex(fixture_request(service, &request), ==, EFI_SUCCESS);
    g_assert_null(fixture_get(service, "n"));
    request.attributes = RT;
    g_assert_cmphex(fixture_request(service, &request), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(fixture_set(service, "n", ALL, "x"), ==, EFI_SUCCESS);
    request.attributes = 0;
    request.data_bytes = 0;
    g_assert_cmphex(fixture_request(service, &request), ==, EFI_SUCCESS);
    g_assert_cmpuint(store->applied, ==, applied + 1);
    uv_service_set_store(service, NULL);
    fixture_store_free(store);
}

static void log_refusal(const UvSetRequest *request, EfiStatus status, const UvRefusal *refusal,
                        void *data)
{
    g_string_append_printf(data, "%s %x;", refusal->rule, (unsigned)(status & 0xff));
}

static void test_refusal_log(void)
{
    g_autoptr(UvService) service = make(NULL, AT_RUNTIME);
    g_autoptr(GString) log = g_string_new(NULL);

    uv_service_set_refusal_log(service, log_refusal, log);
    g_assert_cmphex(fixture_set(service, "rt", ALL, "x"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "bs", NV | BS, "x"), ==, EFI_WRITE_PROTECTED);
    g_assert_cmphex(fixture_set(service, "rt", NV, "x"), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(fixture_set(service, "n", ALL, ""), ==, EFI_NOT_FOUND);
    g_assert_cmphex(fixture_set(service, "n", BS | RT, "x"), ==, EFI_INVALID_PARAMETER);
    g_assert_cmpstr(log->str, ==, "2.1.11 8;2.1.5 2;2.2 2;");
}

static void test_mtime(void)
{
    g_autoptr(FixtureStore) store = fixture_store_new();
    g_autoptr(UvService) service = make(&store->store, AT_POWER_ON);
    g_autoptr(UvName) name = uv_name_new_utf8("rt", NULL);
    g_autoptr(UvName) missing = uv_name_new_utf8("missing", NULL);
    const int64_t start = g_get_real_time() * 1000;
    const UvSetRequest request = {.door = UV_DOOR_HOST,
                                  .guid = fixture_guid,
                                  .name = name,
                                  .attributes = ALL,
                                  .data = (const uint8_t *)"new",
                                  .data_bytes = 3,
                                  .mtime_ns = 12345};

    g_assert_cmphex(uv_service_set(service, &request, NULL), ==, EFI_SUCCESS);
    g_autoptr(UvVariable) given = fixture_get(service, "rt");
    g_assert_cmpint(given->mtime_ns, ==, 12345);

    /* nothing changes: no new time, from neither door */
    g_assert_cmphex(fixture_set(service, "rt", ALL, "new"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set_bytes(service, UV_DOOR_HOST, "rt", ALL, "new", 3), ==, EFI_SUCCESS);
    g_autoptr(UvVariable) same = fixture_get(service, "rt");
    g_assert_true(same == given);

    g_assert_cmphex(fixture_set(service, "rt", ALL, "newer"), ==, EFI_SUCCESS);
    g_autoptr(UvVariable) now = fixture_get(service, "rt");
    g_assert_cmpint(now->mtime_ns, >=, start);

    g_assert_true(uv_service_touch(service, &fixture_guid, name, 99, NULL));
    g_assert_cmpuint(store->touched, ==, 1);
    g_assert_false(uv_service_touch(service, &fixture_guid, missing, 99, NULL));
    g_autoptr(UvVariable) touched = fixture_get(service, "rt");
    g_assert_cmpint(touched->mtime_ns, ==, 99);
    g_autofree char *content = fixture_content(service);
    g_assert_cmpstr(content, ==, "vol=v bs=b rt=newer");
}

/* ---- a store that fails ---- */

static const struct {
    const char *what;
    int error;
    EfiStatus expected;
} failures[] = {
    {"no space", UV_STORE_ERROR_NO_SPACE, EFI_OUT_OF_RESOURCES},
    {"io", UV_STORE_ERROR_IO, EFI_DEVICE_ERROR},
    {"read only", UV_STORE_ERROR_READ_ONLY, EFI_WRITE_PROTECTED},
};

/* What the log and the host are told: the store's words for what the store refused, only. */
static void test_reason(void)
{
    g_autoptr(FixtureStore) store = fixture_store_new();
    g_autoptr(UvService) service = make(&store->store, AT_POWER_ON);
    g_autoptr(UvName) name = uv_name_new_utf8("n", NULL);
    UvSetRequest request = {.guid = fixture_guid,
                            .name = name,
                            .attributes = ALL,
                            .data = (const uint8_t *)"x",
                            .data_bytes = 1};
    UvRefusal refusal;

    store->fail_with = UV_STORE_ERROR_IO;
    g_assert_cmphex(uv_service_set(service, &request, &refusal), ==, EFI_DEVICE_ERROR);
    g_assert_cmpstr(uv_service_refusal_text(service, &refusal), ==, "made to fail");
    request.attributes = RT;
    g_assert_cmphex(uv_service_set(service, &request, &refusal), ==, EFI_INVALID_PARAMETER);
    g_assert_cmpstr(uv_service_refusal_text(service, &refusal), ==, refusal.text);
    uv_service_set_store(service, NULL);
}

static void test_failing_store(gconstpointer data)
{
    const int i = GPOINTER_TO_INT(data);
    g_autoptr(FixtureStore) store = fixture_store_new();
    g_autoptr(UvService) service = make(&store->store, AT_POWER_ON);
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    guint changes = 0;

    uv_service_set_observer(service, count, &changes);
    store->fail_with = failures[i].error;
    g_assert_cmphex(fixture_set(service, "n", ALL, "x"), ==, failures[i].expected);
    g_assert_cmphex(fixture_set(service, "rt", ALL, "x"), ==, failures[i].expected);
    g_assert_cmphex(fixture_set(service, "rt", ALL | APPEND, "x"), ==, failures[i].expected);
    g_assert_cmphex(fixture_set(service, "bs", 0, ""), ==, failures[i].expected);
    g_assert_false(uv_service_replace(service, none, &error));
    g_assert_error(error, UV_STORE_ERROR, failures[i].error);
    g_autofree char *content = fixture_content(service);
    g_assert_cmpstr(content, ==, BEFORE);
    g_assert_cmpuint(changes, ==, 0);

    /* what needs no store goes on */
    g_assert_cmphex(fixture_set(service, "rt", ALL, "r"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "vol", BS | RT, "x"), ==, EFI_SUCCESS);
    g_assert_cmpuint(changes, ==, 1);

    store->fail_with = -1;
    g_assert_cmphex(fixture_set(service, "n", ALL, "x"), ==, EFI_SUCCESS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strconcat("/set/", rows[i].rule, NULL);
        g_test_add_data_func(path, &rows[i], test_row);
    }
    g_test_add_func("/set/only-asks", test_only_asks);
    g_test_add_func("/set/2.1.9 variable limit", test_variable_limit);
    g_test_add_func("/set/2.1.9 payload of an authenticated one", test_auth_payload_limit);
    g_test_add_func("/set/2.1.9 long name", test_long_name);
    g_test_add_func("/set/1.8 quota of each class", test_quota);
    g_test_add_func("/set/over quota", test_over_quota);
    g_test_add_func("/set/1.8 volatile without a session", test_no_session);
    g_test_add_func("/set/refusal log", test_refusal_log);
    g_test_add_func("/set/refusal reason", test_reason);
    g_test_add_func("/set/mtime", test_mtime);
    for (size_t i = 0; i < G_N_ELEMENTS(failures); i++) {
        g_autofree char *path = g_strconcat("/set/1.9 store fails: ", failures[i].what, NULL);
        g_test_add_data_func(path, GINT_TO_POINTER(i), test_failing_store);
    }
    return g_test_run();
}
