/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The JSON loader: what it takes, it writes as text that it takes as the same. */

#include "fuzz.h"

#include "json.h"

static UvVarset *set_of(const GPtrArray *variables)
{
    UvVarset *set = uv_varset_new();

    for (guint i = 0; i < variables->len; i++)
        uv_varset_put(set, variables->pdata[i]);
    return set;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GPtrArray) variables = NULL, again = NULL;
    g_autoptr(UvVarset) set = NULL, set_again = NULL;
    g_autoptr(GBytes) text = NULL, text_again = NULL;
    g_autoptr(GError) error = NULL;

    variables = uv_json_parse("fuzz", (const char *)data, size, NULL, &error);
    g_assert_true(!variables == !!error);
    if (!variables)
        return 0;
    set = set_of(variables);
    text = uv_json_format(set);
    again =
        uv_json_parse("again", g_bytes_get_data(text, NULL), g_bytes_get_size(text), NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(again->len, ==, variables->len);
    set_again = set_of(again);
    text_again = uv_json_format(set_again);
    g_assert_true(g_bytes_equal(text, text_again));
    return 0;
}
