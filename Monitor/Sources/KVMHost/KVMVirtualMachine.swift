import CLinux
public import GuestMemory
public import LinuxCalls

/// One virtual machine in the kernel: memory slots, interrupt routes, event descriptors. Usable from every thread.
public final class KVMVirtualMachine: Sendable {
    private let descriptor: FileDescriptor
    private let sharedStateBytes: Int

    init(owning descriptor: consuming FileDescriptor, sharedStateBytes: Int) {
        self.descriptor = descriptor
        self.sharedStateBytes = sharedStateBytes
    }

    /// Gives the guest its memory. The memory must outlive the machine.
    public func attach(_ memory: GuestMemory) throws(KVMError) {
        // SAFETY: regions describe live mappings, kept by the caller for as long as the machine runs.
        let regions = unsafe memory.regions
        for slot in unsafe regions.indices {
            let region = unsafe regions[slot]
            var slotDescription = unsafe kvm_userspace_memory_region(
                slot: UInt32(slot), flags: 0, guest_phys_addr: region.start.value, memory_size: region.lengthBytes,
                userspace_addr: UInt64(UInt(bitPattern: region.hostBase)))
            try control(
                descriptor.number, linux_KVM_SET_USER_MEMORY_REGION, &slotDescription, "KVM_SET_USER_MEMORY_REGION")
        }
    }

    /// Local APICs in the kernel, the I/O APIC in this process: no slow set-up and tear-down of the kernel's own, and
    /// interrupts still never leave the kernel (see `routeInterrupts`).
    public func enableSplitInterruptController(pins: UInt32) throws(KVMError) {
        var capability = kvm_enable_cap()
        capability.cap = UInt32(KVM_CAP_SPLIT_IRQCHIP)
        capability.args.0 = UInt64(pins)
        try control(descriptor.number, linux_KVM_ENABLE_CAP, &capability, "KVM_CAP_SPLIT_IRQCHIP")
    }

    /// The three pages that some processors need for real mode, out of the way of memory and devices.
    /// Source: KVM API §4.16 (KVM_SET_TSS_ADDR).
    public func setTaskStateAddress(_ address: UInt32) throws(KVMError) {
        try control(descriptor.number, linux_KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR", argument: Int(address))
    }

    /// Makes every signal of `event` raise the interrupt `line`, without this process's help.
    public func connect(_ event: borrowing EventFile, toInterrupt line: UInt32) throws(KVMError) {
        var request = kvm_irqfd()
        request.fd = UInt32(event.descriptor.number)
        request.gsi = line
        try control(descriptor.number, linux_KVM_IRQFD, &request, "KVM_IRQFD")
    }

    /// Makes a four-byte guest write of `value` to `address` signal `event`, without an exit to this process.
    public func connect(
        _ event: borrowing EventFile, toWriteAt address: GuestAddress, value: UInt32
    ) throws(KVMError) {
        var request = kvm_ioeventfd()
        request.datamatch = UInt64(value)
        request.addr = address.value
        request.len = 4
        request.fd = event.descriptor.number
        request.flags = 1  // KVM_IOEVENTFD_FLAG_DATAMATCH
        try control(descriptor.number, linux_KVM_IOEVENTFD, &request, "KVM_IOEVENTFD")
    }

    /// Replaces all interrupt routes: each line that has a message is delivered as that message.
    public func routeInterrupts(_ messages: [InterruptMessage]) throws(KVMError) {
        // struct kvm_irq_routing: count, flags; then 48 bytes an entry: line, type, flags, padding, 32 bytes of content.
        // Source: KVM API §4.52 (KVM_SET_GSI_ROUTING).
        var words: [UInt32] = [UInt32(messages.count), 0]
        words.reserveCapacity(2 + 12 * messages.count)
        for message in messages {
            words += [message.line, 2, 0, 0, UInt32(truncatingIfNeeded: message.address)]
            words += [UInt32(truncatingIfNeeded: message.address >> 32), message.data, 0, 0, 0, 0, 0]
        }
        do throws(LinuxError) {
            // SAFETY: the table is as long as its count says and is read during the call.
            unsafe try words.span.withUnsafeBufferPointer { buffer throws(LinuxError) in
                _ = unsafe try systemCallRestarting(
                    __NR_ioctl, Int(descriptor.number), Int(bitPattern: linux_KVM_SET_GSI_ROUTING),
                    Int(bitPattern: buffer.baseAddress))
            }
        } catch {
            throw KVMError("KVM_SET_GSI_ROUTING", error)
        }
    }

    /// The nanoseconds that the guest's KVM clock shows. Source: KVM API §4.29 (KVM_GET_CLOCK).
    public func clockNanoseconds() throws(KVMError) -> UInt64 {
        var data = kvm_clock_data()
        try control(descriptor.number, linux_KVM_GET_CLOCK, &data, "KVM_GET_CLOCK")
        return data.clock
    }

    /// Lets the guest's KVM clock go on from there.
    public func setClock(nanoseconds: UInt64) throws(KVMError) {
        var data = kvm_clock_data()
        data.clock = nanoseconds
        try control(descriptor.number, linux_KVM_SET_CLOCK, &data, "KVM_SET_CLOCK")
    }

    /// Makes a virtual processor; numbers count from zero, and zero is the one that boots.
    public func makeVirtualCPU(_ number: UInt32) throws(KVMError) -> KVMVirtualCPU {
        let processor = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: try control(
                    descriptor.number, linux_KVM_CREATE_VCPU, "KVM_CREATE_VCPU", argument: Int(number))))
        do throws(LinuxError) {
            let shared = try Mapping(sharing: processor.number, lengthBytes: sharedStateBytes)
            return KVMVirtualCPU(number: number, owning: processor, shared: shared)
        } catch {
            throw KVMError("map the shared state of a processor", error)
        }
    }
}

/// A message-signalled interrupt, and the line that stands for it.
public struct InterruptMessage: Equatable, Sendable {
    public let line: UInt32
    public let address: UInt64
    public let data: UInt32

    public init(line: UInt32, address: UInt64, data: UInt32) {
        self.line = line
        self.address = address
        self.data = data
    }
}
