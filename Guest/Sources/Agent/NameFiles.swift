import AgentProtocol
import LinuxCalls

/// The files in which programs look names up.
enum NameFiles {
    /// Writes them where the root can be written; elsewhere the image's own stay.
    static func write(_ wanted: Configuration, root: ByteString) {
        let name = wanted.hostName
        if !name.isEmpty { replace(root + "/etc/hostname", name + "\n") }
        replace(root + "/etc/hosts", hosts(wanted))
        if !wanted.nameServers.isEmpty { replace(root + "/etc/resolv.conf", resolver(wanted)) }
    }

    static func hosts(_ wanted: Configuration) -> ByteString {
        var text: ByteString = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        if !wanted.hostName.isEmpty {
            let own = wanted.interfaces.first?.addresses.first?.address ?? IPAddress(v4: 127, 0, 1, 1)
            text += own.text + "\t" + wanted.hostName + "\n"
        }
        for entry in wanted.hostEntries { text += entry.address.text + "\t" + entry.name + "\n" }
        return text
    }

    static func resolver(_ wanted: Configuration) -> ByteString {
        var text: ByteString = ""
        for server in wanted.nameServers { text += "nameserver " + server.text + "\n" }
        if !wanted.searchDomains.isEmpty {
            text += "search"
            for domain in wanted.searchDomains { text += " " + domain }
            text += "\n"
        }
        return text
    }

    /// A new file in the place of whatever was there, a symbolic link included.
    private static func replace(_ path: ByteString, _ text: ByteString) {
        try? FileTree.remove(path.bytes)
        let flags: OpenFlags = [.writeOnly, .create, .exclusive]
        var file = try? FileTree.open(path.bytes, flags, mode: 0o644)
        if file == nil, let slash = path.bytes.lastIndex(of: UInt8(ascii: "/")) {
            GuestSystem.makePath(ByteString(path.bytes[..<slash]))
            file = try? FileTree.open(path.bytes, flags, mode: 0o644)
        }
        if let file { try? writeAll(file.number, text.bytes) }
    }
}
