/* SPDX-License-Identifier: MIT */
/* What a domain is made from: see guest.h. */
#include "guest.h"
#include <xen/sched.h>

G_DEFINE_QUARK(xenopus_guest_error, guest_error)

struct guest_config *guest_config_new(void)
{
	struct guest_config *c = g_new0(struct guest_config, 1);

	c->memory = 256;
	c->vcpus = 1;
	c->on[SHUTDOWN_reboot] = ACTION_RESTART;
	guest_config_new_uuid(c);
	return c;
}

void guest_config_new_uuid(struct guest_config *c)
{
	g_autofree char *text = g_uuid_string_random();

	guest_uuid_parse(text, c->uuid);
}

bool guest_uuid_parse(const char *text, uint8_t uuid[16])
{
	if (!g_uuid_string_is_valid(text))
		return false;
	for (unsigned i = 0; i < 16; text += 2, i++) {
		if (*text == '-')
			text++;
		uuid[i] = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 |
				    g_ascii_xdigit_value(text[1]));
	}
	return true;
}

char *guest_uuid_text(const uint8_t uuid[16])
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < 16; i++)
		g_string_append_printf(text, "%s%02x", i >= 4 && i <= 10 && !(i & 1) ? "-" : "",
				       uuid[i]);
	return g_string_free(text, FALSE);
}

void guest_config_free(struct guest_config *c)
{
	if (!c)
		return;
	g_free(c->name);
	g_free(c->kernel);
	g_free(c->ramdisk);
	g_free(c->cmdline);
	g_free(c->cpus);
	g_free(c);
}
