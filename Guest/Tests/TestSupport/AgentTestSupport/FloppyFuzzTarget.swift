import SettingsFloppy

extension AgentFuzzTargets {
    /// What both sides read of a settings floppy: noise, a good one that was changed here and there, and lines.
    ///
    /// Whatever the bytes are, a reader returns or throws, and what a writer accepted is what counts afterwards.
    public static func floppy(_ bytes: [UInt8]) {
        use(MemoryFloppy(bytes + [UInt8](repeating: 0, count: max(0, 1_474_560 - bytes.count))))
        use(MemoryFloppy(changed(bytes)))
        if let fields = try? SettingsLines.decode(bytes) {
            // Comments go, and what was set comes first; nothing else changes.
            let ordered = fields.filter { !$0.isDefault } + fields.filter(\.isDefault)
            precondition((try? SettingsLines.decode(SettingsLines.encode(fields))) == ordered, "lines changed")
        }
    }

    private static let good: [UInt8] = {
        guard let empty = try? SlotLayout.emptyFloppy(serial: 1),
            var volume = try? SettingsVolume(MemoryFloppy(empty)),
            (try? volume.commit([1, 2, 3], schemaName: [0x61], schemaVersion: 1, writtenSeconds: 1)) != nil,
            (try? volume.commit([4], schemaName: [0x61], schemaVersion: 1, writtenSeconds: 1, deadlineSeconds: 9))
                != nil
        else { preconditionFailure("no floppy to change") }
        return volume.storage.bytes
    }()

    /// Four bytes of the input change one of the floppy's: the place, mostly in the tables, in the headers else.
    private static func changed(_ bytes: [UInt8]) -> [UInt8] {
        var floppy = good
        var rest = bytes[...]
        while rest.count >= 4 {
            let change = [UInt8](rest.prefix(4))
            rest = rest.dropFirst(4)
            let place = Int(change[0]) | Int(change[1]) << 8
            let area = [0, 33 * 512, (33 + 1025) * 512][Int(change[2]) % 3]
            floppy[area + place % 16896] = change[3]
        }
        return floppy
    }

    private static func use(_ floppy: MemoryFloppy) {
        let found = SettingsReader.current(atSeconds: 5) { first, count in
            (try? floppy.read(count, from: first)) ?? []
        }
        if let volume = try? SettingsVolume(floppy), let current = try? volume.current(atSeconds: 5) {
            precondition(found?.header == current.header && found?.body == current.body, "the guest reads otherwise")
        }
        guard var volume = try? SettingsVolume(floppy) else { return }
        guard let before = try? volume.current(atSeconds: nil),
            let written = try? volume.commit([7], schemaName: [], schemaVersion: 2, writtenSeconds: 2)
        else { return }
        precondition(written.header.number > before.header.number, "a number that is no larger")
        precondition((try? volume.current(atSeconds: nil)) == written, "a commit that does not count")
    }
}
