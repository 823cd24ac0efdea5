/* SPDX-License-Identifier: MIT */
/*
 * What becomes of each key that xl.cfg(5) has: a parameter of domain.create, a line that says that
 * it has no effect, or a refusal. For xlcfg.c, which reads the values.
 */
#ifndef XENOPUS_XLKEYS_H
#define XENOPUS_XLKEYS_H

enum xlkey_kind {
	XLKEY_STRING, /* a parameter of domain.create, as are the next three */
	XLKEY_PATH,   /* of a file: made absolute */
	XLKEY_NUMBER,
	XLKEY_ACTION,	 /* what is done when the domain stops */
	XLKEY_OTHER,	 /* xlcfg.c knows how */
	XLKEY_NONE,	 /* a default of xl that cannot matter: silently taken */
	XLKEY_NO_EFFECT, /* said in a line */
	XLKEY_REFUSED,
};

/** struct xlkey - @param: of domain.create; @why: a line about it, for the last two kinds */
struct xlkey {
	const char *name;
	enum xlkey_kind kind;
	const char *param, *why;
};

/** xlkey_find() - NULL if xl.cfg(5) has no such key. The @name of one without effect is NULL. */
const struct xlkey *xlkey_find(const char *name);

/** xlkey_next_path() - the next key of kind XLKEY_PATH behind @k, the first with NULL; or NULL. */
const struct xlkey *xlkey_next_path(const struct xlkey *k);

#endif
