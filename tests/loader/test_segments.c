/* SPDX-License-Identifier: MIT */
/*
 * Segments: placed by physical address, inside the image, refused when they cannot be right.
 */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include <xen/elfnote.h>

#include "image.h"

static void refuse(struct spec *spec, enum loader_error code, const char *words)
{
	GByteArray *elf;

	linux_notes(spec->notes);
	elf = elf_build(spec);
	expect_refused(elf, code, words);
	g_byte_array_unref(elf);
	spec_free(spec);
}

static void segments_go_where_their_physical_address_says(void **state)
{
	struct spec spec = spec_linux();
	struct loader_kernel k;
	GByteArray *elf;

	linux_notes(spec.notes);
	elf = elf_build(&spec);
	expect_loads(elf, &k);
	assert_int_equal(k.nr_segments, 4);
	assert_int_equal(k.vstart, 0xffffffff81000000);
	assert_int_equal(k.vend, 0xffffffff81009000);
	/* The per-cpu segment, linked at 0. */
	assert_int_equal(k.segments[2].p_vaddr, 0);
	assert_int_equal(k.segments[2].phys, 0x1003000);
	assert_int_equal(k.segments[2].va, 0xffffffff81003000);
	for (unsigned int i = 0; i < k.nr_segments; i++) {
		const struct loader_segment *s = &k.segments[i];

		assert_int_equal(s->filesz, spec.segments[i].filesz);
		assert_int_equal(s->memsz, spec.segments[i].memsz);
		assert_int_equal(s->flags, spec.segments[i].flags);
		for (uint64_t o = 0; o < s->filesz; o++)
			assert_int_equal(s->data[o], segment_byte(i, o));
	}
	loader_free(&k);
	g_byte_array_unref(elf);
	spec_free(&spec);
}

static void empty_and_unusable_segments_are_skipped(void **state)
{
	struct spec spec = spec_linux();
	struct loader_kernel k;
	GByteArray *elf;

	spec.segments[1].flags = 0;
	spec.segments[2].filesz = spec.segments[2].memsz = 0;
	linux_notes(spec.notes);
	elf = elf_build(&spec);
	expect_loads(elf, &k);
	assert_int_equal(k.nr_segments, 2);
	assert_int_equal(k.segments[1].phys, 0x1004000);
	loader_free(&k);
	g_byte_array_unref(elf);
	spec_free(&spec);
}

static void physical_addresses_may_have_an_offset(void **state)
{
	struct spec spec = spec_linux();
	struct loader_kernel k;
	GByteArray *elf;

	linux_notes(spec.notes);
	note_u64(spec.notes, XEN_ELFNOTE_PADDR_OFFSET, 0x1000000);
	note_u64(spec.notes, XEN_ELFNOTE_ENTRY, 0xffffffff80000000);
	elf = elf_build(&spec);
	expect_loads(elf, &k);
	assert_int_equal(k.vstart, 0xffffffff80000000);
	assert_int_equal(k.segments[0].phys, 0);
	assert_int_equal(k.segments[0].p_paddr, 0x1000000);
	loader_free(&k);
	g_byte_array_unref(elf);
	spec_free(&spec);
}

static void other_machines_are_named(void **state)
{
	static const struct {
		unsigned int machine;
		const char *name;
	} cases[] = {
		{ EM_386, "for i386|x86-64" }, { EM_AARCH64, "for aarch64|x86-64" },
		{ EM_RISCV, "for riscv" },     { 4711, "machine 4711" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct spec spec = spec_linux();

		spec.machine = cases[i].machine;
		refuse(&spec, LOADER_ERROR_MACHINE, cases[i].name);
	}
}

static void other_kinds_of_elf_are_named(void **state)
{
	struct spec module = spec_linux(), core = spec_linux(), nothing = spec_linux();
	struct spec strange = spec_linux();

	module.type = ET_REL;
	refuse(&module, LOADER_ERROR_FORMAT, "module");
	core.type = ET_CORE;
	refuse(&core, LOADER_ERROR_FORMAT, "core dump");
	strange.type = 77;
	refuse(&strange, LOADER_ERROR_FORMAT, "unknown type");
	nothing.nr_segments = 0;
	refuse(&nothing, LOADER_ERROR_FORMAT, "nothing to load");
}

static void other_classes_are_refused(void **state)
{
	GByteArray *elf = elf_linux();

	elf->data[EI_CLASS] = ELFCLASS32;
	expect_refused(elf, LOADER_ERROR_MACHINE, "64-bit|class 1");
	elf->data[EI_CLASS] = ELFCLASS64;
	elf->data[EI_DATA] = ELFDATA2MSB;
	expect_refused(elf, LOADER_ERROR_MACHINE, "x86-64");
	g_byte_array_unref(elf);
}

static void impossible_segments_are_refused(void **state)
{
	struct spec grow = spec_linux(), huge = spec_linux(), wrap = spec_linux();
	struct spec far = spec_linux(), pile = spec_linux();

	grow.segments[1].memsz = 0x100;
	refuse(&grow, LOADER_ERROR_FORMAT, "segment 1|more bytes in the file");
	huge.segments[3].memsz = UINT64_MAX;
	refuse(&huge, LOADER_ERROR_TOO_BIG, "segment 3|size");
	wrap.segments[3].paddr = UINT64_MAX - 0x100;
	refuse(&wrap, LOADER_ERROR_TOO_BIG, "segment 3");
	far.segments[3].paddr = UINT64_C(1) << 40;
	refuse(&far, LOADER_ERROR_TOO_BIG, "2048 MiB");
	for (unsigned int i = 0; i < pile.nr_segments; i++)
		pile.segments[i] = (struct spec_segment){ 0x1000000, 0, 0, 0x10000, PF_R };
	refuse(&pile, LOADER_ERROR_FORMAT, "overlap");
}

/* Write a field of a program header and expect the answer. */
static void headers_that_point_outside_are_refused(void **state)
{
	static const uint64_t far[] = { 0x100000, INT64_MAX, UINT64_MAX, UINT64_MAX - 0x1000 };
	GByteArray *elf = elf_linux();
	Elf64_Phdr *ph = (Elf64_Phdr *)(void *)(elf->data + sizeof(Elf64_Ehdr));
	Elf64_Ehdr *eh = (Elf64_Ehdr *)(void *)elf->data;

	for (size_t i = 0; i < G_N_ELEMENTS(far); i++) {
		Elf64_Phdr saved = ph[1], saved_note = ph[4];
		Elf64_Ehdr saved_header = *eh;

		ph[1].p_offset = far[i];
		expect_refused(elf, LOADER_ERROR_TRUNCATED, "segment 1|truncated");
		ph[1] = saved;
		ph[1].p_filesz = ph[1].p_memsz = far[i];
		expect_refused(elf, LOADER_ERROR_TRUNCATED, "segment 1|truncated");
		ph[1] = saved;

		ph[4].p_offset = far[i];
		expect_refused(elf, LOADER_ERROR_TRUNCATED, "notes|outside");
		ph[4] = saved_note;
		ph[4].p_filesz = far[i];
		expect_refused(elf, LOADER_ERROR_TRUNCATED, "notes|outside");
		ph[4] = saved_note;

		eh->e_phoff = far[i];
		expect_refused(elf, LOADER_ERROR_TRUNCATED, "program headers");
		*eh = saved_header;
	}
	eh->e_phnum = 60000;
	expect_refused(elf, LOADER_ERROR_TRUNCATED, "program headers");
	g_byte_array_unref(elf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_go_where_their_physical_address_says),
		cmocka_unit_test(empty_and_unusable_segments_are_skipped),
		cmocka_unit_test(physical_addresses_may_have_an_offset),
		cmocka_unit_test(other_machines_are_named),
		cmocka_unit_test(other_kinds_of_elf_are_named),
		cmocka_unit_test(other_classes_are_refused),
		cmocka_unit_test(impossible_segments_are_refused),
		cmocka_unit_test(headers_that_point_outside_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
