# SPDX-License-Identifier: MIT
"""gdb commands that understand Xenopus: domains, virtual CPUs, frames, page tables, event channels.

    (gdb) source tools/gdb/xenopus.py
    (gdb) help xenopus

Read docs/debugging.md for a tour. All commands only read memory: they call nothing in the process, so
they work in any state it stopped in, in a core file, and against a bare-metal machine.

What they read are the core's own objects, the same in both homes. Whatever depends on the home is in the
class Home, and nowhere else.
"""

import gdb

# Constants that debug information does not carry; tests/gdb compares them with the headers.
CONSTANTS = {
    'core/include/xenopus/mm.h': {
        'PTE_P': 0x1, 'PTE_RW': 0x2, 'PTE_US': 0x4, 'PTE_PWT': 0x8, 'PTE_PCD': 0x10, 'PTE_A': 0x20,
        'PTE_D': 0x40, 'PTE_PS': 0x80, 'PTE_G': 0x100, 'PTE_ADDR': 0xffffffffff000,
    },
    'core/mm/frame.h': {
        'FF_ALLOC': 0x1, 'FF_PINNED': 0x2, 'FF_VALIDATED': 0x4, 'FF_PARTIAL': 0x8, 'FF_BUSY': 0x10,
        'FF_QUEUED': 0x20,
    },
    'core/include/xenopus/sched.h': {
        'VPF_DOWN': 0x1, 'VPF_BLOCKED': 0x2, 'VPF_PAUSED': 0x4, 'VPF_DEAD': 0x8,
    },
    'core/include/xenopus/gate.h': {'GATE_KERNEL_MODE': 0x1},
    'core/event/evtchn.h': {'EVTCHN_PER_BUCKET': 128},
    'backends/baremetal/metal_layout.h': {'DIRECT_VIRT': 0xffff820000000000},
}
K = {name: value for table in CONSTANTS.values() for name, value in table.items()}

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
NX = 1 << 63
GATE_VIRT = 0xffff810000000000  # L4 slot 258, in both homes

SHUTDOWN_REASONS = ('poweroff', 'reboot', 'suspend', 'crash', 'watchdog', 'soft reset')
VIRQS = ('timer', 'debug', 'console', 'dom_exc', 'tbuf', None, 'debugger', 'xenoprof', 'con_ring',
         'pcpu_state', 'mem_event', 'argo', 'enomem', 'xenpmu')
REGISTERS = ('rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp',
             'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15')


def fail(text):
    raise gdb.GdbError(text)


def symbol(name):
    """A global object of the core, or a static one written as file.c::name."""
    file, _, plain = name.rpartition('::')
    try:
        return gdb.parse_and_eval(f"'{file}'::{plain}" if file else plain)
    except gdb.error:
        return fail(f"'{name}' is unknown: this is no xenopus, or one without debug information")


def u64(value):
    return int(value) & (1 << 64) - 1


def enum_name(enum, value, prefix):
    """Name of an enumerator, for fields that store an enum in a byte."""
    for field in gdb.lookup_type(f'enum {enum}').fields():
        if field.enumval == int(value):
            return field.name.removeprefix(prefix).lower()
    return str(int(value))


def flag_names(value, prefix):
    return [name.removeprefix(prefix).lower() for name, bit in K.items()
            if name.startswith(prefix) and int(value) & bit]


class Home:
    """All that depends on where the core lives.

    Hosted, machine memory is a mapping of the process, and while a virtual CPU is in KVM_RUN its registers
    are KVM's. On bare metal, behind QEMU's gdb port or a probe, all memory is in the direct map of every
    address space, each thread of gdb is a CPU, and while one is in ring 3 its registers are the guest's.
    """

    @staticmethod
    def hosted():
        return gdb.lookup_global_symbol('kvm_stats_print') is not None

    @classmethod
    def frame_address(cls, mfn):
        """Where the debugger sees machine frame @mfn: what plat_frame_ptr() is to the core."""
        base = int(symbol('machine')['mem']) if cls.hosted() else K['DIRECT_VIRT']
        return base + (mfn << PAGE_SHIFT)

    @classmethod
    def cpu_thread(cls, vcpu):
        """The gdb thread of the physical CPU that has @vcpu's state now, or None."""
        threads = gdb.selected_inferior().threads()
        if cls.hosted():
            machine = symbol('machine')
            for i in range(int(machine['nr_pcpus'])):
                pcpu = machine['pcpu'][i]
                if int(vcpu['plat']) and int(pcpu['loaded']) == int(vcpu['plat']):
                    return next((t for t in threads if t.ptid[1] == int(pcpu['tid'])), None)
            return None
        return next((t for t in threads if t.num == int(vcpu['sched']['pcpu']) + 1), None)

    @classmethod
    def live_registers(cls, vcpu):
        """The registers as a dictionary if the CPU was stopped while it ran the guest, otherwise None."""
        thread = cls.cpu_thread(vcpu)
        if thread is None or not int(vcpu['sched']['running']):
            return None
        selected, frame_before = gdb.selected_thread(), gdb.selected_frame()
        try:
            thread.switch()
            return cls.from_kvm(vcpu) if cls.hosted() else cls.from_processor()
        finally:
            if selected is not None:
                selected.switch()
                frame_before.select()

    @staticmethod
    def from_kvm(vcpu):
        """KVM's copy, if KVM_RUN is among the innermost frames of the selected thread."""
        frame = gdb.newest_frame()
        for _ in range(4):
            if frame is None:
                return None
            if frame.name() == 'kvcpu_run_raw':
                kvcpu = vcpu['plat'].cast(gdb.lookup_type('struct kvcpu').pointer())
                values = {name: u64(kvcpu['regs'][name]) for name in REGISTERS + ('rip', 'rflags')}
                values['cs'] = int(kvcpu['sregs']['cs']['selector'])
                values['ss'] = int(kvcpu['sregs']['ss']['selector'])
                return values
            frame = frame.older()
        return None

    @staticmethod
    def from_processor():
        """The processor's own, if it is in ring 3."""
        frame = gdb.newest_frame()
        values = {name: u64(frame.read_register(name)) for name in REGISTERS + ('rip', 'cs', 'ss')}
        values['rflags'] = u64(frame.read_register('eflags'))
        return values if values['cs'] & 3 == 3 else None


def read_words(mfn, offset, count):
    """@count 64-bit words at byte @offset of machine frame @mfn."""
    if mfn >= u64(symbol('nr_frames')):
        fail(f'there is no machine frame {mfn:#x}')
    data = gdb.selected_inferior().read_memory(Home.frame_address(mfn) + offset, 8 * count)
    raw = bytes(data)
    return [int.from_bytes(raw[i:i + 8], 'little') for i in range(0, 8 * count, 8)]


def container(pointer, struct, member):
    kind = gdb.lookup_type(f'struct {struct}')
    offset = next(f.bitpos // 8 for f in kind.fields() if f.name == member)
    return gdb.Value(int(pointer) - offset).cast(kind.pointer()).dereference()


def domains():
    """All domains. The list is walked with a bound, in case it was stopped in the middle of a change."""
    head = symbol('domain_list')
    link = head['next']
    for _ in range(4096):
        if not int(link) or link == head.address:
            return
        yield container(link, 'domain', 'link')
        link = link['next']


def domain(text):
    """The domain called @text: its number or its name; the first one if @text is empty."""
    known = list(domains())
    for d in known:
        if not text or text.lstrip('d') == str(int(d['id'])) or text == d['name'].string():
            return d
    return fail(f"no domain '{text}': 'xenopus domains' lists them" if known else 'there are no domains')


def vcpus(d):
    for i in range(int(d['max_vcpus'])):
        if int(d['vcpu'][i]):
            yield d['vcpu'][i].dereference()


def vcpu_name(v):
    return f"d{int(v['domain']['id'])}v{int(v['id'])}"


def vcpu(text):
    """The virtual CPU called @text (d1v0); virtual CPU 0 of the first domain if @text is empty."""
    name, _, number = text.partition('v')
    d = domain(name)
    for v in vcpus(d):
        if int(v['id']) == int(number or 0):
            return v
    return fail(f"no virtual CPU '{text}': 'xenopus vcpus' lists them")


def kernel_mode(v):
    return int(v['gate']['flags']) & K['GATE_KERNEL_MODE'] != 0


def registers(v):
    """The guest's registers as a dictionary, and where they come from."""
    values = Home.live_registers(v)
    if values:
        gate = values['cs'] & 3 == 0 or GATE_VIRT <= values['rip'] < GATE_VIRT + (1 << 39)
        return values, 'in the gate' if gate else 'running'
    regs = v['gate']['regs']
    values = {name: u64(regs[name]) for name in REGISTERS + ('rip', 'rflags', 'cs', 'ss')}
    return values, 'trapped'


def state(v, where):
    """What the scheduler thinks of a virtual CPU, in words."""
    sched = v['sched']
    flags = flag_names(sched['pause_flags'], 'VPF_')
    if int(sched['running']):
        return f"{where} on pcpu {int(sched['pcpu'])}"
    if flags:
        return ', '.join(flags)
    return 'runnable'


def m2p(mfn):
    """The pseudo-physical number a frame's owner gave it, or None."""
    table = symbol('m2p.c::m2p')
    value = u64(table[mfn])
    return None if value == (1 << 64) - 1 else value


def describe_frame(mfn):
    """One line about a frame-table entry, without its number."""
    if mfn >= u64(symbol('nr_frames')):
        return 'beyond the machine'
    f = symbol('frame_table')[mfn]
    kind = enum_name('frame_kind', f['kind'], 'FK_')
    words = [f"of d{int(f['owner']['id'])}" if int(f['owner']) else kind]
    if kind not in ('domain', 'reserved', 'free') and int(f['owner']):
        words.append(kind)
    if kind in ('domain', 'shared', 'orphan'):
        kind_of = enum_name('frame_type', f['type'], 'FT_').replace('l', 'L', 1) \
            if 1 <= int(f['type']) <= 4 else \
            {0: 'untyped', 5: 'segment descriptors', 6: 'writable', 7: 'read-only'}.get(int(f['type']))
        if not int(f['type_count']) and int(f['type']):
            kind_of = f'was {kind_of}'
        words.append(kind_of)
        words.append(f"{int(f['count'])} references, {int(f['type_count'])} of type")
    flags = [x for x in flag_names(f['flags'], 'FF_') if x != 'alloc']
    words += flags
    if 'partial' in flags:
        words.append(f"{int(f['nr_done'])} entries done")
    return ', '.join(words)


def entry_flags(entry):
    names = (('P', K['PTE_P']), ('RW', K['PTE_RW']), ('US', K['PTE_US']), ('PWT', K['PTE_PWT']),
             ('PCD', K['PTE_PCD']), ('A', K['PTE_A']), ('D', K['PTE_D']), ('PS', K['PTE_PS']),
             ('G', K['PTE_G']), ('NX', NX))
    return ' '.join(name for name, bit in names if entry & bit) or 'not present'


def walk(cr3, va):
    """Yield (level, index, entry) from the root down, ending with the first that leads no further."""
    table = (cr3 & K['PTE_ADDR']) >> PAGE_SHIFT
    for level in (4, 3, 2, 1):
        index = va >> PAGE_SHIFT + 9 * (level - 1) & 511
        entry = read_words(table, 8 * index, 1)[0]
        yield level, index, entry
        if not entry & K['PTE_P'] or level > 1 and entry & K['PTE_PS']:
            return
        table = (entry & K['PTE_ADDR']) >> PAGE_SHIFT


def translate(cr3, va):
    """Machine address behind a guest virtual address, or None."""
    for level, _, entry in walk(cr3, va):
        if not entry & K['PTE_P']:
            return None
        if level == 1 or entry & K['PTE_PS']:
            low = (1 << PAGE_SHIFT + 9 * (level - 1)) - 1
            return entry & K['PTE_ADDR'] & ~low | va & low
    return None


def current_cr3(v):
    return u64(v['gate']['cr3_kernel'] if kernel_mode(v) else v['gate']['cr3_user'])


def split_vcpu(argument, needed):
    """'[VCPU] rest' -> the virtual CPU and the list of the rest; at least @needed words of it."""
    words = gdb.string_to_argv(argument)
    name = ''
    if words and words[0][0] == 'd' and words[0][1:].replace('v', '', 1).isdigit():
        name = words.pop(0)
    if len(words) < needed:
        fail("an address is missing: see 'help xenopus'")
    return vcpu(name), words


def address(v, text):
    """A guest virtual address: a guest register's name or any expression of gdb."""
    values, _ = registers(v)
    if text in values:
        return values[text]
    return u64(gdb.parse_and_eval(text))


class Prefix(gdb.Command):
    """Look into the hypervisor.

A VCPU is written d1v0 (virtual CPU 0 of domain 1) and a domain d1, 1, or its name; if left out, the first
there is. Addresses are expressions, or names of the guest's registers."""

    def __init__(self):
        super().__init__('xenopus', gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class Command(gdb.Command):
    """A subcommand of xenopus, named like its class."""

    def __init__(self):
        super().__init__('xenopus ' + type(self).__name__.lower(), gdb.COMMAND_DATA)

    def show(self, argument):
        raise NotImplementedError

    def invoke(self, argument, from_tty):
        for line in self.show(argument.strip()):
            gdb.write(line.rstrip() + '\n')


class Domains(Command):
    """xenopus domains: one line per domain."""

    def show(self, argument):
        yield 'domain  state     vcpus       frames  name'
        for d in domains():
            what = enum_name('domain_state', d['state'], 'DOM_')
            if what == 'shutdown':
                reason = int(d['shutdown_reason'])
                what = SHUTDOWN_REASONS[reason] if reason < len(SHUTDOWN_REASONS) else str(reason)
            yield (f"d{int(d['id']):<6} {what:<9} {len(list(vcpus(d))):>5} {int(d['mm']['tot_pages']):>12}"
                   f"  {d['name'].string()}")


class Vcpus(Command):
    """xenopus vcpus [DOMAIN]: virtual CPUs with the guest's registers.

'trapped': the core works for it, or it waits; the registers are those it trapped with. 'running': it
was stopped inside KVM_RUN; the registers are what KVM says. 'in the gate': so, but on the way between
guest and core; the registers are the gate's."""

    def show(self, argument):
        for d in [domain(argument)] if argument else list(domains()):
            for v in vcpus(d):
                yield from self.one(v)

    @staticmethod
    def one(v):
        r, where = registers(v)
        info = v['gate']['vcpu_info']
        yield (f"{vcpu_name(v)}: {state(v, where)}; {'kernel' if kernel_mode(v) else 'user'} mode,"
               f" events {'masked' if int(info['evtchn_upcall_mask']) else 'on'}"
               f"{', pending' if int(info['evtchn_upcall_pending']) else ''}")
        yield (f"  rip {r['cs']:04x}:{r['rip']:016x}  rflags {r['rflags']:08x}  ss {r['ss']:04x}"
               f"  cr2 {u64(v['gate']['cr2']):016x}")
        for i in range(0, len(REGISTERS), 4):
            yield '  ' + '  '.join(f'{name:<3} {r[name]:016x}' for name in REGISTERS[i:i + 4])
        yield f"  cr3 kernel {u64(v['gate']['cr3_kernel']):x}, user {u64(v['gate']['cr3_user']):x}"


class Frame(Command):
    """xenopus frame MFN: the frame-table entry of a machine frame, and its entry in the M2P table."""

    def show(self, argument):
        if not argument:
            fail('which frame? Give its number')
        mfn = u64(gdb.parse_and_eval(argument))
        if mfn >= u64(symbol('nr_frames')):
            fail(f"there is no machine frame {mfn:#x}: the last one is {u64(symbol('nr_frames')) - 1:#x}")
        pfn = m2p(mfn)
        yield f'frame {mfn:#x}: {describe_frame(mfn)}'
        yield f"  M2P: {'none' if pfn is None else f'pfn {pfn:#x}'}"


class Walk(Command):
    """xenopus walk [VCPU] ADDRESS: the page-table entries behind a guest virtual address, level by level."""

    def show(self, argument):
        v, words = split_vcpu(argument, 1)
        va = address(v, words[0])
        cr3 = current_cr3(v)
        root = (cr3 & K['PTE_ADDR']) >> PAGE_SHIFT
        yield f'{vcpu_name(v)}: {va:#018x}, cr3 {cr3:#x}'
        yield f'  root frame {root:#x}: {describe_frame(root)}'
        for level, index, entry in walk(cr3, va):
            yield f'  L{level}[{index}] {entry:016x}  {entry_flags(entry)}'
            if not entry & K['PTE_P']:
                yield '  not mapped'
                return
            mfn = (entry & K['PTE_ADDR']) >> PAGE_SHIFT
            yield f'    frame {mfn:#x}: {describe_frame(mfn)}'
        machine = translate(cr3, va)
        pfn = m2p(machine >> PAGE_SHIFT)
        yield (f'  machine address {machine:#x}, '
               + ('no pfn' if pfn is None else f'pfn {pfn:#x}'))


class Memory(Command):
    """xenopus memory [VCPU] ADDRESS [COUNT]: 64-bit words at a guest virtual address (8 of them)."""

    def show(self, argument):
        v, words = split_vcpu(argument, 1)
        va = address(v, words[0]) & ~7
        count = int(gdb.parse_and_eval(words[1])) if len(words) > 1 else 8
        cr3 = current_cr3(v)
        line = []
        for at in range(va, va + 8 * count, 8):
            machine = translate(cr3, at)
            if machine is None:
                line.append('not mapped')
            else:
                value = read_words(machine >> PAGE_SHIFT, machine & PAGE_SIZE - 1, 1)[0]
                line.append(f'{value:016x}')
            if len(line) == 4 or at == va + 8 * (count - 1):
                yield f'  {at - 8 * (len(line) - 1):016x}: ' + ' '.join(line)
                line = []


class Events(Command):
    """xenopus events [DOMAIN]: event channels: state, other end, virtual CPU, pending and mask bits."""

    def show(self, argument):
        d = domain(argument)
        table = d['event']['table'].dereference()
        fifo = table['fifo']
        yield f"d{int(d['id'])}: {'FIFO' if int(fifo) else 'two-level'} event channels"
        yield '  port  state        vcpu  pending  masked  other end'
        for i in range(int(table['buckets'])):
            for j in range(K['EVTCHN_PER_BUCKET']):
                channel = table['bucket'][i][j]
                what = enum_name('evtchn_state', channel['state'], 'ECS_')
                if what in ('free', 'reserved'):
                    continue
                port = int(channel['port'])
                pending, masked = self.bits(d, fifo, port)
                yield (f"  {port:4}  {what:<11} {int(channel['notify_vcpu']):5}  {pending:<7}  {masked:<6}"
                       f'  {self.other_end(channel, what)}')

    @staticmethod
    def bits(d, fifo, port):
        """('yes'/'no', 'yes'/'no'): pending and masked, as the guest sees them."""
        if int(fifo):
            per_page = PAGE_SIZE // 4
            if port // per_page >= int(fifo['pages']):
                return '-', '-'
            word = int(fifo['page'][port // per_page][port % per_page])
            values = word >> 31 & 1, word >> 30 & 1
        else:
            info = d['mm']['shared_info']
            values = [u64(info[name][port // 64]) >> port % 64 & 1
                      for name in ('evtchn_pending', 'evtchn_mask')]
        return tuple('yes' if value else 'no' for value in values)

    @staticmethod
    def other_end(channel, what):
        u = channel['u']
        if what == 'interdomain':
            return f"d{int(u['remote']['domain']['id'])} port {int(u['remote']['port'])}"
        if what == 'unbound':
            return f"for d{int(u['unbound_for'])}"
        if what == 'virq':
            number = int(u['virq'])
            return VIRQS[number] if number < len(VIRQS) and VIRQS[number] else f'virq {number}'
        if what == 'core':
            return str(u['core']['notify']).rpartition('<')[2].rstrip('>')
        return ''


class Stats(Command):
    """xenopus stats [DOMAIN]: hypercalls, exceptions and page-table stores counted so far."""

    def show(self, argument):
        d = domain(argument)
        stats = [d['vcpu'][i]['stats'] for i in range(int(d['max_vcpus'])) if int(d['vcpu'][i])]
        yield f"d{int(d['id'])}: hypercalls"
        names = symbol('dispatch.c::table')
        for i in range(names.type.range()[1] + 1):
            count = sum(int(s['hypercall'][i]['count']) for s in stats)
            if count:
                name = names[i]['name']
                yield f"  {name.string() if int(name) else f'hypercall {i}':<28} {count:12}"
        yield 'exceptions'
        for i in range(32):
            count = sum(int(s['exceptions'][i]) for s in stats)
            if count:
                yield f"  {'vector ' + str(i):<28} {count:12}"
        yield 'others'
        for name in ('guest_syscalls', 'soft_ints', 'kicks', 'upcalls', 'mmu_updates', 'va_mappings', 'ptwr'):
            yield f"  {name.replace('_', ' '):<28} {sum(int(s[name]) for s in stats):12}"


class Log(Command):
    """xenopus log: the last lines of the hypervisor log, those that were not shown, too."""

    def show(self, argument):
        ring = symbol('logring.c::log_ring')
        size = int(ring['text'].type.sizeof)
        end = int(ring['produced'])
        memory = bytes(gdb.selected_inferior().read_memory(int(ring['text'].address), size))
        start = max(end - size, 0)
        text = bytes(memory[at % size] for at in range(start, end)).decode('latin-1')
        yield from text.split('\n')[1 if start else 0:-1]


class Guest(gdb.Function):
    """$guest(REGISTER): a register of the first virtual CPU's guest, for any expression: break *$guest("rip")."""

    def __init__(self):
        super().__init__('guest')

    def invoke(self, register):
        values, _ = registers(vcpu(''))
        name = register.string()
        return gdb.Value(values[name]) if name in values else fail(f"no register '{name}'")


def handle_signals():
    """The signal that kicks a physical CPU out of its guest comes hundreds of times a second."""
    gdb.execute('handle SIGUSR1 nostop noprint pass', to_string=True)


Prefix()
for command in (Domains, Vcpus, Frame, Walk, Memory, Events, Stats, Log):
    command()
Guest()
handle_signals()
