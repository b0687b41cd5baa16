import KVMHost
import LegacyDevices
import LinuxCalls
import Snapshots
import Testing
import VirtioDevices
import VirtioQueues

/// A machine's state with something in every field.
func makeState() -> MachineState {
    var state = MachineState()
    state.identifier = Array(1...16)
    state.memoryMebibytes = 128
    state.clockNanoseconds = 0x1234_5678_9abc_def0
    state.configuration = Array(#"{"machine-config": {}}"#.utf8)
    for number in 0..<1 as Range<UInt32> {
        var processor = ProcessorState()
        for part in ProcessorState.Part.allCases {
            processor.parts.append((0..<part.byteCount).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ Int(number)) })
        }
        processor.counterKilohertz = 2_400_000
        processor.identification = [
            IdentificationLeaf(leaf: 1, subleaf: 2, flags: 3, eax: 4, ebx: 5, ecx: 6, edx: number)
        ]
        processor.modelRegisters = [.init(index: 0x10, value: .max), .init(index: 0x4b56_4d01, value: 9)]
        state.processors.append(processor)
    }
    state.platform.interruptController = Array(0..<26)
    state.platform.keyboardController = [1, 256, 256]
    state.platform.realTimeClock = [15]
    var port = SerialPortState()
    port.figures = [1, 2, 3, 4, 5, 1, 0]
    port.received = Array("typed".utf8)
    port.transmitted = Array("said".utf8)
    state.serialPort = port
    var device = TransportState()
    device.kind = 2
    device.status = 15
    device.driverFeatures = 1 << 32 | 1
    device.pendingReasons = 1
    device.configurationGeneration = 7
    var queue = TransportState.Queue()
    queue.size = 256
    queue.isReady = true
    queue.descriptorTable = 0x10_0000
    queue.availableRing = 0x10_1000
    queue.usedRing = 0x10_2000
    queue.position = QueuePosition(nextAvailable: 0xfffe, nextUsed: 0xfffe)
    device.queues = [queue]
    device.own = [4096]
    state.devices = [device, TransportState()]
    return state
}

@Suite struct FormatTests {
    /// A state file with other bytes in its header or body, and the checksum that goes with them.
    private func changed(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var bytes = makeState().encoded
        change(&bytes)
        var checksum = Checksum()
        checksum.add(bytes[..<32])
        checksum.add(bytes[40...])
        for index in 0..<8 { bytes[32 + index] = UInt8(truncatingIfNeeded: checksum.value >> (8 * UInt64(index))) }
        return bytes
    }

    private func refusal(_ bytes: [UInt8]) -> SnapshotError? {
        do {
            _ = try MachineState(decoding: bytes)
            return nil
        } catch { return error }
    }

    @Test func `what is written is what is read`() throws {
        #expect(try MachineState(decoding: makeState().encoded) == makeState())
    }

    @Test func `the checksum is that of the standard`() {
        var checksum = Checksum()
        checksum.add(Array("123456789".utf8)[...])
        #expect(checksum.value == 0x995d_c9bb_df19_39fa)
    }

    @Test func `a file that is cut off anywhere is refused`() {
        let bytes = makeState().encoded
        for length in stride(from: 0, to: bytes.count, by: 7) { #expect(refusal(Array(bytes[..<length])) != nil) }
    }

    @Test func `a file that is longer than it says is refused`() {
        let bytes = makeState().encoded
        #expect(refusal(bytes + [0]) == .length(found: UInt64(bytes.count + 1), wanted: UInt64(bytes.count)))
    }

    @Test func `a flipped bit anywhere is noticed`() {
        var bytes = makeState().encoded
        // Each byte of the header, and a sample of the others: each costs a checksum of all.
        for index in Array(0..<40) + Array(stride(from: 40, to: bytes.count, by: 151)) {
            bytes[index] ^= 1 << UInt8(index % 8)
            #expect(refusal(bytes) != nil, "byte \(index)")
            bytes[index] ^= 1 << UInt8(index % 8)
        }
    }

    @Test func `a file of another kind, and an empty one, are no snapshots`() {
        #expect(refusal([]) == .notASnapshot)
        #expect(refusal(Array(repeating: 0, count: 4096)) == .notASnapshot)
        #expect(refusal(Array("#!/bin/sh\necho this is a script and no snapshot\n".utf8)) == .notASnapshot)
    }

    @Test func `a newer major version is refused by its number, whatever else has changed`() {
        #expect(refusal(changed { $0[8] = 3 }) == .newer(major: 3, minor: 0))
        let other = changed { bytes in
            bytes[8] = 3
            bytes[12] = 9
        }
        #expect(refusal(other) == .newer(major: 3, minor: 0))
    }

    @Test func `only what has plugged memory is of the version that has it`() throws {
        var state = makeState()
        #expect(state.encoded[8] == 1 && state.pluggedBytes == 0)
        var device = TransportState()
        device.kind = 24
        device.own = [2 << 20, 4 << 30, 128 << 20, 2 << 20, 128 << 20]
        state.devices.append(device)
        #expect(state.encoded[8] == 1 && state.pluggedBytes == 0)
        state.devices[2].own += [5]
        #expect(state.encoded[8] == 2 && state.pluggedBytes == 4 << 20)
        #expect(try MachineState(decoding: state.encoded) == state)
        // Others' devices may hold anything; a memory device that makes no sense has no size.
        state.devices[2].own += [5]
        #expect(state.pluggedBytes == nil)
    }

    @Test func `another architecture is refused`() {
        #expect(refusal(changed { $0[12] = 2 }) == .architecture(2))
    }

    @Test func `a section that may be left out is left out, and one that may not is refused`() {
        func added(_ number: UInt32, minor: UInt8) -> [UInt8] {
            changed { bytes in
                bytes[10] = minor
                bytes += (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * UInt32($0))) } + [1, 0, 0, 0, 9]
                for index in 0..<8 { bytes[16 + index] = UInt8(truncatingIfNeeded: bytes.count >> (8 * index)) }
            }
        }
        #expect(refusal(added(0x8000_0001, minor: 1)) == nil)
        #expect(refusal(added(99, minor: 1)) == .newer(major: 2, minor: 1))
        #expect(refusal(added(99, minor: 0)) == .malformed("list of sections"))
    }

    @Test func `sections that lie about their counts end early`() {
        let bytes = makeState().encoded
        // Each word of the body in turn becomes enormous, with a checksum that fits: nothing traps, and nothing is
        // allocated for elements that are not there.
        let ends = [40..<200, bytes.count - 700..<bytes.count - 4]
        for offset in ends.flatMap({ stride(from: $0.lowerBound, to: $0.upperBound, by: 4) }) {
            let bytes = changed { for index in 0..<4 { $0[offset + index] = 0xff } }
            _ = refusal(bytes)
        }
    }
}

@Suite struct MemoryImageTests {
    private let identifier: [UInt8] = Array(1...16)

    private func image(_ change: (borrowing FileDescriptor) throws -> Void = { _ in }) throws -> FileDescriptor {
        let file = try memoryFile(name: "memory", lengthBytes: 1 << 20)
        try changeLength(file.number, lengthBytes: 1 << 20 + 4096)
        try writeAll(file.number, MemoryImage.trailer(identifier: identifier, memoryBytes: 1 << 20), offset: 1 << 20)
        try change(file)
        return file
    }

    private func refusal(_ file: consuming FileDescriptor, _ identifier: [UInt8]? = nil) -> SnapshotError? {
        do {
            _ = try MemoryImage(file, identifier: identifier ?? self.identifier, memoryBytes: 1 << 20)
            return nil
        } catch { return error }
    }

    @Test func `a memory file belongs to its state and to no other`() throws {
        #expect(refusal(try image()) == nil)
        #expect(refusal(try image(), Array(repeating: 7, count: 16)) == .foreignMemory)
        #expect(refusal(try memoryFile(name: "zeros", lengthBytes: 2 << 20)) == .foreignMemory)
    }

    @Test func `a memory file that is shorter than the memory is refused`() throws {
        #expect(
            refusal(try image { try changeLength($0.number, lengthBytes: 4096) })
                == .memoryTooShort(found: 4096, wanted: 1 << 20 + 4096))
        #expect(
            refusal(try image { try changeLength($0.number, lengthBytes: 1 << 20) })
                == .memoryTooShort(found: 1 << 20, wanted: 1 << 20 + 4096))
    }

    @Test func `a memory file has as much as was plugged besides`() throws {
        let file = try memoryFile(name: "memory", lengthBytes: 3 << 20 + 4096)
        let trailer = MemoryImage.trailer(identifier: identifier, memoryBytes: 3 << 20)
        try writeAll(file.number, trailer, offset: 3 << 20)
        func refusal(plugged: UInt64) throws -> SnapshotError? {
            do throws(SnapshotError) {
                let copy: FileDescriptor
                do throws(LinuxError) { copy = try file.duplicate() } catch { throw .file(error) }
                _ = try MemoryImage(copy, identifier: identifier, memoryBytes: 1 << 20, pluggedBytes: plugged)
                return nil
            } catch { return error }
        }
        #expect(try refusal(plugged: 2 << 20) == nil)
        #expect(try refusal(plugged: 0) == .foreignMemory)
        #expect(try refusal(plugged: 1 << 20) == .foreignMemory)
        #expect(try refusal(plugged: 4 << 20) == .memoryTooShort(found: 3 << 20 + 4096, wanted: 5 << 20 + 4096))
        for size in [UInt64.max, UInt64.max - 1 << 20, UInt64.max - 2 << 20] {
            #expect(try refusal(plugged: size) != nil)
        }
        #expect(try MemoryImage.readTrailer(file.number).memoryBytes == 3 << 20)
    }

    @Test func `a trailer that was changed is refused`() throws {
        for offset in 0..<48 as Range<UInt64> {
            let file = try image { file in
                let byte = try readBytes(file.number, offset: 1 << 20 + offset, count: 1)[0]
                try writeAll(file.number, [byte ^ 0x10], offset: 1 << 20 + offset)
            }
            #expect(refusal(file) == .foreignMemory)
        }
    }
}

@Suite struct ProcessorCompatibilityTests {
    private func leaf(_ number: UInt32, _ registers: [UInt32], subleaf: UInt32 = 0) -> IdentificationLeaf {
        IdentificationLeaf(
            leaf: number, subleaf: subleaf, flags: 0, eax: registers[0], ebx: registers[1], ecx: registers[2],
            edx: registers[3])
    }

    private func refusal(_ saved: [IdentificationLeaf], _ now: [IdentificationLeaf]) -> SnapshotError? {
        do {
            try ProcessorCompatibility.judge(saved, now)
            return nil
        } catch { return error }
    }

    private let vendor: [UInt32] = [13, 1, 2, 3]

    @Test func `the same processor, and one that can do more, will do`() {
        let saved = [leaf(0, vendor), leaf(1, [0x10, 0, 0b1011, 0b11])]
        #expect(refusal(saved, saved) == nil)
        #expect(refusal(saved, [leaf(0, vendor), leaf(1, [0x20, 9, 0b1111, 0b111])]) == nil)
    }

    @Test func `another maker's processor is refused`() {
        #expect(refusal([leaf(0, vendor)], [leaf(0, [13, 1, 2, 4])]) == .processor(.vendor))
        #expect(refusal([], []) == .processor(.vendor))
    }

    @Test func `a feature that is missing is named`() {
        let error = refusal(
            [leaf(0, vendor), leaf(7, [0, 1 << 16, 0, 0])], [leaf(0, vendor), leaf(7, [0, 1 << 5, 0, 0])])
        #expect(error == .processor(.features(leaf: 7, subleaf: 0, register: "ebx", missing: 1 << 16)))
        #expect(error?.description.contains("leaf 0x7 subleaf 0 ebx, bits 0x10000") == true)
    }

    @Test func `what the monitor adds itself is not asked of the processor`() {
        #expect(
            refusal(
                [leaf(0, vendor), leaf(1, [0, 0, 1 << 24 | 1 << 31, 1 << 28])],
                [leaf(0, vendor), leaf(1, [0, 0, 0, 0])]) == nil)
    }

    @Test func `a counter of another speed is refused, and a hair's breadth is not`() {
        #expect(throws: SnapshotError.self) { try ProcessorCompatibility.judge(counterKilohertz: 2_400_000, 2_500_000) }
        #expect(throws: Never.self) { try ProcessorCompatibility.judge(counterKilohertz: 2_400_000, 2_400_100) }
        #expect(throws: Never.self) { try ProcessorCompatibility.judge(counterKilohertz: 0, 2_400_100) }
    }
}
