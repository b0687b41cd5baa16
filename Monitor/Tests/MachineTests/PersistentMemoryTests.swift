import BootTestSupport
import LinuxCalls
import Machine
import MachineConfiguration
import Testing

private let isKVMThere = (try? open("/dev/kvm", .readWrite).release()) != nil

/// Bare guests with a file in their memory, 4 GiB up. They run wherever /dev/kvm opens.
@Suite(.tags(.kvm), .serialized, .enabled(if: isKVMThere, "/dev/kvm is missing or may not be opened"))
struct PersistentMemoryTests {
    /// The guest prints the file's first byte, and writes 'w' behind it.
    private func run(
        _ file: borrowing FileDescriptor, isReadOnly: Bool = false, afterBuilding: () throws -> Void = {}
    ) throws -> (end: MachineEnd, output: String) {
        let kernel = try memoryFile(holding: BareGuest().swapFirstBytes(at: 4 << 30).powerOff.image)
        let console = try memoryFile(name: "console", lengthBytes: 0)
        var configuration = VirtualMachineConfiguration(
            bootSource: .init(kernelImagePath: "/proc/self/fd/\(kernel.number)"), virtualCPUCount: 1,
            memoryMebibytes: 16)
        configuration.console.inputDescriptor = nil
        configuration.console.outputDescriptor = console.number
        var persistent = VirtualMachineConfiguration.PersistentMemory(
            id: "p", pathOnHost: "/proc/self/fd/\(file.number)")
        persistent.isReadOnly = isReadOnly
        configuration.persistentMemories = [persistent]
        let machine = try Machine(configuration)
        try afterBuilding()
        let end = machine.run()
        return (end, String(decoding: try readBytes(console.number, offset: 0, count: 64), as: UTF8.self))
    }

    @Test func `a guest reads and writes the file as memory`() throws {
        let file = try memoryFile(holding: Array("hello".utf8))
        #expect(try run(file) == (.poweredOff, "h"))
        #expect(try readBytes(file.number, offset: 0, count: 9) == Array("hwllo".utf8))
    }

    @Test func `what a guest writes to a read-only file is lost, and the guest goes on`() throws {
        let file = try memoryFile(holding: Array("hello".utf8))
        #expect(try run(file, isReadOnly: true) == (.poweredOff, "h"))
        #expect(try readBytes(file.number, offset: 0, count: 9) == Array("hello".utf8))
    }

    @Test func `a file that has become shorter ends the guest with the reason, or is no memory where KVM sees it so`()
        throws
    {
        let file = try memoryFile(holding: Array("hello".utf8))
        let number = file.number
        let (end, output) = try run(file) { try changeLength(number, lengthBytes: 0) }
        if case .hostFault(let reason) = end {
            #expect(reason.contains("shorter than it was") && output == "")
        } else {
            #expect(end == .poweredOff)
        }
    }

    @Test func `an empty file is refused`() throws {
        let file = try memoryFile(name: "empty", lengthBytes: 0)
        #expect(throws: MachineError.self) { try run(file) }
    }
}
