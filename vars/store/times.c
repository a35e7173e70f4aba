/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "times.h"

#include "bytes.h"
#include "checked-file.h"
#include "uv-limits.h"

#include <string.h>

#define META_MAX (16u * 1024 * 1024)

static const uint8_t magic[8] = {'u', 'v', 'm', 'e', 't', 'a', 0, 2};

static void left_free(void *data)
{
    UvLeft *left = data;

    g_clear_pointer(&left->name, uv_name_unref);
    g_clear_pointer(&left->data, g_bytes_unref);
    g_free(left);
}

static guint left_hash(const void *data)
{
    return uv_name_hash(((const UvLeft *)data)->name);
}

static gboolean left_equal(const void *data_a, const void *data_b)
{
    const UvLeft *a = data_a, *b = data_b;

    return uv_guid_equal(&a->guid, &b->guid) && uv_name_equal(a->name, b->name);
}

void uv_meta_free(UvMeta *meta)
{
    if (!meta)
        return;
    g_hash_table_unref(meta->variables);
    g_free(meta);
}

/* ---- reading ---- */

static UvLeft *read_variable(UvReader *reader)
{
    UvLeft *left = g_new0(UvLeft, 1);

    left->guid = uv_read_guid(reader);
    const size_t name_bytes = uv_read_u32(reader);
    const uint8_t *name = uv_read_bytes(reader, name_bytes);
    left->attributes = uv_read_u32(reader);
    const uint8_t *time = uv_read_bytes(reader, sizeof(left->time));
    left->mtime_ns = (int64_t)uv_read_u64(reader);
    left->data_bytes = uv_read_u32(reader);
    const uint8_t *digest = uv_read_bytes(reader, sizeof(left->digest.bytes));
    const bool whole = left->data_bytes <= UV_LEFT_DATA_MAX;
    const uint8_t *data = uv_read_bytes(reader, whole ? left->data_bytes : 0);

    if (!reader->failed && name_bytes % 2 == 0)
        left->name = uv_name_new_utf16le(name, name_bytes / 2);
    if (!left->name) {
        left_free(left);
        return NULL;
    }
    memcpy(left->time, time, sizeof(left->time));
    memcpy(left->digest.bytes, digest, sizeof(left->digest.bytes));
    if (whole)
        left->data = g_bytes_new(data, left->data_bytes);
    return left;
}

UvMeta *uv_meta_parse(const void *bytes, size_t size)
{
    g_autoptr(UvMeta) meta = g_new0(UvMeta, 1);

    meta->variables = g_hash_table_new_full(left_hash, left_equal, left_free, NULL);
    UvReader reader = uv_reader(bytes, size);
    meta->file.inode = uv_read_u64(&reader);
    meta->file.size_bytes = uv_read_u64(&reader);
    meta->file.mtime_ns = (int64_t)uv_read_u64(&reader);
    meta->file.ctime_ns = (int64_t)uv_read_u64(&reader);
    meta->at_us = (int64_t)uv_read_u64(&reader);
    while (reader.left > 0) {
        UvLeft *left = read_variable(&reader);
        if (!left)
            return NULL;
        g_hash_table_add(meta->variables, left);
    }
    return reader.failed ? NULL : g_steal_pointer(&meta);
}

/* What the file says; NULL: nothing. */
static UvMeta *read_meta(UvFolder *folder)
{
    g_autoptr(GBytes) bytes = uv_checked_file_read(folder, UV_FILE_META, magic, META_MAX);
    const UvReader all = uv_reader_of(bytes);

    return bytes ? uv_meta_parse(all.at, all.left) : NULL;
}

/* The times of a block device say nothing of its content. */
static bool is_same_file(const UvStoreIdentity *left, const UvStoreIdentity *now)
{
    return left->inode == now->inode && left->size_bytes == now->size_bytes &&
           left->mtime_ns == now->mtime_ns && left->ctime_ns == now->ctime_ns &&
           (now->size_bytes > 0 || now->inode == 0);
}

static bool is_as_left(const UvLeft *left, const UvVariable *variable)
{
    if (left->attributes != variable->attributes ||
        left->data_bytes != g_bytes_get_size(variable->data) ||
        memcmp(left->time, variable->time, sizeof(left->time)) != 0)
        return false;
    const UvDigest digest = uv_digest_of_bytes(variable->data);
    return uv_digest_equal(&digest, &left->digest);
}

/* `same`: the content need not be looked at. */
static int64_t time_of(const UvMeta *meta, const UvVariable *variable, bool same)
{
    const UvLeft key = {.guid = variable->guid, .name = variable->name};
    const UvLeft *left = meta ? g_hash_table_lookup(meta->variables, &key) : NULL;

    return left && (same || is_as_left(left, variable)) ? left->mtime_ns : 0;
}

static UvVariable *with_time(const UvVariable *variable, int64_t mtime_ns)
{
    UvVariable fields = *variable;

    fields.mtime_ns = mtime_ns;
    return uv_variable_new(&fields);
}

void uv_meta_load(UvStore *store, GPtrArray *variables, bool goes_on)
{
    g_autoptr(UvMeta) meta = read_meta(store->folder);
    const bool same = meta && is_same_file(&meta->file, &store->identity);

    for (guint i = 0; i < variables->len; i++) {
        g_autoptr(UvVariable) variable = variables->pdata[i];
        int64_t mtime_ns = variable->mtime_ns;

        if (mtime_ns == 0)
            mtime_ns = time_of(meta, variable, same && !goes_on);
        if (mtime_ns == 0)
            mtime_ns = store->identity.mtime_ns;
        variables->pdata[i] = variable->mtime_ns == mtime_ns ? uv_variable_ref(variable)
                                                             : with_time(variable, mtime_ns);
    }
    g_clear_pointer(&store->left, uv_meta_free);
    if (!same && !goes_on)
        store->left = g_steal_pointer(&meta);
}

/* ---- writing ---- */

static void write_variable(UvWriter *out, const UvVariable *variable)
{
    const size_t name_bytes = 2 * uv_name_units(variable->name);
    const size_t size = g_bytes_get_size(variable->data);
    const UvDigest digest = uv_digest_of_bytes(variable->data);

    uv_write_bytes(out, variable->guid.bytes, sizeof(variable->guid.bytes));
    uv_write_u32(out, (uint32_t)name_bytes);
    uv_write_bytes(out, uv_name_utf16le(variable->name), name_bytes);
    uv_write_u32(out, variable->attributes);
    uv_write_bytes(out, variable->time, sizeof(variable->time));
    uv_write_u64(out, (uint64_t)variable->mtime_ns);
    uv_write_u32(out, (uint32_t)size);
    uv_write_bytes(out, digest.bytes, sizeof(digest.bytes));
    if (size <= UV_LEFT_DATA_MAX)
        uv_write_gbytes(out, variable->data);
}

static GBytes *format(const UvStoreIdentity *file, const UvVarset *set)
{
    g_auto(UvWriter) out = uv_writer(META_MAX);

    uv_write_u64(&out, file->inode);
    uv_write_u64(&out, file->size_bytes);
    uv_write_u64(&out, (uint64_t)file->mtime_ns);
    uv_write_u64(&out, (uint64_t)file->ctime_ns);
    uv_write_u64(&out, (uint64_t)g_get_real_time());
    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v))
        if (uv_variable_is_nv(v))
            write_variable(&out, v);
    return uv_writer_steal(&out);
}

bool uv_meta_save(UvStore *store, const UvVarset *set, GError **error)
{
    g_autoptr(GBytes) bytes = format(&store->identity, set);

    return !bytes || uv_checked_file_write(store->folder, UV_FILE_META, UV_FILE_META_TEMP, magic,
                                           bytes, false, error);
}
