import LinuxCalls
import MachineConfiguration
import VirtioDevices

/// `swiftlet-vmm attach`: hands an open file or TAP device to the monitor of a machine that runs, along with a request.
///
/// A monitor opens nothing by name while it runs; this is a process of its own, with its caller's rights, beside it.
struct AttachCommand: Equatable {
    private enum Device: Equatable {
        case disk(path: String, isReadOnly: Bool)
        /// Open already.
        case descriptor(Int32)
        case tap(name: String, address: String?)
        case nothing
    }

    private static let mostRequestBytes = 64 << 10

    private let socket: String
    private let device: Device

    /// - Parameter arguments: what follows the command's name.
    init(arguments: [String]) throws(InvocationError) {
        var rest = arguments[...]
        guard let socket = rest.popFirst(), let kind = rest.popFirst() else { throw .missingValue(option: "attach") }
        self.socket = socket
        let first = rest.popFirst()
        let second = rest.popFirst()
        if let extra = rest.first { throw .unknownArgument(extra) }
        switch (kind, first, second) {
        case ("disk", let path?, "rw"): device = .disk(path: path, isReadOnly: false)
        case ("disk", let path?, "ro"): device = .disk(path: path, isReadOnly: true)
        case ("descriptor", let text?, nil):
            guard let number = Int32(text), number > 2 else {
                throw .invalidValue(
                    option: "descriptor", found: text, wanted: "the number of an open descriptor, above 2")
            }
            device = .descriptor(number)
        case ("tap", let name?, let address): device = .tap(name: name, address: address)
        case ("nothing", nil, nil): device = .nothing
        default: throw .invalidValue(option: "attach", found: kind, wanted: "what `swiftlet-vmm --help` says")
        }
    }

    /// - Returns: the exit status: 0 when there was an answer, whatever it says.
    func run() -> Int32 {
        do throws(AttachFault) {
            try exchange()
            return 0
        } catch {
            writeToStandardError("swiftlet-vmm: \(error.description)\n")
            return ExitStatus.notBuilt
        }
    }

    private struct AttachFault: Error { let description: String }

    private func exchange() throws(AttachFault) {
        let file = try open()
        do throws(LinuxError) {
            var request: [UInt8] = []
            while request.count < Self.mostRequestBytes,
                try read(0, appendingTo: &request, maximumBytes: 4096) > 0
            {}
            guard let first = request.first else { throw LinuxError.invalidArgument }
            let connection = try UnixSocket.connect(socket)
            try setNonBlocking(connection.number, false)
            switch file {
            case .some(let file):
                try sendDescriptor(file.number, with: first, over: connection.number)
                request.removeFirst()
            case .none: break
            }
            try writeAll(connection.number, request)
            // The monitor answers, and then sees that nothing more will come.
            shutDownSocket(connection.number, 1)
            var answer: [UInt8] = []
            while try read(connection.number, appendingTo: &answer, maximumBytes: 4096) > 0 {
                try writeAll(1, answer)
                answer = []
            }
        } catch { throw AttachFault(description: "\(socket): \(error)") }
    }

    private func open() throws(AttachFault) -> FileDescriptor? {
        switch device {
        case .nothing: return nil
        case .descriptor(let number): return FileDescriptor(owning: number)
        case .disk(let path, let isReadOnly):
            do throws(LinuxError) {
                return try LinuxCalls.open(
                    path, isReadOnly ? [.readOnly, .nonBlocking] : [.readWrite, .nonBlocking])
            } catch { throw AttachFault(description: "\(path): \(error)") }
        case .tap(let name, let address):
            do throws(NetError) {
                let tap = try TapInterface(name: name)
                if let address {
                    guard let parsed = VirtualMachineConfiguration.NetworkInterface.parseAddress(address) else {
                        throw NetError.invalidName(address)
                    }
                    try TapInterface.setAddress(parsed.bytes, prefixLength: parsed.prefixLength, ofInterface: name)
                }
                return tap.takeDescriptor()
            } catch { throw AttachFault(description: error.description) }
        }
    }
}
