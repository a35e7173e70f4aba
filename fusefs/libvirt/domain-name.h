/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The guest that a domain is: of its name, unless that is no guest's name.
 *
 * What can't be in one is written as %XX: a leading dot, a slash, control characters, the dot of a
 * name that ends in ".config.json"; and so is a percent sign where it would be read as one of
 * these. A name of more than 200 bytes is cut, and ends in "%~" and 16 hex digits of the SHA-256 of
 * the whole. So no two domains are one guest. NULL: an empty name. To be freed.
 */
char *fs_domain_guest(const char *name);
