import CLinux
import LinuxCalls

/// The kernel's virtualisation, behind `/dev/kvm`.
public struct KVMSystem: ~Copyable {
    let device: FileDescriptor

    /// The size of the state that each processor shares with the kernel.
    let sharedStateBytes: Int

    /// Opens `/dev/kvm`.
    /// - Throws: ENOENT (no KVM), EACCES (not this user), or ENOSYS for an interface version that nobody knows.
    public init() throws(KVMError) {
        do throws(LinuxError) {
            try self.init(owning: open("/dev/kvm", .readWrite))
        } catch {
            throw KVMError("open /dev/kvm", error)
        }
    }

    private init(owning device: consuming FileDescriptor) throws(LinuxError) {
        do throws(KVMError) {
            guard try control(device.number, linux_KVM_GET_API_VERSION, "KVM_GET_API_VERSION") == 12 else {
                throw KVMError("KVM_GET_API_VERSION", LinuxError(ENOSYS))
            }
            sharedStateBytes = try control(device.number, linux_KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE")
        } catch {
            throw error.cause
        }
        self.device = device
    }

    /// Makes an empty virtual machine.
    public func makeVirtualMachine() throws(KVMError) -> KVMVirtualMachine {
        KVMVirtualMachine(
            owning: FileDescriptor(
                owning: Int32(truncatingIfNeeded: try control(device.number, linux_KVM_CREATE_VM, "KVM_CREATE_VM"))),
            sharedStateBytes: sharedStateBytes)
    }

    /// What `KVM_CHECK_EXTENSION` says: zero for absent, else a number whose meaning is the capability's.
    public func capability(_ number: Int32) -> Int {
        (try? control(device.number, linux_KVM_CHECK_EXTENSION, "KVM_CHECK_EXTENSION", argument: Int(number))) ?? 0
    }

    /// The processor features that a guest can be given, as CPUID leaves.
    public func supportedCPUID() throws(KVMError) -> ProcessorIdentification {
        var table = ProcessorIdentification()
        do throws(LinuxError) {
            try table.fill(device.number, request: linux_KVM_GET_SUPPORTED_CPUID)
        } catch {
            throw KVMError("KVM_GET_SUPPORTED_CPUID", error)
        }
        return table
    }
}
