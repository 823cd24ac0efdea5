/* SPDX-License-Identifier: MIT */
/*
 * Self-check, memory: every way in which a kernel changes page tables behind a program's back, with
 * the contents verified afterwards: mapping, copy-on-write, moving, sharing, discarding.
 */
#include "check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { PAGE = 4096, PAGE_WORDS = PAGE / 8 };

/* One word per page is enough to recognise a page; the page number goes into it. */
static void fill(uint64_t *area, size_t pages, uint64_t seed)
{
	for (size_t i = 0; i < pages; i++)
		area[i * PAGE_WORDS + i % PAGE_WORDS] = check_pattern(seed, i);
}

static void verify(const uint64_t *area, size_t pages, uint64_t seed, const char *what)
{
	for (size_t i = 0; i < pages; i++)
		require(area[i * PAGE_WORDS + i % PAGE_WORDS] == check_pattern(seed, i),
			"%s: page %zu of %zu has wrong contents", what, i, pages);
}

static void map_unmap(void)
{
	enum { AREAS = 300 };
	static uint64_t *area[AREAS];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < AREAS; i++) {
			area[i] = check_map(2 * PAGE, PROT_READ | PROT_WRITE);
			for (int j = 0; j < 2 * PAGE_WORDS; j += 64)
				require(area[i][j] == 0, "fresh memory is not zero");
			fill(area[i], 2, i);
		}
		for (int i = 0; i < AREAS; i += 2)
			munmap(area[i], 2 * PAGE);
		for (int i = 1; i < AREAS; i += 2) {
			verify(area[i], 2, i, "mmap");
			munmap(area[i], 2 * PAGE);
		}
	}
}

/* A large piece: new page tables by the dozen, then all discarded at once. */
static void big(void)
{
	struct sysinfo info;
	uint64_t *area;
	size_t pages;

	require(sysinfo(&info) == 0, "sysinfo: %m");
	pages = info.freeram * info.mem_unit / 2 / PAGE;
	if (pages > 8192)
		pages = 8192;
	area = check_map(pages * PAGE, PROT_READ | PROT_WRITE);
	pages = (size_t)check_times((int)pages);
	fill(area, pages, 1);
	verify(area, pages, 1, "large area");
	require(madvise(area, pages * PAGE, MADV_DONTNEED) == 0, "madvise: %m");
	for (size_t i = 0; i < pages; i++)
		require(area[i * PAGE_WORDS + i % PAGE_WORDS] == 0,
			"page %zu is not zero after MADV_DONTNEED", i);
	munmap(area, pages * PAGE);
}

static void brk_heap(void)
{
	char *start = sbrk(0);

	for (int i = 1; i <= 64; i++) {
		require(sbrk(3 * PAGE) != (void *)-1, "sbrk: %m");
		memset(start + (i - 1) * 3 * PAGE, i, 3 * PAGE);
	}
	for (int i = 0; i < 64 * 3 * PAGE; i += 997)
		require(start[i] == i / (3 * PAGE) + 1, "the heap has wrong contents at %d", i);
	require(brk(start) == 0, "brk back: %m");
}

static void cow(void)
{
	enum { PAGES = 512, CHILDREN = 3 };
	uint64_t *area = check_map(PAGES * PAGE, PROT_READ | PROT_WRITE);
	pid_t child[CHILDREN];

	fill(area, PAGES, 0);
	for (int i = 0; i < CHILDREN; i++) {
		child[i] = check_fork();
		if (child[i])
			continue;
		pid_t grandchild;

		verify(area, PAGES, 0, "inherited memory");
		fill(area, PAGES / 2, i + 1);
		grandchild = check_fork();
		verify(area, PAGES / 2, i + 1, "own copy");
		for (size_t j = PAGES / 2; j < PAGES; j++)
			require(area[j * PAGE_WORDS + j % PAGE_WORDS] == check_pattern(0, j),
				"a page nobody wrote has changed");
		fill(area, PAGES, grandchild ? i + 10 : i + 20);
		verify(area, PAGES, grandchild ? i + 10 : i + 20, "own copy, second generation");
		if (grandchild)
			check_wait(grandchild, 0);
		verify(area, PAGES, grandchild ? i + 10 : i + 20, "own copy at the end");
		_exit(0);
	}
	for (int i = 0; i < CHILDREN; i++)
		check_wait(child[i], 0);
	verify(area, PAGES, 0, "the parent's memory after its children wrote");
	/* No sharer is left: the parent's own writes now reuse the frames. */
	fill(area, PAGES, 5);
	verify(area, PAGES, 5, "the parent's memory after its own writes");
}

static void move(void)
{
	enum { PAGES = 4096 };
	uint64_t *area = check_map(PAGES * PAGE, PROT_READ | PROT_WRITE);
	uint64_t *fence = check_map(PAGE, PROT_NONE), *moved;
	unsigned char vec;

	fill(area, PAGES, 8);
	/* Alignment to the reach of an L2 entry is what lets the kernel move whole page tables. */
	moved = check_map(PAGES * PAGE * 2, PROT_NONE);
	moved = (uint64_t *)(((uintptr_t)moved + 0x1fffff) & ~(uintptr_t)0x1fffff);
	require(mremap(area, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moved) ==
			moved,
		"mremap to a fixed place: %m");
	verify(moved, PAGES, 8, "moved area");
	require(mincore(area, PAGE, &vec) == -1, "the old place is still mapped after mremap");

	area = mremap(moved, PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE);
	require(area != MAP_FAILED, "mremap to twice the size: %m");
	verify(area, PAGES, 8, "grown area");
	require(area[(2 * PAGES - 1) * PAGE_WORDS] == 0, "the grown part is not zero");
	require(mremap(area, 2 * PAGES * PAGE, PAGES * PAGE / 2, 0) == area, "mremap shrink: %m");
	verify(area, PAGES / 2, 8, "shrunk area");

	/* An odd page at a time, out of the middle, to exercise single entries. */
	for (int i = 0; i < 64; i++) {
		uint64_t *page = area + (i * 7 + 1) * PAGE_WORDS;
		uint64_t want = check_pattern(8, i * 7 + 1);
		uint64_t *to = mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, fence);

		require(to == fence, "mremap of one page: %m");
		require(to[i * 7 + 1] == want, "a single moved page has wrong contents");
	}
}

static void shared(void)
{
	enum { PAGES = 256 };
	uint64_t *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t *first, *second;
	pid_t pid;
	int fd;

	require(area != MAP_FAILED, "shared mmap: %m");
	pid = check_fork();
	if (pid == 0) {
		fill(area, PAGES, 11);
		_exit(0);
	}
	check_wait(pid, 0);
	verify(area, PAGES, 11, "memory shared with a child");

	fd = memfd_create("check", 0);
	require(fd >= 0 && ftruncate(fd, PAGES * PAGE) == 0, "memfd: %m");
	first = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	second = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	require(first != MAP_FAILED && second != MAP_FAILED, "mmap of a memfd: %m");
	for (int round = 0; round < 4; round++) {
		fill(round % 2 ? first : second, PAGES, round);
		verify(round % 2 ? second : first, PAGES, round, "two mappings of one file");
	}
	/* A private mapping sees the file until its own first write. */
	second = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	require(second != MAP_FAILED, "private mmap of a memfd: %m");
	verify(second, PAGES, 3, "private mapping before the write");
	fill(second, PAGES, 30);
	verify(first, PAGES, 3, "the file after a private write");
	verify(second, PAGES, 30, "private mapping after the write");
}

static void files(void)
{
	enum { PAGES = 512 };
	uint64_t block[PAGE_WORDS], *area;
	int fd = open("/tmp/check-file", O_RDWR | O_CREAT | O_TRUNC, 0600);

	require(fd >= 0, "open in /tmp: %m");
	for (int i = 0; i < PAGES; i++) {
		for (int j = 0; j < PAGE_WORDS; j++)
			block[j] = check_pattern(i, j);
		require(write(fd, block, PAGE) == PAGE, "write to a file: %m");
	}
	area = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	require(area != MAP_FAILED, "mmap of a file: %m");
	for (int i = PAGES - 1; i >= 0; i--) {
		require(pread(fd, block, PAGE, (off_t)i * PAGE) == PAGE, "pread: %m");
		require(!memcmp(block, area + i * PAGE_WORDS, PAGE),
			"a file differs between read and mmap in page %d", i);
		for (int j = 0; j < PAGE_WORDS; j++)
			require(block[j] == check_pattern(i, j), "file page %d is wrong", i);
	}
	unlink("/tmp/check-file");
	close(fd);
}

const struct check_topic memory_topics[] = {
	{"mmap", map_unmap}, {"mmap-large", big}, {"brk", brk_heap},	{"copy-on-write", cow},
	{"mremap", move},    {"mmap-shared", shared}, {"mmap-file", files}, {NULL, NULL},
};
