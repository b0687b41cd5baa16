import KVMHost
import LegacyDevices

/// A virtual machine in the kernel before anything is known of the machine that it is to be: without memory, devices and
/// state, with its first processor.
///
/// What waits for a request makes one ahead; half of what a restore takes from the request on is done then.
public final class MachineShell: @unchecked Sendable {
    let system: KVMSystem
    let virtualMachine: KVMVirtualMachine
    /// What guests can be told of their processors here. Where this host is a guest itself, the kernel takes long to say it.
    let supported: [IdentificationLeaf]
    private var firstProcessor: KVMVirtualCPU?

    /// - Throws: `kvmUnavailable` or `kvm`.
    public init() throws(MachineError) {
        do throws(KVMError) { system = try KVMSystem() } catch { throw .kvmUnavailable(error) }
        do throws(KVMError) {
            virtualMachine = try system.makeVirtualMachine()
            try virtualMachine.enableSplitInterruptController(pins: UInt32(IOInterruptController.pins))
            try virtualMachine.setTaskStateAddress(PlatformLayout.taskState)
            firstProcessor = try virtualMachine.makeVirtualCPU(0)
            supported = try system.supportedCPUID().copyLeaves()
        } catch { throw .kvm(error) }
    }

    func makeProcessor(_ number: UInt32) throws(KVMError) -> KVMVirtualCPU {
        if number == 0, let processor = firstProcessor.take() { return processor }
        return try virtualMachine.makeVirtualCPU(number)
    }
}
