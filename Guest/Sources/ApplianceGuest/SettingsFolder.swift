public import AgentProtocol
import FileTransfer
import LinuxCalls

/// A machine's settings as the agent lays them down: one file for each field, in a folder for each group.
public enum SettingsFolder {
    public static let usual: ByteString = "/run/settings"
    private static let mostValueBytes = 4096
    private static let mostDepth = 8

    /// Reads all of one generation, whatever comes meanwhile.
    /// - Throws: what is there and is no such folder; where none is there, nothing is set.
    public static func read(_ folder: ByteString = usual) throws(SettingsFault) -> SettingsFields {
        var fields: [SettingsFields.Field] = []
        do throws(LinuxError) {
            let directory: FileDescriptor
            do throws(LinuxError) {
                directory = try FileTree.open(folder.bytes, [.readOnly, .directory])
            } catch {
                guard error == .noEntry else { throw error }
                return SettingsFields([])
            }
            try read(directory.number, "", mostDepth, &fields)
        } catch {
            throw SettingsFault(folder, "cannot be read: " + error.text)
        }
        return SettingsFields(fields)
    }

    private static func read(
        _ folder: Int32, _ path: ByteString, _ depth: Int, _ fields: inout [SettingsFields.Field]
    ) throws(LinuxError) {
        for name in try FileTree.names(in: folder) where name.first != UInt8(ascii: ".") {
            let own = path.isEmpty ? ByteString(name) : path + "." + ByteString(name)
            if try FileTree.facts(name, in: folder).kind == .directory {
                guard depth > 1 else { throw .tooManyLevels }
                let below = try FileTree.open(name, in: folder, [.readOnly, .directory, .noFollow])
                try read(below.number, own, depth - 1, &fields)
                continue
            }
            guard fields.count < SettingsFields.mostFields else { throw .noBufferSpace }
            let file = try FileTree.open(name, in: folder, [.readOnly, .noFollow])
            var value = try FileTree.contents(file.number, maximumBytes: mostValueBytes)
            if value.last == 0x0a { value.removeLast() }
            fields.append(.init(own, ByteString(value)))
        }
    }
}
