public import HostFiles
import LinuxCalls
import SettingsFloppy

/// The settings that one name means.
public struct NamedSettings: Sendable {
    public let name: String
    let store: SettingsStore
    let folder: HostPath

    /// How many generations before are kept.
    public static let keptGenerations = 100
    /// How many of them may be what guests asked for: these never drive out what people have set.
    public static let keptOfGuests = 10

    init(name: String, store: SettingsStore, folder: HostPath? = nil) {
        self.name = name
        self.store = store
        self.folder = folder ?? store.root.appending(name)
    }

    /// The floppy's file, as a machine gets it.
    public var floppy: HostPath { folder.appending("floppy.img") }

    /// The generation that counts now.
    /// - Throws: `damagedFloppy` when none does.
    public func current() throws(SettingsError) -> SettingsGeneration {
        let found = try onFloppy(isWritable: false) { volume throws(FloppyError) in
            try volume.current(atSeconds: SettingsStore.nowSeconds())
        }
        guard let found else {
            throw damaged("neither of its generations is whole")
        }
        return try generation(found.header, found.body)
    }

    /// One of those that are kept.
    public func generation(_ number: UInt64) throws(SettingsError) -> SettingsGeneration {
        for (header, body) in try kept() where header.number == number { return try generation(header, body) }
        throw SettingsError(
            .unknownGeneration,
            "there is no generation \(number) of the settings \(name); see `swiftlet settings history \(name)`")
    }

    /// All that are kept, the newest first.
    public func history() throws(SettingsError) -> [GenerationSummary] {
        let now = SettingsStore.nowSeconds()
        let kept = try kept()
        let current = kept.first { $0.header.isUsable(atSeconds: now) }?.header.number
        return kept.map { header, _ in
            var state = GenerationSummary.State.past
            if header.number == current { state = header.deadlineSeconds == nil ? .current : .pending }
            if !header.isUsable(atSeconds: now) { state = .expired }
            return GenerationSummary(
                number: header.number, schemaVersion: header.schemaVersion, writtenSeconds: header.writtenSeconds,
                state: state, isGuests: guestFile(header.number).exists)
        }
    }

    /// Changes the settings: what `body` makes of those that count becomes a new generation, once the schema accepts it.
    ///
    /// - Parameters:
    ///   - expected: the number that the caller has seen; nil takes whatever is there.
    ///   - confirmWithinSeconds: after that time it goes back by itself, unless `confirm` is called; nil never does.
    ///   - forGuest: a guest asked for it, and nobody on this side.
    /// - Returns: the new generation, or the one that is when nothing changes.
    @discardableResult
    public func change(
        expecting expected: UInt64? = nil, confirmWithinSeconds: UInt64? = nil, forGuest: Bool = false,
        _ body: (SettingsGeneration) throws(SettingsError) -> SettingsValue
    ) throws(SettingsError) -> SettingsGeneration {
        try store.whileLocked { () throws(SettingsError) in
            let before = try current()
            if let expected, before.number != expected {
                throw SettingsError(
                    .conflict,
                    "the settings \(name) were changed meanwhile: they are generation \(before.number), and were \(expected)"
                )
            }
            try Self.checkConfirmed(before, name)
            let after = try before.schema.checked(try body(before))
            guard after != before.settings else { return before }
            return try commit(
                before.schema, after, confirmWithinSeconds: confirmWithinSeconds, forGuest: forGuest)
        }
    }

    /// A change of what is still to be confirmed would make it stay, and nobody has said that it shall.
    private static func checkConfirmed(_ generation: SettingsGeneration, _ name: String) throws(SettingsError) {
        guard generation.deadlineSeconds != nil else { return }
        throw SettingsError(
            .unconfirmed,
            "the last change of the settings \(name) is still to be confirmed, or else goes back; confirm it first: swiftlet "
                + "settings confirm \(name), or take it back: swiftlet settings rollback \(name)")
    }

    /// Makes the settings of an older generation count again, as a new one. A floppy that is damaged is made anew for it.
    ///
    /// - Parameter number: nil takes the one before that which counts, or the last one where none does.
    public func rollback(
        to number: UInt64? = nil, confirmWithinSeconds: UInt64? = nil, forGuest: Bool = false
    ) throws(SettingsError) -> SettingsGeneration {
        try store.whileLocked { () throws(SettingsError) in
            let before: SettingsGeneration?
            do throws(SettingsError) { before = try current() } catch {
                guard error.code == .damagedFloppy || error.code == .refused else { throw error }
                before = nil
            }
            let older = try kept().map(\.header).filter { $0.deadlineSeconds == nil }.map(\.number)
            guard let number = number ?? older.first(where: { $0 < before?.number ?? .max }) else {
                throw SettingsError(.unknownGeneration, "the settings \(name) have no generation before this one")
            }
            let target = try generation(number)
            let schema = before?.schema ?? target.schema
            let settings = try schema.migrated(target.settings, from: target.schema)
            if before == nil {
                return try replaceFloppy(schema, settings, leastNumber: (try kept().first?.header.number ?? 0) + 1)
            }
            return try commit(schema, settings, confirmWithinSeconds: confirmWithinSeconds, forGuest: forGuest)
        }
    }

    /// Goes back to the settings that these were made with, for good: what was set since is gone from floppy and history.
    ///
    /// One step: until it is done everything is as it was, but for the history. Those of another version of the schema are
    /// migrated.
    public func reset() throws(SettingsError) -> SettingsGeneration {
        try store.whileLocked { () throws(SettingsError) in
            let before: SettingsGeneration?
            do throws(SettingsError) { before = try current() } catch {
                guard error.code == .damagedFloppy || error.code == .refused else { throw error }
                before = nil
            }
            let factory = try factory()
            let schema = before?.schema ?? factory.schema
            let settings = try schema.migrated(factory.settings, from: factory.schema)
            let after: SettingsGeneration
            if before == nil {
                let number = (try kept().first?.header.number ?? 0) + 1
                after = try replaceFloppy(schema, settings, leastNumber: number)
            } else {
                // Twice, so that neither half of the floppy has anything older.
                _ = try commit(schema, settings)
                after = try commit(schema, settings)
            }
            for number in try historyNumbers() where number != after.number {
                try files { () throws(HostFileError) in try historyFile(number).removeFile() }
                try? guestFile(number).removeFile()
            }
            return after
        }
    }

    private var factoryFile: HostPath { folder.appending("factory.set") }

    /// Keeps what is there now as what `reset` goes back to.
    func keepFactory() throws(SettingsError) {
        guard let first = try kept().first else { return }
        let bytes = first.header.encoded() + first.body
        try files { () throws(HostFileError) in try factoryFile.replaceWhole(bytes, mode: 0o600) }
    }

    /// Of settings that an earlier version made: what the schema's defaults are.
    private func factory() throws(SettingsError) -> (schema: SettingsSchema, settings: SettingsValue) {
        guard factoryFile.exists else {
            guard let (header, body) = try kept().last else { throw damaged("nothing is known of it") }
            let schema = try generation(header, body).schema
            return (schema, try schema.checked(.group([:])))
        }
        guard let (header, body) = Self.slot(factoryFile) else {
            throw damaged("\(factoryFile) is damaged")
        }
        let generation = try generation(header, body)
        return (generation.schema, generation.settings)
    }

    /// A generation in a file of its own; nil where it is not whole.
    private static func slot(_ path: HostPath) -> (header: GenerationHeader, body: [UInt8])? {
        let limit = SlotLayout.maximumBodyBytes + FAT12Volume.sectorBytes
        guard let bytes = try? path.readWhole(limit: limit), bytes.count >= FAT12Volume.sectorBytes,
            let header = GenerationHeader([UInt8](bytes[..<FAT12Volume.sectorBytes])),
            header.bodyBytes == bytes.count - FAT12Volume.sectorBytes,
            checksum(bytes[FAT12Volume.sectorBytes...]) == header.bodyChecksum
        else { return nil }
        return (header, [UInt8](bytes[FAT12Volume.sectorBytes...]))
    }

    /// Carries the settings over to another version of their schema, in one step.
    public func migrate(to schema: SettingsSchema) throws(SettingsError) -> SettingsGeneration {
        try store.whileLocked { () throws(SettingsError) in
            let before = try current()
            let settings = try migrated(before, to: schema)
            guard schema.version != before.schema.version else { return before }
            try Self.checkConfirmed(before, name)
            // Nothing refers to it until the generation is written.
            try write(schema)
            return try commit(schema, settings)
        }
    }

    /// What they would be by another version of their schema; nothing is changed.
    public func migrated(to schema: SettingsSchema) throws(SettingsError) -> SettingsValue {
        try migrated(try current(), to: schema)
    }

    private func migrated(
        _ before: SettingsGeneration, to schema: SettingsSchema
    ) throws(SettingsError) -> SettingsValue {
        if schema.version == before.schema.version, schema != before.schema {
            throw SettingsError(
                .cannotMigrate,
                "this schema differs from the one that the settings \(name) have, and calls itself version "
                    + "\(schema.version) as well; give it a version of its own")
        }
        return try schema.migrated(before.settings, from: before.schema)
    }

    /// Takes the condition away from the generation that counts.
    public func confirm() throws(SettingsError) -> SettingsGeneration {
        try store.whileLocked { () throws(SettingsError) in
            let before = try current()
            try onFloppy(isWritable: true) { volume throws(FloppyError) in
                try volume.confirm(before.number, atSeconds: SettingsStore.nowSeconds())
            }
            let after = try current()
            try keep(try written(after.number))
            return after
        }
    }

    /// Takes the generation back that is still to be confirmed: those from before count at once, and not only when its time is over.
    public func takeBack() throws(SettingsError) -> SettingsGeneration {
        try store.whileLocked { () throws(SettingsError) in
            let before = try current()
            guard before.deadlineSeconds != nil else {
                throw SettingsError(.unknownGeneration, "no change of the settings \(name) waits to be confirmed")
            }
            try onFloppy(isWritable: true) { volume throws(FloppyError) in
                try volume.takeBack(before.number, atSeconds: SettingsStore.nowSeconds())
            }
            try keep(try written(before.number))
            return try current()
        }
    }

    // MARK: - Writing

    private func commit(
        _ schema: SettingsSchema, _ settings: SettingsValue, confirmWithinSeconds: UInt64? = nil, forGuest: Bool = false
    ) throws(SettingsError) -> SettingsGeneration {
        let body = try schema.lines(settings)
        let now = SettingsStore.nowSeconds()
        // What the floppy has goes to the history first: the next write takes the place of one of its two.
        let kept = try kept()
        for generation in kept { try keep(generation) }
        let written = try onFloppy(isWritable: true) { volume throws(FloppyError) in
            try volume.commit(
                body, schemaName: Array(schema.name.utf8), schemaVersion: schema.version, writtenSeconds: now,
                deadlineSeconds: confirmWithinSeconds.map { now &+ min($0, 1 << 32) },
                leastNumber: (kept.first?.header.number ?? 0) + 1)
        }
        try keep((written.header, written.body))
        if forGuest {
            let mark = guestFile(written.header.number)
            try files { () throws(HostFileError) in try mark.replaceWhole([], mode: 0o600) }
        }
        try forgetOldest()
        return try generation(written.header, written.body)
    }

    /// A new floppy, with this generation alone.
    @discardableResult
    func replaceFloppy(
        _ schema: SettingsSchema, _ settings: SettingsValue, leastNumber: UInt64
    ) throws(SettingsError) -> SettingsGeneration {
        let body = try schema.lines(settings)
        let made: (bytes: [UInt8], generation: SettingsVolume<MemoryFloppy>.Generation)
        do throws(FloppyError) {
            let empty = try SlotLayout.emptyFloppy(serial: .random(in: 1 ... .max))
            var volume = try SettingsVolume(MemoryFloppy(empty))
            let generation = try volume.commit(
                body, schemaName: Array(schema.name.utf8), schemaVersion: schema.version,
                writtenSeconds: SettingsStore.nowSeconds(), leastNumber: leastNumber)
            made = (volume.storage.bytes, generation)
        } catch {
            throw failure(error)
        }
        try files { () throws(HostFileError) in
            // A machine may have it open.
            guard floppy.exists else { return try floppy.replaceWhole(made.bytes, mode: 0o600) }
            let file = try HostFile(floppy, .readWrite)
            try file.truncate(to: UInt64(made.bytes.count))
            try file.write(made.bytes, at: 0)
            try file.synchronize()
        }
        try keep((made.generation.header, made.generation.body))
        return try generation(made.generation.header, made.generation.body)
    }

    func write(_ schema: SettingsSchema) throws(SettingsError) {
        try files { () throws(HostFileError) in try schemaFile(schema.version).replaceWhole(schema.source, mode: 0o600)
        }
    }

    // MARK: - Reading

    private func schemaFile(_ version: UInt32) -> HostPath { folder.appending("schema-\(version).json") }

    private func generation(_ header: GenerationHeader, _ body: [UInt8]) throws(SettingsError) -> SettingsGeneration {
        let file = schemaFile(header.schemaVersion)
        let schema = try SettingsSchema(
            parsing: try files { () throws(HostFileError) in try file.readWhole(limit: SettingsSchema.maximumBytes) })
        guard schema.version == header.schemaVersion, schema.name.utf8.elementsEqual(header.schemaName) else {
            throw damaged("it is written by another schema than \(file)")
        }
        return SettingsGeneration(
            number: header.number, schema: schema, settings: try schema.settings(inLines: body),
            writtenSeconds: header.writtenSeconds, deadlineSeconds: header.deadlineSeconds)
    }

    private typealias Kept = (header: GenerationHeader, body: [UInt8])

    /// Those on the floppy and those in the history, each once, the newest first. A damaged file of the history is passed over.
    private func kept() throws(SettingsError) -> [(header: GenerationHeader, body: [UInt8])] {
        var kept: [UInt64: Kept] = [:]
        for number in try historyNumbers() {
            guard let found = Self.slot(historyFile(number)), found.header.number == number else { continue }
            kept[number] = found
        }
        // The floppy stands above the history: it knows what was confirmed.
        for slot in 0..<2 {
            let found = try? onFloppy(isWritable: false) { volume throws(FloppyError) in try volume.generation(in: slot)
            }
            if let generation = found ?? nil { kept[generation.header.number] = (generation.header, generation.body) }
        }
        return kept.values.sorted { $0.header.number > $1.header.number }
    }

    private func written(_ number: UInt64) throws(SettingsError) -> Kept {
        guard let found = try kept().first(where: { $0.header.number == number }) else {
            throw damaged("what was written is not there")
        }
        return found
    }

    private func historyFile(_ number: UInt64) -> HostPath { folder.appending("generation-\(number).set") }

    private func historyNumbers() throws(SettingsError) -> [UInt64] {
        try files { () throws(HostFileError) in try folder.folderNames() }.compactMap { name in
            let text = String(decoding: name, as: UTF8.self)
            guard text.hasPrefix("generation-"), text.hasSuffix(".set") else { return nil }
            return UInt64(text.dropFirst(11).dropLast(4))
        }.sorted()
    }

    /// Writes a generation to the history, unless it is there already just so.
    private func keep(_ generation: (header: GenerationHeader, body: [UInt8])) throws(SettingsError) {
        let path = historyFile(generation.header.number)
        let bytes = generation.header.encoded() + generation.body
        if (try? path.readWhole(limit: bytes.count)) == bytes { return }
        try files { () throws(HostFileError) in try path.replaceWhole(bytes, mode: 0o600) }
    }

    private func forgetOldest() throws(SettingsError) {
        let numbers = try historyNumbers()
        let guests = numbers.filter { guestFile($0).exists }
        for number in guests.dropLast(Self.keptOfGuests) { forget(number) }
        for number in try historyNumbers().dropLast(Self.keptGenerations) { forget(number) }
    }

    /// Says of a generation that a guest asked for it.
    private func guestFile(_ number: UInt64) -> HostPath { folder.appending("generation-\(number).guest") }

    private func forget(_ number: UInt64) {
        try? historyFile(number).removeFile()
        try? guestFile(number).removeFile()
    }

    private func onFloppy<R>(
        isWritable: Bool, _ body: (inout SettingsVolume<FileFloppy>) throws(FloppyError) -> R
    ) throws(SettingsError) -> R {
        let file: FileFloppy
        do throws(HostFileError) { file = try FileFloppy(floppy, isWritable: isWritable) } catch {
            if error.isMissing { throw damaged("it is gone") }
            throw SettingsError(.unusableStore, "\(error)")
        }
        do throws(FloppyError) {
            var volume = try SettingsVolume(file)
            return try body(&volume)
        } catch {
            throw failure(error)
        }
    }

    private func damaged(_ why: String) -> SettingsError {
        SettingsError(
            .damagedFloppy,
            "the settings floppy \(floppy) cannot be used: \(why). `swiftlet settings rollback \(name)` makes a new one with the "
                + "last generation that is known")
    }

    private func failure(_ error: FloppyError) -> SettingsError {
        switch error {
        case .device(let number):
            return SettingsError(
                number == 28 || number == 122 ? .diskFull : .unusableStore,
                "the settings floppy \(floppy) cannot be read or written: \(LinuxError(number))")
        case .notAVolume, .noSlots: return damaged("it is no settings floppy, or is damaged")
        case .noGeneration: return damaged("neither of its generations is whole")
        case .tooLong(let maximum):
            return SettingsError(.refused, "the settings \(name) are longer than \(maximum) bytes")
        case .notKept: return damaged("what was written to it reads back differently")
        case .exhausted: return damaged("the numbers of generations are used up")
        case .invalidName: return damaged("its schema's name is too long")
        }
    }
}
