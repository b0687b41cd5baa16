import AgentClient
import HostFiles

extension MachineRemote {
    private static let resolver = "resolv.conf"

    /// Has a guest ask those networks for names that it is in by now, as it will when it begins again: where it asked nobody, or one
    /// that it is out of. One whose files cannot be written asks as before until then.
    /// - Parameter before: what it was plugged in with.
    func tellNames(insteadOf before: [AssignedInterface]) {
        guard record.specification.container.nameServers.isEmpty else { return }
        let now = store.pluggedInterfaces(of: record)
        let (known, servers) = (record.nameServers(in: before), record.nameServers(in: now))
        guard !servers.isEmpty, servers != known, !known.allSatisfy(servers.contains) || known.isEmpty else { return }
        var lines = servers.map { "nameserver \($0)" }
        let domains = record.searchDomains(in: now)
        if !domains.isEmpty { lines.append("search " + domains.map(\.description).joined(separator: " ")) }
        let file = store.folder(record.id).appending(Self.resolver)
        defer { try? file.removeFile() }
        do {
            try file.replaceWhole(Array((lines.joined(separator: "\n") + "\n").utf8), mode: 0o644)
            try FileCopy.into(
                try endpoint(), from: file.description, to: "/etc/" + Self.resolver, patience: copyPatience)
        } catch {
            // Its addresses work, and nothing is to be taken back for a name.
        }
    }
}
