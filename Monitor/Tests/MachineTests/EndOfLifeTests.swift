import BootTestSupport
import Foundation
import LinuxCalls
import Machine
import MachineConfiguration
import Testing

extension Tag {
    /// Needs /dev/kvm; any will do.
    @Tag static var kvm: Self
}

private let isKVMThere = (try? open("/dev/kvm", .readWrite).release()) != nil

/// Bare guests, each of which ends its life in its own way. They run wherever /dev/kvm opens.
@Suite(.tags(.kvm), .serialized, .enabled(if: isKVMThere, "/dev/kvm is missing or may not be opened"))
struct EndOfLifeTests {
    /// Runs a guest to its end; what it printed comes with it.
    private func run(
        _ guest: BareGuest, processors: UInt32 = 1, change: (inout VirtualMachineConfiguration) -> Void = { _ in }
    ) throws -> (end: MachineEnd, output: String) {
        let kernel = try memoryFile(holding: guest.image)
        let console = try memoryFile(name: "console", lengthBytes: 0)
        var configuration = VirtualMachineConfiguration(
            bootSource: .init(kernelImagePath: "/proc/self/fd/\(kernel.number)"), virtualCPUCount: processors,
            memoryMebibytes: 16)
        configuration.console.inputDescriptor = nil
        configuration.console.outputDescriptor = console.number
        change(&configuration)
        let end = try Machine(configuration).run()
        let bytes = try readBytes(console.number, offset: 0, count: 1 << 20)
        return (end, String(decoding: bytes, as: UTF8.self))
    }

    @Test func `a guest prints a line and resets through the keyboard controller`() throws {
        let (end, output) = try run(BareGuest().print("hello\n").resetByKeyboardController)
        #expect(end == .reset && end.exitStatus == 0)
        #expect(output == "hello\n")
    }

    @Test func `a template changes what the guest is told of its processor`() throws {
        var template = ProcessorTemplate()
        let name = ProcessorTemplate.Bits(mask: 0xffff_ffff, value: 0x4443_4241)
        template.leaves = [.init(0x8000_0002, bits: name)]
        // KVM_CAP_USER_MEMORY, and the time stamp counter's adjustment as it is.
        template.capabilities = [3]
        template.modelRegisters = [.init(0x3b, bits: .init())]
        let (end, output) = try run(BareGuest().printProcessorName.powerOff) { $0.processorTemplate = template }
        #expect(end == .poweredOff && output == "ABCD")
        #expect(try run(BareGuest().printProcessorName.powerOff).output != "ABCD")
    }

    @Test func `a template that the host cannot follow is refused with what is missing`() {
        func refusal(_ change: (inout ProcessorTemplate) -> Void) -> String? {
            var template = ProcessorTemplate()
            change(&template)
            do {
                _ = try run(BareGuest().powerOff) { $0.processorTemplate = template }
                return nil
            } catch { return "\(error)" }
        }
        let bit = ProcessorTemplate.Bits(mask: 1, value: 1)
        #expect(refusal { $0.capabilities = [0x270f] }?.hasSuffix("Missing KVM capabilities: 0x270f") == true)
        #expect(
            refusal { $0.leaves = [.init(0x99999, bits: bit)] }?
                .hasSuffix("not supported by KVM: Leaf: 99999, Subleaf: 0") == true)
        #expect(refusal { $0.modelRegisters = [.init(0xdead_beef, bits: bit)] } != nil)
    }

    @Test func `a kernel that is a pipe nobody writes to is refused and not waited for`() throws {
        let path = NSTemporaryDirectory() + "pipe-\(UInt64.random(in: 0...UInt64.max))"
        // SAFETY, for both: the text is valid during the call.
        let isMade = unsafe mkfifo(path, 0o600) == 0
        defer { _ = unsafe unlink(path) }
        #expect(isMade)
        #expect(throws: MachineError.self) { try run(BareGuest().powerOff) { $0.bootSource.kernelImagePath = path } }
    }

    @Test func `a guest resets by the register that ACPI names`() throws {
        #expect(try run(BareGuest().resetByACPI).end == .reset)
    }

    @Test func `a guest powers off by the sleep control register`() throws {
        let (end, output) = try run(BareGuest().print("bye\n").powerOff)
        #expect(end == .poweredOff && end.exitStatus == 0)
        #expect(output == "bye\n")
    }

    @Test func `other sleep states and other values are no power-off`() throws {
        let guest = BareGuest().output(0x14, port: 0x600).output(0x30, port: 0x600).output(0x34, port: 0x601)
        #expect(try run(guest.resetByACPI).end == .reset)
    }

    @Test func `the other processors of a guest that is done go too`() throws {
        // Again and again, for the guest is done while the others are just being started, sooner or later in that.
        for _ in 0..<50 { #expect(try run(BareGuest().powerOff, processors: 4).end == .poweredOff) }
    }

    @Test func `a guest that halts with interrupts off has halted for good`() throws {
        let (end, _) = try run(BareGuest().haltForever)
        #expect(end == .halted && end.exitStatus == 2)
    }

    @Test func `a triple fault ends the machine and shows the registers`() throws {
        let (end, output) = try run(BareGuest().print("x").tripleFault)
        guard case .tripleFault(let detail) = end else {
            Issue.record("ended as \(end)")
            return
        }
        #expect(output == "x")
        #expect(detail.lowercased().contains("rip"))
    }

    @Test func `code where no memory is ends the machine with an account of it`() throws {
        let (end, _) = try run(BareGuest().jump(to: 0xd800_0000))
        switch end {
        case .internalError(let detail), .tripleFault(let detail): #expect(detail.contains("d8000000"))
        default: Issue.record("ended as \(end)")
        }
    }

    @Test func `ports that nobody answers and every width at every port do no harm`() throws {
        var guest = BareGuest()
        let ports: [UInt16] = [
            0x00, 0x20, 0x21, 0x40, 0x43, 0x60, 0x61, 0x70, 0x71, 0x80, 0x2f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe,
            0x3ff, 0x400, 0x601, 0xcf8, 0xcfc, 0x1234, 0xffff,
        ]
        for port in ports { guest = guest.useAllWidths(port: port) }
        #expect(try run(guest.powerOff).end == .poweredOff)
    }

    @Test(arguments: [0, 1, 0xffff_ffff, 0x8000_0000, 0x1234_5678] as [UInt32])
    func `nonsense in every device register leaves the machine running`(value: UInt32) throws {
        // The entropy device's window, one where no device is, and the interrupt controller.
        let guest = BareGuest().fillRegisters(from: 0xd000_0000, count: 80, value: value)
            .fillRegisters(from: 0xd000_1000, count: 8, value: value)
            .fillRegisters(from: 0xfec0_0000, count: 16, value: value)
            .fillRegisters(from: 0xd000_0000, count: 80, value: value)
            .print("alive\n").powerOff
        let (end, output) = try run(guest) { $0.hasEntropyDevice = true }
        #expect(end == .poweredOff && output == "alive\n")
    }

    @Test func `a machine ends when its lifeline hangs up`() throws {
        let ours: FileDescriptor
        let holder: Int32
        do {
            let pipe = try PipePair()
            ours = try pipe.reading.duplicate()
            holder = try pipe.writing.duplicate().release()
        }
        try startThread {
            sleep(nanoseconds: 100_000_000)
            _ = FileDescriptor(owning: holder)
        }
        let (end, _) = try run(BareGuest().loopForever) { [number = ours.number] in $0.lifelineDescriptor = number }
        #expect(end == .requested && end.exitStatus == 0)
    }

    @Test func `a machine that has ended is freed, with every descriptor that it had`() async {
        // In a process of its own, where nothing else opens and closes descriptors.
        await #expect(processExitsWith: .success) {
            let disk = try memoryFile(name: "disk", lengthBytes: 1 << 20)
            let console = try memoryFile(name: "console", lengthBytes: 0)
            let input = try PipePair()
            let lifeline = try PipePair()

            func runOnce(_ guest: BareGuest) throws -> () -> Machine? {
                let kernel = try memoryFile(holding: guest.image)
                var configuration = VirtualMachineConfiguration(
                    bootSource: .init(kernelImagePath: "/proc/self/fd/\(kernel.number)"), virtualCPUCount: 2,
                    memoryMebibytes: 16)
                configuration.console.inputDescriptor = input.reading.number
                configuration.console.outputDescriptor = console.number
                configuration.lifelineDescriptor = lifeline.reading.number
                configuration.drives = [.init(id: "disk", pathOnHost: "/proc/self/fd/\(disk.number)")]
                configuration.hasEntropyDevice = true
                configuration.balloon = .init(amountMebibytes: 0, isDeflatingOnOutOfMemory: true)
                configuration.balloon?.statisticsIntervalSeconds = 1
                configuration.vsock = .init(guestCID: 3, udsPath: "/tmp/swiftlet-end-of-life-\(currentThreadNumber())")
                let machine = try Machine(configuration)
                _ = machine.run()
                return { [weak machine] in machine }
            }
            let before = openDescriptors()
            let hello = BareGuest().print("hello\n")
            for guest in [hello.powerOff, hello.resetByACPI, hello.tripleFault, hello.haltForever, hello.powerOff] {
                let machine = try runOnce(guest)
                #expect(machine() == nil)
            }
            // Its threads let go of the last of it when they end.
            func leaked() -> Bool {
                let left = openDescriptors(beyond: before)
                // The libraries below the tests make one timer for themselves, at a moment of their own; each machine has three.
                return !left.isEmpty && left != ["anon_inode:[timerfd]"]
            }
            for _ in 0..<6000 where leaked() { sleep(nanoseconds: 10_000_000) }
            #expect(!leaked())
        }
    }
}

/// What the descriptors of this process are, but for those that were there before.
private func openDescriptors(beyond before: [String] = []) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    var found = names.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/" + $0) }
    for known in before { found.firstIndex(of: known).map { _ = found.remove(at: $0) } }
    return found
}
