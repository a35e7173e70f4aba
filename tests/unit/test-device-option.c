/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What QEMU's command line says of its uefi-vars device. */

#include <string.h>

#include "device-option.h"

typedef struct {
    const char *value; /* of -device; NULL: there is none */
    const char *store;
    bool found, socket;
} Case;

static const Case cases[] = {
    {NULL, NULL, false, false},
    {"uefi-vars-x64", NULL, true, false},
    {"uefi-vars-x64,help", NULL, true, false},
    {"uefi-vars-sysbus,jsonfile=/a.json", "/a.json", true, false},
    {"uefi-vars-x64,jsonfile=/a,,b=c.json,size=1", "/a,b=c.json", true, false},
    {"uefi-vars-x64,jsonfile=", "", true, false},
    {"uefi-vars-x64,jsonfile=/a,jsonfile=/b", "/b", true, false},
    {"uefi-vars-x64,use-pio=on,socket=/s", NULL, true, true},
    {"id=x,driver=uefi-vars-x64,jsonfile=/a,", "/a", true, false},
    {"virtio-net,jsonfile=/a", NULL, false, false},
    {"uefi-vars-x64x,jsonfile=/a", NULL, false, false},
    {"jsonfile=/a", NULL, false, false},
    {"", NULL, false, false},
    {",", NULL, false, false},
    {"=", NULL, false, false},
    {"{\"driver\":\"uefi-vars-x64\",\"jsonfile\":\"/a\"}", "/a", true, false},
    {" { 'driver' : 'uefi-vars-x64' , 'socket' : '/s' } ", NULL, true, true},
    {"{\"a\":[1,{\"b\":\"}\"}],\"c\":true,\"driver\":\"uefi-vars-x64\",\"jsonfile\":"
     "\"/\\\"\\\\\\/\\u00e9\\ud83d\\ude00\"}",
     "/\"\\/\303\251\360\237\230\200", true, false},
    {"{\"driver\":\"uefi-vars-x64\",\"jsonfile\":null}", NULL, true, false},
    {"{\"jsonfile\":\"/a\",\"driver\":\"usb-kbd\"}", NULL, false, false},
    {"{\"driver\":\"uefi-vars-x64\"", NULL, true, false},
    {"{\"driver\":\"uefi-vars-x64", NULL, true, false},
    {"{", NULL, false, false},
    {"{]}", NULL, false, false},
    {"{\"a\":\"\\u0000\"}", NULL, false, false},
    {"{\"a\":\"\\ud800\\u0041\"}", NULL, false, false},
    {"{\"a\":\"\\", NULL, false, false},
    {"{\"a\":]]],\"driver\":\"uefi-vars-x64\"}", NULL, false, false},
};

static GlueDeviceOption parse(const char *const *arguments)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (; *arguments; arguments++)
        g_string_append_len(line, *arguments, strlen(*arguments) + 1);
    return glue_device_option_parse(line->str, line->len);
}

static void test_forms(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *const arguments[] = {"qemu", "-S", cases[i].value ? "-device" : "-nodefaults",
                                         cases[i].value, NULL};
        g_auto(GlueDeviceOption) option = parse(arguments);

        g_test_message("%s", cases[i].value);
        g_assert_cmpint(option.found, ==, cases[i].found);
        g_assert_cmpint(option.socket, ==, cases[i].socket);
        g_assert_cmpstr(option.store, ==, cases[i].store);
    }
}

static void test_which(void)
{
    const char *const several[] = {
        "qemu",
        "--device",
        "usb-kbd",
        "-device",
        "uefi-vars-x64,jsonfile=/1",
        "-device",
        "uefi-vars-x64,jsonfile=/2",
        "-device",
        NULL,
    };
    g_auto(GlueDeviceOption) option = parse(several);

    g_assert_true(option.found);
    g_assert_cmpstr(option.store, ==, "/1");
}

/* The kernel may cut the line anywhere. */
static void test_cut(void)
{
    static const char line[] = "qemu\0-device\0uefi-vars-x64,jsonfile=/a";

    for (size_t bytes = 0; bytes <= sizeof(line); bytes++) {
        g_autofree char *copy = g_memdup2(line, bytes);
        g_auto(GlueDeviceOption) option = glue_device_option_parse(copy, bytes);

        g_assert_cmpint(option.found, ==, bytes >= strlen("qemu -device uefi-vars-x64"));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/device-option/forms", test_forms);
    g_test_add_func("/device-option/which", test_which);
    g_test_add_func("/device-option/cut", test_cut);
    return g_test_run();
}
