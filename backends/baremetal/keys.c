/* SPDX-License-Identifier: MIT */
/* Keys for people: what the hypervisor does when it is typed at (Ctrl-A three times, past the last domain). */
#include <xenopus/control.h>
#include "console.h"
#include "metal.h"

static void (*answer)(void *opaque, const char *text); /* CPU 0's: only that one reads keys */

static void show(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void show(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	xvsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	answer(NULL, line);
}

static void key_registers(void)
{
	const struct percpu *p = this_cpu();

	show("CPU %u: cr0 %#llx cr2 %#llx cr3 %#llx cr4 %#llx, timer %#llx, TSC %#llx", p->id,
	     (unsigned long long)cr0_read(), (unsigned long long)cr2_read(), (unsigned long long)cr3_read(),
	     (unsigned long long)cr4_read(), (unsigned long long)p->timer_tsc, (unsigned long long)tsc_read());
	if (p->loaded)
		arch_print_vcpu(p->loaded, answer, NULL);
}

static void key_restart(void)
{
	show("the machine restarts");
	machine_restart();
}

static void key_power_off(void)
{
	show("the machine powers off");
	machine_end(END_GOOD);
}

static void key_help(void);

static const struct {
	char key;
	const char *help;
	void (*fn)(void);
} keys[] = {
	{ 'h', "this list", key_help },
	{ 'd', "registers of this CPU and of what it runs", key_registers },
	{ 'P', "power off at once", key_power_off },
	{ 'R', "restart the machine at once", key_restart },
};

static void key_help(void)
{
	debug_keys_help(answer, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		show("%c: %s", keys[i].key, keys[i].help);
}

bool machine_key(char c, void (*line)(void *opaque, const char *text))
{
	answer = line;
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		if (keys[i].key == c) {
			keys[i].fn();
			return true;
		}
	}
	return debug_key(c, line, NULL);
}
