# SPDX-License-Identifier: MIT
"""stress-ng out of Debian's package, with the libraries it loads, as an archive to put behind an initramfs.

usage: stress_package.py     (prints where the archive is, after fetching it if it must)
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

CACHE = pathlib.Path.home() / '.cache/xenopus'
MKCPIO = pathlib.Path(__file__).resolve().parent.parent / 'guests/linux/mkcpio.py'
PACKAGES = ('stress-ng libapparmor1 libbsd0 libegl1 libgbm1 libgles2 libipsec-mb1 libjpeg62-turbo libjudydebian1 libkmod2 '
            'libsctp1 libxxhash0 libglvnd0 libmd0 libdrm2 libexpat1 libwayland-server0 libffi8 libzstd1 liblzma5 libssl3 '
            'zlib1g libcrypt1').split()


def download(work):
    """Every package into a directory; an archive that moved on since its lists were fetched needs new lists."""
    words = ['apt-get', '-q', '-o', 'APT::Sandbox::User=root', 'download', *PACKAGES]
    if subprocess.run(words, cwd=work, stdout=subprocess.DEVNULL, check=False).returncode:
        subprocess.run(['apt-get', '-q', 'update'], stdout=subprocess.DEVNULL, check=True)
        subprocess.run(words, cwd=work, stdout=subprocess.DEVNULL, check=True)


def entries(root):
    """mkcpio's entries for the program, the loader and every library; what no package has is the host's (libc)."""
    program = root / 'usr/bin/stress-ng'
    places = ':'.join(str(root / place / 'x86_64-linux-gnu') for place in ('lib', 'usr/lib'))
    listing = subprocess.run(['ldd', str(program)], env={**os.environ, 'LD_LIBRARY_PATH': places}, capture_output=True,
                             text=True, check=True).stdout
    if 'not found' in listing:
        raise OSError('libraries are missing: ' + ' '.join(re.findall(r'(\S+) => not found', listing)))
    yield f'file:/usr/bin/stress-ng={program}'
    yield 'file:/lib64/ld-linux-x86-64.so.2=/lib64/ld-linux-x86-64.so.2'
    for path in re.findall(r'=> (/\S+)', listing):
        yield f'file:/lib/x86_64-linux-gnu/{os.path.basename(path)}={path}'


def fetch_stress():
    """Path of the archive. Raises OSError, with a line for people, if it cannot be had."""
    archive = CACHE / 'stress-ng.cpio'
    if archive.exists():
        return archive
    work = CACHE / f'stress-ng.{os.getpid()}'
    work.mkdir(parents=True, exist_ok=True)
    try:
        download(work)
        for deb in work.glob('*.deb'):
            subprocess.run(['dpkg', '-x', str(deb), str(work / 'root')], check=True)
        subprocess.run([sys.executable, str(MKCPIO), str(work / 'cpio'), *entries(work / 'root')], check=True)
        (work / 'cpio').replace(archive)
    except (OSError, subprocess.CalledProcessError) as err:
        raise OSError(f'stress-ng cannot be had: {err}') from err
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return archive


if __name__ == '__main__':
    try:
        print(fetch_stress())
    except OSError as problem:
        sys.exit(f'stress_package: {problem}')
