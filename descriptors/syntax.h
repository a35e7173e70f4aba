/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The syntax of names from config.json, pins and descriptors, which go into commands that people
 * run. Each function gives NULL, or what was expected (uefivarsfs-config(5) says the same).
 */

/* A machine type: a letter or digit, then letters, digits, '.', '_', '+', '-'; at most 64. */
const char *desc_machine_fault(const char *name);
/* A plain name of a file: at most 255 bytes, no '/', no control character, no dot in front. */
const char *desc_file_name_fault(const char *name);
/* An absolute path of at most 4095 bytes without control characters. */
const char *desc_path_fault(const char *path);
/* Text of one line: no control character. */
const char *desc_line_fault(const char *text);
