/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What goes out to be run: escaped in one place, or refused with its key. */

#include "emit.h"

#include <string.h>

static const char *const hostile[] = {
    "a\nb",
    "a\rb",
    "\t",
    "a\x1b[2J",
    "\x7f",
    "a\xc2\x85"
    "b",
    "a\xe2\x80\xa8"
    "b",
    "\xff",
    "a\xef\xbf\xbe",
};

static void test_arguments(void)
{
    DescArgs *args = desc_args_new();
    g_autofree char *refusal = NULL, *lines = NULL;

    desc_args_option(args, "-bios");
    desc_args_whole(args, "executable", "/fw/a,b c");
    desc_args_option(args, "-object");
    desc_args_word(args, "type", "igvm-cfg");
    desc_args_pair(args, "file", "/fw/,x,,y=z");
    desc_args_option(args, "-machine");
    desc_args_pair(args, "smm", "on");
    lines = desc_args_finish(args, &refusal);
    g_assert_null(refusal);
    g_assert_cmpstr(lines, ==,
                    "-bios\n/fw/a,b c\n-object\nigvm-cfg,file=/fw/,,x,,,,y=z\n-machine\nsmm=on\n");
}

static void test_no_arguments(void)
{
    g_autofree char *refusal = NULL;
    g_autofree char *lines = desc_args_finish(desc_args_new(), &refusal);

    g_assert_null(refusal);
    g_assert_cmpstr(lines, ==, "");
}

static void test_arguments_refused(void)
{
    static void (*const ways[])(DescArgs *, const char *, const char *) = {
        desc_args_whole, desc_args_word, desc_args_pair, desc_args_check};

    for (size_t i = 0; i < G_N_ELEMENTS(hostile) * G_N_ELEMENTS(ways); i++) {
        DescArgs *args = desc_args_new();
        g_autofree char *refusal = NULL;

        desc_args_option(args, "-x");
        desc_args_pair(args, "fine", "fine");
        ways[i % G_N_ELEMENTS(ways)](args, "wrong", hostile[i / G_N_ELEMENTS(ways)]);
        desc_args_pair(args, "later", "\n");
        g_assert_null(desc_args_finish(args, &refusal));
        g_assert_true(g_str_has_prefix(refusal, "wrong: "));
    }
}

static void test_xml(void)
{
    DescXml *xml = desc_xml_new();
    g_autofree char *refusal = NULL, *text = NULL;

    desc_xml_begin(xml, "a");
    desc_xml_attribute(xml, "b", "it's <\"&>");
    desc_xml_begin(xml, "empty");
    desc_xml_end(xml);
    desc_xml_begin(xml, "c");
    desc_xml_begin(xml, "d");
    desc_xml_text(xml, "</d>&amp;");
    desc_xml_end(xml);
    desc_xml_end(xml);
    desc_xml_end(xml);
    text = desc_xml_finish(xml, &refusal);
    g_assert_null(refusal);
    g_assert_cmpstr(text, ==,
                    "<a b='it&apos;s &lt;&quot;&amp;&gt;'>\n  <empty/>\n  <c>\n"
                    "    <d>&lt;/d&gt;&amp;amp;</d>\n  </c>\n</a>\n");
}

static void test_xml_refused(void)
{
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(hostile); i++) {
        DescXml *xml = desc_xml_new();
        g_autofree char *refusal = NULL;

        desc_xml_begin(xml, "name");
        if (i % 2)
            desc_xml_attribute(xml, "key", hostile[i / 2]);
        else
            desc_xml_text(xml, hostile[i / 2]);
        desc_xml_end(xml);
        g_assert_null(desc_xml_finish(xml, &refusal));
        g_assert_true(g_str_has_prefix(refusal, i % 2 ? "key: " : "name: "));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/emit/arguments", test_arguments);
    g_test_add_func("/emit/no-arguments", test_no_arguments);
    g_test_add_func("/emit/arguments-refused", test_arguments_refused);
    g_test_add_func("/emit/xml", test_xml);
    g_test_add_func("/emit/xml-refused", test_xml_refused);
    return g_test_run();
}
