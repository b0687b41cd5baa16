import Identity
import LinuxCalls

/// A command line that has been looked at: what is to be made, with nothing made yet.
struct JailerPlan {
    let identifier: String
    /// Absolute, without links.
    let program: [UInt8]
    let programName: [UInt8]
    let user: UInt32
    let group: UInt32
    /// What becomes the root.
    let folder: [UInt8]
    let limits: [(ProcessSetup.Resource, UInt64)]
    let controlGroups: ControlGroups?

    init(_ invocation: JailerInvocation) throws(JailerFault) {
        try Self.check(identifier: invocation.identifier)
        identifier = invocation.identifier
        program = try Self.resolve(invocation.programPath)
        programName = program.split(separator: 0x2f).last.map(Array.init) ?? []
        guard let facts = try? FileTree.facts(program, followsLink: true), facts.kind == .regular else {
            throw .notFile(invocation.programPath)
        }
        let name = String(decoding: programName, as: UTF8.self)
        guard Identity.isFirecracker(programName) else { throw .programName(name) }
        let base = try Self.resolve(invocation.baseFolder)
        guard let user = UInt32(invocation.user) else { throw .user(invocation.user) }
        guard let group = UInt32(invocation.group) else { throw .group(invocation.group) }
        self.user = user
        self.group = group
        let slash: [UInt8] = [0x2f]
        folder = base + slash + programName + slash + Array(identifier.utf8) + Array("/root".utf8)
        limits = try Self.limits(invocation.resourceLimits)
        controlGroups = try ControlGroups(
            version: invocation.groupVersion, settings: invocation.groupSettings,
            parent: invocation.parentGroup ?? name, identifier: identifier)
    }

    private static func check(identifier: String) throws(JailerFault) {
        let count = identifier.utf8.count
        guard (1...64).contains(count) else { throw .identifierLength(count) }
        for (position, scalar) in identifier.unicodeScalars.enumerated() {
            switch scalar.value {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d: break
            default:
                var character = ""
                character.unicodeScalars.append(scalar)
                throw .identifierCharacter(character, position: position)
            }
        }
    }

    /// A path's absolute form without links.
    private static func resolve(_ path: String) throws(JailerFault) -> [UInt8] {
        do throws(LinuxError) {
            let file = try open(path, .path)
            return try FileTree.readLink(Array("/proc/self/fd/\(file.number)".utf8))
        } catch { throw .notFound(path, error) }
    }

    private static func limits(
        _ texts: [String]
    ) throws(JailerFault) -> [(ProcessSetup.Resource, UInt64)] {
        // Later ones count.
        var limits: [(ProcessSetup.Resource, UInt64)] = [(.openFiles, 2048)]
        for text in texts {
            guard let (name, value) = split(text) else { throw .limitFormat(text) }
            let resource: ProcessSetup.Resource
            switch name {
            case "fsize": resource = .fileSize
            case "no-file": resource = .openFiles
            default: throw .limitResource(name)
            }
            guard let number = UInt64(value) else { throw .limitValue(value, isEmpty: value.isEmpty) }
            limits.append((resource, number))
        }
        return limits
    }

    /// `NAME=VALUE` at its first sign of equality.
    static func split(_ text: String) -> (name: String, value: String)? {
        let bytes = Array(text.utf8)
        guard let place = bytes.firstIndex(of: 0x3d) else { return nil }
        return (
            String(decoding: bytes[..<place], as: UTF8.self), String(decoding: bytes[(place + 1)...], as: UTF8.self)
        )
    }
}
