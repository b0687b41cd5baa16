import MachineConfiguration
import WireFormats

/// What a monitor is told of its machine: its configuration file with the sections `control`, `restore` and `hot-plug`, and the orders
/// at its control socket that attach a drive or an interface. Whatever the bytes are, they are taken or refused, and what is taken keeps
/// to the bounds that the machine relies on.
///
/// The first byte says as what the others are read.
public func fuzzConfiguration(_ input: [UInt8]) {
    guard let kind = input.first, let value = try? JSONParser.parse(Array(input.dropFirst())) else { return }
    switch kind & 3 {
    case 0:
        guard let drive = try? VirtualMachineConfiguration.drive(value) else { return }
        precondition(!drive.id.isEmpty, "a drive has a name")
    case 1:
        guard let interface = try? VirtualMachineConfiguration.interface(value) else { return }
        precondition(!interface.id.isEmpty, "an interface has a name")
        if let address = interface.guestMAC { precondition(address.count == 6, "an address has six bytes") }
    default:
        guard let configuration = try? VirtualMachineConfiguration.parse(document: value) else { return }
        precondition((1...32).contains(configuration.virtualCPUCount), "there are processors")
        precondition(configuration.attached.count <= configuration.slotCount, "what is attached has a slot of its own")
        if let restore = configuration.restore {
            precondition(!restore.state.isEmpty && !restore.memory.isEmpty, "a restore has files")
        }
    }
}
