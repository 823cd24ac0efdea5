/* SPDX-License-Identifier: MIT */
/*
 * The smallest program that proves a working KVM: one virtual CPU in real mode adds two numbers, writes the
 * sum to a port and halts. It goes first in the emulated machine, so that a broken harness is not
 * taken for a broken hypervisor.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

int main(void)
{
	/* add al, bl; out 0x10, al; hlt */
	static const unsigned char code[] = {0x00, 0xd8, 0xe6, 0x10, 0xf4};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = 0x1000,
		.memory_size = 4096,
		.userspace_addr = (__u64)(unsigned long)page,
	};
	struct kvm_regs regs = {.rip = 0x1000, .rax = 40, .rbx = 2, .rflags = 2};
	struct kvm_sregs sregs;
	struct kvm_run *run;
	int vcpu, sum = -1;

	if (vm < 0 || page == MAP_FAILED) {
		perror("kvm-probe: /dev/kvm");
		return 1;
	}
	memcpy(page, code, sizeof(code));
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 || vcpu < 0 ||
	    ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0) {
		perror("kvm-probe: set-up");
		return 1;
	}
	run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED,
		   vcpu, 0);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (run == MAP_FAILED || ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 ||
	    ioctl(vcpu, KVM_SET_REGS, &regs) < 0) {
		perror("kvm-probe: registers");
		return 1;
	}
	while (ioctl(vcpu, KVM_RUN, 0) == 0 && run->exit_reason == KVM_EXIT_IO)
		sum = *((unsigned char *)run + run->io.data_offset);
	if (run->exit_reason != KVM_EXIT_HLT || sum != 42) {
		printf("kvm-probe: exit reason %u, sum %d\n", run->exit_reason, sum);
		return 1;
	}
	printf("kvm-probe: ok\n");
	return 0;
}
