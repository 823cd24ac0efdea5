/* SPDX-License-Identifier: MIT */
/*
 * Notes: every one is read, defaults are right, features are understood, nonsense is refused.
 */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include <xen/elfnote.h>
#include <xen/features.h>

#include "image.h"

#define BASE	UINT64_C(0xffffffff80000000)

/* The least that makes a PV kernel. */
static void minimal_notes(GByteArray *notes)
{
	note_string(notes, XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
	note_string(notes, XEN_ELFNOTE_LOADER, "generic");
	note_u64(notes, XEN_ELFNOTE_VIRT_BASE, BASE);
	note_u64(notes, XEN_ELFNOTE_ENTRY, BASE + 0x1000000);
}

static void refuse_spec(struct spec *spec, enum loader_error code, const char *words)
{
	GByteArray *elf = elf_build(spec);

	expect_refused(elf, code, words);
	g_byte_array_unref(elf);
	spec_free(spec);
}

static void check_linux(const struct loader_kernel *k)
{
	const struct loader_notes *n = &k->notes;

	assert_false(n->legacy);
	assert_int_equal(n->virt_base, BASE);
	assert_int_equal(n->entry, BASE + 0x1004010);
	assert_int_equal(k->entry, BASE + 0x1004010);
	assert_int_equal(n->init_p2m, 0x8000000000);
	assert_int_equal(n->hv_start_low, 0xffff800000000000);
	assert_int_equal(n->paddr_offset, 0);
	assert_int_equal(n->phys32_entry, 0x1000850);
	assert_true(n->mod_start_pfn);
	assert_true(n->suspend_cancel);
	assert_false(n->bsd_symtab);
	assert_int_equal(n->nr_l1, 1);
	assert_int_equal(n->l1[0].mask, 1);
	assert_int_equal(n->l1[0].value, 1);
	assert_string_equal(n->guest_os, "linux");
	assert_string_equal(n->guest_version, "2.6");
	assert_string_equal(n->xen_version, "xen-3.0");
	assert_string_equal(n->loader, "generic");
	assert_string_equal(n->pae_mode, "yes");
	assert_string_equal(n->features, "!writable_page_tables|pae_pgdir_above_4gb");
	assert_int_equal(n->features_required, LOADER_FEATURE(writable_page_tables));
	assert_int_equal(n->features_supported,
			 0x8801 | LOADER_FEATURE(writable_page_tables) |
			 LOADER_FEATURE(pae_pgdir_above_4gb));
	assert_false(loader_has_note(k, XEN_ELFNOTE_HYPERCALL_PAGE));
	assert_false(loader_has_note(k, XEN_ELFNOTE_BSD_SYMTAB));
	assert_true(loader_has_note(k, XEN_ELFNOTE_ENTRY));
	assert_false(loader_has_note(k, 1000));
}

static void linux_has_all_its_notes(void **state)
{
	GByteArray *elf = elf_linux();
	struct loader_kernel k;

	expect_loads(elf, &k);
	check_linux(&k);
	loader_free(&k);
	g_byte_array_unref(elf);
}

static void notes_in_sections_count_too(void **state)
{
	struct spec spec = spec_linux();
	struct loader_kernel k;
	GByteArray *elf;

	linux_notes(spec.notes);
	spec.notes_by_section = true;
	elf = elf_build(&spec);
	expect_loads(elf, &k);
	check_linux(&k);
	loader_free(&k);
	g_byte_array_unref(elf);
	spec_free(&spec);
}

static void rarer_notes_are_read(void **state)
{
	static const uint64_t pairs[] = { 1, 1, 0x200, 0x200, 3, 2, 5, 4, 7, 6 };
	struct spec spec = spec_linux();
	struct loader_kernel k;
	GByteArray *elf;

	minimal_notes(spec.notes);
	note_u64(spec.notes, XEN_ELFNOTE_HYPERCALL_PAGE, BASE + 0x1001000);
	note_string(spec.notes, XEN_ELFNOTE_BSD_SYMTAB, "yes");
	note_string(spec.notes, XEN_ELFNOTE_GUEST_OS, "evil\033[2Jos");
	note_bytes(spec.notes, "Xen", XEN_ELFNOTE_L1_MFN_VALID, pairs, sizeof(pairs));
	note_string(spec.notes, XEN_ELFNOTE_INFO, "COLOUR=green");
	note_u32(spec.notes, 0x1000001, 7);
	note_bytes(spec.notes, "Xenon", XEN_ELFNOTE_VIRT_BASE, "\1\0\0\0", 4);
	elf = elf_build(&spec);
	expect_loads(elf, &k);
	assert_int_equal(k.notes.hypercall_page, BASE + 0x1001000);
	assert_true(k.notes.bsd_symtab);
	assert_string_equal(k.notes.guest_os, "evil?[2Jos");
	assert_int_equal(k.notes.nr_l1, LOADER_MAX_L1_PAIRS);
	assert_int_equal(k.notes.l1[3].mask, 5);
	assert_int_equal(k.notes.l1[3].value, 4);
	assert_int_equal(k.notes.virt_base, BASE);
	assert_false(k.notes.mod_start_pfn);
	loader_free(&k);
	g_byte_array_unref(elf);
	spec_free(&spec);
}

static void the_last_of_two_notes_counts(void **state)
{
	struct spec spec = spec_linux();
	struct loader_kernel k;
	GByteArray *elf;

	minimal_notes(spec.notes);
	note_u64(spec.notes, XEN_ELFNOTE_ENTRY, BASE + 0x1000040);
	note_string(spec.notes, XEN_ELFNOTE_LOADER, "generic2");
	elf = elf_build(&spec);
	expect_loads(elf, &k);
	assert_int_equal(k.entry, BASE + 0x1000040);
	assert_string_equal(k.notes.loader, "generic2");
	loader_free(&k);
	g_byte_array_unref(elf);
	spec_free(&spec);
}

static void defaults_are_right(void **state)
{
	struct spec spec = spec_linux();
	struct loader_kernel k;
	GByteArray *elf;

	note_string(spec.notes, XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
	note_string(spec.notes, XEN_ELFNOTE_GUEST_OS, "linux");
	note_u64(spec.notes, XEN_ELFNOTE_HYPERCALL_PAGE, 0x1001000);
	elf = elf_build(&spec);
	expect_loads(elf, &k);
	assert_int_equal(k.notes.virt_base, 0);
	assert_int_equal(k.notes.paddr_offset, 0);
	assert_int_equal(k.entry, 0x1000000);
	assert_int_equal(k.vstart, 0x1000000);
	assert_int_equal(k.vend, 0x1009000);
	loader_free(&k);
	g_byte_array_unref(elf);
	spec_free(&spec);
}

static void legacy_section_is_understood(void **state)
{
	struct spec spec = spec_linux();
	struct loader_kernel k;
	GByteArray *elf;

	/* Linked with virtual addresses as physical ones, as was the habit. */
	for (unsigned int i = 0; i < spec.nr_segments; i++)
		spec.segments[i].paddr += 0xc0000000;
	spec.entry = 0xc1000000;
	spec.legacy = "GUEST_OS=Mini-OS,GUEST_VER=1,XEN_VER=xen-3.0,VIRT_BASE=0xc0000000,"
		      "HYPERCALL_PAGE=0x1001,PAE=yes[extended-cr3],FEATURES=!writable_page_tables,"
		      "LOADER=generic,COLOUR=green,BSD_SYMTAB";
	elf = elf_build(&spec);
	expect_loads(elf, &k);
	assert_true(k.notes.legacy);
	assert_int_equal(k.notes.virt_base, 0xc0000000);
	assert_int_equal(k.notes.paddr_offset, 0xc0000000);
	assert_int_equal(k.notes.hypercall_page, 0xc1001000);
	assert_int_equal(k.entry, 0xc1000000);
	assert_int_equal(k.vstart, 0xc1000000);
	assert_int_equal(k.segments[0].phys, 0x1000000);
	assert_string_equal(k.notes.guest_os, "Mini-OS");
	assert_int_equal(k.notes.features_required, LOADER_FEATURE(writable_page_tables));
	assert_true(k.notes.bsd_symtab);
	loader_free(&k);
	g_byte_array_unref(elf);
	spec_free(&spec);
}

static void legacy_nonsense_is_refused(void **state)
{
	static const char *const texts[] = {
		"XEN_VER=xen-3.0,LOADER=generic,VIRT_BASE=-1",
		"XEN_VER=xen-3.0,LOADER=generic,VIRT_BASE=0xzz",
		"XEN_VER=xen-3.0,LOADER=generic,VIRT_BASE",
		"XEN_VER=xen-3.0,LOADER=generic,VIRT_BASE=99999999999999999999999",
		"XEN_VER=xen-3.0,LOADER=generic,VIRT_BASE=0,HYPERCALL_PAGE=0xfffffffffffffff",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct spec spec = spec_linux();

		spec.legacy = texts[i];
		refuse_spec(&spec, LOADER_ERROR_NOTE, "__xen_guest");
	}
}

static void kernels_that_are_not_pv_are_named(void **state)
{
	struct spec none = spec_linux(), pvh = spec_linux(), hvm = spec_linux();

	refuse_spec(&none, LOADER_ERROR_NOT_XEN, "not a Xen PV kernel|XEN_ELFNOTE|CONFIG_XEN_PV");

	note_u64(pvh.notes, XEN_ELFNOTE_PHYS32_ENTRY, 0x1000000);
	refuse_spec(&pvh, LOADER_ERROR_PVH_ONLY, "PVH|PHYS32_ENTRY|CONFIG_XEN_PV");

	note_string(hvm.notes, XEN_ELFNOTE_GUEST_OS, "linux");
	note_string(hvm.notes, XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
	note_string(hvm.notes, XEN_ELFNOTE_LOADER, "generic");
	refuse_spec(&hvm, LOADER_ERROR_NOT_XEN, "none of|ENTRY|CONFIG_XEN_PV");
}

static void wrong_loader_and_abi_are_refused(void **state)
{
	struct spec loader = spec_linux(), abi = spec_linux(), no_abi = spec_linux();

	minimal_notes(loader.notes);
	note_string(loader.notes, XEN_ELFNOTE_LOADER, "special");
	refuse_spec(&loader, LOADER_ERROR_NOTE, "'special'|LOADER");

	minimal_notes(abi.notes);
	note_string(abi.notes, XEN_ELFNOTE_XEN_VERSION, "xen-2.0");
	refuse_spec(&abi, LOADER_ERROR_NOTE, "'xen-2.0'|XEN_VERSION");

	note_string(no_abi.notes, XEN_ELFNOTE_LOADER, "generic");
	note_u64(no_abi.notes, XEN_ELFNOTE_ENTRY, 0x1000000);
	refuse_spec(&no_abi, LOADER_ERROR_NOTE, "XEN_VERSION");
}

/* Each of these is added to a kernel that is fine without it. */
static void nonsense_values_are_refused(void **state)
{
	static const struct {
		uint32_t note;
		uint64_t value;
		const char *words;
	} cases[] = {
		{ XEN_ELFNOTE_ENTRY, 0, "entry|ENTRY" },
		{ XEN_ELFNOTE_ENTRY, BASE + 0x0ffffff, "entry" },
		{ XEN_ELFNOTE_ENTRY, BASE + 0x1009000, "entry" },
		{ XEN_ELFNOTE_VIRT_BASE, BASE + 1, "VIRT_BASE|page" },
		{ XEN_ELFNOTE_VIRT_BASE, 0xfffffffffffff000, "VIRT_BASE|address space" },
		{ XEN_ELFNOTE_VIRT_BASE, 0xffff800000000000, "VIRT_BASE|no guest" },
		{ XEN_ELFNOTE_VIRT_BASE, 0xffff87ffff000000, "VIRT_BASE|no guest" },
		{ XEN_ELFNOTE_VIRT_BASE, 0x00007fffff000000, "VIRT_BASE|no guest" },
		{ XEN_ELFNOTE_VIRT_BASE, 0x1234567800000000, "VIRT_BASE|no guest" },
		{ XEN_ELFNOTE_PADDR_OFFSET, 0x1000001, "PADDR_OFFSET|segment" },
		{ XEN_ELFNOTE_PADDR_OFFSET, UINT64_MAX, "PADDR_OFFSET" },
		{ XEN_ELFNOTE_HYPERCALL_PAGE, BASE + 0x1001800, "HYPERCALL_PAGE|page" },
		{ XEN_ELFNOTE_HYPERCALL_PAGE, BASE + 0x1009000, "HYPERCALL_PAGE" },
		{ XEN_ELFNOTE_HYPERCALL_PAGE, 0, "HYPERCALL_PAGE" },
		{ XEN_ELFNOTE_INIT_P2M, BASE + 0x1001000, "INIT_P2M" },
		{ XEN_ELFNOTE_INIT_P2M, 0x8000000800, "INIT_P2M" },
		{ XEN_ELFNOTE_INIT_P2M, 0xffff800000000000, "INIT_P2M" },
		{ XEN_ELFNOTE_INIT_P2M, 0xfffffffffffff000, "INIT_P2M" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct spec spec = spec_linux();

		minimal_notes(spec.notes);
		note_u64(spec.notes, cases[i].note, cases[i].value);
		refuse_spec(&spec, LOADER_ERROR_NOTE, cases[i].words);
	}
}

static void malformed_notes_are_refused(void **state)
{
	struct spec odd = spec_linux(), empty = spec_linux(), long_desc = spec_linux();
	struct spec many = spec_linux(), alone = spec_linux();

	minimal_notes(odd.notes);
	note_bytes(odd.notes, "Xen", XEN_ELFNOTE_ENTRY, "abc", 3);
	refuse_spec(&odd, LOADER_ERROR_NOTE, "ENTRY|3 bytes");

	minimal_notes(empty.notes);
	note_bytes(empty.notes, "Xen", XEN_ELFNOTE_SUSPEND_CANCEL, "", 0);
	refuse_spec(&empty, LOADER_ERROR_NOTE, "SUSPEND_CANCEL|0 bytes");

	note_string(long_desc.notes, XEN_ELFNOTE_LOADER, "generic");
	put_le32(long_desc.notes->data + 4, 0xfffffff0);
	refuse_spec(&long_desc, LOADER_ERROR_FORMAT, "damaged note");

	for (int i = 0; i < 5000; i++)
		note_u32(many.notes, XEN_ELFNOTE_SUSPEND_CANCEL, 1);
	refuse_spec(&many, LOADER_ERROR_FORMAT, "notes, more than");

	note_string(alone.notes, XEN_ELFNOTE_LOADER, "generic");
	note_string(alone.notes, XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
	note_u64(alone.notes, XEN_ELFNOTE_ENTRY, 0x1000000);
	note_u64(alone.notes, XEN_ELFNOTE_PADDR_OFFSET, 0);
	refuse_spec(&alone, LOADER_ERROR_NOTE, "PADDR_OFFSET|no VIRT_BASE");
}

static void features_are_checked(void **state)
{
	struct spec spec = spec_linux(), unknown = spec_linux();
	struct loader_kernel k;
	GError *err = NULL;
	GByteArray *elf;

	minimal_notes(spec.notes);
	note_string(spec.notes, XEN_ELFNOTE_FEATURES,
		    "!writable_page_tables|!dom0|pae_pgdir_above_4gb|something_new||");
	elf = elf_build(&spec);
	expect_loads(elf, &k);
	assert_int_equal(k.notes.features_required,
			 LOADER_FEATURE(writable_page_tables) | LOADER_FEATURE(dom0));
	assert_true(loader_check_features(&k, UINT32_MAX, &err));
	assert_null(err);
	assert_false(loader_check_features(&k, LOADER_FEATURE(writable_page_tables), &err));
	assert_int_equal(err->code, LOADER_ERROR_FEATURE);
	assert_non_null(strstr(err->message, "supply: dom0;"));
	g_clear_error(&err);
	assert_false(loader_check_features(&k, 0, &err));
	assert_non_null(strstr(err->message, "supply: writable_page_tables, dom0;"));
	g_clear_error(&err);
	loader_free(&k);
	g_byte_array_unref(elf);
	spec_free(&spec);

	minimal_notes(unknown.notes);
	note_string(unknown.notes, XEN_ELFNOTE_FEATURES, "dom0|!something_new");
	refuse_spec(&unknown, LOADER_ERROR_FEATURE, "'something_new'");
}

static void dump_names_everything(void **state)
{
	static const char *const words[] = {
		"test.img: ELF,", "0xffffffff81000000 to 0xffffffff81009000", "r-x", "rwx",
		"VIRT_BASE          0xffffffff80000000", "(entry & 0x1) == 0x1",
		"FEATURES           !writable_page_tables|", "GUEST_OS           linux",
		"can use: !writable_page_tables pae_pgdir_above_4gb dom0", "PHYS32_ENTRY",
	};
	GByteArray *elf = elf_linux();
	struct loader_kernel k;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	expect_loads(elf, &k);
	loader_dump(&k, f);
	fclose(f);
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (!strstr(text, words[i]))
			fail_msg("'%s' is not in:\n%s", words[i], text);
	free(text);
	loader_free(&k);
	g_byte_array_unref(elf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linux_has_all_its_notes),
		cmocka_unit_test(notes_in_sections_count_too),
		cmocka_unit_test(rarer_notes_are_read),
		cmocka_unit_test(the_last_of_two_notes_counts),
		cmocka_unit_test(defaults_are_right),
		cmocka_unit_test(legacy_section_is_understood),
		cmocka_unit_test(legacy_nonsense_is_refused),
		cmocka_unit_test(kernels_that_are_not_pv_are_named),
		cmocka_unit_test(wrong_loader_and_abi_are_refused),
		cmocka_unit_test(nonsense_values_are_refused),
		cmocka_unit_test(malformed_notes_are_refused),
		cmocka_unit_test(features_are_checked),
		cmocka_unit_test(dump_names_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
