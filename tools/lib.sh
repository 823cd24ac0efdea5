# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034 # the variables are for those who source this
#
# What tools/quickstart, tools/check and tools/bench share: packages, build, the stock Debian kernel. To be
# sourced. Every step says what it does before it takes time, does nothing if it was done before,
# and ends the script with one line that names the remedy if it cannot be done.
#
# The network is used for apt alone. What is fetched lies in .cache/ of the tree; no kernel is installed.

set -euo pipefail

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$tree/.cache
build=$tree/build
program=${0##*/}
build_options=()

# What building and running needs.
packages_run=(
	gcc libc6-dev meson ninja-build pkg-config python3 busybox-static ca-certificates
	libglib2.0-dev libjson-glib-dev libelf-dev zlib1g-dev libbz2-dev liblzma-dev libzstd-dev liblz4-dev liblzo2-dev
	libxen-dev libcmocka-dev
)
# What running needs without KVM.
packages_emulation=(qemu-system-x86)
# What the tests need on top of it.
packages_test=(
	"${packages_emulation[@]}" gdb binutils xz-utils kmod man-db
	grub-common grub-pc-bin grub-efi-amd64-bin grub-xen-bin xorriso mtools ovmf
)

say() {
	printf '==> %s\n' "$*"
}

die() {
	printf '%s: %s\n' "$program" "$*" >&2
	exit 1
}

# apt_get ARGUMENT... - apt-get without questions; root only where apt itself wants it
apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 "$@"
}

# apt_update - fetch the package lists, once per run
apt_update() {
	[ -z "${apt_updated:-}" ] || return 0
	[ "$(id -u)" = 0 ] || die "the package lists are too old or missing: run 'apt-get update' as root"
	say "fetching apt's package lists"
	apt_get update
	apt_updated=yes
}

# ensure_packages PACKAGE... - install those that are missing
ensure_packages() {
	local missing=() package
	command -v dpkg-query >/dev/null || die "this is for Debian 12: there is no dpkg here"
	for package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || die "packages are missing: run 'apt-get install ${missing[*]}' as root"
	apt_update
	say "installing ${missing[*]}"
	apt_get install -y --no-install-recommends "${missing[@]}" ||
		die "apt could not install what is missing: ${missing[*]}"
}

# ensure_build [TARGET...] - build these (nothing: all) in $build, configured with build_options
ensure_build() {
	if [ ! -f "$build/build.ninja" ]; then
		say "configuring $build"
		meson setup "${build_options[@]}" "$build" "$tree" >"$tree/.meson-setup.log" 2>&1 || {
			tail -n 20 "$tree/.meson-setup.log" >&2
			die "meson setup failed; all of it is in $tree/.meson-setup.log"
		}
		rm -f "$tree/.meson-setup.log"
	fi
	say "building"
	ninja -C "$build" "$@" || die "the build failed"
	# Where the documentation says it is; its own directory is a matter of the build.
	[ -e "$build/xenopus" ] || ln -s backends/kvm/xenopus "$build/xenopus"
	initramfs=$build/guests/linux/initramfs.cpio
	xenopus=$build/xenopus
}

# kernel_package - name of the package behind linux-image-amd64, or nothing
kernel_package() {
	apt-cache depends linux-image-amd64 2>/dev/null |
		awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }'
}

# ensure_kernel - Debian's current kernel, unpacked to .cache/kernel: vmlinuz, and in modules/ those the
# nested test loads. Sets kernel.
ensure_kernel() {
	local package deb new=$cache/kernel.new
	kernel=$cache/kernel/vmlinuz
	[ ! -f "$kernel" ] || return 0
	package=$(kernel_package)
	if [ -z "$package" ]; then
		apt_update
		package=$(kernel_package)
	fi
	[ -n "$package" ] || die "apt knows no linux-image-amd64: are Debian's package sources set?"
	say "fetching $package (about 70 MB; unpacked here, not installed)"
	rm -rf "$new"
	mkdir -p "$new/modules"
	if ! (cd "$new" && apt_get download "$package"); then
		# Lists that are older than the archive name a version that is gone.
		apt_update
		package=$(kernel_package)
		(cd "$new" && apt_get download "$package") || die "apt could not download $package"
	fi
	deb=$(echo "$new"/*.deb)
	say "unpacking its kernel"
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$new" --wildcards '*/vmlinuz-*' '*/irqbypass.ko*' \
		'*/kvm.ko*' '*/kvm-amd.ko*' '*/ccp.ko*' || die "$deb does not hold what is expected"
	find "$new" -name '*.ko*' -exec mv -t "$new/modules" {} +
	find "$new" -name 'vmlinuz-*' -exec mv -t "$new" {} +
	rm -rf "$deb" "${new:?}/boot" "${new:?}/lib" "${new:?}/usr"
	ln -s "$(cd "$new" && echo vmlinuz-*)" "$new/vmlinuz"
	rm -rf "$cache/kernel"
	mv "$new" "$cache/kernel"
}

# kvm_usable - is there a KVM device (10:232 for every Linux), and may we use it?
kvm_usable() {
	[ "$(stat -L -c %t:%T /dev/kvm 2>/dev/null)" = a:e8 ] && [ -r /dev/kvm ] && [ -w /dev/kvm ]
}

# require_kvm - one clear line where nothing but KVM will do
require_kvm() {
	kvm_usable || die "there is no /dev/kvm that could be used: load the kvm-intel or kvm-amd module (in a" \
		"virtual machine: switch nested virtualisation on); run as root or join the group kvm"
}
