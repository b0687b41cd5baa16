import Testing

@testable import SettingsFloppy

/// The guest's reader finds what the host's does.
@Suite struct SettingsReaderTests {
    private func floppy(_ bodies: [Int]) throws -> [UInt8] {
        var volume = try SettingsVolume(MemoryFloppy(try SlotLayout.emptyFloppy(serial: 7)))
        for (index, bytes) in bodies.enumerated() {
            try volume.commit(
                [UInt8](repeating: UInt8(0x61 + index), count: bytes), schemaName: [0x66, 0x77], schemaVersion: 3,
                writtenSeconds: 100)
        }
        return volume.storage.bytes
    }

    private func expectAgreement(_ bytes: [UInt8], atSeconds now: UInt64 = 50, _ comment: Comment = "") {
        // The reader knows no more of the device than what it reads, and makes do with more floppies.
        guard let volume = try? SettingsVolume(MemoryFloppy(bytes)).current(atSeconds: now) else { return }
        let found = read(bytes, atSeconds: now)
        #expect(found?.header == volume.header && found?.body == volume.body, comment)
    }

    private func read(
        _ bytes: [UInt8], atSeconds now: UInt64 = 50
    ) -> (header: GenerationHeader, body: [UInt8])? {
        let storage = MemoryFloppy(bytes)
        return SettingsReader.current(atSeconds: now) { first, count in (try? storage.read(count, from: first)) ?? [] }
    }

    @Test func `what counts is found, of every length`() throws {
        for bodies in [[], [0], [1, 511], [512, 513], [9000, 3], [SlotLayout.maximumBodyBytes, 5], [5, 4, 3]] {
            let bytes = try floppy(bodies)
            #expect(read(bytes)?.body.count == bodies.last)
            expectAgreement(bytes)
        }
    }

    @Test func `what must be confirmed counts until its time is over`() throws {
        var volume = try SettingsVolume(MemoryFloppy(try floppy([4])))
        try volume.commit([1, 2], schemaName: [], schemaVersion: 1, writtenSeconds: 1, deadlineSeconds: 60)
        #expect(read(volume.storage.bytes, atSeconds: 59)?.body == [1, 2])
        #expect(read(volume.storage.bytes, atSeconds: 60)?.header.number == 1)
    }

    @Test func `one flipped bit brings the other generation back, as for the host`() throws {
        let bytes = try floppy([3, 900])
        for offset in Array(0..<70) + Array(19 * 512..<19 * 512 + 96) + Array((33 + 1025) * 512..<(33 + 1028) * 512) {
            var changed = bytes
            changed[offset] ^= 1 << UInt8(offset % 8)
            expectAgreement(changed, "flipped at \(offset)")
        }
    }

    @Test func `a damaged first table is made up for by the second, and noise is nothing`() throws {
        var bytes = try floppy([3])
        for offset in 512..<(512 * 5) { bytes[offset] = 0 }
        #expect(read(bytes)?.body.count == 3)
        for offset in (512 * 10)..<(512 * 15) { bytes[offset] = 0 }
        #expect(read(bytes) == nil)
        var generator = SeededNoise(state: 5)
        for _ in 0..<50 {
            #expect(read((0..<4096).map { _ in UInt8(truncatingIfNeeded: generator.next()) }) == nil)
        }
        #expect(read([]) == nil)
    }
}
