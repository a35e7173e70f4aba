/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "signers.h"

#include "certdb.h"
#include "uv-limits.h"

typedef struct {
    const GPtrArray *variables;
    bool nv;
    const UvVariable *certdb; /* or NULL */
} Signers;

static bool is_private(const Signers *signers, const UvVariable *variable)
{
    return uv_variable_is_nv(variable) == signers->nv &&
           (variable->attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS);
}

static const UvVariable *find_certdb(const Signers *signers)
{
    g_autoptr(UvName) name = uv_certdb_name(signers->nv);

    for (guint i = 0; i < signers->variables->len; i++) {
        const UvVariable *variable = signers->variables->pdata[i];

        if (uv_guid_equal(&variable->guid, &uv_guid_cert_db) &&
            uv_name_equal(variable->name, name) && uv_variable_is_nv(variable) == signers->nv)
            return variable;
    }
    return NULL;
}

static GPtrArray *new_list(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)uv_variable_unref);
}

static GPtrArray *as_it_is(const Signers *signers)
{
    GPtrArray *list = new_list();

    for (guint i = 0; i < signers->variables->len; i++)
        g_ptr_array_add(list, uv_variable_ref(signers->variables->pdata[i]));
    return list;
}

static void add_with(GPtrArray *list, const UvVariable *variable, GBytes *data, GBytes *digest)
{
    UvVariable fields = *variable;

    fields.data = data;
    fields.digest = digest;
    g_ptr_array_add(list, uv_variable_new(&fields));
}

/* ---- from certdb ---- */

/* The identity that certdb has for a variable, if it can be a digest; NULL otherwise. */
static GBytes *kept_identity(const UvVariable *certdb, const UvVariable *variable)
{
    UvReader reader = uv_certdb_open(certdb);
    UvCertdbEntry entry;

    while (uv_certdb_next(&reader, &entry)) {
        if (uv_certdb_entry_is(&entry, &variable->guid, variable->name))
            return entry.identity.size <= UV_SIGNER_DIGEST_MAX
                       ? g_bytes_new(entry.identity.bytes, entry.identity.size)
                       : NULL;
    }
    return NULL;
}

static GPtrArray *from_certdb(const Signers *signers)
{
    GPtrArray *list = new_list();

    for (guint i = 0; i < signers->variables->len; i++) {
        const UvVariable *variable = signers->variables->pdata[i];
        g_autoptr(GBytes) identity = NULL;

        if (is_private(signers, variable) && !variable->digest)
            identity = kept_identity(signers->certdb, variable);
        if (identity)
            add_with(list, variable, variable->data, identity);
        else
            g_ptr_array_add(list, uv_variable_ref(variable));
    }
    return list;
}

/* ---- to certdb ---- */

static bool has_digest(const Signers *signers, const UvVariable *variable)
{
    return is_private(signers, variable) && variable->digest;
}

static bool is_replaced(const Signers *signers, const UvCertdbEntry *entry)
{
    for (guint i = 0; i < signers->variables->len; i++) {
        const UvVariable *variable = signers->variables->pdata[i];

        if (has_digest(signers, variable) &&
            uv_certdb_entry_is(entry, &variable->guid, variable->name))
            return true;
    }
    return false;
}

/* NULL: no digest, or malformed, or too large. */
static GBytes *merged_certdb(const Signers *signers)
{
    UvCertdbEntry entry;
    bool any = false;
    g_auto(UvWriter) writer = uv_writer(UV_VARIABLE_MAX);

    uv_write_u32(&writer, 0);
    if (signers->certdb) {
        UvReader reader = uv_certdb_open(signers->certdb);

        while (uv_certdb_next(&reader, &entry))
            if (!is_replaced(signers, &entry))
                uv_write_bytes(&writer, entry.bytes, entry.size);
        if (!uv_reader_done(&reader))
            return NULL;
    }
    for (guint i = 0; i < signers->variables->len; i++) {
        const UvVariable *variable = signers->variables->pdata[i];

        if (!has_digest(signers, variable))
            continue;
        uv_certdb_write_entry(&writer, &variable->guid, variable->name, variable->digest);
        any = true;
    }
    return any ? uv_certdb_finish(&writer) : NULL;
}

static void add_certdb(const Signers *signers, GPtrArray *list, GBytes *data)
{
    g_autoptr(UvName) name = uv_certdb_name(signers->nv);
    const UvVariable fields = {
        .guid = uv_guid_cert_db,
        .name = name,
        .attributes = uv_certdb_attributes(signers->nv),
    };

    add_with(list, signers->certdb ? signers->certdb : &fields, data, NULL);
}

static GPtrArray *to_certdb(const Signers *signers)
{
    g_autoptr(GBytes) certdb = merged_certdb(signers);
    GPtrArray *list;

    if (!certdb)
        return as_it_is(signers);
    list = new_list();
    for (guint i = 0; i < signers->variables->len; i++) {
        const UvVariable *variable = signers->variables->pdata[i];

        if (variable == signers->certdb)
            continue;
        if (has_digest(signers, variable))
            add_with(list, variable, variable->data, NULL);
        else
            g_ptr_array_add(list, uv_variable_ref(variable));
    }
    add_certdb(signers, list, certdb);
    return list;
}

GPtrArray *uv_signers_convert(const GPtrArray *variables, bool nv, bool keeps_certdb)
{
    Signers signers = {.variables = variables, .nv = nv};

    signers.certdb = find_certdb(&signers);
    if (keeps_certdb)
        return to_certdb(&signers);
    return signers.certdb ? from_certdb(&signers) : as_it_is(&signers);
}
