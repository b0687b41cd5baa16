import Testing

@testable import SettingsFloppy

@Suite struct SettingsVolumeTests {
    private let name = [UInt8]("firewall".utf8)

    private func body(_ text: String, bytes: Int = 0) -> [UInt8] {
        [UInt8](text.utf8) + [UInt8](repeating: 0x2e, count: max(0, bytes - text.utf8.count))
    }

    /// A floppy with these generations, one after the other.
    private func floppy(_ bodies: [[UInt8]]) throws -> [UInt8] {
        var volume = try SettingsVolume(MemoryFloppy(try SlotLayout.emptyFloppy(serial: 7)))
        for body in bodies { try volume.commit(body, schemaName: name, schemaVersion: 3, writtenSeconds: 100) }
        return volume.storage.bytes
    }

    @Test func `a new floppy has no generation`() throws {
        let volume = try SettingsVolume(MemoryFloppy(try floppy([])))
        #expect(try volume.current(atSeconds: 0) == nil)
    }

    @Test func `the last two generations are kept, and the newest counts`() throws {
        let volume = try SettingsVolume(MemoryFloppy(try floppy(["one", "two", "three"].map { body($0) })))
        let current = try #require(try volume.current(atSeconds: nil))
        #expect(current.body == body("three") && current.header.number == 3)
        #expect(current.header.schemaName == name && current.header.schemaVersion == 3)
        #expect(current.header.writtenSeconds == 100)
        #expect(Set(try (0..<2).map { try volume.generation(in: $0)?.header.number }) == [2, 3])
    }

    @Test func `settings as long as a slot fit, and one byte more is refused`() throws {
        let whole = body("x", bytes: SlotLayout.maximumBodyBytes)
        var volume = try SettingsVolume(MemoryFloppy(try floppy([whole])))
        #expect(try volume.current(atSeconds: nil)?.body == whole)
        #expect(throws: FloppyError.tooLong(maximumBytes: SlotLayout.maximumBodyBytes)) {
            try volume.commit(whole + [0], schemaName: [], schemaVersion: 1, writtenSeconds: 0)
        }
    }

    @Test func `nothing of an older generation stays behind a shorter one`() throws {
        let secret = body("secret", bytes: 9000)
        let bytes = try floppy([secret, body("two"), body("three")])
        #expect(bytes.firstRange(of: body("secret")) == nil)
    }

    @Test(arguments: [1, 2])
    func `a write cut short anywhere leaves the old settings or the new, whole`(generations: Int) throws {
        let old = (0..<generations).map { body("old \($0) ", bytes: 700 * ($0 + 1)) }
        let start = try floppy(old)
        let new = body("new ", bytes: 3000)
        for sectors in 0...1026 {
            for bytes in sectors < 9 || sectors > 1022 ? [0, 1, 60, 511] : [sectors % 512] {
                var volume = try SettingsVolume(TearingFloppy(start, cut: .init(sectors: sectors, bytes: bytes)))
                let result = Result<_, any Error> {
                    try volume.commit(new, schemaName: name, schemaVersion: 3, writtenSeconds: 1)
                }
                // As the next start finds it.
                let after = try SettingsVolume(MemoryFloppy(volume.storage.floppy.bytes))
                let current = try #require(try after.current(atSeconds: nil), "cut at \(sectors):\(bytes)")
                #expect(current.body == new || current.body == old.last, "cut at \(sectors):\(bytes)")
                if case .success = result { #expect(current.body == new) }
                // And it is written to as before.
                var again = try SettingsVolume(MemoryFloppy(volume.storage.floppy.bytes))
                if sectors % 64 == 0 {
                    try again.commit(body("again"), schemaName: name, schemaVersion: 3, writtenSeconds: 1)
                    #expect(try again.current(atSeconds: nil)?.body == body("again"))
                }
            }
        }
    }

    @Test func `a write cut short beside a generation to be confirmed leaves the confirmed one`() throws {
        var volume = try SettingsVolume(MemoryFloppy(try floppy([body("good")])))
        try volume.commit(body("trial"), schemaName: name, schemaVersion: 3, writtenSeconds: 1, deadlineSeconds: 50)
        for sectors in stride(from: 0, through: 1024, by: 16) {
            var torn = try SettingsVolume(TearingFloppy(volume.storage.bytes, cut: .init(sectors: sectors, bytes: 9)))
            _ = try? torn.commit(body("second"), schemaName: name, schemaVersion: 3, writtenSeconds: 2)
            let after = try SettingsVolume(MemoryFloppy(torn.storage.floppy.bytes))
            #expect(try after.current(atSeconds: 60)?.body == body("good"))
        }
    }

    @Test func `settings to be confirmed are taken back at once, whatever cuts the write short`() throws {
        var start = try SettingsVolume(MemoryFloppy(try floppy([body("one")])))
        let trial = try start.commit(
            body("two"), schemaName: name, schemaVersion: 3, writtenSeconds: 1, deadlineSeconds: 100)
        #expect(throws: FloppyError.noGeneration) { try start.takeBack(1, atSeconds: 50) }
        #expect(throws: FloppyError.noGeneration) { try start.takeBack(trial.header.number, atSeconds: 100) }
        for sectors in 0...1 {
            for bytes in [0, 1, 60, 511] {
                var volume = try SettingsVolume(
                    TearingFloppy(start.storage.bytes, cut: .init(sectors: sectors, bytes: bytes)))
                try? volume.takeBack(trial.header.number, atSeconds: 50)
                var after = try SettingsVolume(MemoryFloppy(volume.storage.floppy.bytes))
                #expect(try after.current(atSeconds: 100)?.body == body("one"))
                // What comes next has a number of its own, and there is something to go back to again.
                let next = try after.commit(
                    body("three"), schemaName: name, schemaVersion: 3, writtenSeconds: 60, deadlineSeconds: 200,
                    leastNumber: trial.header.number + 1)
                #expect(next.header.number > trial.header.number)
                #expect(try after.current(atSeconds: 200)?.body == body("one"))
            }
        }
    }

    @Test func `settings to be confirmed go back by themselves when their time is over`() throws {
        var volume = try SettingsVolume(MemoryFloppy(try floppy([body("good")])))
        let trial = try volume.commit(
            body("trial"), schemaName: name, schemaVersion: 3, writtenSeconds: 40, deadlineSeconds: 100)
        #expect(try volume.current(atSeconds: 99)?.body == body("trial"))
        #expect(try volume.current(atSeconds: 100)?.body == body("good"))
        #expect(try volume.current(atSeconds: nil)?.body == body("good"))
        #expect(throws: FloppyError.noGeneration) { try volume.confirm(trial.header.number, atSeconds: 100) }
        #expect(throws: FloppyError.noGeneration) { try volume.confirm(1, atSeconds: 99) }
        try volume.confirm(trial.header.number, atSeconds: 99)
        #expect(try volume.current(atSeconds: nil)?.body == body("trial"))
        try volume.confirm(trial.header.number, atSeconds: 500)
    }

    @Test func `there must be something to go back to`() throws {
        var volume = try SettingsVolume(MemoryFloppy(try floppy([])))
        #expect(throws: FloppyError.noGeneration) {
            try volume.commit(body("x"), schemaName: name, schemaVersion: 1, writtenSeconds: 1, deadlineSeconds: 2)
        }
    }

    @Test func `the next number is above every other, those known from elsewhere included`() throws {
        var volume = try SettingsVolume(MemoryFloppy(try floppy([body("good")])))
        let trial = try volume.commit(
            body("t"), schemaName: name, schemaVersion: 3, writtenSeconds: 1, deadlineSeconds: 2)
        let next = try volume.commit(body("n"), schemaName: name, schemaVersion: 3, writtenSeconds: 3)
        #expect(trial.header.number == 2 && next.header.number == 3)
        let far = try volume.commit(
            body("f"), schemaName: name, schemaVersion: 3, writtenSeconds: 3, leastNumber: 40)
        #expect(far.header.number == 40)
    }

    @Test func `one flipped bit anywhere in a generation brings the other back`() throws {
        let bytes = try floppy([body("one"), body("two", bytes: 900)])
        let volume = try SettingsVolume(MemoryFloppy(bytes))
        let slot = try #require(try (0..<2).first { try volume.generation(in: $0)?.header.number == 2 })
        let start = (33 + slot * 1025) * 512
        for offset in 0..<(512 + 900) {
            var changed = bytes
            changed[start + offset] ^= 1 << UInt8(offset % 8)
            #expect(try SettingsVolume(MemoryFloppy(changed)).current(atSeconds: nil)?.body == body("one"))
        }
    }

    @Test func `a damaged first table is made up for by the second`() throws {
        var bytes = try floppy([body("one")])
        for offset in 512..<(512 * 5) { bytes[offset] = 0 }
        #expect(try SettingsVolume(MemoryFloppy(bytes)).current(atSeconds: nil)?.body == body("one"))
        for offset in (512 * 10)..<(512 * 15) { bytes[offset] = 0 }
        #expect(throws: FloppyError.noSlots) { _ = try SettingsVolume(MemoryFloppy(bytes)) }
    }

    @Test func `noise is refused`() {
        var generator = SeededNoise(state: 5)
        for _ in 0..<200 {
            var noise = (0..<4096).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            noise += [UInt8](repeating: 0, count: 1_474_560 - 4096)
            #expect(throws: FloppyError.self) { _ = try SettingsVolume(MemoryFloppy(noise)) }
        }
        #expect(throws: FloppyError.self) { _ = try SettingsVolume(MemoryFloppy([])) }
    }

    @Test func `files that share a sector are refused`() throws {
        var bytes = try floppy([body("one")])
        // The second slot's first cluster becomes the first slot's. The label is the first entry.
        let root = 19 * 512
        bytes[root + 64 + 26] = bytes[root + 32 + 26]
        bytes[root + 64 + 27] = bytes[root + 32 + 27]
        #expect(throws: FloppyError.noSlots) { _ = try SettingsVolume(MemoryFloppy(bytes)) }
    }

    @Test func `the checksum is the known one`() { #expect(checksum([UInt8]("123456789".utf8)) == 0xe306_9283) }
}

struct SeededNoise: RandomNumberGenerator {
    var state: UInt64
    /// Source: xorshift64 (Marsaglia 2003).
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
