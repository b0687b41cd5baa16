import Archives
import HostFiles

/// The initial file system of a guest: the agent as `/init`, in the form that the kernel unpacks.
///
/// Made once for each agent and kept by its digest.
/// Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
enum AgentArchive {
    private static let maximumAgentBytes = 64 << 20

    /// The path of the archive, made first where it is missing.
    static func prepare(_ paths: ProductPaths) throws(FleetError) -> String {
        let agent: [UInt8]
        do throws(HostFileError) { agent = try HostPath(paths.agent).readWhole(limit: maximumAgentBytes) } catch {
            throw FleetError(
                .missingPart,
                "the guest agent is not there (\(error)); build the product with `make build`, or say where it is with SWIFTLET_LIBEXEC"
            )
        }
        let digest = SHA256.digest(of: agent).description.split(separator: ":").last.map(String.init) ?? "agent"
        let archive = HostPath(paths.cache).appending("agent-\(digest.prefix(32)).cpio")
        if archive.exists { return archive.description }
        try files { () throws(HostFileError) in
            try HostPath(paths.cache).makeFolders(mode: 0o755)
            try archive.replaceQuickly(bytes(agent), mode: 0o644)
        }
        return archive.description
    }

    static func bytes(_ agent: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(agent.count + 512)
        append("init", mode: 0o100755, content: agent, to: &bytes)
        append("TRAILER!!!", mode: 0, content: [], to: &bytes)
        return bytes
    }

    /// "newc": a magic, thirteen numbers of eight hexadecimal digits, the name, the content; both padded to 4 bytes.
    private static func append(_ name: String, mode: UInt32, content: [UInt8], to bytes: inout [UInt8]) {
        // Inode, mode, user, group, links, time, size, device (2), special device (2), name's length, checksum.
        let numbers: [UInt32] = [
            1, mode, 0, 0, 1, 0, UInt32(truncatingIfNeeded: content.count), 0, 0, 0, 0,
            UInt32(truncatingIfNeeded: name.utf8.count + 1), 0,
        ]
        bytes += Array("070701".utf8)
        for number in numbers {
            let digits = Array(String(number, radix: 16).utf8)
            bytes += [UInt8](repeating: 0x30, count: 8 - digits.count) + digits
        }
        bytes += Array(name.utf8) + [0]
        while bytes.count % 4 != 0 { bytes.append(0) }
        bytes += content
        while bytes.count % 4 != 0 { bytes.append(0) }
    }
}
