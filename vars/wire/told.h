/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Many FsTold as the monitor hands them over: in a memfd, one after the other, of each the numbers
 * of its look, then its three texts, each a byte of its length and so many. They are a quarter of
 * the structs, and there are thousands.
 */

#include "questions.h"

/* A descriptor of these, or -errno. */
int fs_told_write(const FsTold *told, unsigned n);
/* As many as are there, `most` at most, and are valid: texts that end, numbers in their ranges. */
unsigned fs_told_read(int fd, FsTold *ret_told, unsigned most);
