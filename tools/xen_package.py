# SPDX-License-Identifier: MIT
"""Xen itself, out of Debian's package, for those who compare with it (tests/xen-reference, tools/bench metal)."""

import gzip
import pathlib
import shutil
import subprocess

PACKAGE = 'xen-hypervisor-4.17-amd64'
CACHE = pathlib.Path.home() / '.cache/xenopus'


def fetch_xen():
    """Path of the unpacked hypervisor, fetched with apt when it is not in the cache; nothing is installed. Raises
    OSError, with a line for people, if it cannot be had."""
    xen = CACHE / 'xen-4.17'
    if xen.exists():
        return xen
    work = CACHE / 'unpack'
    work.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(['apt-get', 'download', PACKAGE], cwd=work, check=True, stdout=subprocess.DEVNULL)
        deb = next(work.glob('*.deb'))
        subprocess.run(['dpkg', '-x', str(deb), str(work / 'x')], check=True)
        packed = next((work / 'x/boot').glob('xen-*.gz'))
        xen.write_bytes(gzip.decompress(packed.read_bytes()))
    except (OSError, StopIteration, subprocess.CalledProcessError) as err:
        raise OSError(f'{PACKAGE} cannot be had: {err}') from err
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return xen
