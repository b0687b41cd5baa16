import AgentProtocol
import LinuxCalls

/// Programs stopped by the kernel's freezer: neither they nor their parents can see it, and a fork cannot outrun it.
/// Source: Linux, Documentation/admin-guide/cgroup-v2.rst, `cgroup.freeze`.
///
/// The control group that everything begins in cannot be frozen, and the agent is in it; so what is in it is moved to a
/// frozen group for as long as it lasts. Groups that programs have made are frozen where they are.
final class FrozenPrograms: StoppedPrograms {
    private static let name: ByteString = "swiftlet.held"
    private let base: ByteString
    private let held: ByteString
    /// Groups of programs' own that this has frozen.
    private var groups: [ByteString] = []

    /// Nil where the kernel has no such group.
    init?(in base: ByteString) {
        guard !base.isEmpty else { return nil }
        self.base = base
        held = base + "/" + Self.name
        // A program may have put the agent elsewhere.
        guard Self.write(ByteString(UInt32(bitPattern: Children.own)), base + "/cgroup.procs") else { return nil }
        try? FileTree.makeDirectory(held.bytes, mode: 0o755)
        guard Self.write("1", held + "/cgroup.freeze") else {
            try? FileTree.remove(held.bytes, isDirectory: true)
            return nil
        }
    }

    func proceed() -> Int? {
        let own = Children.own
        var hasMoved = false
        for process in Self.processes(in: base) where process != own {
            // One that is ending cannot be moved and need not be.
            if let facts = ProcessFacts(process), !facts.isKernelThread, facts.state != UInt8(ascii: "Z"),
                Self.write(ByteString(UInt32(bitPattern: process)), held + "/cgroup.procs")
            {
                hasMoved = true
            }
        }
        for group in Self.groups(in: base) where group != held && !groups.contains(group) {
            guard Self.read(group + "/cgroup.freeze").hasPrefix("0") else { continue }
            if Self.write("1", group + "/cgroup.freeze") { groups.append(group) }
        }
        // What was moved may have had a child on the way.
        guard !hasMoved, ([held] + groups).allSatisfy({ Self.isFrozen($0) }) else { return nil }
        return ([held] + groups).reduce(0) { $0 + Self.count(in: $1, depth: 0) }
    }

    func letGo() {
        // Each goes on with its move, from where it came.
        for _ in 0..<64 {
            let processes = Self.processes(in: held)
            if processes.isEmpty { break }
            for process in processes {
                _ = Self.write(ByteString(UInt32(bitPattern: process)), base + "/cgroup.procs")
            }
        }
        for group in groups { _ = Self.write("0", group + "/cgroup.freeze") }
        _ = Self.write("0", held + "/cgroup.freeze")
        try? FileTree.remove(held.bytes, isDirectory: true)
    }

    private static func isFrozen(_ group: ByteString) -> Bool {
        let events = read(group + "/cgroup.events")
        // Taken away meanwhile: nothing is in it.
        return events.isEmpty || events.split(0x0a).contains("frozen 1")
    }

    private static func count(in group: ByteString, depth: Int) -> Int {
        let own = processes(in: group).count
        if depth == 16 { return own }
        return groups(in: group).reduce(own) { $0 + count(in: $1, depth: depth + 1) }
    }

    private static func processes(in group: ByteString) -> [Int32] {
        read(group + "/cgroup.procs").split(0x0a).compactMap { $0.number }.filter { $0 > 0 }
    }

    private static func groups(in group: ByteString) -> [ByteString] {
        guard let folder = try? FileTree.open(group.bytes, [.readOnly, .directory]),
            let names = try? FileTree.names(in: folder.number)
        else { return [] }
        return names.map { group + "/" + ByteString($0) }.filter {
            (try? FileTree.facts($0.bytes))?.kind == .directory
        }
    }

    private static func read(_ path: ByteString) -> ByteString {
        guard let file = try? FileTree.open(path.bytes, .readOnly),
            let text = try? FileTree.contents(file.number, maximumBytes: 1 << 20)
        else { return "" }
        return ByteString(text)
    }

    private static func write(_ text: ByteString, _ path: ByteString) -> Bool {
        guard let file = try? FileTree.open(path.bytes, .writeOnly) else { return false }
        return (try? writeAll(file.number, text.bytes)) != nil
    }
}
