/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Descriptors, config.json and pins: each input is taken for all three, and what parses is resolved
 * and shown. */

#include "desc.h"
#include "fuzz.h"

#include <string.h>

static void show(const DescChoice *choice)
{
    static const DescPlace place = {.guest_name = "guest",
                                    .store_path = "/nonexistent/store",
                                    .socket_path = "/nonexistent/socket"};

    for (size_t i = 0; desc_choice_file_name(choice, i); i++) {
        bool is_link;

        g_free(desc_choice_file(choice, &place, desc_choice_file_name(choice, i), &is_link));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const nowhere[] = {NULL};
    g_autoptr(DescSet) set = desc_set_load(nowhere, NULL, NULL);
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(Desc) desc = desc_parse("/fuzz/50-fuzz.json", text, strlen(text));
    g_autoptr(DescChoice) alone = desc_choice_of(desc);
    g_autoptr(DescWish) wish = desc_wish_parse(text, strlen(text), NULL);
    g_autoptr(DescWish) any = desc_wish_parse("", 0, NULL);
    g_autoptr(DescChoice) pinned = desc_resolve(set, wish ? wish : any, text, NULL);

    g_assert_cmpint(desc_image_parse(data, size, size).kind, !=, DESC_IMAGE_UNKNOWN);
    show(alone);
    show(pinned);
    if (!desc->problem) {
        g_autofree char *pin = desc_choice_pin(alone);
        g_autoptr(DescChoice) again = desc_resolve(set, any, pin, NULL);

        g_assert_nonnull(desc_choice_desc(again));
        g_free(desc_mismatch(desc, wish ? wish : any));
    }
    return 0;
}
