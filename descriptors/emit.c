/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "emit.h"

#include <string.h>

struct DescArgs {
    GString *lines;
    bool in_value; /* the value's line has begun */
    char *refusal; /* the first; NULL: none */
};

struct DescXml {
    GString *text;
    GPtrArray *open; /* of const char *: the elements around */
    bool in_tag;     /* the innermost one's start tag is not closed yet */
    bool has_text;   /* it has text, so its end tag follows on the same line */
    char *refusal;
};

const char *desc_emit_fault(const char *value)
{
    if (!g_utf8_validate(value, -1, NULL))
        return "is not UTF-8";
    for (const char *at = value; *at; at = g_utf8_next_char(at)) {
        const gunichar character = g_utf8_get_char(at);

        if (g_unichar_iscntrl(character) || character == 0x2028 || character == 0x2029)
            return "has a control character";
        if (character == 0xfffe || character == 0xffff)
            return "has a character that XML has not";
    }
    return NULL;
}

/* False, and remembered, if it may not go out. */
static bool check(char **refusal, const char *key, const char *value)
{
    const char *fault = desc_emit_fault(value);

    if (fault && !*refusal)
        *refusal = g_strdup_printf("%s: %s", key, fault);
    return !fault;
}

DescArgs *desc_args_new(void)
{
    DescArgs *args = g_new0(DescArgs, 1);

    args->lines = g_string_new(NULL);
    return args;
}

static void end_value(DescArgs *args)
{
    if (args->lines->len > 0)
        g_string_append_c(args->lines, '\n');
    args->in_value = false;
}

void desc_args_option(DescArgs *args, const char *option)
{
    end_value(args);
    g_string_append_printf(args->lines, "%s\n", option);
}

void desc_args_check(DescArgs *args, const char *key, const char *value)
{
    check(&args->refusal, key, value);
}

void desc_args_whole(DescArgs *args, const char *key, const char *value)
{
    if (check(&args->refusal, key, value))
        g_string_append(args->lines, value);
}

/* A ',' inside a value is written twice. */
static void append_doubled(GString *text, const char *value)
{
    for (; *value; value++) {
        g_string_append_c(text, *value);
        if (*value == ',')
            g_string_append_c(text, ',');
    }
}

static void separate(DescArgs *args)
{
    if (args->in_value)
        g_string_append_c(args->lines, ',');
    args->in_value = true;
}

void desc_args_word(DescArgs *args, const char *key, const char *value)
{
    if (!check(&args->refusal, key, value))
        return;
    separate(args);
    append_doubled(args->lines, value);
}

void desc_args_pair(DescArgs *args, const char *key, const char *value)
{
    if (!check(&args->refusal, key, value))
        return;
    separate(args);
    g_string_append_printf(args->lines, "%s=", key);
    append_doubled(args->lines, value);
}

char *desc_args_finish(DescArgs *args, char **ret_refusal)
{
    char *lines;

    end_value(args);
    *ret_refusal = args->refusal;
    lines = g_string_free(args->lines, args->refusal != NULL);
    g_free(args);
    return lines;
}

DescXml *desc_xml_new(void)
{
    DescXml *xml = g_new0(DescXml, 1);

    xml->text = g_string_new(NULL);
    xml->open = g_ptr_array_new();
    return xml;
}

static void indent(DescXml *xml)
{
    for (guint i = 0; i < xml->open->len; i++)
        g_string_append(xml->text, "  ");
}

void desc_xml_begin(DescXml *xml, const char *element)
{
    if (xml->in_tag)
        g_string_append(xml->text, ">\n");
    indent(xml);
    g_string_append_printf(xml->text, "<%s", element);
    g_ptr_array_add(xml->open, (gpointer)element);
    xml->in_tag = true;
    xml->has_text = false;
}

void desc_xml_attribute(DescXml *xml, const char *name, const char *value)
{
    g_autofree char *escaped = NULL;

    if (!check(&xml->refusal, name, value))
        return;
    escaped = g_markup_escape_text(value, -1);
    g_string_append_printf(xml->text, " %s='%s'", name, escaped);
}

void desc_xml_text(DescXml *xml, const char *text)
{
    g_autofree char *escaped = NULL;

    if (!check(&xml->refusal, xml->open->pdata[xml->open->len - 1], text))
        return;
    escaped = g_markup_escape_text(text, -1);
    g_string_append_printf(xml->text, ">%s", escaped);
    xml->in_tag = false;
    xml->has_text = true;
}

void desc_xml_end(DescXml *xml)
{
    const char *element = g_ptr_array_steal_index(xml->open, xml->open->len - 1);

    if (xml->in_tag) {
        g_string_append(xml->text, "/>\n");
    } else {
        if (!xml->has_text)
            indent(xml);
        g_string_append_printf(xml->text, "</%s>\n", element);
    }
    xml->in_tag = xml->has_text = false;
}

char *desc_xml_finish(DescXml *xml, char **ret_refusal)
{
    char *text;

    *ret_refusal = xml->refusal;
    text = g_string_free(xml->text, xml->refusal != NULL);
    g_ptr_array_unref(xml->open);
    g_free(xml);
    return text;
}
