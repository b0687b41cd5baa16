/// The two generations of settings on a floppy.
///
/// Writing never touches the tables of the volume, nor the slot of the newest confirmed generation: whenever it is cut short,
/// that one is still there. Which generation counts is decided by checksums and numbers alone, so that nothing has to be
/// repaired.
/// Trust: none in the bytes; see `FAT12Volume`.
public struct SettingsVolume<Storage: SectorStorage & ~Copyable>: ~Copyable {
    /// One generation, whole.
    public struct Generation: Equatable, Sendable {
        public var header: GenerationHeader
        public var body: [UInt8]
    }

    public private(set) var storage: Storage
    /// The sectors of both slots.
    private let slots: [[Int]]

    /// - Throws: `notAVolume` or `noSlots` for something else than such a floppy.
    public init(_ storage: consuming Storage) throws(FloppyError) {
        slots = try Self.slots(of: storage)
        self.storage = storage
    }

    /// By the first table, and by the second where the first is damaged.
    private static func slots(of storage: borrowing Storage) throws(FloppyError) -> [[Int]] {
        do throws(FloppyError) {
            return try slots(of: try FAT12Volume(storage))
        } catch {
            guard error == .noSlots, let second = try? FAT12Volume(storage, copy: 1) else { throw error }
            return try slots(of: second)
        }
    }

    private static func slots(of volume: FAT12Volume) throws(FloppyError) -> [[Int]] {
        var slots: [[Int]] = []
        for name in SlotLayout.slotNames {
            guard let file = volume.file(name),
                file.sizeBytes == SlotLayout.slotSectors * FAT12Volume.sectorBytes
            else { throw .noSlots }
            slots.append(try volume.sectors(of: file))
        }
        // Slots that share a sector would destroy one another. Those of one file are all different.
        var isTaken = [Bool](repeating: false, count: 1 << 16)
        for sector in slots[0] { isTaken[sector] = true }
        for sector in slots[1] where isTaken[sector] { throw .noSlots }
        return slots
    }

    /// What lies in a slot, 0 or 1; nil when it is not whole.
    /// - Throws: `device` only.
    public func generation(in slot: Int) throws(FloppyError) -> Generation? {
        let sectors = slots[slot]
        guard let header = GenerationHeader(try read(sectors[..<1])) else { return nil }
        let sectorCount = (header.bodyBytes + FAT12Volume.sectorBytes - 1) / FAT12Volume.sectorBytes
        let body = [UInt8](try read(sectors[1..<1 + sectorCount]).prefix(header.bodyBytes))
        guard checksum(body) == header.bodyChecksum else { return nil }
        return Generation(header: header, body: body)
    }

    /// The generation that counts: the newest that is confirmed, or whose time for that is not over.
    /// - Parameter now: seconds since 1970, UTC; nil where nobody knows.
    public func current(atSeconds now: UInt64?) throws(FloppyError) -> Generation? {
        try newest { $0.isUsable(atSeconds: now) }?.generation
    }

    private func newest(
        where isWanted: (GenerationHeader) -> Bool
    ) throws(FloppyError) -> (slot: Int, generation: Generation)? {
        var found: (slot: Int, generation: Generation)?
        for slot in 0..<2 {
            guard let generation = try generation(in: slot), isWanted(generation.header) else { continue }
            if let best = found, best.generation.header.number >= generation.header.number { continue }
            found = (slot, generation)
        }
        return found
    }

    /// Writes a generation, in the place of that which counts least.
    ///
    /// - Parameters:
    ///   - deadlineSeconds: until when it must be confirmed; nil for one that is.
    ///   - leastNumber: what its number must reach, where older ones are known from elsewhere.
    /// - Returns: it, after it was read back.
    /// - Throws: `noGeneration` when there is nothing to go back to from one that must be confirmed; whatever is thrown, the
    ///   newest confirmed generation is as it was.
    @discardableResult
    public mutating func commit(
        _ body: [UInt8], schemaName: [UInt8], schemaVersion: UInt32, writtenSeconds: UInt64,
        deadlineSeconds: UInt64? = nil, leastNumber: UInt64 = 1
    ) throws(FloppyError) -> Generation {
        guard body.count <= SlotLayout.maximumBodyBytes else {
            throw .tooLong(maximumBytes: SlotLayout.maximumBodyBytes)
        }
        guard schemaName.count <= GenerationHeader.maximumNameBytes else { throw .invalidName }
        let kept = try newest { $0.deadlineSeconds == nil }
        if deadlineSeconds != nil, kept == nil { throw .noGeneration }
        var number = max(leastNumber, 1)
        for slot in 0..<2 {
            if let generation = try generation(in: slot) { number = max(number, generation.header.number + 1) }
        }
        guard number <= GenerationHeader.maximumNumber else { throw .exhausted }
        let slot = kept?.slot == 0 ? 1 : 0
        let header = GenerationHeader(
            number: number, schemaName: schemaName, schemaVersion: schemaVersion, writtenSeconds: writtenSeconds,
            deadlineSeconds: deadlineSeconds, body: body)
        // To the slot's end, so that no older secret stays in it.
        try write(body, to: slots[slot][1...])
        try storage.flush()
        try write(header.encoded(), to: slots[slot][..<1])
        try storage.flush()
        let written = Generation(header: header, body: body)
        guard try generation(in: slot) == written else { throw .notKept }
        return written
    }

    /// Takes the condition away from the generation with that number, which must count at this time.
    ///
    /// - Throws: `noGeneration` when it does not, or no longer. A write that is cut short leaves the generation before it.
    public mutating func confirm(_ number: UInt64, atSeconds now: UInt64) throws(FloppyError) {
        try settle(number, atSeconds: now, deadlineSeconds: nil)
    }

    /// Has a generation that is to be confirmed go back now, as if its time were over.
    ///
    /// - Throws: `noGeneration` as `confirm`. A write that is cut short leaves it going back all the same, at the latest at its time.
    public mutating func takeBack(_ number: UInt64, atSeconds now: UInt64) throws(FloppyError) {
        try settle(number, atSeconds: now, deadlineSeconds: 1)
    }

    private mutating func settle(
        _ number: UInt64, atSeconds now: UInt64, deadlineSeconds: UInt64?
    ) throws(FloppyError) {
        guard let found = try newest(where: { $0.isUsable(atSeconds: now) }),
            found.generation.header.number == number
        else { throw .noGeneration }
        let slot = found.slot
        var generation = found.generation
        guard generation.header.deadlineSeconds != nil else { return }
        generation.header.deadlineSeconds = deadlineSeconds
        try write(generation.header.encoded(), to: slots[slot][..<1])
        try storage.flush()
        guard try self.generation(in: slot) == generation else { throw .notKept }
    }

    private func read(_ sectors: ArraySlice<Int>) throws(FloppyError) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = sectors
        while let first = rest.first {
            let count = Self.run(rest)
            bytes += try storage.read(count, from: first)
            rest = rest.dropFirst(count)
        }
        return bytes
    }

    /// Zeros follow `bytes` to the last of the sectors.
    private mutating func write(_ bytes: [UInt8], to sectors: ArraySlice<Int>) throws(FloppyError) {
        var rest = sectors
        var position = 0
        while let first = rest.first {
            let count = Self.run(rest)
            var piece = [UInt8](bytes.dropFirst(position).prefix(count * FAT12Volume.sectorBytes))
            piece += [UInt8](repeating: 0, count: count * FAT12Volume.sectorBytes - piece.count)
            try storage.write(piece, at: first)
            position += piece.count
            rest = rest.dropFirst(count)
        }
    }

    /// How many sectors from the first on follow one another; 64 at most, for a small guest's sake.
    private static func run(_ sectors: ArraySlice<Int>) -> Int {
        var count = 1
        while count < min(sectors.count, 64), sectors[sectors.startIndex + count] == sectors[sectors.startIndex] + count
        {
            count += 1
        }
        return count
    }
}
