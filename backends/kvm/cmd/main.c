/* SPDX-License-Identifier: MIT */
/* `xenopus VERB ...`: finds the verb. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <xenopus/words.h>
#include "cmd.h"
#include "config.h"

static const struct {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *what;
} verbs[] = {
	{ "run", cmd_run, "run a PV kernel in the foreground, its console on this terminal" },
	{ "serve", cmd_serve, "make a machine that the verbs below drive" },
	{ "create", cmd_create, "create a domain from a configuration file" },
	{ "list", cmd_list, "list the domains" },
	{ "console", cmd_console, "attach to a domain's console" },
	{ "pause", cmd_pause, "stop a domain's virtual CPUs" },
	{ "unpause", cmd_unpause, "let a paused domain go on" },
	{ "shutdown", cmd_shutdown, "ask a domain to power off" },
	{ "reboot", cmd_reboot, "ask a domain to reboot" },
	{ "destroy", cmd_destroy, "end a domain at once" },
	{ "domid", cmd_domid, "the id of a name" },
	{ "domname", cmd_domname, "the name of an id" },
	{ "rename", cmd_rename, "give a domain another name" },
	{ "mem-set", cmd_mem_set, "set the balloon's target" },
	{ "mem-max", cmd_mem_max, "set the most memory a domain may have" },
	{ "vcpu-set", cmd_vcpu_set, "ask a domain to use so many virtual CPUs" },
	{ "vcpu-list", cmd_vcpu_list, "list virtual CPUs" },
	{ "vcpu-pin", cmd_vcpu_pin, "say where a virtual CPU may run" },
	{ "sched-bvt", cmd_sched_bvt, "show or set weights, warps and caps" },
	{ "sched-credit", cmd_sched_credit, "show or set weights and caps" },
	{ "info", cmd_info, "about the machine" },
	{ "uptime", cmd_uptime, "how long domains have been up" },
	{ "dmesg", cmd_dmesg, "the hypervisor's log" },
	{ "top", cmd_top, "what the domains do, live" },
	{ "sysrq", cmd_sysrq, "send a magic SysRq key" },
	{ "trigger", cmd_trigger, "raise an NMI" },
	{ "debug-keys", cmd_debug_keys, "ask the hypervisor by key" },
	{ "dump-core", cmd_dump_core, "write a core file of a domain" },
};

/* xl's other verbs, by what they begin with: whoever types one deserves more than that it is unknown. */
static const struct {
	const char *begin[8];
	const char *why;
} of_xl[] = {
	{ { "block-", "cd-", "network-", "channel-", "vtpm-", "vkb-", "vdispl-" }, "domains have no such devices yet" },
	{ { "vncviewer", "vsnd-", "qemu-monitor-command" }, "domains have no such devices yet" },
	{ { "save", "restore", "migrate", "remus" }, "domains cannot be saved or moved yet" },
	{ { "pci-", "usb" }, "a domain cannot be given a device of the host" },
	{ { "cpupool-" }, "there are no CPU pools: vcpu-pin says where a virtual CPU may run" },
	{ { "sched-credit2", "sched-rtds" }, "the schedulers are bvt, credit and rr: see sched-bvt and 'serve --sched'" },
	{ { "vm-list", "config-update" }, "there is list, and a domain's configuration is read when it is created" },
	{ { "getenforce", "setenforce", "loadpolicy" }, "there are no security labels" },
	{ { "psr-", "claims", "sharing", "devd", "set-parameters" }, "there is nothing like it here" },
};

static const char *why_not_here(const char *word)
{
	for (size_t i = 0; i < sizeof(of_xl) / sizeof(of_xl[0]); i++)
		for (const char *const *b = of_xl[i].begin; *b; b++)
			if (!strncmp(word, *b, strlen(*b)))
				return of_xl[i].why;
	return NULL;
}

static int usage(FILE *to)
{
	fputs("Usage: xenopus [-vftTN] VERB [options]\n\nVerbs:\n", to);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(to, "  %-13s %s\n", verbs[i].name, verbs[i].what);
	fputs("\n'xenopus VERB --help' tells the options of a verb, and so does 'xenopus help "
	      "VERB'.\n"
	      "A verb may be shortened as long as only one begins so; see also xenopus(1).\n"
	      "Before it, xl's -v, -f, -t and -T change nothing; -N lets create only print.\n",
	      to);
	return to == stdout ? STATUS_OK : STATUS_USAGE;
}

/* Were one of them closed, the next file opened would get its number, and console output go there.
 */
static void open_standard_files(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
			_exit(STATUS_FAILED);
}

bool cmd_dry_run;

/*
 * xl's options before the verb. Only -N means something here: nothing is said while a verb works,
 * so there is no more to say, to stamp or to draw, and no other daemon to be forced past.
 * Returns how many words they are; -1 after a line.
 */
static int take_global_options(int argc, char **argv)
{
	int n = 1;

	for (; n < argc && argv[n][0] == '-' && argv[n][1] && argv[n][1] != '-'; n++) {
		if (strspn(argv[n] + 1, "vftTN") != strlen(argv[n] + 1)) {
			cmd_error(STATUS_USAGE,
				  "unknown option '%s' before the verb: there are -v, -f, -t, -T "
				  "and -N",
				  argv[n]);
			return -1;
		}
		cmd_dry_run |= strchr(argv[n], 'N') != NULL;
	}
	return n - 1;
}

static int call_verb(const char *word, int argc, char **argv)
{
	/* As xl has it. */
	int i = words_pick(word, verbs, sizeof(verbs[0]), sizeof(verbs) / sizeof(verbs[0]));

	if (i == -2)
		return cmd_error(STATUS_USAGE,
				 "several verbs begin with '%s': 'xenopus --help' lists them",
				 word);
	if (i < 0 && why_not_here(word))
		return cmd_error(STATUS_USAGE, "xl's verb '%s' is not here: %s", word, why_not_here(word));
	if (i < 0)
		return cmd_error(STATUS_USAGE, "unknown verb '%s': 'xenopus --help' lists them",
				 word);
	if (cmd_dry_run && verbs[i].fn != cmd_create)
		return cmd_error(STATUS_USAGE,
				 "'%s' cannot be tried without doing it: only create takes -N",
				 verbs[i].name);
	/* What is said later names the verb, not what was typed for it. */
	argv[0] = (char *)verbs[i].name;
	return verbs[i].fn(argc, argv);
}

int main(int argc, char **argv)
{
	int options = 0;

	open_standard_files();
	if (argc > 1 && strcmp(argv[1], "-h"))
		options = take_global_options(argc, argv);
	if (options < 0)
		return STATUS_USAGE;
	argc -= options;
	argv += options;
	if (argc < 2)
		return usage(stderr);
	if (argc == 3 && !strcmp(argv[1], "help")) {
		char *asked[] = { argv[2], "--help", NULL };

		return call_verb(argv[2], 2, asked);
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return usage(stdout);
	if (!strcmp(argv[1], "--version")) {
		printf("xenopus %s, Xen PV ABI 4.17\n", XENOPUS_VERSION);
		return STATUS_OK;
	}
	return call_verb(argv[1], argc - 1, argv + 1);
}
