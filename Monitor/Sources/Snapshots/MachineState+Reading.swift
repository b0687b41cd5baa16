import KVMHost
import LegacyDevices
import VirtioDevices
import VirtioQueues
import WireFormats

extension MachineState {
    /// Reads a state file's bytes. Trust: they may be anything.
    public init(decoding bytes: [UInt8]) throws(SnapshotError) {
        self.init()
        let minor = try Self.checkFrame(bytes)
        minorVersion = minor
        var reader = LittleEndianReader(bytes[SnapshotFormat.headerBytes...])
        var isMachineThere = false
        var isPlatformThere = false
        while reader.remaining > 0 {
            guard let number = try? reader.read(UInt32.self), let length = try? reader.read(UInt32.self),
                let content = try? reader.readBytes(Int(length))
            else { throw .malformed("list of sections") }
            guard let section = SnapshotFormat.Section(rawValue: number) else {
                if number >= SnapshotFormat.firstOptional { continue }
                if minor > SnapshotFormat.minor { throw .newer(major: SnapshotFormat.major, minor: minor) }
                throw .malformed("list of sections")
            }
            isMachineThere = isMachineThere || section == .machine
            isPlatformThere = isPlatformThere || section == .platform
            var inside = LittleEndianReader(content)
            let isRead = (try? read(section, &inside, content)) != nil
            guard isRead, inside.remaining == 0 || section == .configuration else { throw .malformed(section.name) }
        }
        guard isMachineThere, isPlatformThere, !processors.isEmpty else { throw .malformed("list of sections") }
    }

    /// Returns the minor version.
    private static func checkFrame(_ bytes: [UInt8]) throws(SnapshotError) -> UInt16 {
        guard bytes.count >= SnapshotFormat.headerBytes, bytes.starts(with: SnapshotFormat.magic) else {
            throw .notASnapshot
        }
        var reader = LittleEndianReader(bytes[SnapshotFormat.magic.count..<SnapshotFormat.headerBytes])
        guard let major = try? reader.read(UInt16.self), let minor = try? reader.read(UInt16.self),
            let architecture = try? reader.read(UInt32.self), let length = try? reader.read(UInt64.self),
            (try? reader.read(UInt64.self)) != nil, let wanted = try? reader.read(UInt64.self)
        else { throw .notASnapshot }
        // In this order: behind a newer major version nothing else means what it says.
        if major > SnapshotFormat.major { throw .newer(major: major, minor: minor) }
        if architecture != SnapshotFormat.architecture { throw .architecture(architecture) }
        if length != UInt64(bytes.count) { throw .length(found: UInt64(bytes.count), wanted: length) }
        var checksum = Checksum()
        checksum.add(bytes[..<SnapshotFormat.checksumOffset])
        checksum.add(bytes[SnapshotFormat.headerBytes...])
        if wanted != checksum.value { throw .damaged }
        return minor
    }

    private mutating func read(
        _ section: SnapshotFormat.Section, _ reader: inout LittleEndianReader, _ content: [UInt8]
    ) throws(LittleEndianReader.Truncated) {
        switch section {
        case .machine:
            identifier = try reader.readBytes(Self.identifierBytes)
            memoryMebibytes = try reader.read()
            clockNanoseconds = try reader.read()
        case .configuration: configuration = content
        case .processor: processors.append(try reader.readProcessor())
        case .device: devices.append(try reader.readDevice())
        case .platform:
            platform.interruptController = try reader.readFigures()
            platform.keyboardController = try reader.readFigures()
            platform.realTimeClock = try reader.readFigures()
        case .serialPort:
            var port = SerialPortState()
            port.figures = try reader.readFigures()
            port.received = try reader.readCounted()
            port.transmitted = try reader.readCounted()
            serialPort = port
        }
    }
}

extension SnapshotFormat.Section {
    fileprivate var name: StaticString {
        switch self {
        case .machine: "machine"
        case .processor: "processor"
        case .device: "device"
        case .platform: "platform"
        case .serialPort: "serial port"
        case .configuration: "configuration"
        }
    }
}

/// A count is never believed: each element takes its bytes from what is left, so a lie ends early.
extension LittleEndianReader {
    fileprivate mutating func readCounted() throws(Truncated) -> [UInt8] {
        try readBytes(Int(try read(UInt32.self)))
    }

    fileprivate mutating func readFigures() throws(Truncated) -> [UInt64] {
        var figures: [UInt64] = []
        for _ in 0..<(try read(UInt32.self)) { figures.append(try read()) }
        return figures
    }

    fileprivate mutating func readProcessor() throws(Truncated) -> ProcessorState {
        var processor = ProcessorState()
        processor.counterKilohertz = try read()
        let count = try read(UInt32.self)
        // All parts, each in its place and of its length.
        guard count == ProcessorState.Part.allCases.count else { throw Truncated() }
        for part in ProcessorState.Part.allCases {
            guard try read(UInt32.self) == part.rawValue else { throw Truncated() }
            let bytes = try readCounted()
            guard bytes.count == part.byteCount else { throw Truncated() }
            processor.parts.append(bytes)
        }
        for _ in 0..<(try read(UInt32.self)) {
            processor.identification.append(
                IdentificationLeaf(
                    leaf: try read(), subleaf: try read(), flags: try read(), eax: try read(), ebx: try read(),
                    ecx: try read(), edx: try read()))
        }
        for _ in 0..<(try read(UInt32.self)) {
            processor.modelRegisters.append(.init(index: try read(), value: try read()))
        }
        return processor
    }

    fileprivate mutating func readDevice() throws(Truncated) -> TransportState {
        var device = TransportState()
        device.kind = try read()
        device.status = UInt8(truncatingIfNeeded: try read(UInt32.self))
        device.deviceFeaturesSelect = try read()
        device.driverFeaturesSelect = try read()
        device.driverFeatures = try read()
        device.queueSelect = try read()
        device.pendingReasons = try read()
        device.configurationGeneration = try read()
        device.isResetNeeded = try read(UInt32.self) != 0
        for _ in 0..<(try read(UInt32.self)) {
            var queue = TransportState.Queue()
            queue.size = try read()
            queue.isReady = try read(UInt32.self) != 0
            queue.descriptorTable = try read()
            queue.availableRing = try read()
            queue.usedRing = try read()
            queue.position = QueuePosition(nextAvailable: try read(), nextUsed: try read())
            device.queues.append(queue)
        }
        device.own = try readFigures()
        return device
    }
}
