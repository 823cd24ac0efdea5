/* SPDX-License-Identifier: MIT */
/* `xenopus VERB ...`: finds the verb. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "config.h"

static const struct {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *what;
} verbs[] = {
	{ "run", cmd_run, "run a PV kernel in the foreground, its console on this terminal" },
};

static int usage(FILE *to)
{
	fputs("Usage: xenopus VERB [options]\n\nVerbs:\n", to);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].what);
	fputs("\n'xenopus VERB --help' tells the options of a verb; see also xenopus(1).\n", to);
	return to == stdout ? STATUS_OK : STATUS_USAGE;
}

/* Were one of them closed, the next file opened would get its number, and console output go there. */
static void open_standard_files(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
			_exit(STATUS_FAILED);
}

int main(int argc, char **argv)
{
	open_standard_files();
	if (argc < 2)
		return usage(stderr);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return usage(stdout);
	if (!strcmp(argv[1], "--version")) {
		printf("xenopus %s, Xen PV ABI 4.17\n", XENOPUS_VERSION);
		return STATUS_OK;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].fn(argc - 1, argv + 1);
	return cmd_error(STATUS_USAGE, "unknown verb '%s': 'xenopus --help' lists them", argv[1]);
}
