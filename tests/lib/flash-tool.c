/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A flash image by hand, for the Python tests: one command a line on stdin, one answer a line.
 *
 *   flash-tool FILE              through the store, as an engine would
 *   flash-tool --record LOG FILE the image in memory; every write goes to LOG, the file stays
 *
 *   open FILE          another file ("-": none)
 *   dump               a line NAME GUID ATTRIBUTES TIME DATA (with tabs) for each variable, then
 * "." set NAME GUID ATTRIBUTES DATA [TIME]      all in hex but NAME and GUID delete NAME GUID both
 * NAME GUID ATTRIBUTES DATA NAME GUID ATTRIBUTES DATA      one change of two variables quiet the
 * end of a burst in-place           reclaims in place from now on (recording) bench N BYTES      N
 * updates of ten variables of that size, then "ok MICROSECONDS" state              "FORMAT CAPACITY
 * READ-ONLY-REASON"
 *
 * LOG: 'W' u64 offset u32 size bytes; 'F' flush; 'A' acknowledged; 'R' u32 size bytes: the file was
 * replaced.
 */

#include "flash-write.h"
#include "memory-image.h"
#include "store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    UvImage image;
    UvImage *inner;
    FILE *log;
} RecordImage;

static UvStore *store;
static UvVarset *set;
static RecordImage *record;
static UvFlash *flash;

static void put(FILE *file, const void *bytes, size_t size)
{
    g_assert_cmpuint(fwrite(bytes, 1, size, file), ==, size);
}

static bool record_read(UvImage *image, uint64_t offset, void *bytes, size_t size, GError **error)
{
    return uv_image_read(((RecordImage *)image)->inner, offset, bytes, size, error);
}

static bool record_write(UvImage *image, uint64_t offset, const void *bytes, size_t size,
                         GError **error)
{
    RecordImage *r = (RecordImage *)image;
    const uint32_t size32 = size;

    putc('W', r->log);
    put(r->log, &offset, 8);
    put(r->log, &size32, 4);
    put(r->log, bytes, size);
    return uv_image_write(r->inner, offset, bytes, size, error);
}

static bool record_flush(UvImage *image, GError **error)
{
    putc('F', ((RecordImage *)image)->log);
    return true;
}

static const UvImageOps record_ops = {
    .read = record_read, .write = record_write, .flush = record_flush};

/* As through a new file and rename: nothing of it is seen before it is whole. */
static bool record_reclaim(UvFlash *f, const uint8_t *bytes, void *data, GError **error)
{
    RecordImage *r = data;
    UvImage *copy = memory_image_new("copy", memory_image_bytes(r->inner), r->inner->size_bytes);
    const uint32_t size = copy->size_bytes;

    if (!uv_flash_write_copy(f, copy, bytes, error)) {
        uv_image_free(copy);
        return false;
    }
    putc('R', r->log);
    put(r->log, &size, 4);
    put(r->log, memory_image_bytes(copy), size);
    uv_image_free(r->inner);
    r->inner = copy;
    return true;
}

static void show_error(GError *error)
{
    printf("error %d %s\n", error->code, error->message);
    g_error_free(error);
}

static bool open_record(const char *path, const char *log, GError **error)
{
    g_autofree char *bytes = NULL;
    gsize size;

    if (!g_file_get_contents(path, &bytes, &size, error))
        return false;
    record = g_new0(RecordImage, 1);
    record->image.ops = &record_ops;
    record->image.name = g_strdup(path);
    record->image.size_bytes = size;
    record->inner = memory_image_new(path, bytes, size);
    record->log = fopen(log, "w");
    flash = uv_flash_open(&record->image, error);
    if (flash)
        uv_flash_set_reclaim(flash, record_reclaim, record);
    return flash != NULL;
}

static void take(GPtrArray *variables)
{
    uv_varset_free(set);
    set = uv_varset_new();
    for (guint i = 0; i < variables->len; i++)
        uv_varset_put(set, variables->pdata[i]);
}

static bool open_store(const char *path, GError **error)
{
    g_autoptr(GPtrArray) variables = NULL;
    UvFolder *folder;

    g_clear_pointer(&store, uv_store_close);
    if (strcmp(path, "-") == 0)
        return true;
    folder = uv_folder_new(AT_FDCWD, path, error);
    if (!folder)
        return false;
    store = uv_store_open(folder, &(UvStoreOptions){0}, error);
    if (!store || !store->ops->load(store, &variables, error))
        return false;
    take(variables);
    return true;
}

static void dump(void)
{
    g_autoptr(GPtrArray) variables = NULL;
    GError *error = NULL;

    if (flash)
        variables = uv_flash_variables(flash);
    else if (!store->ops->load(store, &variables, &error)) {
        show_error(error);
        return;
    }
    take(variables);
    for (guint i = 0; i < variables->len; i++) {
        const UvVariable *v = variables->pdata[i];
        g_autofree char *name = uv_name_to_utf8(v->name);
        char guid[UV_GUID_TEXT_BYTES + 1];
        gsize size;
        const uint8_t *data = g_bytes_get_data(v->data, &size);

        uv_guid_format(&v->guid, guid);
        printf("%s\t%s\t%x\t", name, guid, v->attributes);
        for (int j = 0; j < 16; j++)
            printf("%02x", v->time[j]);
        putchar('\t');
        for (gsize j = 0; j < size; j++)
            printf("%02x", data[j]);
        putchar('\n');
    }
    puts(".");
}

static size_t unhex(const char *text, uint8_t *bytes, size_t max)
{
    size_t n = 0;

    for (; text[0] && text[1] && n < max; text += 2)
        bytes[n++] = g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]);
    return n;
}

static UvVariable *parse_variable(char **words)
{
    g_autofree uint8_t *bytes = g_malloc(1 << 20);
    g_autoptr(GBytes) data = g_bytes_new(bytes, unhex(words[3], bytes, 1 << 20));
    g_autoptr(UvName) name = uv_name_new_utf8(words[0], NULL);
    UvVariable fields = {
        .name = name, .attributes = g_ascii_strtoull(words[2], NULL, 16), .data = data};

    g_assert_true(name && uv_guid_parse(words[1], &fields.guid));
    if (words[4] && strlen(words[4]) == 32)
        unhex(words[4], fields.time, 16);
    return uv_variable_new(&fields);
}

static bool commit(UvChange *change, GError **error)
{
    if (flash) {
        if (!uv_flash_apply(flash, change, error))
            return false;
        putc('A', record->log);
        fflush(record->log);
    } else if (!store->ops->apply(store, change, error)) {
        return false;
    }
    uv_change_apply(change, set);
    return true;
}

static bool edit(char **words, GError **error)
{
    g_autoptr(UvChange) change = uv_change_new(set);

    if (strcmp(words[0], "delete") == 0) {
        g_autoptr(UvName) name = uv_name_new_utf8(words[1], error);
        UvGuid guid;
        g_assert_true(name && uv_guid_parse(words[2], &guid));
        uv_change_remove(change, &guid, name);
    } else {
        g_autoptr(UvVariable) first = parse_variable(words + 1);
        uv_change_put(change, first);
        if (strcmp(words[0], "both") == 0) {
            g_autoptr(UvVariable) second = parse_variable(words + 5);
            uv_change_put(change, second);
        }
    }
    return commit(change, error);
}

static void baseline(unsigned n, unsigned size, const char *path)
{
    g_autofree uint8_t *bytes = g_malloc0(size);
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int64_t start = g_get_monotonic_time();

    g_assert_cmpint(fd, >=, 0);
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpint(write(fd, bytes, size), ==, size);
        g_assert_cmpint(fdatasync(fd), ==, 0);
    }
    printf("ok %" G_GINT64_FORMAT "\n", g_get_monotonic_time() - start);
    close(fd);
}

static bool bench(unsigned n, unsigned size, unsigned first, unsigned variables, GError **error)
{
    g_autofree uint8_t *bytes = g_malloc0(size);
    const int64_t start = g_get_monotonic_time();

    for (unsigned i = first; i < first + n; i++) {
        g_autofree char *text = g_strdup_printf("Bench%u", i % variables);
        g_autoptr(UvName) name = uv_name_new_utf8(text, NULL);
        g_autoptr(UvChange) change = uv_change_new(set);
        g_autoptr(GBytes) data = NULL;
        g_autoptr(UvVariable) v = NULL;

        memcpy(bytes, &i, MIN(sizeof(i), size));
        data = g_bytes_new(bytes, size);
        v = uv_variable_new(&(UvVariable){.name = name, .attributes = 7, .data = data});
        uv_change_put(change, v);
        if (!commit(change, error))
            return false;
    }
    printf("ok %" G_GINT64_FORMAT "\n", g_get_monotonic_time() - start);
    return true;
}

static void quiet(void)
{
    if (store) {
        g_usleep(250000);
        store->ops->tick(store, set, NULL);
    }
    if (flash)
        uv_flash_settle(flash, NULL);
}

static bool run(char **words, GError **error)
{
    if (strcmp(words[0], "open") == 0)
        return open_store(words[1], error);
    if (strcmp(words[0], "quiet") == 0)
        quiet();
    else if (strcmp(words[0], "in-place") == 0)
        uv_flash_set_reclaim(flash, uv_flash_reclaim_in_place, NULL);
    else
        return edit(words, error);
    return true;
}

static void answer(char **words)
{
    GError *error = NULL;

    if (strcmp(words[0], "dump") == 0)
        dump();
    else if (strcmp(words[0], "state") == 0)
        printf("%s %zu %s\n", store->ops->format, store->capacity_bytes,
               (store->ops->changed(store), store->read_only_reason) ? store->read_only_reason
                                                                     : "");
    else if (strcmp(words[0], "baseline") == 0)
        baseline(atoi(words[1]), atoi(words[2]), words[3]);
    else if (strcmp(words[0], "bench") == 0) {
        if (!bench(atoi(words[1]), atoi(words[2]), atoi(words[3]), atoi(words[4]), &error))
            show_error(error);
    } else if (run(words, &error))
        puts("ok");
    else
        show_error(error);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    char *line = NULL;
    size_t capacity = 0;
    bool ok;

    set = uv_varset_new();
    if (argc == 4)
        ok = open_record(argv[3], argv[2], &error);
    else
        ok = argc < 2 || open_store(argv[1], &error);
    if (!ok)
        show_error(error);
    else
        puts("ok");
    fflush(stdout);
    while (ok && getline(&line, &capacity, stdin) > 0) {
        g_auto(GStrv) words = g_strsplit(g_strchomp(line), " ", -1);
        answer(words);
    }
    free(line);
    g_clear_pointer(&store, uv_store_close);
    g_clear_pointer(&flash, uv_flash_free);
    uv_varset_free(set);
    return !ok;
}
