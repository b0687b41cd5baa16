import AgentProtocol
import LinuxCalls

/// Which program has a port of the network namespace that the thread is in. Source: proc(5).
enum PortHolder {
    private static let mostBytes = 8 << 20

    /// Whether anybody has it where a process is.
    static func isTaken(_ port: UInt16, isStream: Bool, where process: String) -> Bool {
        !sockets(port, isStream: isStream, of: process).isEmpty
    }

    /// As people call it; nil where that cannot be seen, such as in a container.
    static func find(_ port: UInt16, isStream: Bool) -> String? {
        let sockets = sockets(port, isStream: isStream)
        if sockets.isEmpty { return nil }
        for process in names(of: "/proc") {
            guard process.allSatisfy({ (0x30...0x39).contains($0) }) else { continue }
            let folder = "/proc/" + String(decoding: process, as: UTF8.self)
            for descriptor in names(of: folder + "/fd") {
                let link = [UInt8]((folder + "/fd/").utf8) + descriptor
                guard let target = try? FileTree.readLink(link), sockets.contains(target) else { continue }
                let name = EngineFolder.read(folder + "/comm", maximumBytes: 64) ?? []
                let text = String(decoding: name.filter { (0x21...0x7e).contains($0) }, as: UTF8.self)
                return "\(text) (process \(String(decoding: process, as: UTF8.self)))"
            }
        }
        return nil
    }

    /// What links of open sockets on the port say: `socket:[1234]`.
    private static func sockets(
        _ port: UInt16, isStream: Bool, of process: String = "thread-self"
    ) -> Set<[UInt8]> {
        let digits = String(port, radix: 16, uppercase: true)
        let wanted = String(repeating: "0", count: 4 - digits.utf8.count) + digits
        var found: Set<[UInt8]> = []
        for table in isStream ? ["tcp", "tcp6"] : ["udp", "udp6"] {
            let text = EngineFolder.read("/proc/\(process)/net/" + table, maximumBytes: mostBytes) ?? []
            for line in text.split(separator: 0x0a) {
                let words = line.split(separator: 0x20)
                // Number, own address and port, the other's, state, three more, user, one more, inode.
                guard words.count > 9, words[1].suffix(5).elementsEqual((":" + wanted).utf8) else { continue }
                // Connections on it keep nobody from it. 0A: it listens.
                if isStream, !words[3].elementsEqual("0A".utf8), !words[3].elementsEqual("07".utf8) { continue }
                found.insert(Array("socket:[".utf8) + words[9] + Array("]".utf8))
            }
        }
        return found
    }

    private static func names(of folder: String) -> [[UInt8]] {
        guard let directory = try? FileTree.open([UInt8](folder.utf8), [.readOnly, .directory]) else { return [] }
        return (try? FileTree.names(in: directory.number)) ?? []
    }
}
