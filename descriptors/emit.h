/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What goes out to be run by a user: QEMU's arguments, one a line, and XML. Each value passes one
 * place that escapes it, or refuses it with its key: what has a control character (a line break
 * would begin an argument of its own) or is no UTF-8 can't stand in either. After a refusal the
 * rest is still taken, and nothing comes out.
 */

#include <glib.h>
#include <stdbool.h>

typedef struct DescArgs DescArgs;
typedef struct DescXml DescXml;

/* NULL if the value may go out, else what is wrong with it. */
const char *desc_emit_fault(const char *value);

DescArgs *desc_args_new(void);
/* The next argument but one is this option's value, made by the calls that follow. */
void desc_args_option(DescArgs *args, const char *option);
/* All of the value, taken by QEMU as it is (-bios, -kernel, JSON of -blockdev). */
void desc_args_whole(DescArgs *args, const char *key, const char *value);
/* A value without its key, in QEMU's syntax of commas: the first, or a word that stands alone. */
void desc_args_word(DescArgs *args, const char *key, const char *value);
/* "key=value" in that syntax. */
void desc_args_pair(DescArgs *args, const char *key, const char *value);
/* For values that go into another one. */
void desc_args_check(DescArgs *args, const char *key, const char *value);
/* The lines; NULL with "key: reason" (allocated). */
char *desc_args_finish(DescArgs *args /* takes ownership */, char **ret_refusal);

DescXml *desc_xml_new(void);
/* An element in the one that is open. */
void desc_xml_begin(DescXml *xml, const char *element);
/* Of the element that has just begun. */
void desc_xml_attribute(DescXml *xml, const char *name, const char *value);
/* All that is in the element that has just begun. */
void desc_xml_text(DescXml *xml, const char *text);
void desc_xml_end(DescXml *xml);
/* The document; NULL with "element or attribute: reason" (allocated). */
char *desc_xml_finish(DescXml *xml /* takes ownership */, char **ret_refusal);
