/* SPDX-License-Identifier: MIT */
/* xl.cfg(5) of PV domains, as far as this machine can do what it says. */
#ifndef XENOPUS_XLCFG_H
#define XENOPUS_XLCFG_H

#include <glib.h>
#include <json-glib/json-glib.h>

/**
 * xlcfg_read() - The parameters of domain.create that the file means; json_object_unref() it.
 * @more: lines that follow those of the file, as from a command line, ended by NULL; or NULL
 * @warn: called with a line for each thing that has no effect
 * @error: file, line and key of what cannot work here; NULL is returned then
 */
JsonObject *xlcfg_read(const char *path, char *const *more, void (*warn)(const char *line),
		       GError **error);

/**
 * xlcfg_blame() - The machine's complaint, with file, line and key when it begins with a key that
 * is set there or with the path that a key gives.
 * @path, @more: as for xlcfg_read(); @params: what that returned
 * Return: free it with g_free()
 */
char *xlcfg_blame(const char *path, char *const *more, JsonObject *params, const char *complaint);

#endif
