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
            try unsafe setSlot(
                UInt32(slot), region.start, lengthBytes: region.lengthBytes,
                hostAddress: UInt64(UInt(bitPattern: region.hostBase)))
        }
        for (index, attachment) in memory.attachments.enumerated() where attachment.blockBytes == 0 {
            try setSlot(
                Self.firstAttachmentSlot + UInt32(index), attachment.start, lengthBytes: attachment.lengthBytes,
                hostAddress: attachment.hostAddress, isReadOnly: attachment.isReadOnly)
        }
    }

    private static let firstAttachmentSlot: UInt32 = 2
    /// Behind those of all attachments, of which there are no more than devices.
    private static let firstPluggableSlot: UInt32 = 64

    /// Has the processors reach a part of a pluggable attachment, or no longer. The attachment must outlive the machine.
    /// - Parameter number: counts the parts, which are `slotBytes` long each.
    public func setSlot(
        _ number: UInt32, of attachment: MemoryAttachment, slotBytes: UInt64, isPlugged: Bool
    ) throws(KVMError) {
        let offset = UInt64(number) &* slotBytes
        try setSlot(
            Self.firstPluggableSlot &+ number, GuestAddress(attachment.start.value &+ offset),
            lengthBytes: isPlugged ? slotBytes : 0, hostAddress: attachment.hostAddress &+ offset)
    }

    private func setSlot(
        _ number: UInt32, _ start: GuestAddress, lengthBytes: UInt64, hostAddress: UInt64, isReadOnly: Bool = false
    ) throws(KVMError) {
        // KVM_MEM_READONLY is 2.
        var slot = kvm_userspace_memory_region(
            slot: number, flags: isReadOnly ? 2 : 0, guest_phys_addr: start.value, memory_size: lengthBytes,
            userspace_addr: hostAddress)
        try control(descriptor.number, linux_KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION")
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
