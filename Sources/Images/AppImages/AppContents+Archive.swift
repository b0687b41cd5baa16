import Archives
public import HostFiles

extension AppContents {
    /// Folders that the program and the kernel's file systems find, with their permissions.
    private static let folders = ["dev", "etc", "proc", "run", "sys"]

    /// Writes the files as a tar, the same for the same files.
    public func write(to file: consuming HostFile) throws {
        var writer = TarWriter(FileByteSink(file))
        var made: Set<String> = []
        for folder in Self.folders {
            try writer.addFolder(folder)
            made.insert(folder)
        }
        try writer.addFolder("tmp", mode: 0o1777)
        for file in files {
            let parts = file.place.split(separator: "/")
            for count in 1..<max(1, parts.count) {
                let folder = parts.prefix(count).joined(separator: "/")
                if made.insert(folder).inserted { try writer.addFolder(folder) }
            }
            let place = parts.joined(separator: "/")
            switch file.content {
            case .bytes(let bytes): try writer.add(place, bytes, mode: file.mode)
            case .file(let path):
                let content = try HostFile(HostPath(path))
                let size = try content.status().sizeBytes
                try writer.add(
                    place, sizeBytes: size, FileByteSource(content, range: 0..<size), mode: file.mode)
            }
        }
        try writer.finish()
    }
}
