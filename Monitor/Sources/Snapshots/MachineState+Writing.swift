import KVMHost
import LegacyDevices
import VirtioDevices
import VirtioQueues
import WireFormats

extension MachineState {
    /// The state file's bytes.
    public var encoded: [UInt8] {
        var body = LittleEndianWriter(reserving: 16384)
        body.writeSection(.machine) { writer in
            writer.writeBytes(identifier)
            writer.write(memoryMebibytes)
            writer.write(clockNanoseconds)
        }
        if !configuration.isEmpty { body.writeSection(.configuration) { $0.writeBytes(configuration) } }
        for processor in processors { body.writeSection(.processor) { $0.write(processor) } }
        body.writeSection(.platform) { writer in
            writer.write(platform.interruptController)
            writer.write(platform.keyboardController)
            writer.write(platform.realTimeClock)
        }
        if let serialPort {
            body.writeSection(.serialPort) { writer in
                writer.write(serialPort.figures)
                writer.writeCounted(serialPort.received)
                writer.writeCounted(serialPort.transmitted)
            }
        }
        for device in devices { body.writeSection(.device) { $0.write(device) } }
        return Self.framed(body.bytes, major: majorVersion)
    }

    private static func framed(_ body: [UInt8], major: UInt16) -> [UInt8] {
        var writer = LittleEndianWriter(reserving: SnapshotFormat.headerBytes + body.count)
        writer.writeBytes(SnapshotFormat.magic)
        writer.write(major)
        writer.write(SnapshotFormat.minor)
        writer.write(SnapshotFormat.architecture)
        writer.write(UInt64(SnapshotFormat.headerBytes + body.count))
        writer.write(0 as UInt64)
        var checksum = Checksum()
        checksum.add(writer.bytes[...])
        checksum.add(body[...])
        writer.write(checksum.value)
        writer.writeBytes(body)
        return writer.bytes
    }
}

extension LittleEndianWriter {
    fileprivate mutating func writeSection(
        _ section: SnapshotFormat.Section, _ content: (inout LittleEndianWriter) -> Void
    ) {
        write(section.rawValue)
        let lengthOffset = bytes.count
        write(0 as UInt32)
        content(&self)
        overwrite(UInt32(truncatingIfNeeded: bytes.count - lengthOffset - 4), at: lengthOffset)
    }

    fileprivate mutating func writeCounted(_ more: [UInt8]) {
        write(UInt32(truncatingIfNeeded: more.count))
        writeBytes(more)
    }

    fileprivate mutating func write(_ figures: [UInt64]) {
        write(UInt32(truncatingIfNeeded: figures.count))
        for figure in figures { write(figure) }
    }

    fileprivate mutating func write(_ processor: ProcessorState) {
        write(processor.counterKilohertz)
        write(UInt32(truncatingIfNeeded: processor.parts.count))
        for (part, bytes) in zip(ProcessorState.Part.allCases, processor.parts) {
            write(part.rawValue)
            writeCounted(bytes)
        }
        write(UInt32(truncatingIfNeeded: processor.identification.count))
        for leaf in processor.identification {
            write(leaf.leaf)
            write(leaf.subleaf)
            write(leaf.flags)
            write(leaf.eax)
            write(leaf.ebx)
            write(leaf.ecx)
            write(leaf.edx)
        }
        write(UInt32(truncatingIfNeeded: processor.modelRegisters.count))
        for register in processor.modelRegisters {
            write(register.index)
            write(register.value)
        }
    }

    fileprivate mutating func write(_ device: TransportState) {
        write(device.kind)
        write(UInt32(device.status))
        write(device.deviceFeaturesSelect)
        write(device.driverFeaturesSelect)
        write(device.driverFeatures)
        write(device.queueSelect)
        write(device.pendingReasons)
        write(device.configurationGeneration)
        write(device.isResetNeeded ? 1 : 0 as UInt32)
        write(UInt32(truncatingIfNeeded: device.queues.count))
        for queue in device.queues {
            write(queue.size)
            write(queue.isReady ? 1 : 0 as UInt32)
            write(queue.descriptorTable)
            write(queue.availableRing)
            write(queue.usedRing)
            write(queue.position.nextAvailable)
            write(queue.position.nextUsed)
        }
        write(device.own)
    }
}
