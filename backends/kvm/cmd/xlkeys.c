/* SPDX-License-Identifier: MIT */
/* The keys of xl.cfg(5), by what becomes of them: see xlkeys.h. Each is in one list. */
#include <string.h>

#include <glib.h>

#include "xlkeys.h"

static const struct xlkey taken[] = {
	{ "name", XLKEY_STRING, "name", NULL },
	{ "uuid", XLKEY_STRING, "uuid", NULL },
	{ "kernel", XLKEY_PATH, "kernel", NULL },
	{ "ramdisk", XLKEY_PATH, "ramdisk", NULL },
	{ "memory", XLKEY_NUMBER, "memory", NULL },
	{ "maxmem", XLKEY_NUMBER, "maxmem", NULL },
	{ "vcpus", XLKEY_NUMBER, "vcpus", NULL },
	{ "maxvcpus", XLKEY_NUMBER, "maxvcpus", NULL },
	{ "cpu_weight", XLKEY_NUMBER, "cpu_weight", NULL },
	{ "cap", XLKEY_NUMBER, "cap", NULL },
	{ "on_poweroff", XLKEY_ACTION, "on_poweroff", NULL },
	{ "on_reboot", XLKEY_ACTION, "on_reboot", NULL },
	{ "on_crash", XLKEY_ACTION, "on_crash", NULL },
	{ "on_watchdog", XLKEY_ACTION, "on_watchdog", NULL },
	{ "cmdline", XLKEY_OTHER, NULL, NULL },
	{ "root", XLKEY_OTHER, NULL, NULL },
	{ "extra", XLKEY_OTHER, NULL, NULL },
	{ "type", XLKEY_OTHER, NULL, NULL },
	{ "builder", XLKEY_OTHER, NULL, NULL },
	{ "cpus", XLKEY_OTHER, NULL, NULL },
	{ "console", XLKEY_NONE, NULL, NULL },
};

/* The domain would not be what was asked for. */
static const struct xlkey refused[] = {
	{ "disk", XLKEY_REFUSED, NULL, "there are no block devices yet" },
	{ "vif", XLKEY_REFUSED, NULL, "there are no network interfaces yet" },
	{ "vfb", XLKEY_REFUSED, NULL, "there are no framebuffers yet" },
	{ "vkb", XLKEY_REFUSED, NULL, "there are no keyboards yet" },
	{ "pci", XLKEY_REFUSED, NULL, "devices of the host cannot be handed through" },
	{ "usbctrl", XLKEY_REFUSED, NULL, "there are no USB devices" },
	{ "usbdev", XLKEY_REFUSED, NULL, "there are no USB devices" },
	{ "vtpm", XLKEY_REFUSED, NULL, "there is no virtual TPM" },
	{ "p9", XLKEY_REFUSED, NULL, "there are no 9pfs shares" },
	{ "vdispl", XLKEY_REFUSED, NULL, "there are no displays yet" },
	{ "vsnd", XLKEY_REFUSED, NULL, "there are no sound devices" },
	{ "pvcalls", XLKEY_REFUSED, NULL, "there are no forwarded sockets" },
	{ "dtdev", XLKEY_REFUSED, NULL, "devices of the host cannot be handed through" },
	{ "channel", XLKEY_REFUSED, NULL, "there are no channels" },
	{ "vscsi", XLKEY_REFUSED, NULL, "there are no SCSI devices" },
	{ "bootloader", XLKEY_REFUSED, NULL,
	  "a bootloader runs in no domain 0 here; give the kernel" },
	{ "driver_domain", XLKEY_REFUSED, NULL, "domains are no drivers of others" },
	{ "iomem", XLKEY_REFUSED, NULL, "memory of devices cannot be handed through" },
	{ "ioports", XLKEY_REFUSED, NULL, "ports of devices cannot be handed through" },
	{ "irqs", XLKEY_REFUSED, NULL, "interrupts of devices cannot be handed through" },
	{ "vif2", XLKEY_REFUSED, NULL, "there are no network interfaces yet" },
	{ "virtio", XLKEY_REFUSED, NULL, "there are no virtio devices" },
	{ "pvshim", XLKEY_REFUSED, NULL, "a shim is for PVH guests, and this is a PV one" },
	{ "firmware", XLKEY_REFUSED, NULL,
	  "names nothing here; give the boot loader's image, as of PV GRUB, as kernel" },
};

/* Of these the domain would be the same without them: one line each says so. */
static const char without_effect[] =
	" bootloader_args bootloader_restrict bootloader_user cpuid cpus_soft device_model"
	" device_model_args device_model_args_pv device_model_override device_model_user"
	" device_model_version dm_restrict e820_host extratime init_seclabel latency localtime"
	" max_event_channels max_grant_frames max_grant_version max_maptrack_frames msr_relaxed"
	" nomigrate on_soft_reset passthrough pci_msitranslate pci_permissive pci_power_mgmt"
	" pci_seize period pool seclabel slice tsc_mode vmtrace_buf_kb vncviewer vnuma vpmu"
	" xend_suspend_evtchn_compat xenstore_feature_mask xenstore_quota ";

static const char for_hvm[] =
	" acpi acpi_firmware acpi_laptop_slate acpi_s3 acpi_s4 altp2m altp2m_count altp2mhvm"
	" apic bios bios_path_override boot device_model_args_hvm"
	" device_model_stubdomain_override device_model_stubdomain_seclabel display"
	" gfx_passthru hap hdtype hpet hvm_pirq keymap mca_caps mmio_hole ms_vm_genid nestedhvm"
	" nographic nx oos opengl pae pvshim_cmdline pvshim_extra pvshim_path rdm"
	" rdm_mem_boundary rtc_timeoffset sdl serial shadow_memory smbios smbios_firmware"
	" soundhw spice spice_clipboard_sharing spice_image_compression spice_streaming_video"
	" spiceagent_mouse spicedisable_ticketing spicehost spicepasswd spiceport spicetls_port"
	" spiceusbredirection spicevdagent stdvga stubdomain_cmdline stubdomain_kernel"
	" stubdomain_memory stubdomain_ramdisk timer_mode usb usbdevice usbversion"
	" vendor_device vga videoram viridian vkb_device vnc vncdisplay vnclisten vncpasswd"
	" vncunused vpt_align xauthority xen_platform_pci xen_platform_pci_bar_uc ";

static const char for_arm[] =
	" arm_sci device_tree gic_version llc_colors nr_spis sve tee trap_unmapped_accesses"
	" vuart ";

static const struct {
	const char *names; /* a space before and behind each */
	struct xlkey means;
} remarks[] = {
	{ without_effect, { NULL, XLKEY_NO_EFFECT, NULL, "has no effect here" } },
	{ for_hvm, { NULL, XLKEY_NO_EFFECT, NULL, "is for HVM guests, has no effect" } },
	{ for_arm, { NULL, XLKEY_NO_EFFECT, NULL, "is for ARM guests, has no effect" } },
};

static const struct xlkey *find_in(const struct xlkey *keys, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

const struct xlkey *xlkey_find(const char *name)
{
	const struct xlkey *k = find_in(taken, G_N_ELEMENTS(taken), name);
	g_autofree char *word = g_strdup_printf(" %s ", name);

	if (!k)
		k = find_in(refused, G_N_ELEMENTS(refused), name);
	for (size_t i = 0; !k && i < G_N_ELEMENTS(remarks); i++)
		if (strstr(remarks[i].names, word))
			k = &remarks[i].means;
	return k;
}

const struct xlkey *xlkey_next_path(const struct xlkey *k)
{
	for (k = k ? k + 1 : taken; k < taken + G_N_ELEMENTS(taken); k++)
		if (k->kind == XLKEY_PATH)
			return k;
	return NULL;
}
