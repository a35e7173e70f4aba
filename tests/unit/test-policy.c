/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "policy.h"

#include <string.h>

#include "uv-limits.h"

static const UvGuid space = UV_GUID(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
static const UvGuid state_space = UV_GUID(9, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);

/* A policy as the firmware would write it; what is not named is "any". */
typedef struct {
    const char *name; /* NULL: the namespace */
    uint32_t min_bytes, max_bytes, must_have, cant_have;
    uint8_t lock;
    const char *state_name;
    uint8_t state_value;
    uint32_t version;                      /* 0: the right one */
    int size_delta, offset_delta, unended; /* spoil it */
} Policy;

static void write_name(UvWriter *writer, const char *ascii, bool end)
{
    for (; *ascii; ascii++)
        uv_write_u16(writer, *ascii);
    if (end)
        uv_write_u16(writer, 0);
}

static GBytes *make(const Policy *policy)
{
    const size_t state = policy->lock == 3 ? 18 + 2 * (strlen(policy->state_name) + 1) : 0;
    const size_t name = policy->name ? 2 * (strlen(policy->name) + (policy->unended ? 0 : 1)) : 0;
    g_auto(UvWriter) writer = uv_writer(65536);

    uv_write_u32(&writer, policy->version ? policy->version : 0x10000);
    uv_write_u16(&writer, 44 + state + name + policy->size_delta);
    uv_write_u16(&writer, 44 + state + policy->offset_delta);
    uv_write_bytes(&writer, space.bytes, 16);
    uv_write_u32(&writer, policy->min_bytes);
    uv_write_u32(&writer, policy->max_bytes == 0 ? UINT32_MAX : policy->max_bytes);
    uv_write_u32(&writer, policy->must_have);
    uv_write_u32(&writer, policy->cant_have);
    uv_write_u8(&writer, policy->lock);
    uv_write_zeros(&writer, 3);
    if (policy->lock == 3) {
        uv_write_bytes(&writer, state_space.bytes, 16);
        uv_write_u8(&writer, policy->state_value);
        uv_write_u8(&writer, 0);
        write_name(&writer, policy->state_name, true);
    }
    if (policy->name)
        write_name(&writer, policy->name, !policy->unended);
    return uv_writer_steal(&writer);
}

static EfiStatus add(UvPolicy *policy, const Policy *wanted)
{
    g_autoptr(GBytes) bytes = make(wanted);
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);

    return uv_policy_register(policy, data, size);
}

static EfiStatus check(const UvPolicy *policy, const UvVarset *set, const char *name,
                       uint32_t attributes, size_t size)
{
    g_autoptr(UvName) units = uv_name_new_utf8(name, NULL);
    g_autoptr(UvChange) change = uv_change_new(set);
    UvRefusal refusal = {0};
    const EfiStatus status =
        uv_policy_check(policy, change, &space, units, attributes, size, &refusal);

    g_assert_cmpint(status != EFI_SUCCESS, ==, refusal.rule && refusal.text);
    return status;
}

static void put(UvVarset *set, const UvGuid *guid, const char *name, const void *bytes, size_t size)
{
    g_autoptr(UvName) units = uv_name_new_utf8(name, NULL);
    g_autoptr(GBytes) data = g_bytes_new(bytes, size);
    g_autoptr(UvVariable) variable =
        uv_variable_new(&(UvVariable){.guid = *guid, .name = units, .attributes = 3, .data = data});

    uv_varset_put(set, variable);
}

static void test_register(void)
{
    static const struct {
        const char *what;
        Policy policy;
        EfiStatus status;
    } rows[] = {
        {"name", {.name = "A"}, EFI_SUCCESS},
        {"namespace", {.name = NULL}, EFI_SUCCESS},
        {"empty name", {.name = ""}, EFI_SUCCESS},
        {"state", {.name = "B", .lock = 3, .state_name = "S"}, EFI_SUCCESS},
        {"version", {.name = "C", .version = 0x20000}, EFI_INVALID_PARAMETER},
        {"lock type", {.name = "C", .lock = 4}, EFI_INVALID_PARAMETER},
        {"least over most", {.name = "C", .min_bytes = 5, .max_bytes = 4}, EFI_INVALID_PARAMETER},
        {"least is most", {.name = "C1", .min_bytes = 4, .max_bytes = 4}, EFI_SUCCESS},
        {"size too small", {.name = "C", .size_delta = -2}, EFI_INVALID_PARAMETER},
        {"size too large", {.name = "C", .size_delta = 2}, EFI_INVALID_PARAMETER},
        {"offset too small", {.name = "C", .offset_delta = -2}, EFI_INVALID_PARAMETER},
        {"offset too large", {.name = "C", .offset_delta = 2}, EFI_INVALID_PARAMETER},
        {"name without NUL", {.name = "CC", .unended = 1}, EFI_INVALID_PARAMETER},
        {"offset in the state",
         {.name = "C", .lock = 3, .state_name = "S", .offset_delta = -4},
         EFI_INVALID_PARAMETER},
        {"offset behind the state",
         {.name = "C", .lock = 3, .state_name = "S", .offset_delta = 2},
         EFI_INVALID_PARAMETER},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(UvPolicy) policy = uv_policy_new();

        g_test_message("%s", rows[i].what);
        g_assert_cmphex(add(policy, &rows[i].policy), ==, rows[i].status);
        g_assert_cmpuint(uv_policy_count(policy), ==, rows[i].status == EFI_SUCCESS);
    }

    g_autoptr(UvPolicy) policy = uv_policy_new();
    g_autoptr(GBytes) bytes = make(&(Policy){.name = "A"});
    g_autofree uint8_t *zero_max =
        g_memdup2(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    memset(zero_max + 28, 0, 4);
    g_assert_cmphex(uv_policy_register(policy, zero_max, g_bytes_get_size(bytes)), ==,
                    EFI_INVALID_PARAMETER);
    for (size_t n = 0; n < g_bytes_get_size(bytes); n++)
        g_assert_cmphex(uv_policy_register(policy, g_bytes_get_data(bytes, NULL), n), ==,
                        EFI_INVALID_PARAMETER);
}

static void test_duplicates(void)
{
    g_autoptr(UvPolicy) policy = uv_policy_new();

    g_assert_cmphex(add(policy, &(Policy){.name = "A"}), ==, EFI_SUCCESS);
    g_assert_cmphex(add(policy, &(Policy){.name = "A", .lock = 1}), ==, EFI_ALREADY_STARTED);
    /* A wildcard does not match itself, nor does it stand in the way of a literal name. */
    g_assert_cmphex(add(policy, &(Policy){.name = "Boot####"}), ==, EFI_SUCCESS);
    g_assert_cmphex(add(policy, &(Policy){.name = "Boot####"}), ==, EFI_SUCCESS);
    g_assert_cmphex(add(policy, &(Policy){.name = "Boot0000"}), ==, EFI_SUCCESS);
    g_assert_cmphex(add(policy, &(Policy){.name = NULL}), ==, EFI_SUCCESS);
    g_assert_cmphex(add(policy, &(Policy){.name = NULL}), ==, EFI_SUCCESS);
}

static void test_capacity(void)
{
    g_autoptr(UvPolicy) policy = uv_policy_new();
    EfiStatus status = EFI_SUCCESS;
    size_t n = 0;

    for (; status == EFI_SUCCESS; n++) {
        g_autofree char *name = g_strdup_printf("%0800zu", n);
        status = add(policy, &(Policy){.name = name});
    }
    g_assert_cmphex(status, ==, EFI_OUT_OF_RESOURCES);
    g_assert_cmpuint(n * (44 + 2 * 801), >, UV_POLICY_TABLE_MAX);
}

static void test_priority(void)
{
    g_autoptr(UvPolicy) policy = uv_policy_new();
    g_autoptr(UvVarset) set = uv_varset_new();

    g_assert_cmphex(add(policy, &(Policy){.max_bytes = 1}), ==, EFI_SUCCESS);
    g_assert_cmphex(add(policy, &(Policy){.name = "B##", .max_bytes = 2}), ==, EFI_SUCCESS);
    g_assert_cmphex(add(policy, &(Policy){.name = "B0#", .max_bytes = 3}), ==, EFI_SUCCESS);
    g_assert_cmphex(add(policy, &(Policy){.name = "B00", .max_bytes = 4}), ==, EFI_SUCCESS);
    static const struct {
        const char *name;
        size_t most;
    } rows[] = {{"B00", 4}, {"B0f", 3},  {"B0F", 3}, {"Bcc", 2}, {"B0g", 1},
                {"B0", 1},  {"B000", 1}, {"b00", 1}, {"B##", 1}, {"other", 1}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].name);
        g_assert_cmphex(check(policy, set, rows[i].name, 3, rows[i].most), ==, EFI_SUCCESS);
        g_assert_cmphex(check(policy, set, rows[i].name, 3, rows[i].most + 1), ==,
                        EFI_INVALID_PARAMETER);
    }
}

static void test_rules(void)
{
    g_autoptr(UvPolicy) policy = uv_policy_new();
    g_autoptr(UvVarset) set = uv_varset_new();

    g_assert_cmphex(add(policy, &(Policy){.name = "Size", .min_bytes = 2, .max_bytes = 4}), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(add(policy, &(Policy){.name = "Attr", .must_have = 1, .cant_have = 4}), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(add(policy, &(Policy){.name = "Lock", .lock = 1}), ==, EFI_SUCCESS);
    g_assert_cmphex(add(policy, &(Policy){.name = "Once", .lock = 2}), ==, EFI_SUCCESS);
    g_assert_cmphex(
        add(policy, &(Policy){.name = "Held", .lock = 3, .state_name = "S", .state_value = 7}), ==,
        EFI_SUCCESS);

    g_assert_cmphex(check(policy, set, "Size", 3, 1), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(check(policy, set, "Size", 3, 5), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(check(policy, set, "Size", 3, 0), ==, EFI_SUCCESS);
    g_assert_cmphex(check(policy, set, "Attr", 3, 1), ==, EFI_SUCCESS);
    g_assert_cmphex(check(policy, set, "Attr", 2, 1), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(check(policy, set, "Attr", 7, 1), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(check(policy, set, "Attr", 0, 0), ==, EFI_SUCCESS);
    /* A deletion has size 0: attributes 0 with data is none, and neither is an append. */
    g_assert_cmphex(check(policy, set, "Attr", 0, 12), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(check(policy, set, "Size", 0x43, 0), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(check(policy, set, "Lock", 3, 1), ==, EFI_WRITE_PROTECTED);
    g_assert_cmphex(check(policy, set, "Lock", 0, 0), ==, EFI_WRITE_PROTECTED);
    g_assert_cmphex(check(policy, set, "Once", 3, 1), ==, EFI_SUCCESS);
    put(set, &space, "Once", "x", 1);
    g_assert_cmphex(check(policy, set, "Once", 3, 1), ==, EFI_WRITE_PROTECTED);
    g_assert_cmphex(check(policy, set, "Held", 3, 1), ==, EFI_SUCCESS);
    put(set, &state_space, "S", "\6", 1);
    g_assert_cmphex(check(policy, set, "Held", 3, 1), ==, EFI_SUCCESS);
    put(set, &state_space, "S", "\7", 1);
    g_assert_cmphex(check(policy, set, "Held", 3, 1), ==, EFI_WRITE_PROTECTED);
    put(set, &state_space, "S", "\7\7", 2); /* only one byte is a state */
    g_assert_cmphex(check(policy, set, "Held", 3, 1), ==, EFI_SUCCESS);
}

static EfiStatus lock_variable(UvPolicy *policy, const UvVarset *set, const char *name)
{
    g_autoptr(UvName) units = name ? uv_name_new_utf8(name, NULL) : NULL;
    g_autoptr(UvChange) change = uv_change_new(set);

    return uv_policy_lock_variable(policy, change, &space, units);
}

static void test_lock(void)
{
    g_autoptr(UvPolicy) policy = uv_policy_new();
    g_autoptr(UvVarset) set = uv_varset_new();

    g_assert_cmphex(add(policy, &(Policy){.name = "B"}), ==, EFI_SUCCESS);
    g_assert_cmphex(lock_variable(policy, set, "A"), ==, EFI_SUCCESS);
    g_assert_cmphex(lock_variable(policy, set, "A"), ==, EFI_SUCCESS);
    g_assert_cmphex(lock_variable(policy, set, "B"), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(lock_variable(policy, set, NULL), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(uv_policy_lock(policy), ==, EFI_SUCCESS);
    g_assert_cmphex(uv_policy_lock(policy), ==, EFI_WRITE_PROTECTED);
    g_assert_cmphex(add(policy, &(Policy){.name = "C"}), ==, EFI_WRITE_PROTECTED);
    g_assert_cmphex(lock_variable(policy, set, "A"), ==, EFI_ACCESS_DENIED);
    uv_policy_clear(policy);
    g_assert_false(uv_policy_is_locked(policy));
    g_assert_cmpuint(uv_policy_count(policy), ==, 0);
}

/* What has a policy already is locked by it, or is not, at that moment. */
static void test_lock_of_policed(void)
{
    g_autoptr(UvPolicy) policy = uv_policy_new();
    g_autoptr(UvVarset) set = uv_varset_new();

    g_assert_cmphex(add(policy, &(Policy){.name = "Once", .lock = 2}), ==, EFI_SUCCESS);
    g_assert_cmphex(
        add(policy, &(Policy){.name = "Held", .lock = 3, .state_name = "S", .state_value = 7}), ==,
        EFI_SUCCESS);
    g_assert_cmphex(lock_variable(policy, set, "Once"), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(lock_variable(policy, set, "Held"), ==, EFI_ACCESS_DENIED);
    put(set, &space, "Once", "x", 1);
    put(set, &state_space, "S", "\7", 1);
    g_assert_cmphex(lock_variable(policy, set, "Once"), ==, EFI_SUCCESS);
    g_assert_cmphex(lock_variable(policy, set, "Held"), ==, EFI_SUCCESS);
}

/* ---- messages ---- */

#define FULL (0x4000 - 24)

/* Sends a message of `size` bytes whose body begins with `body`; returns the reply. */
static GBytes *send(UvPolicy *policy, uint32_t command, GBytes *body, size_t size,
                    EfiStatus expected)
{
    g_autofree uint8_t *request = g_malloc0(MAX(size, 20));

    memcpy(request, "VCPC\1\0\0\0", 8);
    memcpy(request + 8, &command, 4);
    if (body)
        memcpy(request + 20, g_bytes_get_data(body, NULL), g_bytes_get_size(body));
    g_auto(UvWriter) reply = uv_writer(size);
    uv_policy_message(policy, request, size, &reply);
    GBytes *bytes = uv_writer_steal(&reply);
    g_assert_nonnull(bytes);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, size);
    UvReader reader = uv_reader(g_bytes_get_data(bytes, NULL), size);
    uv_read_bytes(&reader, 12);
    g_assert_cmphex(uv_read_u64(&reader), ==, expected);
    return bytes;
}

static void test_message_basics(void)
{
    g_autoptr(UvPolicy) policy = uv_policy_new();
    g_autoptr(GBytes) entry = make(&(Policy){.name = "A", .lock = 1});

    g_autoptr(GBytes) enabled = send(policy, 2, NULL, 21, EFI_SUCCESS);
    g_assert_cmpuint(((const uint8_t *)g_bytes_get_data(enabled, NULL))[20], ==, 1);
    g_bytes_unref(send(policy, 2, NULL, 20, EFI_INVALID_PARAMETER));
    g_bytes_unref(send(policy, 1, NULL, 20, EFI_WRITE_PROTECTED));
    g_bytes_unref(send(policy, 3, entry, FULL, EFI_SUCCESS));
    g_bytes_unref(send(policy, 3, entry, FULL, EFI_ALREADY_STARTED));
    g_bytes_unref(send(policy, 3, entry, 20 + g_bytes_get_size(entry), EFI_ALREADY_STARTED));
    g_bytes_unref(send(policy, 3, NULL, 20 + 43, EFI_INVALID_PARAMETER));
    g_bytes_unref(send(policy, 99, NULL, 20, EFI_UNSUPPORTED));
    g_bytes_unref(send(policy, 5, NULL, 20, EFI_SUCCESS));
    g_bytes_unref(send(policy, 5, NULL, 20, EFI_WRITE_PROTECTED));
    g_bytes_unref(send(policy, 3, entry, FULL, EFI_WRITE_PROTECTED));
    g_bytes_unref(send(policy, 4, NULL, 20 + 13, EFI_INVALID_PARAMETER));
}

static void test_message_header(void)
{
    static const char *const bad[] = {"VCPD\1\0\0\0", "VCPC\2\0\0\0"};
    g_autoptr(UvPolicy) policy = uv_policy_new();

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint8_t request[21] = {0};

        memcpy(request, bad[i], 8);
        request[8] = 2;
        g_auto(UvWriter) reply = uv_writer(sizeof(request));
        uv_policy_message(policy, request, sizeof(request), &reply);
        g_autoptr(GBytes) bytes = uv_writer_steal(&reply);
        g_assert_cmpuint(((const uint8_t *)g_bytes_get_data(bytes, NULL))[12], ==, 2);
        g_assert_cmpuint(((const uint8_t *)g_bytes_get_data(bytes, NULL))[20], ==, 0);
    }
    /* Too short for a result: comes back as it was. */
    g_auto(UvWriter) reply = uv_writer(19);
    uv_policy_message(policy, (const uint8_t *)"VCPC\1\0\0\0\2\0\0\0xxxxxxx", 19, &reply);
    g_autoptr(GBytes) bytes = uv_writer_steal(&reply);
    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), 19, "VCPC\1\0\0\0\2\0\0\0xxxxxxx", 19);
}

static GBytes *page(uint32_t number)
{
    return g_bytes_new(&number, sizeof(number));
}

typedef struct {
    uint32_t total, page_bytes;
    bool more;
    const uint8_t *data;
} Dump;

static Dump read_dump(GBytes *reply)
{
    Dump dump;
    UvReader reader = uv_reader(g_bytes_get_data(reply, NULL), g_bytes_get_size(reply));

    uv_read_bytes(&reader, 24);
    dump.total = uv_read_u32(&reader);
    dump.page_bytes = uv_read_u32(&reader);
    dump.more = uv_read_u8(&reader);
    dump.data = reader.at;
    return dump;
}

static void test_dump_pages(size_t total_bytes)
{
    g_autoptr(UvPolicy) policy = uv_policy_new();
    g_autoptr(GByteArray) expected = g_byte_array_new(), got = g_byte_array_new();

    while (expected->len < total_bytes) {
        const size_t left = total_bytes - expected->len;
        const size_t size = left >= 400 ? 200 : left;
        g_autofree char *name = g_strnfill((size - 44) / 2 - 1, 'x');
        char number[8];
        g_snprintf(number, sizeof(number), "%05u", expected->len);
        memcpy(name, number, 5);
        g_autoptr(GBytes) entry = make(&(Policy){.name = name});
        g_assert_cmpuint(g_bytes_get_size(entry), ==, size);
        g_byte_array_append(expected, g_bytes_get_data(entry, NULL), size);
        g_assert_cmphex(add(policy, &(Policy){.name = name}), ==, EFI_SUCCESS);
    }
    g_autoptr(GBytes) zero = page(0);
    g_autoptr(GBytes) start = send(policy, 4, zero, FULL, EFI_SUCCESS);
    Dump dump = read_dump(start);
    g_assert_cmpuint(dump.total, ==, total_bytes);
    g_assert_cmpuint(dump.page_bytes, ==, 0);
    g_assert_true(dump.more);
    uint32_t number = 1;
    for (; dump.more; number++) {
        g_autoptr(GBytes) wanted = page(number);
        g_autoptr(GBytes) reply = send(policy, 4, wanted, FULL, EFI_SUCCESS);
        dump = read_dump(reply);
        g_assert_cmpuint(dump.page_bytes, >, 0);
        g_byte_array_append(got, dump.data, dump.page_bytes);
    }
    g_assert_cmpmem(got->data, got->len, expected->data, expected->len);
    /* The last page ends it. */
    g_autoptr(GBytes) behind = page(number);
    g_bytes_unref(send(policy, 4, behind, FULL, EFI_TIMEOUT));
}

static void test_dump(void)
{
    test_dump_pages(200);
    test_dump_pages(20000);
    test_dump_pages(16326);     /* a page less a byte */
    test_dump_pages(2 * 16327); /* exactly two pages: edk2 makes the last one empty */
}

static void test_dump_interrupted(void)
{
    g_autoptr(UvPolicy) policy = uv_policy_new();
    g_autoptr(GBytes) zero = page(0), one = page(1), two = page(2);

    g_autoptr(GBytes) empty = send(policy, 4, zero, FULL, EFI_SUCCESS);
    g_assert_false(read_dump(empty).more);
    g_bytes_unref(send(policy, 4, one, FULL, EFI_TIMEOUT));
    g_assert_cmphex(add(policy, &(Policy){.name = "A"}), ==, EFI_SUCCESS);
    g_bytes_unref(send(policy, 4, zero, FULL, EFI_SUCCESS));
    g_bytes_unref(send(policy, 4, two, FULL, EFI_INVALID_PARAMETER));
    g_bytes_unref(send(policy, 2, NULL, 21, EFI_SUCCESS));
    g_bytes_unref(send(policy, 4, one, FULL, EFI_TIMEOUT));
}

static GBytes *info_request(const char *name, uint32_t name_bytes, uint32_t output_bytes)
{
    g_auto(UvWriter) writer = uv_writer(4096);

    uv_write_bytes(&writer, space.bytes, 16);
    uv_write_u32(&writer, name_bytes);
    uv_write_u32(&writer, output_bytes);
    uv_write_zeros(&writer, 44);
    write_name(&writer, name, true);
    return uv_writer_steal(&writer);
}

static void test_info(void)
{
    g_autoptr(UvPolicy) policy = uv_policy_new();
    g_autoptr(GBytes) entry = make(&(Policy){.name = "B##", .min_bytes = 3});
    g_autoptr(GBytes) ask = info_request("B01", 8, 100);
    g_autoptr(GBytes) ask_size = info_request("B01", 8, 0);
    g_autoptr(GBytes) no_end = info_request("B01", 6, 100);
    g_autoptr(GBytes) too_long = info_request("B01", 16273, 100);
    g_autoptr(GBytes) ask_state = info_request("H", 4, 100);

    g_bytes_unref(send(policy, 6, ask, FULL, EFI_NOT_FOUND));
    g_assert_cmphex(add(policy, &(Policy){.name = "B##", .min_bytes = 3}), ==, EFI_SUCCESS);
    g_assert_cmphex(
        add(policy, &(Policy){.name = "H", .lock = 3, .state_name = "St", .state_value = 7}), ==,
        EFI_SUCCESS);

    g_autoptr(GBytes) found = send(policy, 6, ask, FULL, EFI_SUCCESS);
    const uint8_t *reply = g_bytes_get_data(found, NULL);
    g_assert_cmpmem(reply + 20 + 24, 44, g_bytes_get_data(entry, NULL), 44);
    g_assert_cmpuint(reply[20 + 20], ==, 8);
    g_assert_cmpmem(reply + 20 + 68 + 8, 8, "B\0#\0#\0\0", 8);

    g_autoptr(GBytes) sized = send(policy, 6, ask_size, FULL, EFI_BUFFER_TOO_SMALL);
    g_assert_cmpuint(((const uint8_t *)g_bytes_get_data(sized, NULL))[20 + 20], ==, 8);
    g_bytes_unref(send(policy, 6, no_end, FULL, EFI_INVALID_PARAMETER));
    g_bytes_unref(send(policy, 6, too_long, FULL, EFI_INVALID_PARAMETER));
    g_bytes_unref(send(policy, 6, ask, FULL - 1, EFI_INVALID_PARAMETER));

    g_bytes_unref(send(policy, 7, ask, FULL, EFI_NOT_FOUND));
    g_autoptr(GBytes) state = send(policy, 7, ask_state, FULL, EFI_SUCCESS);
    reply = g_bytes_get_data(state, NULL);
    g_assert_cmpmem(reply + 20 + 24, 16, state_space.bytes, 16);
    g_assert_cmpuint(reply[20 + 24 + 16], ==, 7);
    g_assert_cmpmem(reply + 20 + 68 + 4, 6, "S\0t\0\0", 6);
}

static void test_session(void)
{
    g_autoptr(UvPolicy) policy = uv_policy_new(), back = uv_policy_new();
    g_autoptr(UvName) name = uv_name_new_utf8("P", NULL);
    const UvProperty property = {1, 1, 7, 1, 9};
    g_auto(UvWriter) writer = {0}, again = {0};

    g_assert_cmphex(add(policy, &(Policy){.name = "A", .lock = 1}), ==, EFI_SUCCESS);
    g_assert_cmphex(add(policy, &(Policy){.lock = 3, .state_name = "S"}), ==, EFI_SUCCESS);
    g_assert_cmphex(uv_policy_set_property(policy, &space, name, &property), ==, EFI_SUCCESS);
    g_assert_cmphex(uv_policy_lock(policy), ==, EFI_SUCCESS);
    writer = uv_writer(65536);
    uv_policy_write(policy, &writer);
    g_autoptr(GBytes) bytes = uv_writer_steal(&writer);
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);
    UvReader reader = uv_reader(data, size);
    g_assert_true(uv_policy_read(back, &reader));
    g_assert_true(uv_reader_done(&reader));
    g_assert_true(uv_policy_is_locked(back));
    g_assert_cmpuint(uv_policy_count(back), ==, 2);
    g_assert_cmpuint(uv_policy_property(back, &space, name)->max_bytes, ==, 9);
    again = uv_writer(65536);
    uv_policy_write(back, &again);
    g_autoptr(GBytes) second = uv_writer_steal(&again);
    g_assert_true(g_bytes_equal(bytes, second));
    for (size_t n = 0; n < size; n++) {
        reader = uv_reader(data, n);
        g_assert_false(uv_policy_read(back, &reader));
    }
}

static void test_describe(void)
{
    g_autoptr(UvPolicy) policy = uv_policy_new();

    g_assert_cmphex(add(policy, &(Policy){.name = "A#", .lock = 1, .max_bytes = 4}), ==,
                    EFI_SUCCESS);
    g_autofree char *text = uv_policy_describe(policy, 0);
    g_assert_cmpstr(text, ==, "A#-00000001-0002-0003-0405-060708090a0b: locked, at most 4 bytes");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/register", test_register);
    g_test_add_func("/policy/duplicates", test_duplicates);
    g_test_add_func("/policy/capacity", test_capacity);
    g_test_add_func("/policy/priority", test_priority);
    g_test_add_func("/policy/rules", test_rules);
    g_test_add_func("/policy/lock", test_lock);
    g_test_add_func("/policy/lock-of-policed", test_lock_of_policed);
    g_test_add_func("/policy/message-basics", test_message_basics);
    g_test_add_func("/policy/message-header", test_message_header);
    g_test_add_func("/policy/dump", test_dump);
    g_test_add_func("/policy/dump-interrupted", test_dump_interrupted);
    g_test_add_func("/policy/info", test_info);
    g_test_add_func("/policy/session", test_session);
    g_test_add_func("/policy/describe", test_describe);
    return g_test_run();
}
