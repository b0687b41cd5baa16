public import FabricProtocol
public import LinuxCalls
import Synchronization

/// What the engine and the process of a stretch tell each other: a file of one page that both have mapped. The engine writes what is
/// to become of frames, the process what has become of them. Neither waits for the other, and an engine that begins anew finds
/// everything there.
///
/// Layout, in words of eight bytes: what it is, a count of changes (odd while one is made), five words for each of the two ways; from
/// word 64 on five counts for each way.
@safe public struct StretchPage: ~Copyable {
    private static let lengthBytes = 4096
    /// "swstretc", and the layout's version in the last byte.
    private static let mark: UInt64 = 0x7377_7374_7265_7401
    private static let countsStart = 64
    private let mapping: Mapping

    /// Opens a page that is there.
    /// - Throws: EINVAL for what is none.
    public init(opening path: String) throws(LinuxError) {
        let file = try open(path, .readWrite)
        guard try file.sizeBytes() == UInt64(Self.lengthBytes) else { throw .invalidArgument }
        let mapping = try Mapping(sharing: file.number, lengthBytes: Self.lengthBytes)
        guard Self.word(0, of: mapping).load() == Self.mark else { throw .invalidArgument }
        self.mapping = mapping
    }

    /// Makes a new page, in the place of one that may be there.
    public init(making path: String) throws(LinuxError) {
        try removeFile(path)
        let file = try open(path, [.readWrite, .create], mode: 0o600)
        try changeLength(file.number, lengthBytes: UInt64(Self.lengthBytes))
        mapping = try Mapping(sharing: file.number, lengthBytes: Self.lengthBytes)
        word(0).store(Self.mark)
    }

    /// What is to become of frames from now on. Of the engine.
    public func set(_ impairment: Impairment) {
        let change = word(1).load() | 1
        word(1).store(change)
        for (place, way) in [impairment.toMachine, impairment.toNetwork].enumerated() {
            let words = [
                way.delayMicroseconds, way.jitterMicroseconds, way.lossMillipercent, way.duplicateMillipercent,
                way.kilobitsPerSecond,
            ]
            for (index, value) in words.enumerated() {
                word(2 + place * 5 + index).store(UInt64(value))
            }
        }
        word(1).store(change &+ 1)
    }

    /// What is to be, and which change has made it so; nil while it is being changed, and where it is the one that is known. Of the process,
    /// which may be kept from its processor at any moment: what is set meanwhile is another change.
    /// - Parameter known: the change that was read last; nil: none was.
    func news(since known: UInt64?) -> (change: UInt64, impairment: Impairment)? {
        let change = word(1).load()
        guard change != known, change & 1 == 0 else { return nil }
        let impairment = impairment
        return word(1).load() == change ? (change, impairment) : nil
    }

    /// What was set last. Of the engine, which alone sets it.
    public var impairment: Impairment {
        var impairment = Impairment()
        impairment.toMachine = way(2)
        impairment.toNetwork = way(7)
        return impairment
    }

    private func way(_ start: Int) -> Impairment.Way {
        func value(_ index: Int, _ most: UInt32) -> UInt32 {
            UInt32(clamping: min(word(start + index).load(), UInt64(most)))
        }
        var way = Impairment.Way()
        way.delayMicroseconds = value(0, Impairment.Way.mostDelayMicroseconds)
        way.jitterMicroseconds = value(1, way.delayMicroseconds)
        way.lossMillipercent = value(2, Impairment.Way.mostMillipercent)
        way.duplicateMillipercent = value(3, Impairment.Way.mostMillipercent)
        way.kilobitsPerSecond = value(4, Impairment.Way.mostKilobitsPerSecond)
        return way
    }

    /// Of the process.
    func tell(toMachine: WayCounts, toNetwork: WayCounts) {
        tell(toMachine, Self.countsStart)
        tell(toNetwork, Self.countsStart + 5)
    }

    private func tell(_ counts: WayCounts, _ start: Int) {
        word(start).store(counts.frames)
        word(start + 1).store(counts.lost)
        word(start + 2).store(counts.duplicated)
        word(start + 3).store(counts.dropped)
        word(start + 4).store(counts.waiting)
    }

    /// What the process has told last.
    public var toMachine: WayCounts { counts(Self.countsStart) }
    public var toNetwork: WayCounts { counts(Self.countsStart + 5) }

    private func counts(_ start: Int) -> WayCounts {
        var counts = WayCounts()
        counts.frames = word(start).load()
        counts.lost = word(start + 1).load()
        counts.duplicated = word(start + 2).load()
        counts.dropped = word(start + 3).load()
        counts.waiting = word(start + 4).load()
        return counts
    }

    /// Nobody waits where nobody is: of the engine, when the process has ended.
    public func forgetWaiting() {
        word(Self.countsStart + 4).store(0)
        word(Self.countsStart + 9).store(0)
    }

    /// A word of the page; the indices are ours.
    private func word(_ index: Int) -> Word { Self.word(index, of: mapping) }

    private static func word(_ index: Int, of mapping: borrowing Mapping) -> Word {
        unsafe Word(pointer: mapping.base + index * 8)
    }

    /// A number that two processes have.
    @safe private struct Word {
        let pointer: UnsafeMutableRawPointer

        func load() -> UInt64 {
            // SAFETY: the page is mapped as long as this is used, and its words lie at multiples of eight bytes.
            unsafe pointer.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .acquiring)
        }

        func store(_ value: UInt64) {
            // SAFETY: as above.
            unsafe pointer.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.store(value, ordering: .releasing)
        }
    }
}
