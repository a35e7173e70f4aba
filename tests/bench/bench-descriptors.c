/* SPDX-License-Identifier: GPL-2.0-or-later */

/* 1,000 descriptors: loading them all, and resolving one guest's wish among them. Figures only. */

#include "descriptors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_DESCRIPTORS 1000
#define N_RESOLVES 1000

static void make_descriptors(const char *folder)
{
    g_autofree char *template = g_build_filename(folder, "VARS.fd", NULL);

    g_file_set_contents(template, "", 0, NULL);
    for (unsigned i = 0; i < N_DESCRIPTORS; i++) {
        g_autofree char *path = g_strdup_printf("%s/%04u-test.json", folder, i);
        g_autofree char *text = g_strdup_printf(
            "{\"description\":\"number %u\",\"interface-types\":[\"uefi\"],"
            "\"mapping\":{\"device\":\"flash\",\"executable\":{\"filename\":\"/fw/CODE-%u.fd\","
            "\"format\":\"raw\"},\"nvram-template\":{\"filename\":\"%s/VARS.fd\","
            "\"format\":\"raw\"}},\"targets\":[{\"architecture\":\"%s\","
            "\"machines\":[\"pc-i440fx-*\",\"pc-q35-*\"]}],"
            "\"features\":[\"acpi-s3\",\"requires-smm\",\"secure-boot\"],\"tags\":[]}",
            i, i, folder, i + 1 < N_DESCRIPTORS ? "i386" : "x86_64");

        g_file_set_contents(path, text, -1, NULL);
    }
}

int main(void)
{
    g_autofree char *folder = g_dir_make_tmp("bench-descriptors.XXXXXX", NULL);
    g_autofree char *clean_up = g_strdup_printf("rm -r %s", folder);
    const char *path[] = {folder, NULL};
    const char *text = "{\"architecture\":\"x86_64\",\"machine\":\"q35\",\"interface\":\"uefi\","
                       "\"features\":{\"secure-boot\":true}}";
    g_autoptr(DescSet) set = NULL;
    int64_t start, load_us, resolve_us;

    make_descriptors(folder);
    start = g_get_monotonic_time();
    set = desc_set_load(path, NULL, NULL, NULL);
    load_us = g_get_monotonic_time() - start;

    start = g_get_monotonic_time();
    for (unsigned i = 0; i < N_RESOLVES; i++) {
        g_autoptr(DescWish) wish = desc_wish_parse(text, strlen(text), NULL);
        g_autoptr(DescChoice) choice = desc_resolve(set, wish, NULL, NULL);

        g_assert_cmpstr(desc_name(desc_choice_desc(choice)), ==, "0999-test.json");
    }
    resolve_us = g_get_monotonic_time() - start;

    printf("load %u descriptors: %.1f ms (bar 100 ms)\n", N_DESCRIPTORS, (double)load_us / 1000);
    printf("resolve a guest, last of %u matches: %.3f ms (bar 1 ms)\n", N_DESCRIPTORS,
           (double)resolve_us / 1000 / N_RESOLVES);
    return system(clean_up) == 0 ? 0 : 1;
}
