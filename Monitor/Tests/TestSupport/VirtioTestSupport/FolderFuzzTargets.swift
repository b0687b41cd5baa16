import LinuxCalls
import SharedFolders
import VirtioDevices

extension VirtioFuzzTargets {
    /// A file system device over a folder with a file and a folder; rings and requests are the fuzzer's.
    public static func fileSystem(_ bytes: [UInt8]) {
        withFolder { path in
            run(bytes) { loop in
                FileSystemDevice(
                    tag: "fuzz",
                    try FolderService(LinuxCalls.open(path, [.path, .directory]), FolderSettings(nodeLimit: 64)),
                    loop: loop)
            }
        }
    }

    /// The server behind it alone: each request has an operation, a node, a handle, and the fuzzer's bytes.
    ///
    /// Beside the folder lies a file that must stay as it is, and nothing may come to lie there.
    public static func folder(_ bytes: [UInt8]) {
        withFolder { path in
            guard let client = try? FolderClient(path, FolderSettings(isReadOnly: bytes.first == 1, nodeLimit: 64))
            else { return }
            var rest = bytes.dropFirst()
            while let operation = rest.popFirst(), let node = rest.popFirst(), let count = rest.popFirst() {
                var body: [UInt8] = []
                // A handle or a node that may be one, where such stand.
                if count & 0x80 != 0 { body = FolderClient.bytes(UInt64(rest.popFirst() ?? 0)) }
                body += rest.prefix(Int(count & 0x7f))
                rest = rest.dropFirst(Int(count & 0x7f))
                client.now += 400_000_000
                let answer = client.call(UInt32(operation), UInt64(node), body, room: 64 + Int(count) * 16)
                precondition(answer.error >= 0 && answer.error < 4096, "an answer that is no error number")
            }
        }
    }

    /// Calls `body` with a fresh folder; afterwards what lies beside it must be as before.
    private static func withFolder(_ body: (String) -> Void) {
        let outer = "/tmp/fuzz-folder-\(Clock.monotonic.nanoseconds())"
        let path = outer + "/shared"
        for folder in [outer, path, path + "/a"] { try? FileTree.makeDirectory(Array(folder.utf8)) }
        write(outer + "/outside", "untouched")
        write(path + "/b", "content")
        try? FileTree.makeSymbolicLink(Array((path + "/c").utf8), to: Array("../outside".utf8))
        try? FileTree.makeSymbolicLink(Array((path + "/d").utf8), to: Array("..".utf8))
        body(path)
        precondition(names(outer) == ["outside", "shared"], "something came to lie outside the folder")
        precondition(contents(outer + "/outside") == Array("untouched".utf8), "a file outside the folder was changed")
        remove(outer)
    }

    private static func write(_ path: String, _ text: String) {
        guard let file = try? LinuxCalls.open(path, [.writeOnly, .create]) else { return }
        try? writeAll(file.number, text)
    }

    private static func contents(_ path: String) -> [UInt8]? {
        guard let file = try? LinuxCalls.open(path, .readOnly) else { return nil }
        return try? FileTree.contents(file.number, maximumBytes: 100)
    }

    private static func names(_ folder: String) -> [String] {
        guard let directory = try? LinuxCalls.open(folder, [.readOnly, .directory]),
            let names = try? FileTree.names(in: directory.number)
        else { return [] }
        return names.map { String(decoding: $0, as: UTF8.self) }.sorted()
    }

    /// The folder with what is in it; no link is followed.
    private static func remove(_ path: String) {
        if let folder = try? LinuxCalls.open(path, [.readOnly, .directory]) {
            try? FileTree.setPermissions(folder.number, 0o700)
        }
        for name in names(path) {
            let inner = path + "/" + name
            if (try? FileTree.facts(Array(inner.utf8)).kind) == .directory {
                remove(inner)
            } else {
                try? FileTree.remove(Array(inner.utf8))
            }
        }
        try? FileTree.remove(Array(path.utf8), isDirectory: true)
    }
}
