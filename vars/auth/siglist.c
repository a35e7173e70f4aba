/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * As edk2's CheckSignatureListFormat and FilterSignatureList (AuthService.c), with bounds on every
 * field, and unknown types and EC certificates let through.
 */

#include "siglist.h"

#include <string.h>

#include "efi-abi.h"
#include "hash.h"
#include "pkcs7.h"
#include "uv-limits.h"

#define OWNER_BYTES 16u

/* Signature types of known size, without the owner (UEFI 2.11, 32.4.1). */
static const struct {
    UvGuid type;
    size_t data_bytes;
    const char *name; /* as texts have it; "x509-...": a hash of a certificate, and a time */
} fixed_types[] = {
    {UV_GUID(0xc1c41626, 0x504c, 0x4092, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28), 32,
     "sha256"},
    {UV_GUID(0x3c5766e8, 0x269c, 0x4e34, 0xaa, 0x14, 0xed, 0x77, 0x6e, 0x85, 0xb3, 0xb6), 256,
     "rsa2048"},
    {UV_GUID(0xe2b36190, 0x879b, 0x4a3d, 0xad, 0x8d, 0xf2, 0xe7, 0xbb, 0xa3, 0x27, 0x84), 256,
     "rsa2048-sha256"},
    {UV_GUID(0x826ca512, 0xcf10, 0x4ac9, 0xb1, 0x87, 0xbe, 0x01, 0x49, 0x66, 0x31, 0xbd), 20,
     "sha1"},
    {UV_GUID(0x67f8444f, 0x8743, 0x48f1, 0xa3, 0x28, 0x1e, 0xaa, 0xb8, 0x73, 0x60, 0x80), 256,
     "rsa2048-sha1"},
    {UV_GUID(0x0b6e5233, 0xa65c, 0x44c9, 0x94, 0x07, 0xd9, 0xab, 0x83, 0xbf, 0xc8, 0xbd), 28,
     "sha224"},
    {UV_GUID(0xff3e5307, 0x9fd0, 0x48c9, 0x85, 0xf1, 0x8a, 0xd5, 0x6c, 0x70, 0x1e, 0x01), 48,
     "sha384"},
    {UV_GUID(0x093e0fae, 0xa6c4, 0x4f50, 0x9f, 0x1b, 0xd4, 0x1e, 0x2b, 0x89, 0xc1, 0x9a), 64,
     "sha512"},
    {UV_GUID(0x3bd2a492, 0x96c0, 0x4079, 0xb4, 0x20, 0xfc, 0xf9, 0x8e, 0xf1, 0x03, 0xed), 48,
     "x509-sha256"},
    {UV_GUID(0x7076876e, 0x80c2, 0x4ee6, 0xaa, 0xd2, 0x28, 0xb3, 0x49, 0xa6, 0x86, 0x5b), 64,
     "x509-sha384"},
    {UV_GUID(0x446dbf63, 0x2502, 0x4cda, 0xbc, 0xfa, 0x24, 0x65, 0xd2, 0xb0, 0xfe, 0x9d), 80,
     "x509-sha512"},
};

static const UvGuid x509_type =
    UV_GUID(0xa5c059a1, 0x94e4, 0x4aa7, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72);

bool uv_siglist_next(UvReader *reader, UvSiglist *ret_list)
{
    UvReader peek = *reader;
    UvSiglist list = {.bytes = reader->at};

    if (reader->failed || reader->left == 0)
        return false;
    const uint8_t *type = uv_read_bytes(&peek, sizeof(list.type.bytes));
    const uint32_t list_bytes = uv_read_u32(&peek);
    const uint32_t header_bytes = uv_read_u32(&peek);
    const uint32_t signature_bytes = uv_read_u32(&peek);
    if (peek.failed || list_bytes < EFI_SIGLIST_HEADER_BYTES || list_bytes > reader->left ||
        header_bytes > list_bytes - EFI_SIGLIST_HEADER_BYTES || signature_bytes < OWNER_BYTES)
        return false;

    const size_t all_bytes = list_bytes - EFI_SIGLIST_HEADER_BYTES - header_bytes;
    if (all_bytes % signature_bytes != 0)
        return false;
    memcpy(list.type.bytes, type, sizeof(list.type.bytes));
    list.size = list_bytes;
    list.header_bytes = header_bytes;
    list.signature_bytes = signature_bytes;
    list.signatures = list.bytes + EFI_SIGLIST_HEADER_BYTES + header_bytes;
    list.count = all_bytes / signature_bytes;
    uv_read_bytes(reader, list_bytes);
    *ret_list = list;
    return true;
}

const uint8_t *uv_siglist_data(const UvSiglist *list, size_t i)
{
    g_assert(i < list->count);
    return list->signatures + i * list->signature_bytes + OWNER_BYTES;
}

bool uv_siglist_is_x509(const UvSiglist *list)
{
    return uv_guid_equal(&list->type, &x509_type);
}

static bool check_certificates(const UvSiglist *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!uv_x509_parses(uv_siglist_data(list, i), list->signature_bytes - OWNER_BYTES))
            return false;
    }
    return list->header_bytes == 0;
}

static bool check_type(const UvSiglist *list)
{
    if (uv_siglist_is_x509(list))
        return check_certificates(list);
    for (size_t i = 0; i < G_N_ELEMENTS(fixed_types); i++) {
        if (uv_guid_equal(&list->type, &fixed_types[i].type))
            return list->header_bytes == 0 &&
                   list->signature_bytes == fixed_types[i].data_bytes + OWNER_BYTES;
    }
    return true;
}

const char *uv_siglist_type_name(const UvGuid *type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(fixed_types); i++) {
        if (uv_guid_equal(type, &fixed_types[i].type))
            return fixed_types[i].name;
    }
    return uv_guid_equal(type, &x509_type) ? "x509" : NULL;
}

bool uv_siglist_type_of_name(const char *name, UvGuid *ret_type, size_t *ret_data_bytes)
{
    for (size_t i = 0; i < G_N_ELEMENTS(fixed_types); i++) {
        if (strcmp(fixed_types[i].name, name) == 0) {
            *ret_type = fixed_types[i].type;
            *ret_data_bytes = fixed_types[i].data_bytes;
            return true;
        }
    }
    return false;
}

void uv_siglist_write(UvWriter *writer, const UvGuid *type, const UvGuid *owner, GPtrArray *data)
{
    gsize size = 0;

    if (data->len == 0)
        return;
    g_bytes_get_data(data->pdata[0], &size);
    uv_write_bytes(writer, type->bytes, sizeof(type->bytes));
    uv_write_u32(writer, (uint32_t)(EFI_SIGLIST_HEADER_BYTES + data->len * (OWNER_BYTES + size)));
    uv_write_u32(writer, 0);
    uv_write_u32(writer, (uint32_t)(OWNER_BYTES + size));
    for (guint i = 0; i < data->len; i++) {
        uv_write_bytes(writer, owner->bytes, sizeof(owner->bytes));
        uv_write_bytes(writer, g_bytes_get_data(data->pdata[i], NULL), size);
    }
}

const UvGuid *uv_siglist_x509_type(void)
{
    return &x509_type;
}

bool uv_siglist_check(const uint8_t *bytes, size_t size, bool single)
{
    UvSiglist list;
    size_t count = 0;
    UvReader reader = uv_reader(bytes, size);

    while (uv_siglist_next(&reader, &list)) {
        if (!check_type(&list))
            return false;
        count += list.count;
    }
    return uv_reader_done(&reader) && (!single || count <= 1);
}

/* A signature as a key: its list's type and its bytes. Points into the lists. */
typedef struct {
    const UvGuid *type;
    const uint8_t *bytes;
    size_t size;
} Signature;

static guint signature_hash(gconstpointer key)
{
    const Signature *signature = key;

    return uv_guid_hash(signature->type) ^ uv_hash(signature->bytes, signature->size);
}

static gboolean signature_equal(gconstpointer a, gconstpointer b)
{
    const Signature *x = a, *y = b;

    return x->size == y->size && uv_guid_equal(x->type, y->type) &&
           memcmp(x->bytes, y->bytes, x->size) == 0;
}

static Signature signature_at(const UvSiglist *list, size_t i)
{
    return (Signature){&list->type, list->signatures + i * list->signature_bytes,
                       list->signature_bytes};
}

/* The set of all signatures; keys point into `lists`, which keeps the types alive. */
static bool collect(const uint8_t *bytes, size_t size, GPtrArray *lists, GHashTable *signatures)
{
    UvSiglist list;
    UvReader reader = uv_reader(bytes, size);

    while (uv_siglist_next(&reader, &list)) {
        UvSiglist *kept = g_memdup2(&list, sizeof(list));

        g_ptr_array_add(lists, kept);
        for (size_t i = 0; i < kept->count; i++) {
            const Signature signature = signature_at(kept, i);
            g_hash_table_add(signatures, g_memdup2(&signature, sizeof(signature)));
        }
    }
    return uv_reader_done(&reader);
}

/* `list` again, with only those signatures that are not in `known`; nothing if none is left. */
static void write_new_ones(UvWriter *writer, const UvSiglist *list, GHashTable *known)
{
    const size_t start = uv_writer_size(writer);
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++) {
        const Signature signature = signature_at(list, i);

        if (g_hash_table_contains(known, &signature))
            continue;
        if (count++ == 0)
            uv_write_bytes(writer, list->bytes, EFI_SIGLIST_HEADER_BYTES + list->header_bytes);
        uv_write_bytes(writer, signature.bytes, signature.size);
    }
    if (count > 0)
        uv_write_u32_at(writer, start + sizeof(list->type.bytes),
                        (uint32_t)(uv_writer_size(writer) - start));
}

GBytes *uv_siglist_new_ones(const uint8_t *old, size_t old_size, const uint8_t *bytes, size_t size)
{
    g_autoptr(GPtrArray) lists = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) known =
        g_hash_table_new_full(signature_hash, signature_equal, g_free, NULL);
    UvSiglist list;
    g_auto(UvWriter) writer = uv_writer(size);

    if (!collect(old, old_size, lists, known))
        return NULL;
    UvReader reader = uv_reader(bytes, size);
    while (uv_siglist_next(&reader, &list))
        write_new_ones(&writer, &list, known);
    return uv_reader_done(&reader) ? uv_writer_steal(&writer) : NULL;
}
