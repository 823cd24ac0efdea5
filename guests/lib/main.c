/* SPDX-License-Identifier: MIT */
/* From start.S to a topic's guest_main(). */
#include "guest.h"

struct start_info *start_info;
uint64_t boot_rsp, boot_rflags;
uint16_t boot_selectors[2];
struct vcpu_info *vcpu_info0 = shared->vcpu_info;

void guest_start(void);
void memory_init(void);

bool emulated_cpu(void)
{
	static const char word[] = "emulated-cpu";
	const char *line = (const char *)start_info->cmd_line;

	for (; *line; line++)
		if (!memcmp(line, word, sizeof(word) - 1))
			return true;
	return false;
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
