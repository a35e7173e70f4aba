/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Made the files beside it (README says how): what an engine of commit 1801a2e leaves behind when
 * it is killed. Builds against that commit only, with its tests' fixture.c, scratch.c, storetest.c,
 * mm-message.c and faults.c; never built since.
 */

#include "faults.h"
#include "fixture.h"
#include "scratch.h"
#include "storetest.h"

#include "blob.h"
#include "journal-record.h"
#include "json.h"
#include "session.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static UvVariable *signed_variable(const char *name, uint32_t attributes, const char *data)
{
    g_autoptr(UvVariable) plain = fixture_variable(name, attributes, data);
    g_autoptr(GBytes) digest = g_bytes_new("0123456789abcdef0123456789abcdef", 32);
    UvVariable fields = *plain;

    memcpy(fields.time, "\xea\x07\x0b\x19\x01\x02\x03", 7);
    fields.digest = digest;
    fields.mtime_ns = 1700000000123456789;
    return uv_variable_new(&fields);
}

static void put(UvVarset *set, UvVariable *variable /* takes ownership */)
{
    uv_varset_put(set, variable);
    uv_variable_unref(variable);
}

/* What the store has before the guest comes. */
static UvVarset *stored(void)
{
    UvVarset *set = uv_varset_new();

    put(set, signed_variable("Signed", NV | BS | RT | AT, "by somebody"));
    put(set, fixture_variable("Gone", NV | BS | RT, "soon"));
    put(set, fixture_variable("Kept", NV | BS | RT, "kept"));
    return set;
}

static void write_bytes(const char *dir, const char *name, GBytes *bytes)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    g_assert_true(
        g_file_set_contents(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), NULL));
}

static void change(UvStore *store, UvVarset *set, UvVariable *variable /* takes ownership */)
{
    g_autoptr(UvChange) one = uv_change_new(set);

    uv_change_put(one, variable);
    g_assert_true(store->ops->apply(store, one, NULL));
    uv_change_apply(one, set);
    uv_variable_unref(variable);
}

/* serving.json and its journal: changes of a guest, and a signed variable of the store's own. */
static UvService *serve(const char *dir, StoreTest *t)
{
    static const uint8_t policy[] = {0, 0, 1, 0, 44, 0, 44, 0, 9};
    g_autoptr(UvVarset) set = stored();
    g_autoptr(GBytes) text = uv_json_format(set);
    g_autoptr(GPtrArray) variables = g_ptr_array_new();
    const UvServiceConfig config = {.size_bytes = 65536};
    uint8_t entry[44] = {0};
    UvService *service;

    write_bytes(dir, "serving.json", text);
    store_test_open(t, dir, "serving.json", false);
    service = uv_service_new(&config, t->store);
    for (const UvVariable *v = uv_varset_first(t->set); v; v = uv_varset_next(t->set, v))
        g_ptr_array_add(variables, (gpointer)v);
    uv_service_load(service, variables);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    memcpy(entry, policy, sizeof(policy));
    memset(entry + 28, 0xff, 4); /* any size up to this */
    g_assert_cmphex(uv_policy_register(uv_service_policy(service), entry, sizeof(entry)), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "New", NV | BS | RT, "new"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "Kept", NV | BS | RT | APPEND, " and more"), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "Gone", 0, ""), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "Empty", BS, "?"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "Volatile", BS | RT, "until power-off"), ==, EFI_SUCCESS);
    fixture_go_to(service, AT_RUNTIME);
    return service;
}

static void write_session(UvService *service, const char *path)
{
    UvSessionHead head = {.mode = UV_SESSION_SERVING, .name = "an old guest"};
    UvSessionFile *file = uv_session_file_new(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));

    memset(head.id, 0x5a, sizeof(head.id));
    for (int i = 0; i < 2; i++) {
        head.identity.inode = i;
        uv_service_write_session(service, uv_session_file_begin(file, &head));
        g_assert_true(uv_session_file_commit(file, NULL));
    }
    uv_session_file_free(file);
    /* The second went into the first slot; the other one is 16 MiB further on. */
    g_assert_cmpint(truncate(path, 4096), ==, 0);
}

static void write_blob(UvService *service, const char *dir)
{
    g_autoptr(GBytes) session = NULL, blob = NULL;
    g_auto(UvWriter) writer = uv_writer(16 * 1024 * 1024);

    uv_service_write_session(service, &writer);
    session = uv_writer_steal(&writer);
    blob = uv_blob_encode(uv_service_variables(service), 7, session);
    write_bytes(dir, "blob", blob);
}

/* One store's life up to its step `at`. */
static void live(const char *dir, const char *name, FaultKind kind, int at)
{
    g_autoptr(UvVarset) set = stored();
    g_autofree char *more = g_strnfill(1500, 'm');
    StoreTest t;

    store_test_open(&t, dir, name, false);
    g_assert_true(t.store->ops->replace(t.store, set, NULL));
    g_clear_pointer(&t.set, uv_varset_free);
    t.set = g_steal_pointer(&set);
    change(t.store, t.set, fixture_variable("Kept", NV | BS | RT, more));
    change(t.store, t.set, signed_variable("Signed", NV | BS | RT | AT, "by somebody else"));
    faults_set(kind, at, 0);
    t.store->ops->compact(t.store, t.set, NULL);
    _exit(0);
}

static bool is_wanted(const char *dir, const char *name, uint32_t kind)
{
    g_autofree char *journal = g_strdup_printf(".uefivarsfs/%s.journal", name);
    g_autoptr(UvJournalContent) content = NULL;
    g_autoptr(GBytes) bytes = NULL, file = NULL;
    const UvRecord *last;
    UvRecordImage image;
    UvDigest digest, now;
    size_t size;
    const void *text;

    if (!scratch_exists(dir, journal))
        return false;
    bytes = scratch_read(dir, journal);
    if (uv_journal_read(bytes, &content) != UV_JOURNAL_VALID || content->records->len == 0)
        return false;
    last = &g_array_index(content->records, UvRecord, content->records->len - 1);
    if (last->kind != kind)
        return false;
    file = scratch_read(dir, name);
    text = g_bytes_get_data(file, &size);
    uv_digest_of(text, size, &now);
    if (kind == UV_RECORD_COMPACT) /* renamed, the journal is still there */
        return uv_record_read_digest(last, &digest) && uv_digest_equal(&digest, &now);
    /* half of it is written */
    return uv_record_read_image(last, &image) && size == image.new_size / 2;
}

static void crash(const char *dir, const char *name, bool in_place, uint32_t record)
{
    const FaultKind kind = in_place ? FAULT_HALF : FAULT_KILL;

    for (int at = 0; at < 100; at++) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_autofree char *second = g_build_filename(dir, "second-name", NULL);
        int status;
        pid_t pid;

        scratch_write(dir, name, "");
        if (in_place)
            g_assert_cmpint(link(path, second), ==, 0);
        pid = fork();
        if (pid == 0)
            live(dir, name, kind, at);
        waitpid(pid, &status, 0);
        unlink(second);
        if (is_wanted(dir, name, record))
            return;
        unlink(path);
        g_autofree char *journal = g_strdup_printf(".uefivarsfs/%s.journal", name);
        if (scratch_exists(dir, journal))
            scratch_remove(dir, journal);
    }
    g_error("%s: no such step", name);
}

int main(int argc, char **argv)
{
    const char *dir = argv[1];
    g_autofree char *session = g_build_filename(dir, "session", NULL);
    UvService *service;
    StoreTest t;

    service = serve(dir, &t);
    write_session(service, session);
    write_blob(service, dir);
    crash(dir, "renamed.json", false, UV_RECORD_COMPACT);
    crash(dir, "in-place.json", true, UV_RECORD_IMAGE);
    _exit(0); /* as if killed: nothing is compacted */
}
