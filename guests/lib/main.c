/* SPDX-License-Identifier: MIT */
/* From start.S to a topic's guest_main(). */
#include "guest.h"

struct start_info *start_info;
uint64_t boot_rsp, boot_rflags;
uint16_t boot_selectors[2];
struct vcpu_info *vcpu_info0 = shared->vcpu_info;

void guest_start(void);
void memory_init(void);

static const char *argument(const char *word, bool with_value)
{
	const char *line = (const char *)start_info->cmd_line;
	size_t n = strlen(word);

	for (const char *p = line; *p; p++)
		if ((p == line || p[-1] == ' ') && !memcmp(p, word, n) && (with_value || !p[n] || p[n] == ' '))
			return p + n;
	return NULL;
}

bool told(const char *word)
{
	return argument(word, false);
}

uint64_t told_number(const char *key, uint64_t otherwise)
{
	const char *p = argument(key, true);
	uint64_t n = 0;

	if (!p || *p < '0' || *p > '9')
		return otherwise;
	for (; *p >= '0' && *p <= '9'; p++)
		n = n * 10 + (uint64_t)(*p - '0');
	return n;
}

bool emulated_cpu(void)
{
	return told("emulated-cpu");
}

void guest_start(void)
{
	if (hc_update_va_mapping((uint64_t)&shared_info_page,
				 start_info->shared_info | PTE_LEAF | PTE_RW, UVMF_INVLPG))
		panic("the shared info page cannot be mapped");
	memory_init();
	event_init();
	trap_init();
	guest_main();
	finish();
}
