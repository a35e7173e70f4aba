/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "efi-errno.h"
#include "replica.h"

#include "bytes.h"
#include "efi-abi.h"

#include <errno.h>

static void put(FsReplica *replica, const char *name, const char *text, int64_t mtime, bool differs)
{
    g_autoptr(GBytes) content = g_bytes_new(text, strlen(text));
    g_assert_cmpint(fs_replica_put(replica, name, content, mtime), ==, differs);
}

static char *names(const FsReplica *replica)
{
    GString *text = g_string_new(NULL);
    const FsEntry *entry;

    for (uint64_t after = 0; (entry = fs_replica_next(replica, after)); after = entry->sequence)
        g_string_append(text, entry->name);
    return g_string_free(text, FALSE);
}

/* As long as a guest likes to make them, and all the same to g_str_hash. */
static char *colliding_name(unsigned i)
{
    GString *name = g_string_new(NULL);

    for (unsigned bit = 0; bit < 13; bit++)
        g_string_append(name, i >> bit & 1 ? "Ab" : "BA");
    return g_string_free(name, FALSE);
}

static char *plain_name(unsigned i)
{
    return g_strdup_printf("%026u", i);
}

static int64_t time_to_fill(char *(*name_of)(unsigned i))
{
    const int64_t start = g_get_monotonic_time();
    g_autoptr(FsReplica) replica = fs_replica_new();

    for (unsigned i = 0; i < 1 << 13; i++) {
        g_autofree char *name = name_of(i);
        put(replica, name, "1234", 1, true);
    }
    return g_get_monotonic_time() - start;
}

/* The front is one process for all guests: what one of them calls its variables costs the others
 * nothing. */
static void test_chosen_names(void)
{
    int64_t plain = time_to_fill(plain_name);
    int64_t chosen = time_to_fill(colliding_name);

    g_test_message("plain names %" G_GINT64_FORMAT " us, chosen ones %" G_GINT64_FORMAT " us",
                   plain, chosen);
    g_assert_cmpint(chosen, <, 10 * plain + 20000);
}

static void test_order(void)
{
    g_autoptr(FsReplica) replica = fs_replica_new();

    put(replica, "a", "1234", 1, true);
    put(replica, "b", "1234", 1, true);
    put(replica, "c", "1234", 1, true);
    put(replica, "a", "1234", 1, false);
    put(replica, "a", "12345", 1, true);
    put(replica, "a", "12345", 2, true);
    g_autofree char *before = names(replica);
    g_assert_cmpstr(before, ==, "abc"); /* a change does not move an entry */

    uint64_t sequence = fs_replica_lookup(replica, "c")->sequence;
    g_assert_true(fs_replica_remove(replica, "b"));
    g_assert_false(fs_replica_remove(replica, "b"));
    put(replica, "b", "1234", 1, true);
    g_autofree char *after = names(replica);
    g_assert_cmpstr(after, ==, "acb");
    g_assert_cmpuint(fs_replica_lookup(replica, "b")->sequence, >, sequence);
    g_assert_cmpuint(fs_replica_count(replica), ==, 3);

    fs_replica_clear(replica);
    g_assert_null(fs_replica_next(replica, 0));
    put(replica, "a", "1234", 1, true);
    g_assert_cmpuint(fs_replica_lookup(replica, "a")->sequence, >, sequence + 1);
}

/* A reader who stands at an entry that goes away continues behind it. */
static void test_step_over_removed(void)
{
    g_autoptr(FsReplica) replica = fs_replica_new();

    for (int i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("%02d", i);
        put(replica, name, "1234", 0, true);
    }
    for (uint64_t after = 0;;) {
        const FsEntry *entry = fs_replica_next(replica, after);
        if (!entry)
            break;
        after = entry->sequence;
        g_autofree char *name = g_strdup(entry->name);
        g_assert_true(fs_replica_remove(replica, name));
    }
    g_assert_cmpuint(fs_replica_count(replica), ==, 0);
}

static void test_attributes(void)
{
    g_autoptr(FsReplica) replica = fs_replica_new();
    g_autoptr(GBytes) content = g_bytes_new("\x07\x00\x00\x80x", 5);

    fs_replica_put(replica, "a", content, 0);
    g_assert_cmphex(fs_replica_lookup(replica, "a")->attributes, ==, 0x80000007u);
}

static void test_errno_table(void)
{
    static const struct {
        uint64_t status;
        int error;
    } table[] = {
        {EFI_SUCCESS, 0},          {EFI_INVALID_PARAMETER, EINVAL},
        {EFI_UNSUPPORTED, EINVAL}, {EFI_OUT_OF_RESOURCES, ENOSPC},
        {EFI_DEVICE_ERROR, EIO},   {EFI_WRITE_PROTECTED, EROFS},
        {EFI_NOT_FOUND, ENOENT},   {EFI_SECURITY_VIOLATION, EACCES},
        {EFI_ABORTED, EINTR},      {EFI_ACCESS_DENIED, EINVAL},
        {12345, EINVAL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        g_assert_cmpint(fs_outcome_errno(table[i].status), ==, table[i].error);
}

static int parse(uint64_t status, uint32_t error, const char *reason, size_t drop, char **ret)
{
    g_auto(UvWriter) writer;

    writer = uv_writer(4096);
    uv_write_u64(&writer, status);
    uv_write_u32(&writer, error);
    uv_write_bytes(&writer, reason, strlen(reason));
    g_autoptr(GBytes) whole = uv_writer_steal(&writer);
    g_autoptr(GBytes) part = g_bytes_new_from_bytes(whole, 0, g_bytes_get_size(whole) - drop);
    return fs_outcome_parse(part, ret);
}

static void test_outcome(void)
{
    g_autofree char *reason = NULL;

    g_assert_cmpint(parse(EFI_SUCCESS, 0, "", 0, &reason), ==, 0);
    g_assert_null(reason);
    g_assert_cmpint(parse(EFI_SECURITY_VIOLATION, 0, "no\xff", 0, &reason), ==, EACCES);
    g_assert_cmpstr(reason, ==, "no\xef\xbf\xbd");
    g_clear_pointer(&reason, g_free);
    g_assert_cmpint(parse(EFI_SUCCESS, EBUSY, "", 0, &reason), ==, EBUSY);
    g_assert_cmpint(parse(EFI_SUCCESS, 0, "", 1, &reason), ==, EIO);
    g_assert_cmpint(parse(EFI_SUCCESS, 0x80000000u, "", 0, &reason), ==, EIO);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/replica/order", test_order);
    g_test_add_func("/replica/chosen-names", test_chosen_names);
    g_test_add_func("/replica/step-over-removed", test_step_over_removed);
    g_test_add_func("/replica/attributes", test_attributes);
    g_test_add_func("/outcome/errno-table", test_errno_table);
    g_test_add_func("/outcome/parse", test_outcome);
    return g_test_run();
}
