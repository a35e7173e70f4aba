/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The few elements that matter:
 *
 *   <domain><os firmware='efi'>
 *     <loader type='pflash' format='raw|qcow2' stateless='yes'>...</loader>
 *     <nvram format='raw|qcow2' type='file|block|...'>PATH, or <source file=|dev='PATH'/></nvram>
 *     <varstore path='PATH'/>
 *   </os></domain>
 *
 * All else is passed over. A <varstore> is a JSON store; an nvram without a format has its
 * loader's.
 */

#include "domain-xml.h"

#include "domain-name.h"

#include <string.h>

#define XML_BYTES_MAX (4u * 1024 * 1024) /* libvirt's own limit of a string */

typedef struct {
    bool efi, stateless, has_nvram, has_varstore, local;
    char *loader_format, *nvram_format, *varstore;
    GString *nvram;
} Found;

static void found_clear(Found *found)
{
    g_free(found->loader_format);
    g_free(found->nvram_format);
    g_free(found->varstore);
    g_string_free(found->nvram, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Found, found_clear)

void fs_domain_store_clear(FsDomainStore *store)
{
    g_clear_pointer(&store->path, g_free);
}

/* NULL: it has none. */
static const char *attribute(const char **names, const char **values, const char *wanted)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], wanted) == 0)
            return values[i];
    return NULL;
}

/* Whether the elements that are open are these, from the innermost; NULL ends them. */
static bool is_at(GMarkupParseContext *context, const char *const *wanted)
{
    const GSList *open = g_markup_parse_context_get_element_stack(context);

    for (; open && *wanted && strcmp(open->data, *wanted) == 0; wanted++)
        open = open->next;
    return !open && !*wanted;
}

static const char *const at_domain[] = {"domain", NULL};
static const char *const at_os[] = {"os", "domain", NULL};
static const char *const at_loader[] = {"loader", "os", "domain", NULL};
static const char *const at_nvram[] = {"nvram", "os", "domain", NULL};
static const char *const at_source[] = {"source", "nvram", "os", "domain", NULL};
static const char *const at_varstore[] = {"varstore", "os", "domain", NULL};

static void take_loader(Found *found, const char **names, const char **values)
{
    found->efi |= g_strcmp0(attribute(names, values, "type"), "pflash") == 0;
    found->stateless |= g_strcmp0(attribute(names, values, "stateless"), "yes") == 0;
    g_free(found->loader_format);
    found->loader_format = g_strdup(attribute(names, values, "format"));
}

static void take_nvram(Found *found, const char **names, const char **values)
{
    const char *type = attribute(names, values, "type");

    found->has_nvram = true;
    found->local = !type || strcmp(type, "file") == 0 || strcmp(type, "block") == 0;
    g_free(found->nvram_format);
    found->nvram_format = g_strdup(attribute(names, values, "format"));
}

static void take_source(Found *found, const char **names, const char **values)
{
    const char *file = attribute(names, values, "file"), *device = attribute(names, values, "dev");

    g_string_assign(found->nvram, file ? file : device ? device : "");
}

static void on_start(GMarkupParseContext *context, const char *element, const char **names,
                     const char **values, void *data, GError **error)
{
    Found *found = data;

    if (!g_markup_parse_context_get_element_stack(context)->next && !is_at(context, at_domain)) {
        g_set_error(error, G_MARKUP_ERROR, G_MARKUP_ERROR_UNKNOWN_ELEMENT,
                    "<%s> where <domain> was expected", element);
    } else if (is_at(context, at_os)) {
        found->efi |= g_strcmp0(attribute(names, values, "firmware"), "efi") == 0;
    } else if (is_at(context, at_loader)) {
        take_loader(found, names, values);
    } else if (is_at(context, at_nvram)) {
        take_nvram(found, names, values);
    } else if (is_at(context, at_source)) {
        take_source(found, names, values);
    } else if (is_at(context, at_varstore)) {
        found->has_varstore = true;
        g_free(found->varstore);
        found->varstore = g_strdup(attribute(names, values, "path"));
    }
}

static void on_text(GMarkupParseContext *context, const char *text, gsize size, void *data,
                    GError **error)
{
    Found *found = data;

    if (is_at(context, at_nvram))
        g_string_append_len(found->nvram, text, (gssize)size);
}

static bool take_path(const char *path, FsDomainStore *store, GError **error)
{
    g_autofree char *plain = NULL;

    if (!path || !*path)
        return true;
    if (path[0] == '/' && !strstr(path, "/../") && !g_str_has_suffix(path, "/.."))
        plain = g_canonicalize_filename(path, "/");
    if (!plain || !fs_domain_path_valid(plain) || strlen(plain) >= FS_QUESTION_TEXT) {
        g_autofree char *shown = g_strescape(path, NULL);
        g_set_error(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT,
                    "the store's path must be absolute, of less than %d bytes, and without \"..\" "
                    "and control characters: \"%.*s\"",
                    FS_QUESTION_TEXT, FS_QUESTION_TEXT, shown);
        return false;
    }
    store->path = g_steal_pointer(&plain);
    return true;
}

static bool conclude(const Found *found, FsDomainStore *store, GError **error)
{
    const char *format = found->nvram_format ? found->nvram_format : found->loader_format;

    if (found->has_varstore) {
        store->is_guest = true;
        store->format = FS_FORMAT_JSON;
        return take_path(found->varstore, store, error);
    }
    store->is_guest = found->has_nvram || (found->efi && !found->stateless);
    store->format = g_strcmp0(format, "qcow2") == 0 ? FS_FORMAT_QCOW2 : FS_FORMAT_FLASH;
    if (!found->has_nvram || !found->local)
        return true;
    g_strstrip(found->nvram->str);
    return take_path(found->nvram->str, store, error);
}

bool fs_domain_xml_read(const char *xml, FsDomainStore *ret_store, GError **error)
{
    static const GMarkupParser parser = {.start_element = on_start, .text = on_text};
    g_auto(Found) found = {.nvram = g_string_new(NULL)};
    g_auto(FsDomainStore) store = {0};
    g_autoptr(GMarkupParseContext) context =
        g_markup_parse_context_new(&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, &found, NULL);
    const size_t size = strlen(xml);

    if (size > XML_BYTES_MAX) {
        g_set_error(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT,
                    "a domain's XML of %zu bytes", size);
        return false;
    }
    if (!g_markup_parse_context_parse(context, xml, (gssize)size, error) ||
        !g_markup_parse_context_end_parse(context, error) || !conclude(&found, &store, error))
        return false;
    *ret_store = store;
    store.path = NULL;
    return true;
}

bool fs_domain_describe(const char *name, const char *xml, bool saved, FsDomain *ret_domain,
                        GError **error)
{
    g_autofree char *guest = fs_domain_guest(name);
    g_auto(FsDomainStore) store = {0};

    if (!guest || !fs_domain_xml_read(xml, &store, error) || !store.is_guest)
        return false;
    *ret_domain = (FsDomain){.kind = FS_DOMAIN_IS, .format = store.format};
    g_strlcpy(ret_domain->guest, guest, sizeof(ret_domain->guest));
    g_strlcpy(ret_domain->text, store.path ? store.path : "", sizeof(ret_domain->text));
    ret_domain->flags = saved ? FS_DOMAIN_SAVED : 0;
    return true;
}
