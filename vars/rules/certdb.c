/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "certdb.h"

#include <string.h>

#include "bytes.h"
#include "update.h"
#include "uv-limits.h"

#define ENTRY_HEADER_BYTES 28u
#define CERTDB_ATTRIBUTES                                                                          \
    (EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS |                               \
     EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS)

UvName *uv_certdb_name(bool nv)
{
    return uv_name_new_utf8(nv ? "certdb" : "certdbv", NULL);
}

uint32_t uv_certdb_attributes(bool nv)
{
    return CERTDB_ATTRIBUTES | (nv ? EFI_VARIABLE_NON_VOLATILE : 0);
}

static const UvVariable *lookup(const UvChange *change, bool nv)
{
    g_autoptr(UvName) name = uv_certdb_name(nv);

    return uv_change_lookup(change, &uv_guid_cert_db, name);
}

UvReader uv_certdb_open(const UvVariable *certdb)
{
    UvReader reader = uv_reader_of(certdb->data);
    const size_t size = reader.left;

    if (uv_read_u32(&reader) != size)
        reader.failed = true;
    return reader;
}

bool uv_certdb_next(UvReader *reader, UvCertdbEntry *ret_entry)
{
    UvCertdbEntry entry = {.bytes = reader->at};
    UvReader peek = *reader;

    if (reader->failed || reader->left == 0)
        return false;
    const uint8_t *guid = uv_read_bytes(&peek, sizeof(entry.guid.bytes));
    entry.size = uv_read_u32(&peek);
    entry.name_units = uv_read_u32(&peek);
    entry.identity.size = uv_read_u32(&peek);
    entry.name = uv_read_bytes(&peek, 2 * entry.name_units);
    entry.identity.bytes = uv_read_bytes(&peek, entry.identity.size);
    if (peek.failed ||
        entry.size != ENTRY_HEADER_BYTES + 2 * entry.name_units + entry.identity.size) {
        reader->failed = true;
        return false;
    }
    memcpy(entry.guid.bytes, guid, sizeof(entry.guid.bytes));
    *reader = peek;
    *ret_entry = entry;
    return true;
}

bool uv_certdb_entry_is(const UvCertdbEntry *entry, const UvGuid *guid, const UvName *name)
{
    return uv_guid_equal(&entry->guid, guid) && entry->name_units == uv_name_units(name) &&
           memcmp(entry->name, uv_name_utf16le(name), 2 * entry->name_units) == 0;
}

bool uv_certdb_find(const UvChange *change, bool nv, const UvGuid *guid, const UvName *name,
                    UvPayload *ret_identity)
{
    const UvVariable *certdb = lookup(change, nv);
    UvCertdbEntry entry;

    if (!certdb)
        return false;
    UvReader reader = uv_certdb_open(certdb);
    while (uv_certdb_next(&reader, &entry)) {
        if (uv_certdb_entry_is(&entry, guid, name)) {
            *ret_identity = entry.identity;
            return true;
        }
    }
    return false;
}

/* The entries that `keep` wants, behind a size that end() fills in; false if malformed. */
typedef bool (*Keep)(const UvCertdbEntry *entry, const UvChange *change, const void *data);

static bool copy_entries(UvWriter *writer, const UvVariable *certdb, const UvChange *change,
                         Keep keep, const void *data)
{
    UvCertdbEntry entry;

    *writer = uv_writer(UV_VARIABLE_MAX);
    uv_write_u32(writer, 0);
    if (!certdb)
        return true;
    UvReader reader = uv_certdb_open(certdb);
    while (uv_certdb_next(&reader, &entry)) {
        if (keep(&entry, change, data))
            uv_write_bytes(writer, entry.bytes, entry.size);
    }
    return uv_reader_done(&reader);
}

void uv_certdb_write_entry(UvWriter *writer, const UvGuid *guid, const UvName *name,
                           GBytes *identity)
{
    const size_t name_bytes = 2 * uv_name_units(name);
    const size_t size = g_bytes_get_size(identity);

    uv_write_bytes(writer, guid->bytes, sizeof(guid->bytes));
    uv_write_u32(writer, ENTRY_HEADER_BYTES + name_bytes + size);
    uv_write_u32(writer, uv_name_units(name));
    uv_write_u32(writer, size);
    uv_write_bytes(writer, uv_name_utf16le(name), name_bytes);
    uv_write_gbytes(writer, identity);
}

GBytes *uv_certdb_finish(UvWriter *writer)
{
    uv_write_u32_at(writer, 0, uv_writer_size(writer));
    return uv_writer_steal(writer);
}

static bool is_not_requested(const UvCertdbEntry *entry, const UvChange *change, const void *data)
{
    const UvSetRequest *request = data;

    return !uv_certdb_entry_is(entry, &request->guid, request->name);
}

static EfiStatus store(UvChange *change, const UvGate *gate, bool nv, GBytes *bytes,
                       UvRefusal *refusal)
{
    g_autoptr(UvName) name = uv_certdb_name(nv);
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);
    const UvUpdate update = {
        .guid = uv_guid_cert_db,
        .name = name,
        .attributes = uv_certdb_attributes(nv),
        .data = data,
        .data_bytes = size,
    };

    return uv_update_variable(change, gate, &update, refusal);
}

EfiStatus uv_certdb_insert(UvChange *change, const UvGate *gate, bool nv, GBytes *identity,
                           UvRefusal *refusal)
{
    const UvSetRequest *request = gate->request;
    g_auto(UvWriter) writer = {0};

    if (!copy_entries(&writer, lookup(change, nv), change, is_not_requested, request))
        return uv_refuse(refusal, EFI_SECURITY_VIOLATION, "2.7.1", "certdb is malformed");
    uv_certdb_write_entry(&writer, &request->guid, request->name, identity);
    g_autoptr(GBytes) whole = uv_certdb_finish(&writer);
    if (!whole)
        return uv_refuse(refusal, EFI_OUT_OF_RESOURCES, "2.7.1", "certdb is full");
    return store(change, gate, nv, whole, refusal);
}

EfiStatus uv_certdb_remove(UvChange *change, const UvGate *gate, bool nv, UvRefusal *refusal)
{
    const UvVariable *certdb = lookup(change, nv);
    g_auto(UvWriter) writer = {0};

    if (!certdb || !copy_entries(&writer, certdb, change, is_not_requested, gate->request))
        return EFI_SUCCESS;
    g_autoptr(GBytes) whole = uv_certdb_finish(&writer);
    return whole ? store(change, gate, nv, whole, refusal) : EFI_SUCCESS;
}

static void put(UvChange *change, bool nv, GBytes *bytes)
{
    g_autoptr(UvName) name = uv_certdb_name(nv);
    const UvVariable *old = lookup(change, nv);

    if (old && g_bytes_equal(old->data, bytes))
        return;
    g_autoptr(UvVariable) variable = uv_variable_new(&(UvVariable){
        .guid = uv_guid_cert_db,
        .name = name,
        .attributes = uv_certdb_attributes(nv),
        .data = bytes,
        .mtime_ns = nv ? g_get_real_time() * 1000 : 0, /* made anew at each start */
    });
    uv_change_put(change, variable);
}

static bool is_alive(const UvCertdbEntry *entry, const UvChange *change, const void *data)
{
    g_autoptr(UvName) name = uv_name_new_utf16le(entry->name, entry->name_units);
    const UvVariable *variable = name ? uv_change_lookup(change, &entry->guid, name) : NULL;

    return variable && (variable->attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS);
}

void uv_certdb_boot(UvChange *change)
{
    g_auto(UvWriter) writer = {0};

    if (!copy_entries(&writer, lookup(change, true), change, is_alive, NULL))
        return; /* malformed: not edk2's; nothing can be said of it */
    g_autoptr(GBytes) whole = uv_certdb_finish(&writer);
    if (whole)
        put(change, true, whole);
}

void uv_certdb_derive(UvChange *change)
{
    static const uint8_t empty[] = {4, 0, 0, 0};
    g_autoptr(GBytes) bytes = g_bytes_new_static(empty, sizeof(empty));

    if (!lookup(change, false))
        put(change, false, bytes);
}
