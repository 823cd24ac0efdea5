/* SPDX-License-Identifier: MIT */
/*
 * Feature names: "!writable_page_tables|pae_pgdir_above_4gb" to bits and back.
 *
 * A name with '!' is one the kernel cannot do without. An unknown name without '!' is harmless, since a
 * kernel may know more than we do; with '!' it ends the matter here.
 */
#include <xen/features.h>

#include "internal.h"

static const char *const names[] = {
#define FEATURE(name)	[XENFEAT_##name] = #name
	FEATURE(writable_page_tables),
	FEATURE(writable_descriptor_tables),
	FEATURE(auto_translated_physmap),
	FEATURE(supervisor_mode_kernel),
	FEATURE(pae_pgdir_above_4gb),
	FEATURE(mmu_pt_update_preserve_ad),
	FEATURE(highmem_assist),
	FEATURE(gnttab_map_avail_bits),
	FEATURE(hvm_callback_vector),
	FEATURE(hvm_safe_pvclock),
	FEATURE(hvm_pirqs),
	FEATURE(dom0),
	FEATURE(memory_op_vnode_supported),
	FEATURE(linux_rsdp_unrestricted),
	FEATURE(not_direct_mapped),
	FEATURE(direct_mapped),
#undef FEATURE
};

const char *loader_feature_name(unsigned int bit)
{
	return bit < G_N_ELEMENTS(names) ? names[bit] : NULL;
}

static uint32_t feature_bit(const char *name)
{
	for (unsigned int i = 0; i < G_N_ELEMENTS(names); i++)
		if (names[i] && strcmp(names[i], name) == 0)
			return UINT32_C(1) << i;
	return 0;
}

bool loader_parse_features(struct loader_kernel *k, GError **err)
{
	struct loader_notes *n = &k->notes;
	char **list = g_strsplit(n->features ? n->features : "", "|", -1);
	bool ok = true;

	for (char **p = list; ok && *p; p++) {
		bool required = **p == '!';
		const char *name = *p + required;
		uint32_t bit = feature_bit(name);

		n->features_supported |= bit;
		if (required)
			n->features_required |= bit;
		if (required && !bit)
			ok = loader_fail(k, err, LOADER_ERROR_FEATURE,
					 "requires the feature '%s', which does not exist here; give"
					 " another kernel", name);
	}
	g_strfreev(list);
	return ok;
}

bool loader_check_features(const struct loader_kernel *k, uint32_t supplied, GError **err)
{
	uint32_t missing = k->notes.features_required & ~supplied;
	GString *list;

	if (!missing)
		return true;

	list = g_string_new(NULL);
	for (unsigned int i = 0; i < G_N_ELEMENTS(names); i++)
		if (missing >> i & 1)
			g_string_append_printf(list, "%s%s", list->len ? ", " : "", names[i]);
	loader_fail(k, err, LOADER_ERROR_FEATURE,
		    "requires what Xenopus does not supply: %s; give a kernel that can do without",
		    list->str);
	g_string_free(list, TRUE);
	return false;
}
