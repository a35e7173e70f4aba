/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Descriptors, config.json and pins: each input is taken for all three, and what parses is resolved
 * and shown. */

#include "desc.h"
#include "fuzz.h"

#include <string.h>

/* Nobody's value begins an argument of its own: all there are, are options of ours. */
static void check_arguments(const char *text)
{
    static const char *const options[] = {"-blockdev", "-bios",   "-kernel", "-object", "-machine",
                                          "-cpu",      "-global", "-device", "-drive",  NULL};
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    const guint n = g_strv_length(lines);

    for (guint i = 0; i + 1 < n; i++) {
        if (i % 2 == 0)
            g_assert_true(g_strv_contains(options, lines[i]));
        g_assert_null(desc_emit_fault(lines[i]));
    }
    g_assert_cmpuint(n % 2, ==, 1);
    g_assert_cmpstr(lines[n - 1], ==, "");
}

static void check_xml(const char *text)
{
    static const GMarkupParser nothing = {0};
    g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&nothing, 0, NULL, NULL);
    g_autoptr(GError) error = NULL;

    g_markup_parse_context_parse(context, text, -1, &error);
    g_assert_no_error(error);
}

static void show(const DescChoice *choice, const DescPlace *place)
{
    for (size_t i = 0; desc_choice_file_name(choice, i); i++) {
        const char *name = desc_choice_file_name(choice, i);
        bool is_link;
        g_autofree char *text = desc_choice_file(choice, place, name, &is_link);

        if (text && g_str_has_suffix(name, ".args"))
            check_arguments(text);
        if (text && g_str_has_suffix(name, ".xml"))
            check_xml(text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const nowhere[] = {NULL};
    g_autoptr(DescSet) set = desc_set_load(nowhere, NULL, NULL, NULL);
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(Desc) desc = desc_parse("/fuzz/50-fuzz.json", text, strlen(text));
    g_autoptr(DescChoice) alone = desc_choice_of(desc);
    g_autoptr(DescWish) wish = desc_wish_parse(text, strlen(text), NULL);
    g_autoptr(DescWish) any = desc_wish_parse("", 0, NULL);
    const DescPlace place = {
        .guest_name = text, .store_path = text, .socket_path = "/nonexistent/socket"};
    g_autoptr(DescChoice) pinned = desc_resolve(set, wish ? wish : any, text, NULL);

    g_assert_cmpint(desc_image_parse(data, size, size).kind, !=, DESC_IMAGE_UNKNOWN);
    show(alone, &place);
    show(pinned, &place);
    if (!desc->problem) {
        g_autofree char *pin = desc_choice_pin(alone);
        g_autoptr(DescChoice) again = desc_resolve(set, any, pin, NULL);

        g_assert_nonnull(desc_choice_desc(again));
        g_free(desc_mismatch(desc, wish ? wish : any));
    }
    return 0;
}
