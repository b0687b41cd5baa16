/// Why bytes from the other side are not a message of this protocol.
public enum ProtocolError: Error, Equatable, Sendable {
    /// The message ends before its last field does.
    case truncated
    /// Bytes follow the message's last field.
    case trailingBytes
    /// The connection does not begin with this protocol's opening.
    case notThisProtocol
    /// The other side speaks a version that this one does not.
    case version(UInt16)
    /// A frame longer than its direction allows.
    case frameTooLong(UInt32)
    /// A message number that is not known, or not one of this direction.
    case unknownMessage(UInt16)
    /// A field outside its bounds.
    case outOfBounds(MessageField)
}

/// The fields that have bounds of their own, named for error messages.
public enum MessageField: Equatable, Sendable {
    case kind, stream, flags
    case agentVersion, kernelRelease
    case hostName, fileSystem, device, path, options, overlay, verity
    case mounts, interfaces, interfaceName, addresses, addressFamily
    case prefixLength, routes, nameServers, searchDomains
    case hostEntries, seed, links
    case arguments, argument, environment, variable, user, groups, workingDirectory
    case signal, exitKind, failureCode, failureText
    case powerOffMode, entryType, entryPath, linkTarget
    case name, data, streamOrigin
    case processes, command

    /// The field in words.
    public var name: StaticString {
        switch self {
        case .kind: "kind"
        case .stream: "stream"
        case .flags: "flags"
        case .agentVersion: "agent version"
        case .kernelRelease: "kernel release"
        case .hostName: "host name"
        case .fileSystem: "file system"
        case .device: "device"
        case .path: "path"
        case .options: "options"
        case .overlay: "overlay"
        case .verity: "verity"
        case .mounts: "mounts"
        case .interfaces: "interfaces"
        case .interfaceName: "interface name"
        case .addresses: "addresses"
        case .addressFamily: "address family"
        case .prefixLength: "prefix length"
        case .routes: "routes"
        case .nameServers: "name servers"
        case .searchDomains: "search domains"
        case .hostEntries: "host entries"
        case .seed: "seed"
        case .links: "links"
        case .arguments: "arguments"
        case .argument: "argument"
        case .environment: "environment"
        case .variable: "variable"
        case .user: "user"
        case .groups: "groups"
        case .workingDirectory: "working directory"
        case .signal: "signal"
        case .exitKind: "exit kind"
        case .failureCode: "failure code"
        case .failureText: "failure text"
        case .powerOffMode: "power-off mode"
        case .entryType: "entry type"
        case .entryPath: "entry path"
        case .linkTarget: "link target"
        case .name: "name"
        case .data: "data"
        case .streamOrigin: "stream origin"
        case .processes: "processes"
        case .command: "command"
        }
    }
}
