import GuestMemory
import LegacyDevices
import LinuxCalls
import Snapshots
import VirtioDevices

extension VirtioFuzzTargets {
    /// State files: what is read is written the same again, and what it says of devices is given to devices.
    public static func snapshot(_ bytes: [UInt8]) {
        // As it is, and with a header that fits: no fuzzer finds a checksum.
        _ = try? MachineState(decoding: bytes)
        judgeLists(bytes)
        judgeTree(bytes)
        guard let state = try? MachineState(decoding: framed(bytes)) else { return }
        // What a newer minor version has besides is left out.
        let again = try? MachineState(decoding: state.encoded)
        guard state.minorVersion == SnapshotFormat.minor ? again == state : again?.encoded == state.encoded else {
            fatalError("a state file that is written again is another one")
        }
        _ = IOInterruptController(figures: state.platform.interruptController)
        _ = KeyboardController(figures: state.platform.keyboardController)
        _ = RealTimeClock(figures: state.platform.realTimeClock)
        _ = state.pluggedBytes
        for processor in state.processors {
            try? ProcessorCompatibility.judge(processor.identification, processor.identification)
        }
        for device in state.devices.prefix(4) { goOn(device) }
    }

    /// The lists of pages beside the state: as they are, and with checksums that fit. What is taken lies inside memory.
    private static func judgeLists(_ bytes: [UInt8]) {
        let memoryBytes: UInt64 = 1 << 20
        let identifier = [UInt8](repeating: 7, count: MachineState.identifierBytes)
        func number(_ value: Int, bytes count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: UInt64(bitPattern: Int64(value)) >> (8 * UInt64($0))) }
        }
        func checksum(_ bytes: [UInt8]) -> [UInt8] {
            var checksum = Checksum()
            checksum.add(bytes[...])
            return number(Int(truncatingIfNeeded: checksum.value), bytes: 8)
        }
        let start = Array("SWLTPAGE".utf8) + number(1, bytes: 8) + identifier + number(1 << 20, bytes: 8)
        let set = start + bytes
        for candidate in [bytes, set + checksum(set)] {
            guard let set = WorkingSet(decoding: candidate, identifier: identifier, memoryBytes: memoryBytes) else {
                continue
            }
            judge(set.read)
            judge(set.written)
            guard set.encoded(identifier: identifier, memoryBytes: memoryBytes) == candidate else {
                fatalError("a working set that is written again is another one")
            }
        }
        let parents = Int(bytes.first ?? 0) & 3
        let end =
            Array("SWLTDIFF".utf8) + number(1, bytes: 8) + identifier + number(1 << 20, bytes: 8)
            + number(parents, bytes: 4) + number(max(0, bytes.count - 16 * parents) / 8, bytes: 4) + checksum(bytes)
        for candidate in [bytes, bytes + end + checksum(end)] {
            guard let file = try? memoryFile(name: "changes", lengthBytes: memoryBytes),
                (try? writeAll(file.number, candidate, offset: memoryBytes)) != nil,
                let image = try? DifferentialImage(file)
            else { continue }
            judge(image.pages)
        }
    }

    /// A memory file of pages of zeros and a few others, and its hash tree.
    private static let checked: (memory: [UInt8], tree: [UInt8], root: PageDigest)? = {
        let memoryBytes = checkedPages * 4096
        let bytes = (0..<checkedPages).flatMap { [UInt8](repeating: content(ofPage: $0), count: 4096) }
        let trailer = MemoryImage.trailer(identifier: checkedIdentifier, memoryBytes: UInt64(memoryBytes))
        let whole = bytes + trailer + [UInt8](repeating: 0, count: 4096 - trailer.count)
        guard let memory = try? memoryFile(holding: whole), let tree = try? memoryFile(name: "tree", lengthBytes: 0),
            let root = try? MemoryTree.write(of: memory.number, to: tree.number),
            let blocks = try? readBytes(tree.number, offset: 0, count: 3 * 4096)
        else { return nil }
        return (whole, blocks, root)
    }()
    private static let checkedPages = 130
    private static let checkedIdentifier = [UInt8](repeating: 7, count: MachineState.identifierBytes)
    private static func content(ofPage index: Int) -> UInt8 { index % 64 == 1 ? UInt8(index) : 0 }

    private static func memoryFile(holding bytes: [UInt8]) throws(LinuxError) -> FileDescriptor {
        let file = try memoryFile(name: "memory", lengthBytes: 0)
        try writeAll(file.number, bytes, offset: 0)
        return file
    }

    private static func memoryFile(name: String, lengthBytes: UInt64) throws(LinuxError) -> FileDescriptor {
        try LinuxCalls.memoryFile(name: name, lengthBytes: lengthBytes)
    }

    /// Memory and tree, changed here and there: each page is read as it was, or not at all.
    private static func judgeTree(_ bytes: [UInt8]) {
        guard let checked else { fatalError("no tree is made") }
        var (memory, tree) = (checked.memory, checked.tree)
        // Each four bytes: where in which file, by 24 bits, and what is turned over there.
        for index in stride(from: 0, to: min(bytes.count / 4 * 4, 64), by: 4) {
            let place = Int(bytes[index]) | Int(bytes[index + 1]) << 8 | Int(bytes[index + 2] & 0x7f) << 16
            if bytes[index + 2] & 0x80 == 0 {
                tree[place % tree.count] ^= bytes[index + 3]
            } else {
                memory[place % (checkedPages * 4096)] ^= bytes[index + 3]
            }
        }
        guard let pages = try? memoryFile(holding: memory), let blocks = try? memoryFile(holding: tree),
            let image = try? MemoryImage(
                pages, identifier: checkedIdentifier, memoryBytes: UInt64(checkedPages * 4096)),
            let checked = try? CheckedImage(image, tree: blocks, root: checked.root)
        else { return }
        for index in 0..<checkedPages {
            guard let isZero = try? checked.read(page: UInt64(index)) else { continue }
            let word = UInt32(content(ofPage: index)) * 0x0101_0101
            guard isZero == (word == 0), (0..<1024).allSatisfy({ checked.room.load(UInt32.self, at: $0 * 4) == word })
            else { fatalError("a page that is not right was taken for one") }
        }
    }

    private static func judge(_ pages: PageRuns) {
        var last: UInt32 = 0
        for run in pages.runs {
            guard run.count > 0, run.first >= last, run.first + run.count <= 256 else {
                fatalError("a list of pages leaves memory or does not rise")
            }
            last = run.first + run.count
        }
    }

    private static func framed(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.count >= 40 else { return bytes }
        var bytes = bytes
        func set(_ value: UInt64, at offset: Int) {
            for index in 0..<8 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index))) }
        }
        set(UInt64(bytes.count), at: 16)
        var checksum = Checksum()
        checksum.add(bytes[..<32])
        checksum.add(bytes[40...])
        set(checksum.value, at: 32)
        return bytes
    }

    /// Puts a device of the same kind into the state, and lets it serve what it finds in memory.
    private static func goOn(_ state: TransportState) {
        guard let loop = try? DeviceHarness.makeLoop(), let memory = try? GuestMemory(totalBytes: 1 << 20),
            let device = try? device(of: state.kind, loop, memory),
            let harness = try? DeviceHarness(device, memory: memory)
        else { return }
        if let device = device as? MemoryDevice { plugAgain(device, state, memory) }
        guard (try? harness.transport.restore(state)) != nil else { return }
        for queue in device.maximumQueueSizes.indices { harness.notify(queue) }
        harness.transport.pause()
        _ = try? harness.transport.save()
        try? harness.transport.resume()
        harness.write(0x70, 0)
    }

    /// What is plugged is what was said, no more and no less, and all of it is memory.
    private static func plugAgain(_ device: MemoryDevice, _ state: TransportState, _ memory: GuestMemory) {
        guard let figures = MemoryFigures(state.own), (try? device.plugAgain(figures)) == true else { return }
        var bytes: UInt64 = 0
        memory.forEachPluggedRun { start, lengthBytes, offset in
            guard offset == memory.totalBytes + bytes, memory.contains(start, lengthBytes: lengthBytes) else {
                fatalError("a block that is plugged is no memory, or lies elsewhere in the image")
            }
            bytes += lengthBytes
        }
        guard bytes == figures.pluggedBytes, bytes == device.pluggedBytes else {
            fatalError("as much is plugged as the state does not say")
        }
        guard (try? device.restore(ownState: state.own)) != nil, device.ownState == state.own else {
            fatalError("what is plugged is written down otherwise than it was read")
        }
    }

    private static func device(
        of kind: UInt32, _ loop: EventLoop, _ memory: GuestMemory
    ) throws -> (any VirtioDevice)? {
        switch kind {
        case VirtioDeviceKind.memory.rawValue:
            MemoryDevice(
                try memory.attachPluggable(lengthBytes: 256 << 20, blockBytes: 2 << 20), slotBytes: 128 << 20,
                loop: loop, switchSlot: { _, _ throws(LinuxError) in })
        case VirtioDeviceKind.entropy.rawValue: EntropyDevice(loop: loop)
        case VirtioDeviceKind.balloon.rawValue:
            try BalloonDevice(
                targetMebibytes: 1, isDeflatingOnOutOfMemory: true, statisticsIntervalSeconds: 1,
                isReportingFreePages: true, loop: loop)
        case VirtioDeviceKind.net.rawValue:
            NetDevice(TapInterface(packetSocket: try memoryFile(name: "wire", lengthBytes: 0)), loop: loop)
        case VirtioDeviceKind.block.rawValue:
            BlockDevice(
                try BlockBackend(try memoryFile(name: "disk", lengthBytes: 1 << 20), isReadOnly: false, cache: .unsafe),
                serial: "fuzz", engine: .synchronous, loop: loop)
        default: nil
        }
    }
}
