/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "flash-records.h"

#include "bytes.h"
#include "flash-layout.h"
#include "uv-limits.h"

#include <inttypes.h>
#include <string.h>

#define AUTHENTICATED_HEADER_BYTES 60u
#define PLAIN_HEADER_BYTES 32u

typedef struct {
    uint16_t id;
    uint8_t state;
    uint8_t reserved;
    uint32_t attributes;
    uint64_t monotonic_count;
    const uint8_t *time;
    uint32_t pubkey_index;
    uint32_t name_bytes;
    uint32_t data_bytes;
    const uint8_t *guid;
} RecordHeader;

typedef struct {
    const uint8_t *store;
    size_t store_bytes;
    bool authenticated;
    uint64_t file_offset;
    UvFlashScan *scan;
} Scanner;

static size_t header_bytes(bool authenticated)
{
    return authenticated ? AUTHENTICATED_HEADER_BYTES : PLAIN_HEADER_BYTES;
}

static void note_damage(Scanner *s, size_t offset, const char *what)
{
    if (!s->scan->damage)
        s->scan->damage =
            g_strdup_printf("offset 0x%" PRIx64 ": %s", s->file_offset + offset, what);
}

static bool read_header(UvReader *reader, bool authenticated, RecordHeader *ret)
{
    static const uint8_t no_time[EFI_TIME_BYTES];

    *ret = (RecordHeader){.time = no_time};
    ret->id = uv_read_u16(reader);
    ret->state = uv_read_u8(reader);
    ret->reserved = uv_read_u8(reader);
    ret->attributes = uv_read_u32(reader);
    if (authenticated) {
        ret->monotonic_count = uv_read_u64(reader);
        ret->time = uv_read_bytes(reader, EFI_TIME_BYTES);
        ret->pubkey_index = uv_read_u32(reader);
    }
    ret->name_bytes = uv_read_u32(reader);
    ret->data_bytes = uv_read_u32(reader);
    ret->guid = uv_read_bytes(reader, 16);
    return !reader->failed;
}

/* edk2 gives a record without state, or with a size or attributes of all ones, neither name nor
 * data. */
static bool has_no_body(const RecordHeader *h)
{
    return h->state == UV_FLASH_STATE_NONE || h->data_bytes == G_MAXUINT32 ||
           h->name_bytes == G_MAXUINT32 || h->attributes == G_MAXUINT32;
}

static bool is_variable_state(uint8_t state)
{
    return state == UV_FLASH_STATE_ADDED ||
           state == (UV_FLASH_STATE_ADDED & UV_FLASH_IN_DELETED_TRANSITION);
}

static bool is_known_state(uint8_t state)
{
    const uint8_t deleted = UV_FLASH_DELETED;

    return state == UV_FLASH_STATE_NONE || state == UV_FLASH_STATE_HEADER ||
           is_variable_state(state) || state == (UV_FLASH_STATE_ADDED & deleted) ||
           state == (UV_FLASH_STATE_ADDED & deleted & UV_FLASH_IN_DELETED_TRANSITION) ||
           state == (UV_FLASH_STATE_HEADER & deleted);
}

static UvVariable *read_variable(const RecordHeader *h, UvReader body)
{
    const uint8_t *name_bytes = uv_read_bytes(&body, h->name_bytes);
    const uint8_t *data = uv_read_bytes(&body, h->data_bytes);
    g_autoptr(UvName) name = NULL;
    g_autoptr(GBytes) bytes = NULL;

    if (!name_bytes || !data || h->name_bytes < 4 || h->name_bytes % 2)
        return NULL;
    if (name_bytes[h->name_bytes - 1] || name_bytes[h->name_bytes - 2])
        return NULL;
    name = uv_name_new_utf16le(name_bytes, h->name_bytes / 2 - 1);
    if (!name || !(h->attributes & EFI_VARIABLE_NON_VOLATILE) ||
        (h->attributes & (~EFI_VARIABLE_ATTRIBUTES_MASK | EFI_VARIABLE_APPEND_WRITE)))
        return NULL;
    bytes = g_bytes_new(data, h->data_bytes);

    UvVariable fields = {
        .name = name,
        .attributes = h->attributes,
        .data = bytes,
        .monotonic_count = h->monotonic_count,
        .pubkey_index = h->pubkey_index,
    };
    memcpy(fields.guid.bytes, h->guid, sizeof(fields.guid.bytes));
    memcpy(fields.time, h->time, sizeof(fields.time));
    return uv_variable_new(&fields);
}

/* One record at `offset`; false where the log ends. */
static bool scan_record(Scanner *s, uint32_t offset)
{
    UvFlashRecord record = {.offset = offset};
    RecordHeader h;
    UvReader reader = uv_reader(s->store + offset, s->store_bytes - offset);

    if (!read_header(&reader, s->authenticated, &h) || h.id != UV_FLASH_RECORD_ID)
        return false;
    record.state = h.state;
    if (!is_known_state(h.state))
        note_damage(s, offset + UV_FLASH_STATE_OFFSET, "a record has an unknown state");
    if (has_no_body(&h)) {
        if (h.state != UV_FLASH_STATE_NONE)
            note_damage(s, offset, "a record has no sizes");
        record.bytes = header_bytes(s->authenticated);
    } else {
        const uint64_t end = offset + header_bytes(s->authenticated) + (uint64_t)h.name_bytes +
                             (uint64_t)h.data_bytes;
        if (end > s->store_bytes) {
            note_damage(s, offset, "a record ends outside the store");
            s->scan->end = s->store_bytes;
            return false;
        }
        record.bytes = MIN(UV_FLASH_ALIGN(end), s->store_bytes) - offset;
        if (is_variable_state(h.state))
            record.variable = read_variable(&h, reader);
        if (is_variable_state(h.state) && !record.variable)
            note_damage(s, offset, "a record is not a variable");
    }
    g_array_append_val(s->scan->records, record);
    s->scan->end = offset + record.bytes;
    return true;
}

static guint key_hash(gconstpointer key)
{
    const UvVariable *v = key;
    return uv_name_hash(v->name) ^ uv_guid_hash(&v->guid);
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
    return uv_variable_same_key(a, b);
}

/* FindVariableEx: the first added one, otherwise the last in deleted transition. */
static void choose_visible(Scanner *s)
{
    GHashTable *chosen = s->scan->visible;
    GArray *records = s->scan->records;

    for (guint i = 0; i < records->len; i++) {
        UvFlashRecord *record = &g_array_index(records, UvFlashRecord, i);
        UvFlashRecord *other;
        gpointer index;

        if (!record->variable)
            continue;
        if (g_hash_table_lookup_extended(chosen, record->variable, NULL, &index)) {
            other = &g_array_index(records, UvFlashRecord, GPOINTER_TO_UINT(index));
            if (other->state == UV_FLASH_STATE_ADDED) {
                if (record->state == UV_FLASH_STATE_ADDED)
                    note_damage(s, record->offset, "a variable is there twice");
                s->scan->leftovers++;
                continue;
            }
            other->visible = false;
            s->scan->leftovers++;
        }
        record->visible = true;
        g_hash_table_replace(chosen, record->variable, GUINT_TO_POINTER(i));
    }
    for (guint i = 0; i < records->len; i++) {
        const UvFlashRecord *record = &g_array_index(records, UvFlashRecord, i);
        if (record->visible && record->state != UV_FLASH_STATE_ADDED)
            s->scan->halfway = true;
    }
}

/* Looks like a record that had been finished. */
static bool finished_record_at(Scanner *s, size_t offset)
{
    RecordHeader h;
    UvReader reader = uv_reader(s->store + offset, s->store_bytes - offset);

    if (!read_header(&reader, s->authenticated, &h) || h.id != UV_FLASH_RECORD_ID)
        return false;
    if (h.state == UV_FLASH_STATE_NONE || !is_known_state(h.state) || h.reserved ||
        (h.attributes & ~EFI_VARIABLE_ATTRIBUTES_MASK) || h.name_bytes < 4 || h.name_bytes % 2)
        return false;
    const uint8_t *name = uv_read_bytes(&reader, h.name_bytes);
    return name && !name[h.name_bytes - 1] && !name[h.name_bytes - 2] &&
           uv_read_bytes(&reader, h.data_bytes);
}

/* Records whose writing never got as far as a state; those at the end are taken away. */
static void drop_unwritten(UvFlashScan *scan)
{
    GArray *records = scan->records;

    while (records->len > 0) {
        const UvFlashRecord *last = &g_array_index(records, UvFlashRecord, records->len - 1);
        if (last->state != UV_FLASH_STATE_NONE)
            break;
        scan->end = last->offset;
        g_array_set_size(records, records->len - 1);
    }
    for (guint i = 0; i < records->len; i++)
        scan->torn |= g_array_index(records, UvFlashRecord, i).state == UV_FLASH_STATE_NONE;
}

/* What is behind the last finished record: erased, or something that is to be reclaimed. */
static void judge_tail(Scanner *s)
{
    const size_t tail = s->scan->end;

    if (s->scan->damage || uv_bytes_are(s->store + tail, s->store_bytes - tail, 0xff))
        return;
    s->scan->torn = true;
    for (size_t at = tail + 4; at < s->store_bytes && !s->scan->hidden_at; at += 4) {
        if (finished_record_at(s, at))
            s->scan->hidden_at = at;
    }
}

static void clear_record(gpointer data)
{
    UvFlashRecord *record = data;
    g_clear_pointer(&record->variable, uv_variable_unref);
}

void uv_flash_scan(const uint8_t *store, size_t store_bytes, bool authenticated,
                   uint64_t file_offset, UvFlashScan *ret_scan)
{
    Scanner s = {store, store_bytes, authenticated, file_offset, ret_scan};

    *ret_scan = (UvFlashScan){.records = g_array_new(FALSE, TRUE, sizeof(UvFlashRecord)),
                              .visible = g_hash_table_new(key_hash, key_equal),
                              .end = UV_FLASH_STORE_HEADER_BYTES};
    g_array_set_clear_func(ret_scan->records, clear_record);
    while (ret_scan->end < store_bytes && scan_record(&s, ret_scan->end))
        ;
    choose_visible(&s);
    drop_unwritten(ret_scan);
    judge_tail(&s);
}

void uv_flash_scan_clear(UvFlashScan *scan)
{
    g_clear_pointer(&scan->visible, g_hash_table_unref);
    g_clear_pointer(&scan->records, g_array_unref);
    g_clear_pointer(&scan->damage, g_free);
}

GPtrArray *uv_flash_scan_variables(const UvFlashScan *scan)
{
    GPtrArray *variables = g_ptr_array_new_with_free_func((GDestroyNotify)uv_variable_unref);

    for (guint i = 0; i < scan->records->len; i++) {
        const UvFlashRecord *record = &g_array_index(scan->records, UvFlashRecord, i);
        if (record->visible)
            g_ptr_array_add(variables, uv_variable_ref(record->variable));
    }
    return variables;
}

static guint record_index(const UvFlashScan *scan, const UvFlashRecord *record)
{
    return record - &g_array_index(scan->records, UvFlashRecord, 0);
}

UvFlashRecord *uv_flash_scan_find(const UvFlashScan *scan, const UvGuid *guid, const UvName *name)
{
    const UvVariable key = {.guid = *guid, .name = uv_name_ref(name)};
    gpointer index;
    const bool found = g_hash_table_lookup_extended(scan->visible, &key, NULL, &index);

    uv_name_unref(key.name);
    return found ? &g_array_index(scan->records, UvFlashRecord, GPOINTER_TO_UINT(index)) : NULL;
}

UvFlashRecord *uv_flash_scan_append(UvFlashScan *scan, const UvVariable *variable, uint32_t bytes)
{
    const UvFlashRecord record = {
        .offset = scan->end,
        .bytes = bytes,
        .state = UV_FLASH_STATE_NONE,
        .variable = uv_variable_ref(variable),
    };

    g_array_append_val(scan->records, record);
    scan->end += bytes;
    return &g_array_index(scan->records, UvFlashRecord, scan->records->len - 1);
}

void uv_flash_scan_show(UvFlashScan *scan, UvFlashRecord *record)
{
    UvFlashRecord *old = uv_flash_scan_find(scan, &record->variable->guid, record->variable->name);

    if (old)
        old->visible = false;
    record->visible = true;
    g_hash_table_replace(scan->visible, record->variable,
                         GUINT_TO_POINTER(record_index(scan, record)));
}

void uv_flash_scan_drop(UvFlashScan *scan, UvFlashRecord *record)
{
    if (record->visible)
        g_hash_table_remove(scan->visible, record->variable);
    record->visible = false;
    g_clear_pointer(&record->variable, uv_variable_unref);
}

size_t uv_flash_record_bytes(const UvVariable *variable, bool authenticated)
{
    return header_bytes(authenticated) + uv_name_size_bytes(variable->name) +
           g_bytes_get_size(variable->data);
}

GBytes *uv_flash_record_format(const UvVariable *variable, bool authenticated, uint8_t state)
{
    const size_t bytes = uv_flash_record_bytes(variable, authenticated);
    g_auto(UvWriter) writer = uv_writer(bytes);

    uv_write_u16(&writer, UV_FLASH_RECORD_ID);
    uv_write_u8(&writer, state);
    uv_write_u8(&writer, 0);
    uv_write_u32(&writer, variable->attributes);
    if (authenticated) {
        uv_write_u64(&writer, variable->monotonic_count);
        uv_write_bytes(&writer, variable->time, EFI_TIME_BYTES);
        uv_write_u32(&writer, variable->pubkey_index);
    }
    uv_write_u32(&writer, uv_name_size_bytes(variable->name));
    uv_write_u32(&writer, g_bytes_get_size(variable->data));
    uv_write_bytes(&writer, variable->guid.bytes, 16);
    uv_write_bytes(&writer, uv_name_utf16le(variable->name), uv_name_size_bytes(variable->name));
    uv_write_gbytes(&writer, variable->data);
    return uv_writer_steal(&writer);
}
