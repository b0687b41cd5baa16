import AgentProtocol
import FileTransfer
import LinuxCalls
import SettingsFloppy

/// A machine's settings as files, for programs that know nothing of floppies: one for each field, in a folder for each group.
/// Layout: Documentation/floppy.md.
///
/// Each generation has a folder of its own, and a link leads to the one that counts: a reader that has entered it sees that
/// generation whole, whatever comes after it.
struct SettingsFiles {
    private static let link: ByteString = "/current"
    let device: ByteString
    /// A tmpfs, with a folder for each generation and `current`.
    let folder: ByteString

    /// Where the folder lies.
    var parent: ByteString {
        ByteString(folder.bytes[..<(folder.bytes.lastIndex(of: UInt8(ascii: "/")) ?? 0)])
    }

    /// Makes files of what counts on the floppy now, and has the link lead to them.
    ///
    /// The generation that it led to before stays for those who are reading, and goes with the next one.
    func refresh() throws(Failure) {
        do throws(LinuxError) {
            let (header, body) = try read()
            let name = ByteString(header.number)
            let former = try? FileTree.readLink((folder + Self.link).bytes)
            if former == name.bytes { return }
            let list = try FileTree.open(folder.bytes, [.readOnly, .directory])
            for old in try FileTree.names(in: list.number) where old != former {
                Self.remove(folder + "/" + ByteString(old))
            }
            let new = folder + "/" + name
            try FileTree.makeDirectory(new.bytes, mode: 0o755)
            guard let fields = try? SettingsLines.decode(body) else { throw LinuxError.invalidArgument }
            for field in fields { try Self.write(field, to: new) }
            let schema = ByteString(header.schemaName) + " " + ByteString(header.schemaVersion)
            try Self.write(name.bytes, to: new + "/.generation")
            try Self.write(schema.bytes, to: new + "/.schema")
            let next = folder + "/next"
            try FileTree.makeSymbolicLink(next.bytes, to: name.bytes)
            try FileTree.rename(next.bytes, to: (folder + Self.link).bytes)
        } catch {
            throw Failure(.settings, error, "the settings of " + device)
        }
    }

    /// - Throws: also when nothing on the floppy counts.
    private func read() throws(LinuxError) -> (header: GenerationHeader, body: [UInt8]) {
        let file = Handle(try FileTree.open(device.bytes, .readOnly))
        // The host writes to the floppy past this kernel, which may remember what was there.
        SystemControl.forgetBuffers(of: file.number)
        let now = Clock.realTime.nanoseconds() / 1_000_000_000
        let found = SettingsReader.current(atSeconds: now) { first, count in
            let offset = UInt64(first * FAT12Volume.sectorBytes)
            return (try? readBytes(file.number, offset: offset, count: count * FAT12Volume.sectorBytes)) ?? []
        }
        guard let found else { throw LinuxError.invalidArgument }
        return found
    }

    /// A field's path holds neither a slash nor an empty part.
    private static func write(_ field: SettingsLines.Field, to folder: ByteString) throws(LinuxError) {
        var path = folder
        for part in ByteString(field.path).split(UInt8(ascii: ".")) {
            // The last of these is there already, or is the folder of the field.
            if path.count > folder.count { try? FileTree.makeDirectory(path.bytes, mode: 0o755) }
            path += "/" + part
        }
        try write(field.value, to: path, mode: field.isSecret ? 0o600 : 0o644)
    }

    private static func write(_ value: [UInt8], to path: ByteString, mode: UInt32 = 0o644) throws(LinuxError) {
        let file = try FileTree.open(path.bytes, [.writeOnly, .create, .exclusive], mode: mode)
        try writeAll(file.number, value + [0x0a])
    }

    /// What lies at a path, with all that is in it; as deep as fields are.
    private static func remove(_ path: ByteString) {
        if (try? FileTree.remove(path.bytes)) != nil { return }
        if let list = try? FileTree.open(path.bytes, [.readOnly, .directory, .noFollow]),
            let names = try? FileTree.names(in: list.number)
        {
            for name in names { remove(path + "/" + ByteString(name)) }
        }
        try? FileTree.remove(path.bytes, isDirectory: true)
    }
}
