/* SPDX-License-Identifier: MIT */
/*
 * fuzz_decode.c - any bytes as code, any registers: the decoder stays within the bytes, and what it accepts
 * can be executed
 *
 * Input: one byte that chooses the mode, then the code; the registers follow from it.
 */
#include <stdlib.h>
#include <string.h>
#include <xenopus/decode.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* Plan and execution agree, and what is not a load changes nothing. */
static void check_load(const struct insn *insn, struct insn_regs regs, uint64_t value)
{
	const struct insn_regs before = regs;
	unsigned int size = 0;
	uint64_t va;
	bool planned = insn_plan_load(insn, &regs, &va, &size);

	check(insn_execute_load(insn, &regs, value) == planned);
	if (planned)
		check(size == 1 || size == 2 || size == 4 || size == 8);
	else
		check(!memcmp(&before, &regs, sizeof(regs)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum insn_mode modes[4] = { INSN_MODE_64, INSN_MODE_32, INSN_MODE_16, INSN_MODE_64 };
	struct insn_regs regs, before;
	struct insn_access access;
	struct insn_result result;
	uint64_t old[2];
	struct insn insn;
	bool planned;

	if (size < 1)
		return 0;
	memset(&regs, data[0], sizeof(regs));
	memset(old, data[size - 1], sizeof(old));
	if (insn_decode(&insn, data + 1, size - 1, modes[data[0] & 3]) != INSN_OK)
		return 0;
	check(insn.len > 0 && insn.len <= size - 1 && insn.len <= INSN_FETCH_MAX);
	before = regs;
	check_load(&insn, regs, old[0]);
	planned = insn_plan_rmw(&insn, &regs, &access);
	check(insn_execute_rmw(&insn, &regs, old, old[0], &result) == planned);
	if (!planned) {
		check(!memcmp(&before, &regs, sizeof(regs)));
		return 0;
	}
	check(access.size == 1 || access.size == 2 || access.size == 4 || access.size == 8 ||
	      access.size == 16);
	check(!access.skip || !result.write);
	/* No more bits than the operand has. */
	if (result.write && access.size < 8)
		check(result.value[0] >> (8 * access.size) == 0);
	if (access.size < 16)
		check(result.value[1] == 0);
	return 0;
}
